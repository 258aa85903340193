// Configuration files: what is accepted can be written and read back, the same in every setting.
#include <tuple>

#include "host/run/config_file.hpp"
#include "tests/fuzz/fuzz_support.hpp"

namespace {

using namespace widedeq;

/// All members. One more in TrainConfig, and this wants it as well. (The settings' own texts would
/// not do: to_toml is made of them, and what they lose it loses.)
auto members(const TrainConfig& config) {
  const auto& [data, classes, samples, test_samples, width, gamma, injection, skip, weights, epochs,
               learning_rate, optimizer, batch_size, flow_tolerance, tolerance, max_sweeps,
               precision, backend, gram_every, test_every, norm_every, seed, threads, chunk,
               warm_start, audit_every, on_divergence, certify_every, checkpoint_every, keep,
               max_walltime, out] = config;
  return std::tie(data, classes, samples, test_samples, width, gamma, injection, skip, weights,
                  epochs, learning_rate, optimizer, batch_size, flow_tolerance, tolerance,
                  max_sweeps, precision, backend, gram_every, test_every, norm_every, seed, threads,
                  chunk, warm_start, audit_every, on_divergence, certify_every, checkpoint_every,
                  keep, max_walltime, out);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // toml++ keeps a node of a few hundred bytes for a key or value of a byte.
  const fuzz::AllocationLimit limit(16 * size + fuzz::fixed_allocation);
  const std::string text(reinterpret_cast<const char*>(data), size);
  auto config = fuzz::accept(ExitCode::usage, [&] {
    TrainConfig read;
    apply_config_text(read, text, "input");
    return read;
  });
  if (!config) return 0;

  config->max_walltime.reset();  // of a session, it is not written
  const std::string written = to_toml(*config);
  TrainConfig again;
  apply_config_text(again, written, "written");  // a Failure is a finding here
  fuzz::promise(members(again) == members(*config), "the settings written are the settings read");
  fuzz::promise(to_toml(again) == written, "the same settings, the same file");
  return 0;
}
