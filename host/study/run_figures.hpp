// The figures of a run, and of several in the same axes.
//
// A run alone has a pen for each curve. Of several, a run has its colour and a curve its dashes.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "host/study/figure.hpp"
#include "host/study/run_data.hpp"
#include "host/study/run_digest.hpp"

namespace widedeq {

/// A run in a figure. The name, in notation, goes before its curves' in the key; a run alone needs
/// none.
struct ShownRun {
  std::string name;
  const RunData* run = nullptr;
  const RunDigest* digest = nullptr;
};

/// Each shows what the runs have of it, and may end up with nothing to show (prepare()).
Figure loss_figure(std::span<const ShownRun> runs);
Figure error_figure(std::span<const ShownRun> runs);
Figure residual_figure(std::span<const ShownRun> runs);
Figure sweeps_figure(std::span<const ShownRun> runs);
/// lambda_min, lambda_max and lambda_min(G); for a run alone, bands between quantiles as well.
Figure eigenvalue_figure(std::span<const ShownRun> runs);
/// The first and the last Gram's eigenvalues, the largest first.
Figure spectrum_figure(std::span<const ShownRun> runs);
Figure drift_figure(std::span<const ShownRun> runs);
Figure distance_figure(std::span<const ShownRun> runs);
Figure contraction_figure(std::span<const ShownRun> runs);
Figure flipped_figure(std::span<const ShownRun> runs);

/// All of these but the loss, in the order of reading.
std::vector<Figure> training_figures(std::span<const ShownRun> runs);
std::vector<Figure> kernel_figures(std::span<const ShownRun> runs);

/// Quantile of ascending numbers, linear between them. q in [0, 1].
double quantile(const std::vector<double>& ascending, double q);

/// The indices to draw of `count` points: all, or about `most` of them, first and last included.
std::vector<std::size_t> thinned(std::size_t count, std::size_t most);

}  // namespace widedeq
