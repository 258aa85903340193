// All stages, in the order in which help and tables show them.
#pragma once

#include <span>
#include <vector>

#include "bench/stage.hpp"

namespace widedeq::bench {

/// The list: a new stage is its file in stages/, a function below and a line in stages.cpp.
std::span<const Stage> all_stages();

/// "all", or names separated by commas, each once, in the order of all_stages(). Throws Failure
/// (usage) for others, with the nearest name.
std::vector<Stage> parse_stages(std::string_view text);

Stage product_stage();
Stage apply_stage();
Stage generate_stage();
Stage split_stage();
Stage refresh_stage();
Stage inject_stage();
Stage sweep_stage();
Stage sweep_adjoint_stage();
Stage settle_stage();
Stage readout_stage();
Stage backward_injection_stage();
Stage rank_update_stage();
Stage add_scaled_stage();
Stage gram_stage();
Stage forward_stage();
Stage adjoint_stage();
Stage epoch_stage();

// The costs that an epoch adds up.
Work inject_work(const Case& c);
Work readout_work(const Case& c);
Work backward_injection_work(const Case& c);
Work rank_update_work(const Case& c);
Work refresh_work(const Case& c);

}  // namespace widedeq::bench
