// Shared parts of the benchmarks; see support.hpp.
#include "bench/support.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <tuple>

#include "host/run/config.hpp"
#include "kernels/cpu/blas.hpp"
#include "kernels/cpu/integer_product.hpp"

namespace widedeq::bench {
namespace {

template <class Real>
double bare_gemm(Index m, Index n) {
  // Random numbers, not zeros: some processors multiply zeros faster.
  Matrix A = backend().allocate(element_of<Real>(), m, m);
  Matrix B = backend().allocate(element_of<Real>(), m, n);
  Matrix C = backend().allocate(element_of<Real>(), m, n);
  backend().generate_gaussian(A, 1, Tensor::A);
  backend().generate_gaussian(B, 1, Tensor::W);
  return median_seconds([&] {
    cpu::gemm<Real>(Transpose::no, Transpose::no, Real(1), A.block().as<Real>(),
                    B.block().as<Real>(), Real(0), C.block().as<Real>());
  });
}

double bare_integers(Index m, Index n) {
  Matrix A = backend().allocate(Element::int8, m, m);
  Matrix q = backend().allocate(Element::int8, m, cpu::padded_columns(n));
  Matrix product = backend().allocate(Element::int32, m, cpu::padded_columns(n));
  backend().generate_lattice(A, 1, Tensor::A);
  backend().generate_lattice(q, 1, Tensor::W);
  cpu::PackedIntegers packed;
  packed.pack(A.block().as<std::int8_t>().data, m, m, m, false);
  return median_seconds([&] {
    packed.multiply(q.block().as<std::int8_t>().data, cpu::padded_columns(n),
                    product.block().as<std::int32_t>().data);
  });
}

}  // namespace

Backend& backend() {
  static const auto instance = make_cpu_backend(0);
  return *instance;
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median_seconds(const std::function<void()>& call) {
  call();
  std::array<double, 5> seconds{};
  for (double& second : seconds) {
    const double start = now();
    call();
    second = now() - start;
  }
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
}

HostMatrix random_inputs(Index samples) {
  HostMatrix X(inputs, samples);
  for (Index j = 0; j < samples; ++j) {
    double squares = 0.0;
    for (Index i = 0; i < inputs; ++i) {
      X(i, j) = standard_normal(1, Tensor::inputs, i, j);
      squares += X(i, j) * X(i, j);
    }
    for (Index i = 0; i < inputs; ++i)
      X(i, j) /= std::sqrt(squares);
  }
  return X;
}

std::vector<double> random_targets(Index samples) {
  std::vector<double> targets(static_cast<std::size_t>(samples));
  for (std::size_t j = 0; j < targets.size(); ++j)
    targets[j] = standard_normal(1, Tensor::targets, static_cast<Index>(j), 0) > 0.0 ? 1.0 : -1.0;
  return targets;
}

double bare_product_seconds(Precision precision, Index m, Index n) {
  static std::map<std::tuple<Precision, Index, Index>, double> measured;
  double& seconds = measured[{precision, m, n}];
  if (seconds == 0.0) {
    switch (precision) {
      case Precision::fp64:
        seconds = bare_gemm<double>(m, n);
        break;
      case Precision::fp32:
        seconds = bare_gemm<float>(m, n);
        break;
      case Precision::mixed:
        seconds = bare_integers(m, n);
        break;
    }
  }
  return seconds;
}

bool skip_unsupported(benchmark::State& state, Precision precision) {
  if (precision != Precision::mixed || backend().why_not_mixed().empty()) return false;
  state.SkipWithError(backend().why_not_mixed().c_str());
  return true;
}

double time_calls(benchmark::State& state, const std::function<void()>& prepare,
                  const std::function<void()>& call) {
  double total = 0.0;
  for ([[maybe_unused]] auto _ : state) {
    prepare();
    const double start = now();
    call();
    const double seconds = now() - start;
    state.SetIterationTime(seconds);
    total += seconds;
  }
  return total / static_cast<double>(state.iterations());
}

double time_calls(benchmark::State& state, const std::function<void()>& call) {
  return time_calls(
      state, [] {}, call);
}

void report_rates(benchmark::State& state, double seconds, double flops, double bytes) {
  if (flops > 0.0) state.counters["flop/s"] = flops / seconds;
  if (bytes > 0.0) state.counters["byte/s"] = bytes / seconds;
}

void report_products(benchmark::State& state, double seconds, Precision precision, Index m, Index n,
                     double products, double bytes) {
  const auto rows = static_cast<double>(m);
  report_rates(state, seconds, 2.0 * rows * rows * static_cast<double>(n) * products, bytes);
  state.counters["of_library"] = products * bare_product_seconds(precision, m, n) / seconds;
}

void register_shapes(const std::string& stage, Run run) {
  constexpr std::array<std::pair<Index, Index>, 3> shapes{{{1024, 360}, {2048, 500}, {4096, 1000}}};
  for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::mixed}) {
    for (const auto& [m, n] : shapes) {
      const std::string name =
          stage + "/" + name_of(precision) + "/m:" + std::to_string(m) + "/n:" + std::to_string(n);
      benchmark::RegisterBenchmark(name.c_str(),
                                   [=](benchmark::State& state) {
                                     if (!skip_unsupported(state, precision))
                                       run(state, precision, m, n);
                                   })
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    }
  }
}

}  // namespace widedeq::bench
