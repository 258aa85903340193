// One thread, one set of copies, one Gram in flight; see gram_monitor.hpp.
#include "host/gram_monitor.hpp"

#include <cmath>
#include <stdexcept>
#include <utility>

#include "host/probe.hpp"
#include "host/spectrum.hpp"

namespace widedeq {
namespace {

// Lanczos steps of the norm estimate: the top of a random matrix's spectrum is crowded, so the
// first estimate takes many; later ones start from the last one's vector.
constexpr int first_norm_steps = 40;
constexpr int later_norm_steps = 8;

}  // namespace

void GramStatistics::transfer(Archive& archive) {
  archive.integer("epoch", epoch);
  archive.number("lambda_min", lambda_min);
  archive.number("lambda_max", lambda_max);
  archive.number("trace", trace);
  archive.number("drift", drift);
  archive.number("feature_lambda_min", feature_lambda_min);
  archive.number("operator_norm", operator_norm);
  archive.numbers("eigenvalues", eigenvalues);
  archive.host_matrix("ntk", ntk);
}

GramMonitor::GramMonitor(Backend& backend, const Model& model, Index samples)
    : backend_(backend), injection_(model.options.injection), skip_(model.options.skip) {
  const Element real = real_of(model.precision());
  for (Matrix* copy : {&Z_, &L_, &Phi_})
    *copy = backend.allocate(real, model.width(), samples);
  v_ = backend.allocate(real, model.width(), 1);
  norm_start_ = probe_vector(model.width());
  thread_ = std::thread([this] { work(); });
}

GramMonitor::~GramMonitor() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool GramMonitor::busy() const {
  const std::lock_guard lock(mutex_);
  return in_flight_;
}

void GramMonitor::begin(int epoch) {
  if (busy()) throw std::logic_error("a Gram is in flight: poll() or wait() first");
  pending_ = GramStatistics();
  pending_.epoch = epoch;
}

void GramMonitor::take(Index first, ConstBlock Z, ConstBlock L, ConstBlock Phi) {
  expect_shape("Gram monitor", "L", L, Z.rows, Z.columns);
  expect_shape("Gram monitor", "Phi", Phi, Z.rows, Z.columns);
  backend_.copy(Z, Z_.columns(first, Z.columns));
  backend_.copy(L, L_.columns(first, L.columns));
  backend_.copy(Phi, Phi_.columns(first, Phi.columns));
}

void GramMonitor::submit(const Model& model, ConstBlock X) {
  backend_.copy(model.v, v_);
  X_ = X;
  s_ = model.s();
  const int steps = first_ ? later_norm_steps : first_norm_steps;
  const double norm = estimate_operator_norm(backend_, model.A.view(), norm_start_, steps);
  operator_norm_ = norm / std::sqrt(static_cast<double>(model.width()));
  pending_.operator_norm = operator_norm_;
  backend_.synchronize();
  {
    const std::lock_guard lock(mutex_);
    in_flight_ = true;
    submitted_ = true;
  }
  changed_.notify_all();
}

void GramMonitor::transfer(Archive& archive) {
  if (busy()) throw std::logic_error("a Gram is in flight: wait() first");
  archive.number("operator_norm", operator_norm_);
  archive.numbers("norm_start", norm_start_);
  bool has_first = first_.has_value();
  archive.integer("has_first", has_first);
  if (!has_first) return;
  if (!first_) first_.emplace();
  archive.host_matrix("first", *first_);
}

std::optional<GramStatistics> GramMonitor::poll() {
  const std::lock_guard lock(mutex_);
  return collect();
}

std::optional<GramStatistics> GramMonitor::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !in_flight_; });
  return collect();
}

std::optional<GramStatistics> GramMonitor::collect() {
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  return std::exchange(finished_, std::nullopt);
}

void GramMonitor::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return submitted_ || stopping_; });
    if (!submitted_) return;  // stopping, and what was submitted has been finished
    submitted_ = false;
    lock.unlock();
    std::optional<GramStatistics> result;
    std::exception_ptr error;
    try {
      result = compute();
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    finished_ = std::move(result);
    error_ = error;
    in_flight_ = false;
    changed_.notify_all();
  }
}

GramStatistics GramMonitor::compute() {
  GramStatistics statistics = std::move(pending_);
  HostMatrix features;
  backend_.gram({.Z = Z_,
                 .L = L_,
                 .Phi = Phi_,
                 .v = skip_ ? v_.block() : ConstBlock(),
                 .X = X_,
                 .s = s_,
                 .injection = injection_},
                statistics.ntk, features);
  if (!first_) first_ = statistics.ntk;
  statistics.eigenvalues = symmetric_eigenvalues(statistics.ntk);
  statistics.lambda_min = statistics.eigenvalues.front();
  statistics.lambda_max = statistics.eigenvalues.back();
  statistics.trace = trace(statistics.ntk);
  statistics.drift = relative_distance(statistics.ntk, *first_);
  statistics.feature_lambda_min = symmetric_eigenvalues(std::move(features)).front();
  return statistics;
}

}  // namespace widedeq
