// What the analysis knows of one cell: its run, read back, and where the run would be at infinite
// width.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "host/study/run_data.hpp"
#include "host/study/study_config.hpp"
#include "host/study/width_limit.hpp"

namespace widedeq {

/// The kernels of infinite width on a cell's data, and what quantities come to there.
struct CellLimit {
  WidthLimit kernels;
  double ntk_lambda_min = 0.0, feature_lambda_min = 0.0;  // of H and G
};

/// The limits of a study's cells, each computed once however many widths and seeds share it.
class CellLimits {
 public:
  /// Of the cell's data, gamma, injection and skip. Nothing where the data cannot be loaded any
  /// more or gamma has no limit; `why_not` says so.
  std::shared_ptr<const CellLimit> of(const TrainConfig& config, std::string& why_not);

 private:
  struct Entry {
    std::string key, why_not;
    std::shared_ptr<const CellLimit> limit;
  };
  std::vector<Entry> entries_;
};

/// ||measured - limit||_F / ||limit||_F of the kernels at the first Gram.
struct LimitErrors {
  std::optional<double> state, adjoint, ntk;  // Z'Z, L'L/m, H
};

struct CellData {
  const StudyCell* cell = nullptr;
  RunData run;
  bool is_done = false;
  std::shared_ptr<const CellLimit> limit;  // none where there is none
  LimitErrors errors;

  std::int64_t width() const { return run.width().value_or(0); }
  std::int64_t seed() const { return run.config.seed; }
  /// "m = 512, seed 3"
  std::string describe() const;
};

/// Reads a cell's run; nothing where there is none to read yet. Throws Failure: io, bad_data.
std::optional<CellData> read_cell(const StudyCell& cell, CellLimits& limits, std::string& why_not);

}  // namespace widedeq
