// Numbers, then the verdicts on one run; see run_digest.hpp.
#include "host/study/run_digest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "host/run/prediction.hpp"
#include "host/study/notation.hpp"
#include "host/study/quantities.hpp"

namespace widedeq {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::vector<double> predicted_losses(const RunData& run) {
  const std::size_t n = run.first_residual.size();
  const bool possible =
      n > 0 && run.ntk_first && run.ntk_first->rows == static_cast<Index>(n) && constant_rate(run);
  if (!possible) return {};
  const bool whole = run.epochs.front().epoch == 0 && !run.grams.empty() &&
                     run.grams.front().epoch == 0 &&
                     run.epochs.back().epoch + 1 == static_cast<int>(run.epochs.size());
  if (!whole) return {};
  return affordable_losses(*run.ntk_first, run.first_residual, *run.learning_rate,
                           static_cast<int>(run.epochs.size()),
                           run.config.optimizer == Optimizer::flow);
}

template <class Member>
std::optional<AtEpoch> largest(const std::vector<EpochRecord>& epochs, Member member) {
  std::optional<AtEpoch> found;
  for (const EpochRecord& record : epochs)
    if (const auto& value = record.*member; value && (!found || *value > found->value))
      found = {*value, record.epoch};
  return found;
}

void take_times(RunDigest& digest, const RunData& run) {
  std::vector<double> seconds;
  for (const EpochRecord& record : run.epochs)
    if (record.seconds) seconds.push_back(*record.seconds);
  if (seconds.empty()) return;
  digest.seconds = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  digest.median_seconds = *middle;
}

template <class Value>
std::optional<double> number(const std::optional<Value>& value) {
  return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
}

std::optional<double> if_finite(double value) {
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::optional<double> ratio(double a, double b) {
  return if_finite(a / b);
}

void add_evidence(StudyVerdict& verdict, const std::string& sentence) {
  verdict.evidence += (verdict.evidence.empty() ? "" : "; ") + sentence;
}

/// What ended the run says more than all records before: the epoch that showed it has none.
void take_end(StudyVerdict& verdict, const RunData& run, bool refutes) {
  if (run.ended && refutes) {
    verdict.finding = StudyFinding::fails;
    add_evidence(verdict,
                 fmt::format("epoch {} ended the run: {}", run.ended->epoch, run.ended->reason));
  } else if (run.has_unknown_end() && verdict.finding == StudyFinding::holds) {
    verdict.finding = StudyFinding::open;
    add_evidence(verdict, "what ended the run is not recorded: " + run.status);
  }
}

/// A run that could not go on does not bear out a statement about training.
void require_whole(StudyVerdict& verdict, const RunData& run) {
  if (!run.ended || verdict.finding != StudyFinding::holds) return;
  verdict.finding = StudyFinding::open;
  add_evidence(verdict,
               fmt::format("epoch {} ended the run: {}", run.ended->epoch, run.ended->reason));
}

/// How near a measured rate is to be to the predicted one.
constexpr double least_part = 0.8, most_part = 1.25;

StudyVerdict rate_verdict(const RunData& run, const RunDigest& digest) {
  StudyVerdict verdict{StudyFinding::open, "the loss falls at the linear rate of the first kernel",
                       ""};
  if (std::isfinite(digest.factor)) {
    const bool are_all = digest.factor_epochs == digest.losses.size();
    verdict.evidence =
        fmt::format("measured x {} an epoch, over the second half of the {}{} epochs{}",
                    people_number(digest.factor), are_all ? "" : "first ", digest.factor_epochs,
                    are_all ? "" : " (solves do not resolve the later losses)");
  }
  const bool rises = digest.factor >= 1.0, falls = digest.factor < 1.0;
  if (rises) verdict.finding = StudyFinding::fails;
  if (std::isfinite(digest.factor) && std::isfinite(digest.predicted_factor)) {
    add_evidence(verdict,
                 fmt::format("{} gives x {}",
                             run.config.optimizer == Optimizer::flow ? "r(t) = exp(-H(0) t) r"
                                                                     : "r <- (I - eta H(0)) r",
                             people_number(digest.predicted_factor)));
    if (falls && digest.predicted_factor < 1.0) {  // where either rises there is no rate
      const double part = std::log(digest.factor) / std::log(digest.predicted_factor);
      verdict.evidence += fmt::format(": {:.3g} % of that rate ({:g} to {:g} % hold)", 100.0 * part,
                                      100.0 * least_part, 100.0 * most_part);
      verdict.finding =
          part > least_part && part < most_part ? StudyFinding::holds : StudyFinding::fails;
    }
  }
  take_end(verdict, run, run.has_lost_loss());
  require_whole(verdict, run);
  return verdict;
}

StudyVerdict posed_verdict(const RunData& run, const RunDigest& digest) {
  const std::string looks =
      fmt::format("looked at {} time{}", digest.q_looks, digest.q_looks == 1 ? "" : "s");
  if (digest.first_q_beyond_1) {
    const std::string until = digest.last_q_below_1 ? fmt::format("last below 1 at epoch {}",
                                                                  digest.last_q_below_1->epoch)
                                                    : "never below 1";
    return {
        StudyFinding::fails, "well-posed throughout: gamma ||A||_2/sqrt(m) < 1",
        fmt::format("{}; {} at epoch {}, largest {} (epoch {}), estimated from below; {}", until,
                    people_number(digest.first_q_beyond_1->value), digest.first_q_beyond_1->epoch,
                    people_number(digest.q->value), digest.q->epoch, looks)};
  }
  StudyVerdict verdict{StudyFinding::holds, "well-posed throughout: gamma ||A||_2/sqrt(m) < 1", ""};
  if (digest.q)
    verdict.evidence = fmt::format("largest {} (epoch {}), estimated from below; {}",
                                   people_number(digest.q->value), digest.q->epoch, looks);
  take_end(verdict, run, run.ended_by("contraction"));
  if (!run.has_looked_to_the_end()) require_whole(verdict, run);
  return verdict;
}

StudyVerdict converged_verdict(const RunData& run, const RunDigest& digest) {
  std::string evidence;
  for (const auto& [residual, what] : {std::pair(&digest.residual_forward, "forward"),
                                       std::pair(&digest.residual_adjoint, "adjoint"),
                                       std::pair(&digest.audit_forward, "audited forward"),
                                       std::pair(&digest.audit_adjoint, "audited adjoint")}) {
    if (!*residual) continue;
    evidence += fmt::format("{}{} {} (epoch {})", evidence.empty() ? "largest residual " : ", ",
                            what, people_number((*residual)->value), (*residual)->epoch);
  }
  StudyVerdict verdict{run.meets_tolerance() ? StudyFinding::holds : StudyFinding::fails,
                       fmt::format("every sample converged in every epoch: residuals <= {}",
                                   people_number(run.config.tolerance)),
                       evidence};
  take_end(verdict, run, run.ended_by("solve"));
  return verdict;
}

StudyVerdict kernel_verdict(const RunData& run) {
  const GramRecord& first = run.grams.front();
  const GramRecord* least = &first;
  for (const GramRecord& gram : run.grams)
    if (gram.lambda_min < least->lambda_min) least = &gram;
  // The theory's induction: lambda_min(H) stays above half of what it is at the start.
  const bool is_zero = first.lambda_min <= run.zero_to_rounding();
  const bool holds = least->lambda_min >= 0.5 * first.lambda_min;
  std::string evidence =
      fmt::format("{} at the start, least {} (epoch {})", people_number(first.lambda_min),
                  people_number(least->lambda_min), least->epoch);
  if (const auto& drift = run.grams.back().drift)
    evidence += fmt::format("; the kernel has drifted by {} of its norm", people_percent(*drift));
  if (is_zero) evidence += "; that is zero to rounding, and no start";
  StudyVerdict verdict{is_zero ? StudyFinding::open
                       : holds ? StudyFinding::holds
                               : StudyFinding::fails,
                       "lambda_min(H) stays above half of its first value", evidence};
  take_end(verdict, run, false);
  require_whole(verdict, run);
  return verdict;
}

/// Of all evaluations of one certificate.
StudyVerdict certified_verdict(const RunData& run, Certificate CertificateRecord::*which,
                               const std::string& statement, bool wants_largest) {
  const CertificateRecord* extreme = nullptr;
  const CertificateRecord* unproved = nullptr;
  double probability = 1.0;
  for (const CertificateRecord& record : run.certificates) {
    const Certificate& now = record.*which;
    if (now.verdict != Verdict::certified) {
      unproved = unproved ? unproved : &record;
      continue;
    }
    probability = std::min(probability, now.probability);
    const bool further = !extreme || (wants_largest ? now.value > (extreme->*which).value
                                                    : now.value < (extreme->*which).value);
    if (further) extreme = &record;
  }
  StudyVerdict verdict{unproved ? StudyFinding::open : StudyFinding::holds, statement, ""};
  if (extreme)
    verdict.evidence = fmt::format(
        "{} {} (epoch {}), {}", wants_largest ? "at most" : "at least",
        people_number((extreme->*which).value), extreme->epoch,
        probability < 1.0 ? fmt::format("with probability {:.6g}", probability) : "with certainty");
  if (unproved)
    verdict.evidence += fmt::format("{}not proved at epoch {}: {}", extreme ? "; " : "",
                                    unproved->epoch, (unproved->*which).reason);
  return verdict;
}

}  // namespace

std::vector<AtEpoch> contraction_curve(const RunData& run) {
  std::vector<AtEpoch> own, of_grams;
  for (const EpochRecord& record : run.epochs)
    if (record.operator_norm)
      own.push_back({run.config.gamma * *record.operator_norm, record.epoch});
  for (const GramRecord& gram : run.grams)
    if (gram.operator_norm)
      of_grams.push_back({run.config.gamma * *gram.operator_norm, gram.epoch});
  std::vector<AtEpoch>& curve = own.size() > 1 ? own : of_grams;
  if (run.ended && run.ended->operator_norm)  // a look at the end that is no epoch's
    curve.push_back({run.config.gamma * *run.ended->operator_norm, run.ended->epoch});
  return curve;
}

RunDigest digest(const RunData& run) {
  RunDigest digest;
  for (const EpochRecord& record : run.epochs)
    digest.losses.push_back(record.loss);
  if (!run.epochs.empty()) digest.predicted = predicted_losses(run);
  const LossFactors factors = loss_factors(digest.losses, digest.predicted, run.config.tolerance);
  digest.factor = factors.measured;
  digest.predicted_factor = factors.predicted;
  digest.factor_epochs = factors.epochs;
  for (const auto& [epoch, q] : run.contractions()) {
    const AtEpoch look{q, epoch};
    ++digest.q_looks;
    if (!digest.q || look.value > digest.q->value) digest.q = look;
    if (!digest.first_q_beyond_1 && !(look.value < 1.0)) digest.first_q_beyond_1 = look;
    if (!digest.first_q_beyond_1) digest.last_q_below_1 = look;
  }
  digest.residual_forward = largest(run.epochs, &EpochRecord::residual_forward);
  digest.residual_adjoint = largest(run.epochs, &EpochRecord::residual_adjoint);
  digest.audit_forward = largest(run.epochs, &EpochRecord::audit_forward);
  digest.audit_adjoint = largest(run.epochs, &EpochRecord::audit_adjoint);
  take_times(digest, run);
  return digest;
}

std::optional<AtEpoch> last_of(const RunData& run, std::optional<double> EpochRecord::*member) {
  for (std::size_t k = run.epochs.size(); k-- > 0;)
    if (const auto& value = run.epochs[k].*member) return AtEpoch{*value, run.epochs[k].epoch};
  return std::nullopt;
}

std::vector<KeyFigure> key_figures(const RunData& run, const RunDigest& digest) {
  using Kind = NumberKind;
  const EpochRecord* first = run.epochs.empty() ? nullptr : &run.epochs.front();
  const EpochRecord* last = run.epochs.empty() ? nullptr : &run.epochs.back();
  const GramRecord* first_gram = run.grams.empty() ? nullptr : &run.grams.front();
  const GramRecord* last_gram = run.grams.empty() ? nullptr : &run.grams.back();
  // Of a record that may not be there.
  const auto of = [](const auto* record, auto member) {
    return record ? number(std::optional(record->*member)) : std::optional<double>();
  };
  const auto maybe_of = [](const auto* record, auto member) {
    return record ? number(record->*member) : std::optional<double>();
  };
  const auto at = [](const std::optional<AtEpoch>& extreme) {
    return extreme ? std::optional(extreme->value) : std::nullopt;
  };
  return {
      {"width m", number(run.width()), Kind::count},
      {"samples n", number(run.samples()), Kind::count},
      {"epochs recorded", static_cast<double>(run.epochs.size()), Kind::count},
      {"learning rate eta", run.learning_rate},
      {"loss, first epoch", of(first, &EpochRecord::loss)},
      {"loss, last epoch", of(last, &EpochRecord::loss)},
      {"loss factor an epoch, measured", if_finite(digest.factor)},
      {"loss factor an epoch, predicted", if_finite(digest.predicted_factor)},
      {"test loss, last", at(last_of(run, &EpochRecord::test_loss))},
      {"error, last", at(last_of(run, &EpochRecord::error)), Kind::percent},
      {"test error, last", at(last_of(run, &EpochRecord::test_error)), Kind::percent},
      {"lambda_min(H), first Gram", of(first_gram, &GramRecord::lambda_min)},
      {"lambda_min(H), last Gram", of(last_gram, &GramRecord::lambda_min)},
      {"lambda_max(H), first Gram", of(first_gram, &GramRecord::lambda_max)},
      {"lambda_max(H), last Gram", of(last_gram, &GramRecord::lambda_max)},
      {"condition of H, first Gram",
       first_gram ? ratio(first_gram->lambda_max, first_gram->lambda_min) : std::nullopt},
      {"lambda_min(G), first Gram", maybe_of(first_gram, &GramRecord::feature_lambda_min)},
      {"drift of H, last Gram", maybe_of(last_gram, &GramRecord::drift), Kind::percent},
      {"||A - A(0)||_F, last Gram", maybe_of(last_gram, &GramRecord::distance_A)},
      {"flipped activations, last Gram", maybe_of(last_gram, &GramRecord::flipped), Kind::percent},
      {"gamma ||A||_2/sqrt(m), largest", at(digest.q)},
      {"residual forward, largest", at(digest.residual_forward)},
      {"residual adjoint, largest", at(digest.residual_adjoint)},
      {"sweeps forward, last epoch", maybe_of(last, &EpochRecord::sweeps_forward), Kind::count},
      {"sweeps adjoint, last epoch", maybe_of(last, &EpochRecord::sweeps_adjoint), Kind::count},
      {"time of an epoch, median", digest.median_seconds, Kind::seconds},
      {"time of all epochs", digest.seconds, Kind::seconds},
  };
}

std::string value_html(const KeyFigure& figure) {
  if (!figure.value) return "–";
  switch (figure.kind) {
    case NumberKind::number:
      return notation_to_html(people_number(*figure.value));
    case NumberKind::count:
      return people_count(std::llround(*figure.value));
    case NumberKind::percent:
      return notation_to_html(people_percent(*figure.value));
    case NumberKind::seconds:
      return people_seconds(*figure.value);
  }
  return "";
}

std::vector<StudyVerdict> run_verdicts(const RunData& run, const RunDigest& digest) {
  std::vector<StudyVerdict> verdicts;
  if (std::isfinite(digest.factor) || run.has_lost_loss())
    verdicts.push_back(rate_verdict(run, digest));
  if (digest.q || run.ended_by("contraction")) verdicts.push_back(posed_verdict(run, digest));
  if (digest.residual_forward || digest.residual_adjoint || run.ended_by("solve"))
    verdicts.push_back(converged_verdict(run, digest));
  if (run.grams.size() > 1) verdicts.push_back(kernel_verdict(run));
  if (!run.certificates.empty()) {
    verdicts.push_back(certified_verdict(run, &CertificateRecord::contraction,
                                         "certified: q = gamma ||A||_2/sqrt(m) < 1", true));
    verdicts.push_back(certified_verdict(
        run, &CertificateRecord::distance,
        "certified: distance from the exact equilibrium, relative, largest over samples", true));
    verdicts.push_back(certified_verdict(run, &CertificateRecord::lambda_min,
                                         "certified: lambda_min(H) from below", false));
  }
  return verdicts;
}

}  // namespace widedeq
