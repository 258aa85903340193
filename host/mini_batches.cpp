// Order, batches and their steps; see mini_batches.hpp.
#include "host/mini_batches.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "host/spectrum.hpp"

namespace widedeq {
namespace {

std::size_t at(Index i) {
  return static_cast<std::size_t>(i);
}

/// Calls act(batch) for the consecutive pieces of an order, until it returns false.
template <class Act>
void for_each_batch(std::span<const Index> order, Index size, Act act) {
  while (!order.empty()) {
    const std::size_t count = std::min(at(size), order.size());
    if (!act(order.first(count))) return;
    order = order.subspan(count);
  }
}

void scatter(std::vector<double>& to, std::span<const Index> batch,
             const std::vector<double>& values) {
  for (std::size_t j = 0; j < values.size(); ++j)
    to[at(batch[j])] = values[j];
}

}  // namespace

std::vector<Index> sample_order(std::uint64_t seed, int epoch, Index n) {
  std::vector<std::uint64_t> keys(at(n));
  for (Index j = 0; j < n; ++j) {
    const auto words = philox_words(seed, Tensor::order, j / 2, epoch);
    const std::size_t pair = j % 2 == 0 ? 0 : 2;
    keys[at(j)] = std::uint64_t{words[pair]} << 32 | words[pair + 1];
  }
  std::vector<Index> order(at(n));
  std::iota(order.begin(), order.end(), Index{0});
  std::ranges::stable_sort(order, {}, [&](Index j) { return keys[at(j)]; });
  return order;
}

BatchesReport descend_in_batches(Trainer& trainer, const HostMatrix& inputs,
                                 const std::vector<double>& targets, Index size, std::uint64_t seed,
                                 int epoch, double eta) {
  const Index n = inputs.columns;
  BatchesReport report;
  Evaluation& seen = report.seen;
  std::vector<double> forward(at(n)), adjoint(at(n));
  seen.predictions.resize(at(n));
  double squares = 0.0;
  for_each_batch(sample_order(seed, epoch, n), size, [&](std::span<const Index> batch) {
    const auto count = static_cast<Index>(batch.size());
    HostMatrix X(inputs.rows, count);
    std::vector<double> y(batch.size());
    for (Index j = 0; j < count; ++j) {
      const Index sample = batch[at(j)];
      std::copy_n(inputs.view().column(sample), inputs.rows, X.view().column(j));
      y[at(j)] = targets[at(sample)];
    }

    // Z, L and r_b at the weights as they are
    Evaluation now = trainer.evaluate_batch(X, y);
    seen.loss += now.loss;
    scatter(seen.predictions, batch, now.predictions);
    scatter(forward, batch, now.forward.residuals);
    scatter(adjoint, batch, now.adjoint.residuals);
    const bool converged = now.converged();
    merge(seen.forward, std::move(now.forward));
    merge(seen.adjoint, std::move(now.adjoint));
    if (!converged || !std::isfinite(now.loss)) return false;

    // theta <- theta - eta (n/|b|) grad loss_b
    const double scale = static_cast<double>(n) / static_cast<double>(count);
    const double norm = scale * trainer.update(eta * scale);
    squares += norm * norm;
    ++report.steps;
    return std::isfinite(static_cast<float>(eta * norm));
  });
  seen.forward.residuals = std::move(forward);
  seen.adjoint.residuals = std::move(adjoint);
  if (report.steps > 0) report.gradient_norm = std::sqrt(squares / report.steps);
  return report;
}

double batch_curvature(const HostMatrix& H, Index size, std::uint64_t seed, int epoch) {
  double largest = 0.0;
  for_each_batch(sample_order(seed, epoch, H.columns), size, [&](std::span<const Index> batch) {
    const auto count = static_cast<Index>(batch.size());
    HostMatrix block(count, count);
    for (Index j = 0; j < count; ++j)
      for (Index i = 0; i < count; ++i)
        block(i, j) = H(batch[at(i)], batch[at(j)]);
    const double scale = static_cast<double>(H.columns) / static_cast<double>(count);
    largest = std::max(largest, scale * symmetric_eigenvalues(std::move(block)).back());
    return true;
  });
  return largest;
}

}  // namespace widedeq
