// Counting epochs and sweeps since rounding was last undone; see audit_schedule.hpp.
#include "host/audit_schedule.hpp"

#include <algorithm>

#include "host/drift.hpp"
#include "host/failure.hpp"
#include "host/training_plan.hpp"

namespace widedeq {

AuditSchedule::AuditSchedule(Index width, Precision precision, double tolerance, int audit_every)
    : width_(width), precision_(precision), tolerance_(tolerance), audit_every_(audit_every) {}

bool AuditSchedule::is_due(int base_version) const {
  return since_audit_ + 1 >= audit_every_ || drift_in(2) > most_drift * tolerance_ ||
         base_version_ != base_version;
}

double AuditSchedule::drift_in(int more) const {
  const int an_epoch = warm_epochs_ > 1 ? last_sweeps_ : sweeps_to_expect;
  return drift_after(since_audit_ + more, sweeps_ + more * an_epoch, width_, precision_,
                     tolerance_);
}

void AuditSchedule::add(bool audited, bool carries_on, int sweeps, int base_version) {
  if (audited || !is_warm()) base_version_ = base_version;
  const int before = is_warm() ? sweeps_ : 0;
  warm_epochs_ = carries_on ? warm_epochs_ + 1 : 0;
  since_audit_ = audited || warm_epochs_ <= 1 ? 0 : since_audit_ + 1;
  last_sweeps_ = sweeps;
  sweeps_ = audited || !carries_on ? 0 : before + sweeps;
}

void AuditSchedule::transfer(Archive& archive, int base_version) {
  archive.integer("warm_epochs", warm_epochs_);
  archive.integer("since_audit", since_audit_);
  archive.integer("sweeps", sweeps_);
  archive.integer("last_sweeps", last_sweeps_);
  if (std::min({warm_epochs_, since_audit_, sweeps_, last_sweeps_}) < 0)
    throw Failure(ExitCode::bad_data, "counts of epochs and sweeps are negative", "trainer",
                  "resume from another checkpoint");
  // Versions are counted anew in every session.
  bool base_is_known = base_version_ == base_version;
  archive.integer("base_is_known", base_is_known);
  if (archive.is_loading()) base_version_ = base_version - (base_is_known ? 0 : 1);
}

}  // namespace widedeq
