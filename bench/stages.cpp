// The list of stages, each from its file in stages/; see stages.hpp.
#include "bench/stages.hpp"

#include <algorithm>
#include <array>

#include "host/failure.hpp"
#include "host/run/spelling.hpp"

namespace widedeq::bench {

std::span<const Stage> all_stages() {
  static const std::array stages{
      product_stage(),
      apply_stage(),
      generate_stage(),
      split_stage(),
      refresh_stage(),
      inject_stage(),
      sweep_stage(),
      sweep_adjoint_stage(),
      settle_stage(),
      readout_stage(),
      backward_injection_stage(),
      rank_update_stage(),
      add_scaled_stage(),
      gram_stage(),
      forward_stage(),
      adjoint_stage(),
      epoch_stage(),
  };
  return stages;
}

std::vector<Stage> parse_stages(std::string_view text) {
  const auto all = all_stages();
  if (text == "all") return {all.begin(), all.end()};
  const std::vector<std::string> words = split_list(text, "--stages");
  std::vector<std::string> names;
  for (const Stage& stage : all)
    names.emplace_back(stage.name);
  for (const std::string& word : words) {
    if (std::ranges::find(names, word) != names.end()) continue;
    const std::string nearest = nearest_word(word, names);
    throw Failure(
        ExitCode::usage, "there is no stage '" + word + "'", "--stages " + std::string(text),
        nearest.empty() ? "widedeq bench --help lists them" : "did you mean " + nearest + "?");
  }
  std::vector<Stage> chosen;
  std::ranges::copy_if(all, std::back_inserter(chosen), [&](const Stage& stage) {
    return std::ranges::find(words, stage.name) != words.end();
  });
  return chosen;
}

}  // namespace widedeq::bench
