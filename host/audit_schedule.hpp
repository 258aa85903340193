// When states that are carried from epoch to epoch have gathered so much rounding that they are to
// be audited: rebuilt in double (audit_fixed_point() in fixed_point.hpp).
//
// At least every `audit_every` epochs; sooner where what sweeps and updates may have rounded
// (drift.hpp) would come to more than most_drift of the tolerance, and where A's base, which the
// states are of, has become another.
#pragma once

#include "host/archive.hpp"
#include "kernels/backend.hpp"

namespace widedeq {

class AuditSchedule {
 public:
  AuditSchedule(Index width, Precision precision, double tolerance, int audit_every);

  /// Whether states are carried: the last epoch has left some of use.
  bool is_warm() const { return warm_epochs_ > 0; }
  /// They are not to be used any more.
  void forget() { warm_epochs_ = 0; }

  /// Whether the epoch about to begin is to audit the states it takes up, A's base being of that
  /// version.
  bool is_due(int base_version) const;
  /// What they will have gathered `more` epochs from now, relative to Z.
  double drift_in(int more) const;

  /// An epoch is over: whether it was audited, whether its states are carried on, how many sweeps
  /// they took (forward's or adjoint's, the more).
  void add(bool audited, bool carries_on, int sweeps, int base_version);

  /// Saves or restores. Throws Failure (bad_data) for counts below 0.
  void transfer(Archive& archive, int base_version);

 private:
  Index width_;
  Precision precision_;
  double tolerance_;
  int audit_every_;
  int warm_epochs_ = 0;   // how long states have been carried on
  int since_audit_ = 0;   // epochs since rounding was last undone
  int sweeps_ = 0;        // that have rounded P since then
  int last_sweeps_ = 0;   // of the last epoch
  int base_version_ = 0;  // the operand's when they were last rebuilt or solved cold
};

}  // namespace widedeq
