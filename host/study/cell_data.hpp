// What the analysis knows of one cell: its run, read back, and where the run would be at infinite
// width.
#pragma once

#include <optional>
#include <string>

#include "host/study/run_data.hpp"
#include "host/study/study_config.hpp"
#include "host/study/width_limit.hpp"

namespace widedeq {

/// What quantities come to at infinite width on a cell's data.
struct CellLimit {
  double ntk_lambda_min = 0.0, feature_lambda_min = 0.0;  // of H and G
};

/// ||measured - limit||_F / ||limit||_F of the kernels at the first Gram.
struct LimitErrors {
  std::optional<double> state, adjoint, ntk;  // Z'Z, L'L/m, H
};

struct CellData {
  const StudyCell* cell = nullptr;
  RunData run;
  bool is_done = false;
  std::optional<CellLimit> limit;  // where it has been asked for, and there is one
  LimitErrors errors;

  std::int64_t width() const { return run.width().value_or(0); }
  std::int64_t seed() const { return run.config.seed; }
  /// "m = 512, seed 3"
  std::string describe() const;
};

/// Reads a cell's run; nothing where there is none to read yet. Throws Failure: io, bad_data.
std::optional<CellData> read_cell(const StudyCell& cell);

/// What a cell's limit depends on: cells of one key have the same kernels at infinite width.
std::string limit_key(const TrainConfig& config);

/// Computes limits, n x n kernels, which it keeps until another key's are asked for: a study's
/// cells should come key by key.
class CellLimits {
 public:
  /// Sets limit and errors of a cell that has Grams, and whose weights were drawn. Where the data
  /// cannot be loaded any more, gamma has no limit, or there is no memory, it sets nothing, and
  /// `why_not` says so. Throws Failure: io, bad_data.
  void compare(CellData& data, std::string& why_not);

 private:
  void compute(const TrainConfig& config);

  std::string key_, why_not_;
  std::optional<WidthLimit> kernels_;
  CellLimit limit_;
};

}  // namespace widedeq
