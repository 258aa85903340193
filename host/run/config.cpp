// What makes a configuration whole, and what it chooses from what the machine has.
#include "host/run/config.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "host/data/dataset.hpp"
#include "host/failure.hpp"
#include "host/gradient_flow.hpp"
#include "host/run/json.hpp"

namespace widedeq {

namespace {

/// A path that config.toml and the records can hold, which are UTF-8. Throws Failure (usage).
void require_text(const std::string& path) {
  try {
    Json(path).dump();
  } catch (const Json::type_error&) {
    throw Failure(ExitCode::usage, "a path is not UTF-8, as files that name it must be", path,
                  "rename it, or use a link");
  }
}

}  // namespace

void resolve(TrainConfig& config) {
  const auto absolute = [](std::string_view path) {
    std::string whole = std::filesystem::absolute(path).lexically_normal().string();
    require_text(whole);
    return whole;
  };
  const bool labelled = config.data == "digits" || config.data.starts_with("mnist:");
  if (labelled && !config.classes) config.classes = {0, 1};
  if (!labelled && config.classes)
    throw Failure(ExitCode::usage, "--classes selects labels, and this data has none",
                  "--data " + config.data, "leave --classes out, or use digits or mnist:DIR");
  if (config.data.starts_with("mnist:")) {
    config.data = "mnist:" + absolute(config.data.substr(6));
  } else if (config.data.starts_with("npy:")) {
    const auto [inputs, targets] = split_paths(config.data.substr(4));
    config.data = "npy:" + absolute(inputs) + "," + absolute(targets);
    split_paths(config.data.substr(4));  // a directory on the way may have a comma in its name
  }
  if (config.weights_from_file()) config.weights = absolute(config.weights);
  if (config.optimizer != Optimizer::flow) return;
  if (config.batch_size > 0)
    throw Failure(ExitCode::usage, "gradient flow follows the gradient over all samples",
                  fmt::format("--batch-size {}", config.batch_size),
                  "leave --batch-size out, or --optimizer flow");
  if (config.on_divergence == OnDivergence::halve)
    throw Failure(ExitCode::usage,
                  "gradient flow chooses its steps itself; halving --learning-rate "
                  "would only make epochs shorter",
                  "--on-divergence halve", "leave it out, or lower --flow-tolerance");
}

void check_tolerance(double tolerance, Precision precision) {
  const double smallest = smallest_tolerance(precision);
  if (tolerance >= smallest) return;
  throw Failure(ExitCode::usage,
                fmt::format("a residual of {:.3g} is below what rounding leaves in {}", tolerance,
                            name_of(precision)),
                "--tolerance",
                precision == Precision::fp64
                    ? fmt::format("give at least {:.3g}", smallest)
                    : fmt::format("give at least {:.3g}, or --precision fp64", smallest));
}

void check_flow_tolerance(const TrainConfig& config, Precision precision) {
  if (config.optimizer != Optimizer::flow) return;
  const double smallest = smallest_flow_tolerance(config.tolerance, precision);
  if (config.flow_tolerance >= smallest) return;
  const bool by_solves = smallest <= config.tolerance;
  throw Failure(ExitCode::usage,
                fmt::format("gradients {} are too rough for steps with errors of {:.3g}",
                            by_solves ? fmt::format("from residuals of {:.3g}", config.tolerance)
                                      : fmt::format("in {}", name_of(precision)),
                            config.flow_tolerance),
                "--flow-tolerance",
                fmt::format("give at least {:.3g}, or {}", smallest,
                            by_solves ? "a smaller --tolerance" : "--precision fp64"));
}

std::unique_ptr<Backend> make_backend(BackendChoice& choice, int threads) {
  if (choice != BackendChoice::cpu) {
    try {
      auto backend = make_cuda_backend();
      choice = BackendChoice::cuda;
      return backend;
    } catch (const Unsupported&) {
      if (choice == BackendChoice::cuda) throw;
    }
  }
  choice = BackendChoice::cpu;
  return make_cpu_backend(threads);
}

Precision choose_precision(const std::optional<Precision>& asked, const Backend& backend) {
  if (!asked) return backend.fastest_precision();
  const std::string why_not = backend.why_not_mixed();
  if (*asked == Precision::mixed && !why_not.empty())
    throw Failure(ExitCode::usage, "mixed precision does not run here: " + why_not, "--precision",
                  "use fp32");
  return *asked;
}

const char* name_of(Precision precision) {
  switch (precision) {
    case Precision::fp64:
      return "fp64";
    case Precision::fp32:
      return "fp32";
    case Precision::mixed:
      return "mixed";
  }
  return "unknown";
}

}  // namespace widedeq
