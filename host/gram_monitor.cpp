// One set of copies, one Gram in flight; see gram_monitor.hpp.
#include "host/gram_monitor.hpp"

#include <fmt/format.h>

#include <chrono>
#include <stdexcept>
#include <utility>

#include "host/failure.hpp"
#include "host/finite.hpp"
#include "host/spectrum.hpp"

namespace widedeq {
namespace {

void transfer_norms(Archive& archive, WeightNorms& norms) {
  archive.number("operator_norm", norms.operator_norm);
  archive.optional_number("distance", norms.distance);
}

/// The eigenvalues of a Gram: those that came with it, else LAPACK's.
std::vector<double> eigenvalues_of(HostMatrix gram, std::vector<double> found) {
  return found.empty() ? symmetric_eigenvalues(std::move(gram)) : std::move(found);
}

}  // namespace

void GramStatistics::transfer(Archive& archive) {
  archive.integer("epoch", epoch);
  archive.number("lambda_min", lambda_min);
  archive.number("lambda_max", lambda_max);
  archive.number("trace", trace);
  archive.number("drift", drift);
  archive.number("feature_lambda_min", feature_lambda_min);
  archive.number("flipped", flipped);
  archive.within("weights", [&] { transfer_norms(archive, weights); });
  archive.numbers("eigenvalues", eigenvalues);
  archive.host_matrix("ntk", ntk);
}

GramMonitor::GramMonitor(Backend& backend, const Model& model, Index samples, double tolerance)
    : backend_(backend),
      injection_(model.options.injection),
      skip_(model.options.skip),
      tolerance_(tolerance) {
  const Element real = real_of(model.precision());
  for (Matrix* copy : {&Z_, &L_, &Phi_})
    *copy = backend.allocate(real, model.width(), samples);
  v_ = backend.allocate(real, model.width(), 1);
}

bool GramMonitor::busy() const {
  return result_.valid() && result_.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
}

void GramMonitor::begin(int epoch) {
  if (busy()) throw std::logic_error("a Gram is in flight: poll() or wait() first");
  pending_ = GramStatistics();
  pending_.epoch = epoch;
}

void GramMonitor::take(Index first, ConstBlock Z, ConstBlock L, ConstBlock Phi) {
  const Range range(backend_, "copy for the gram");
  expect_shape("Gram monitor", "L", L, Z.rows, Z.columns);
  expect_shape("Gram monitor", "Phi", Phi, Z.rows, Z.columns);
  backend_.copy(Z, Z_.columns(first, Z.columns));
  backend_.copy(L, L_.columns(first, L.columns));
  backend_.copy(Phi, Phi_.columns(first, Phi.columns));
}

void GramMonitor::submit(const Model& model, ConstBlock X, const WeightNorms& norms,
                         bool is_awaited) {
  backend_.copy(model.v, v_);
  X_ = X;
  s_ = model.s();
  pending_.weights = norms;
  backend_.synchronize();
  // A thread that has had an OpenMP team keeps it, and while there are more threads than cores
  // GNU's OpenMP lets none of them spin at its barriers: hence a thread for each Gram, which is
  // gone when epochs run alone. (Measured, 2 cores, Grams every 20 epochs, seconds for 200 epochs
  // at 512 x 200: 2.5 with one thread for all Grams, 1.6 so.)
  result_ = std::async(is_awaited ? std::launch::deferred : std::launch::async,
                       [this] { return compute(); });
}

void FirstGram::transfer(Archive& archive) {
  bool has_first = ntk.has_value();
  archive.integer("has_first", has_first);
  if (!has_first) return;
  if (!ntk) ntk.emplace();
  archive.host_matrix("first", *ntk);
  archive.within("first_pattern", [&] { pattern.transfer(archive); });
}

void GramMonitor::transfer(Archive& archive) {
  if (busy()) throw std::logic_error("a Gram is in flight: wait() first");
  first_.transfer(archive);
}

std::optional<GramStatistics> GramMonitor::poll() {
  return busy() ? std::nullopt : wait();
}

std::optional<GramStatistics> GramMonitor::wait() {
  if (!result_.valid()) return std::nullopt;
  return result_.get();
}

GramStatistics GramMonitor::compute() {
  const Range range(backend_, "gram");
  GramStatistics statistics = std::move(pending_);
  Grams grams;
  backend_.gram({.Z = Z_,
                 .L = L_,
                 .Phi = Phi_,
                 .v = skip_ ? v_.block() : ConstBlock(),
                 .X = X_,
                 .s = s_,
                 .injection = injection_,
                 .wants_eigenvalues = true},
                grams);
  if (!all_finite(grams.ntk.values) || !all_finite(grams.features.values))
    throw Failure(ExitCode::diverged, "the kernel is not finite",
                  fmt::format("epoch {}", statistics.epoch),
                  "scale inputs and weights, or lower --learning-rate");
  statistics.ntk = std::move(grams.ntk);
  const ActivationPattern pattern(backend_, Z_, tolerance_);
  if (!first_.ntk) {
    first_ = {statistics.ntk, pattern};
    statistics.states = std::move(grams.states);
    statistics.adjoints = std::move(grams.adjoints);
    for (double& entry : statistics.adjoints.values)
      entry /= static_cast<double>(Z_.rows());
  }
  statistics.flipped = pattern.flipped_since(first_.pattern);
  statistics.eigenvalues = eigenvalues_of(statistics.ntk, std::move(grams.eigenvalues));
  statistics.lambda_min = statistics.eigenvalues.front();
  statistics.lambda_max = statistics.eigenvalues.back();
  statistics.trace = trace(statistics.ntk);
  statistics.drift = relative_distance(statistics.ntk, *first_.ntk);
  statistics.feature_lambda_min =
      eigenvalues_of(std::move(grams.features), std::move(grams.feature_eigenvalues)).front();
  return statistics;
}

}  // namespace widedeq
