#include "host/study/cell_data.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "host/data/npy.hpp"
#include "host/failure.hpp"
#include "host/run/prepare.hpp"
#include "host/spectrum.hpp"

namespace widedeq {
namespace {

/// What a limit depends on: the inputs, gamma, injection and skip.
std::string limit_key(const TrainConfig& config) {
  const Json settings = config_json(config);
  std::string key;
  for (const char* name :
       {"data", "classes", "samples", "test-samples", "gamma", "injection", "skip"})
    if (settings.contains(name)) key += to_line(settings[name]) + '\n';
  if (config.data == "sphere") key += std::to_string(config.seed);  // draws the inputs
  return key;
}

/// An n x n matrix of a run's gram/, n being that of `like`; nothing where it is missing.
std::optional<HostMatrix> read_kernel(const std::string& directory, const char* name,
                                      const HostMatrix& like) {
  const auto path = std::filesystem::path(directory) / "gram" / name;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  NpyArray array = read_npy(path.string());
  if (array.shape != std::vector<Index>{like.rows, like.columns})
    throw Failure(ExitCode::bad_data,
                  fmt::format("the kernel has the shape {} and the data {} samples",
                              shape_text(array.shape), like.rows),
                  path.string(), "analyse with the data the run was made with");
  HostMatrix kernel(like.rows, like.columns);
  kernel.values = std::move(array.values);  // symmetric: its rows are its columns
  return kernel;
}

LimitErrors errors_of(const RunData& run, const WidthLimit& limit) {
  const auto error = [&](const char* name, const HostMatrix& truth) -> std::optional<double> {
    const auto kernel = read_kernel(run.directory, name, truth);
    return kernel ? std::optional(relative_distance(*kernel, truth)) : std::nullopt;
  };
  return {error("state-first.npy", limit.K), error("adjoint-first.npy", limit.Q),
          error("ntk-first.npy", limit.H)};
}

}  // namespace

std::shared_ptr<const CellLimit> CellLimits::of(const TrainConfig& config, std::string& why_not) {
  const std::string key = limit_key(config);
  for (const Entry& entry : entries_)
    if (entry.key == key) {
      why_not = entry.why_not;
      return entry.limit;
    }
  Entry entry{key, "", nullptr};
  try {
    auto limit = std::make_shared<CellLimit>();
    limit->kernels =
        width_limit(load_data(config).inputs, {config.gamma, config.injection, config.skip});
    limit->ntk_lambda_min = symmetric_eigenvalues(limit->kernels.H).front();
    limit->feature_lambda_min = symmetric_eigenvalues(limit->kernels.G).front();
    entry.limit = std::move(limit);
  } catch (const Failure& failure) {
    entry.why_not = failure.what();
  }
  why_not = entry.why_not;
  entries_.push_back(std::move(entry));
  return entries_.back().limit;
}

std::string CellData::describe() const {
  return fmt::format("m = {}, seed {}", width(), seed());
}

std::optional<CellData> read_cell(const StudyCell& cell, CellLimits& limits, std::string& why_not) {
  if (!is_run(cell.directory)) return std::nullopt;
  CellData data;
  data.cell = &cell;
  data.run = read_run(cell.directory);
  data.is_done = data.run.status == "done";
  data.limit = limits.of(cell.config, why_not);
  // A drawn A(0) is what the limit is of.
  if (data.limit && !cell.config.weights_from_file())
    data.errors = errors_of(data.run, data.limit->kernels);
  return data;
}

}  // namespace widedeq
