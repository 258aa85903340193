// widedeq info: what this program is and what it can do on this machine.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "build_info.hpp"
#include "host/cli/commands.hpp"
#include "host/run/machine.hpp"
#include "kernels/error.hpp"

namespace widedeq {

InfoCommand::InfoCommand(CLI::App& parent)
    : app_(parent.add_subcommand("info", "Show version, build, machine and available precisions")) {
}

int InfoCommand::run() const {
  const auto line = [](std::string_view name, std::string_view text) {
    fmt::print("{:<12}{}\n", name, text);
  };
  line("version", fmt::format("{} ({})", build_info::version, build_info::git_commit));
  line("build",
       fmt::format("{}, {}, {}", build_info::build_type, build_info::compiler, build_info::flags));
  std::vector<std::string> libraries;
  for (const auto& [name, version] : build_info::dependencies)
    libraries.push_back(fmt::format("{} {}", name, version));
  line("libraries", fmt::format("{}", fmt::join(libraries, ", ")));

  line("processor", processor_model());
  line("features", fmt::format("{}", fmt::join(processor_features(), " ")));
  line("threads", std::to_string(default_threads()));

  const auto backend = make_cpu_backend(default_threads());
  line("cpu", backend->description());
  const std::string why_not = backend->why_not_mixed();
  line("precisions", why_not.empty() ? "fp64, fp32, mixed"
                                     : fmt::format("fp64, fp32; mixed is not exact: {}", why_not));
  line("auto", name_of(backend->fastest_precision()));
  try {
    line("cuda", make_cuda_backend()->description());
  } catch (const Unsupported& error) {
    line("cuda", fmt::format("not available: {}", error.what()));
  }
  return 0;
}

}  // namespace widedeq
