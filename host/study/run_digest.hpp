// What a run came to, in a few numbers and sentences: the part of a report that is read first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/study/analysis.hpp"
#include "host/study/run_data.hpp"

namespace widedeq {

/// A number and the epoch it is of.
struct AtEpoch {
  double value = 0.0;
  int epoch = 0;
};

struct RunDigest {
  std::vector<double> losses;  // of the epochs there are records of
  /// r <- (I - eta H(0)) r from r(0), or the flow's r(t) = exp(-H(0) t) r(0), as many; empty where
  /// neither describes the run (steps that changed, batches), or H(0) or r(0) is gone.
  std::vector<double> predicted;
  double factor = 0.0, predicted_factor = 0.0;  // of the loss each epoch; NaN: none (loss_factor)
  std::size_t factor_epochs = 0;                // whose losses solves can tell: loss_factors()
  std::optional<AtEpoch> q;                     // the largest gamma ||A||_2/sqrt(m) looked at
  std::optional<AtEpoch> first_q_beyond_1;      // the first that is not below 1
  std::optional<AtEpoch> last_q_below_1;        // the last before that
  int q_looks = 0;
  std::optional<AtEpoch> residual_forward, residual_adjoint;  // the largest
  std::optional<AtEpoch> audit_forward, audit_adjoint;        // likewise, where there were audits
  std::optional<double> median_seconds, seconds;              // of an epoch, of all
};

RunDigest digest(const RunData& run);

/// gamma ||A||_2/sqrt(m) over epochs, as a curve: the epochs' own looks where there are some, else
/// the Grams'. Both are estimates from below, of different care: joined they would make a zigzag.
std::vector<AtEpoch> contraction_curve(const RunData& run);

/// The last of an epoch's numbers that not every epoch has; nothing where none has it.
std::optional<AtEpoch> last_of(const RunData& run, std::optional<double> EpochRecord::*member);

/// How the value of a key figure is written.
enum class NumberKind : std::uint8_t { number, count, percent, seconds };

struct KeyFigure {
  std::string name;  // in notation, "loss, last epoch"
  std::optional<double> value;
  NumberKind kind = NumberKind::number;
};

/// All of them, in an order that is the same for every run; those a run lacks are without a value.
std::vector<KeyFigure> key_figures(const RunData& run, const RunDigest& digest);

/// The value as HTML.
std::string value_html(const KeyFigure& figure);

/// What the run says to the theory's statements: how fast the loss fell, whether the network was
/// well-posed, whether everything converged, whether the kernel stayed what it was.
std::vector<StudyVerdict> run_verdicts(const RunData& run, const RunDigest& digest);

}  // namespace widedeq
