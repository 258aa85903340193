// The records of metrics.jsonl, schema 1. README.md and scripts rely on these names.
//
// Two runs of the same configuration, machine and thread count write the same bytes but for
// `seconds`: nothing else in a record depends on time, on the directory or on who ran it (that is
// in provenance.json).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/certificate.hpp"
#include "host/gram_monitor.hpp"
#include "host/run/config.hpp"
#include "host/run/json.hpp"
#include "host/trainer.hpp"

namespace widedeq {

inline constexpr int metrics_schema = 1;

/// Something that is not as it was when the run began.
struct Change {
  std::string name;
  Json before, now;
};

/// Whether epochs move the weights otherwise than before: what a first kernel and a first residual
/// predict no longer holds.
bool changes_steps(const std::vector<Change>& changes);

/// What a run turned out to be, once the defaults are filled in.
struct RunFacts {
  std::string data;                   // the data set's description
  std::string data_checksum;          // XXH3 of inputs and targets
  std::string weights_checksum = {};  // of those a file has given; "" where they were drawn
  Index samples = 0, inputs = 0, width = 0, chunk = 0;
  Precision precision = Precision::fp64;
  std::string backend;                  // the backend's description
  std::optional<double> learning_rate;  // none when the run failed before it was known
};

/// {"kind":"run","schema":1,"version":...,"commit":...,"samples":...,...,"config":{...}}
Json run_record(const TrainConfig& config, const RunFacts& facts);

/// What an epoch's record says beside the loss, of the same weights, where there is an answer.
struct EpochScores {
  std::optional<double> error;                  // share of misclassified training samples
  std::optional<double> test_loss, test_error;  // of the held-out samples
  std::optional<double> operator_norm;          // ||A||_2 / sqrt(m), estimated from below
};

/// {"kind":"epoch",...}. The loss is the one before the epoch's update; residuals are the largest
/// over samples; gradient_norm is over all parameters.
Json epoch_record(int epoch, const Evaluation& evaluation, const EpochScores& scores,
                  double gradient_norm, double seconds);

/// {"kind":"certificate","epoch":...,"contraction":{"verdict":...,"value":...,"probability":...,
/// "reason":...},"distance":{...},"lambda_min":{...}}
Json certificate_record(int epoch, const Certificates& certificates);

/// {"kind":"halved","epoch":...,"learning_rate":...,"replaces":...,"reason":...}: from this epoch's
/// update on, the step is half of what it was. `replaces` halvings at later epochs were given up.
Json halved_record(int epoch, double learning_rate, int replaces, const std::string& reason);

/// {"kind":"ended","epoch":...,"cause":"loss","reason":...,"operator_norm":...}: this epoch has
/// shown why the run cannot go on; `cause` is a word of guards.hpp. The norm is that of the A it
/// showed it with, if that was finite.
Json ended_record(int epoch, std::string_view cause, const std::string& reason,
                  std::optional<double> operator_norm = std::nullopt);

/// {"kind":"resumed","epoch":...,"changed":{"threads":[2,4],...}}: from here on the run is not bit
/// by bit what it would have been.
Json resumed_record(int epoch, const std::vector<Change>& changes);

/// {"kind":"gram",...}
Json gram_record(const GramStatistics& gram);

/// Every setting that has a value, by its name.
Json config_json(const TrainConfig& config);

/// And back. Throws Failure (bad_data) when that is no configuration.
TrainConfig config_from(const Json& settings);

}  // namespace widedeq
