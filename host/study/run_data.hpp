// A run's directory, read back: what the report and the analysis of a study see of a run.
//
// Read whether the run is done, under way, stopped or failed. What older versions of the program
// did not write yet is optional here, and so is what a run that has just begun has not written yet.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/certificate.hpp"
#include "host/run/config.hpp"
#include "host/run/record.hpp"
#include "kernels/host_matrix.hpp"

namespace widedeq {

/// An epoch, in the order of metrics.jsonl. What was not finite, null there, is NaN as the loss and
/// missing elsewhere.
struct EpochRecord {
  int epoch = 0;
  double loss = 0.0;                        // 1/2 sum r^2, before the epoch's update
  std::optional<double> test_loss;          // the same over held-out samples
  std::optional<double> error, test_error;  // share of misclassified samples, 0 to 1
  std::optional<double> operator_norm;      // ||A||_2/sqrt(m), estimated from below
  std::optional<double> residual_forward;   // the largest relative one over samples
  std::optional<double> residual_adjoint;
  std::optional<double> audit_forward, audit_adjoint;  // what audits found of them
  std::optional<int> sweeps_forward, sweeps_adjoint;
  std::optional<double> gradient_norm;
  std::optional<double> seconds;

  /// Of the four; 0 where none is recorded.
  double largest_residual() const;
};

/// A Gram, H being the empirical NTK of its epoch.
struct GramRecord {
  int epoch = 0;
  double lambda_min = 0.0, lambda_max = 0.0;  // of H
  std::optional<double> trace;                // of H
  std::optional<double> drift;                // ||H(k) - H(0)||_F / ||H(0)||_F
  std::optional<double> feature_lambda_min;   // of G = Phi'Phi
  std::optional<double> operator_norm;        // ||A||_2/sqrt(m), estimated from below
  std::optional<double> distance_A;           // ||A(k) - A(0)||_F
  std::optional<double> flipped;              // share of 1[P>0] unlike the first Gram's, 0 to 1
};

/// One evaluation of certificates (host/certificate.hpp). A refused one's value may be NaN.
struct CertificateRecord {
  int epoch = 0;
  Certificate contraction, distance, lambda_min;
};

/// From this epoch's update on the step was half of what it had been.
struct HalvedRecord {
  int epoch = 0;
  double learning_rate = 0.0;
  int replaces = 0;
  std::string reason;
};

/// Why a run could not go on from this epoch.
struct EndedRecord {
  int epoch = 0;
  std::string cause;   // a word of host/run/guards.hpp: solve, contraction, loss, ...
  std::string reason;  // a sentence
  std::optional<double> operator_norm;  // ||A||_2/sqrt(m) from below, of the A that showed it
};

/// From this epoch on the run is not bit by bit what it would have been.
struct ResumedRecord {
  int epoch = 0;
  std::vector<Change> changes;
};

/// The eigenvalues of one Gram, n of them, ascending.
struct Spectrum {
  int epoch = 0;
  std::vector<double> eigenvalues;
};

struct RunData {
  std::string directory;  // as it was given
  std::string status;     // the line of STATUS: running, done, stopped, "failed: REASON"; "unknown"
  /// The record "run" of metrics.jsonl; null where the run has not come that far.
  Json record;
  /// The configuration the run was last resumed with, or started, and every setting in it by name,
  /// as train takes it: {"width", "1024"}. Of the records; before there is one, of config.toml.
  TrainConfig config;
  std::vector<std::pair<std::string, std::string>> settings;
  std::optional<double> learning_rate;  // of the first epoch

  std::vector<EpochRecord> epochs;
  std::vector<GramRecord> grams;
  std::vector<CertificateRecord> certificates;
  std::vector<HalvedRecord> halved;
  std::vector<ResumedRecord> resumed;
  std::optional<EndedRecord> ended;

  std::vector<Spectrum> spectra;                  // by epoch
  std::optional<HostMatrix> ntk_first, ntk_last;  // n x n; the last is saved when a run ends
  /// r(0) = yhat - y (n): from the newest checkpoint. Empty where that is gone.
  std::vector<double> first_residual;
  Json provenance;  // null where there is none

  /// It has failed, of something that no record says: an older program's, or a full disk.
  bool has_unknown_end() const { return status.starts_with("failed") && !ended; }
  /// Training has ended for this cause.
  bool ended_by(std::string_view cause) const { return ended && ended->cause == cause; }
  /// The loss itself has run away, by an epoch that has no record.
  bool has_lost_loss() const { return ended_by("loss") || ended_by("step") || ended_by("flow"); }

  /// Of solves in that epoch: a run may be resumed with another one.
  double tolerance_at(int epoch) const;
  /// Whether all residuals and audits are within it.
  bool meets_tolerance() const;
  /// What rounding leaves of an eigenvalue that is zero, of Phi'Phi or of H, which is larger.
  double zero_to_rounding() const;
  /// gamma ||A||_2/sqrt(m) from below by epoch, wherever it was looked at; the largest where two
  /// records have one.
  std::map<int, double> contractions() const;
  /// Whether a run that ended was looked at with the weights that ended it.
  bool has_looked_to_the_end() const { return ended && ended->operator_norm; }

  /// Of the record, the configuration or the Grams; nothing where none says.
  std::optional<Index> width() const, samples() const;
};

/// Whether the directory holds a run of which there is something to read.
bool is_run(const std::string& directory);

/// How much of a run is read.
enum class Reading : std::uint8_t {
  all,
  records,  // metrics.jsonl, STATUS and the configuration: all that a study asks of its many runs
};

/// Reads it. A last line of metrics.jsonl without its end is being written, and left out. Throws
/// Failure: usage where no run is, io, and bad_data, naming file and line, for what no run writes:
/// lines that are no objects, fields of another type, epochs that do not ascend, records without
/// their run, arrays of other shapes, a schema of a later version.
RunData read_run(const std::string& directory, Reading reading = Reading::all);

/// The records of a metrics.jsonl alone, from its text; `where` names it in errors. Fills record,
/// config, settings and all lists of records. Throws as read_run.
void parse_metrics(RunData& run, const std::string& text, const std::string& where);

}  // namespace widedeq
