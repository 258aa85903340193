// widedeq info: what this program is and what it can do on this machine.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "build_info.hpp"
#include "host/cli/commands.hpp"
#include "host/failure.hpp"
#include "host/run/config.hpp"
#include "host/run/estimate.hpp"
#include "host/run/machine.hpp"
#include "host/run/parse.hpp"
#include "kernels/devices.hpp"

namespace widedeq {

namespace {

void line(std::string_view name, std::string_view text) {
  fmt::print("{:<12}{}\n", name, text);
}

/// A line a device, and one of what the backend makes of it.
void show_devices(Index samples) {
  const DeviceList list = list_cuda_devices();
  if (list.devices.empty()) return line("cuda", "not available: " + list.why_none);
  line("cuda", fmt::format("toolkit {}, driver for {}", list.toolkit, list.driver));
  for (const DeviceInfo& device : list.devices) {
    std::string text =
        fmt::format("{}, compute capability {}.{}, {} multiprocessors, {} of {} free", device.name,
                    device.major, device.minor, device.multiprocessors,
                    format_bytes(device.free_memory), format_bytes(device.memory));
    if (device.why_not.empty()) {
      text += fmt::format("; trains up to width {} with {} samples in mixed, {} in fp32",
                          widest_width(device.free_memory, samples, Precision::mixed), samples,
                          widest_width(device.free_memory, samples, Precision::fp32));
    } else {
      text += "; not usable: " + device.why_not;
    }
    line(fmt::format("  gpu {}", device.index), text);
  }
  try {
    const auto backend = make_cuda_backend();
    line("", backend->description());
    const std::string why_not = backend->why_not_mixed();
    if (!why_not.empty()) line("", "no mixed precision: " + why_not);
  } catch (const std::exception& error) {
    line("", fmt::format("does not start: {}", error.what()));
  }
}

}  // namespace

InfoCommand::InfoCommand(CLI::App& parent)
    : Command(parent.add_subcommand(
          "info", "Show version, build, machine, GPUs and available precisions")) {
  add_text_option(*app_, "--samples", "N",
                  "Tell the widest network that fits a GPU for N samples (default: 1000)",
                  [this](const std::string& text) {
                    const auto samples = parse_integer(text, 1, Index{1} << 30);
                    if (!samples)
                      throw Failure(ExitCode::usage, "'" + text + "' is not a number of samples",
                                    "--samples", "give a whole number from 1 on");
                    samples_ = *samples;
                  });
}

int InfoCommand::run(const std::string&) const {
  line("version", fmt::format("{} ({})", build_info::version, build_info::git_commit));
  line("build",
       fmt::format("{}, {}, {}", build_info::build_type, build_info::compiler, build_info::flags));
  std::vector<std::string> libraries;
  for (const auto& [name, version] : build_info::dependencies)
    libraries.push_back(version.empty() ? std::string(name) : fmt::format("{} {}", name, version));
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
  show_devices(samples_);
  return 0;
}

}  // namespace widedeq
