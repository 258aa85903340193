// Reading a cell back, and its limit, computed once for all cells that share it; see cell_data.hpp.
#include "host/study/cell_data.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <new>
#include <utility>

#include "host/data/npy.hpp"
#include "host/failure.hpp"
#include "host/run/prepare.hpp"
#include "host/spectrum.hpp"

namespace widedeq {
namespace {

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

std::string limit_key(const TrainConfig& config) {
  const Json settings = config_json(config);
  std::string key;
  for (const char* name :
       {"data", "classes", "samples", "test-samples", "gamma", "injection", "skip"})
    if (settings.contains(name)) key += to_line(settings[name]) + '\n';
  if (config.data == "sphere") key += std::to_string(config.seed);  // draws the inputs
  return key;
}

void CellLimits::compute(const TrainConfig& config) {
  kernels_.reset();
  why_not_.clear();
  try {
    WidthLimit kernels =
        width_limit(load_data(config).inputs, {config.gamma, config.injection, config.skip});
    limit_ = {symmetric_eigenvalues(kernels.H).front(), symmetric_eigenvalues(kernels.G).front()};
    kernels_ = std::move(kernels);
  } catch (const Failure& failure) {
    why_not_ = failure.what();
  } catch (const std::bad_alloc&) {
    why_not_ = "there is not enough memory for the kernels of infinite width, samples x samples (" +
               config.data + "): analyse the study on a larger machine";
  }
}

void CellLimits::compare(CellData& data, std::string& why_not) {
  const TrainConfig& config = data.cell->config;
  if (config.weights_from_file() || data.run.grams.empty()) return;
  if (std::string key = limit_key(config); key != key_) {
    compute(config);
    key_ = std::move(key);
  }
  why_not = why_not_;
  if (!kernels_) return;
  data.limit = limit_;
  data.errors = errors_of(data.run, *kernels_);
}

std::string CellData::describe() const {
  return fmt::format("m = {}, seed {}", width(), seed());
}

std::optional<CellData> read_cell(const StudyCell& cell) {
  if (!is_run(cell.directory)) return std::nullopt;
  CellData data;
  data.cell = &cell;
  data.run = read_run(cell.directory, Reading::records);
  data.is_done = data.run.status == "done";
  return data;
}

}  // namespace widedeq
