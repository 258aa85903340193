// Sweeps and settlings on buffers of their own, and what each costs by formula; see iteration.hpp.
#include "bench/iteration.hpp"

#include <cmath>

namespace widedeq::bench {

Iteration::Iteration(const Case& c, const Model& model, bool adjoint)
    : backend_(c.backend),
      model_(model),
      adjoint_(adjoint),
      c_(random_matrix(c, c.shape.m, c.shape.n, 1)),
      gate_(adjoint ? random_matrix(c, c.shape.m, c.shape.n, 2) : Matrix()),
      state_(c.backend.make_sweep_state(c.precision, c.shape.m, c.shape.n)) {}

double Iteration::s() const {
  return contracting_gamma / std::sqrt(static_cast<double>(model_.width()));
}

Sweep Iteration::description() const {
  return {.A = model_.A.operand(),
          .transpose = adjoint_ ? Transpose::yes : Transpose::no,
          .s = s(),
          .epilogue = adjoint_ ? Epilogue::mask : Epilogue::relu,
          .gate = gate_.block(),
          .tolerance = 0.0};
}

void Iteration::start() {
  backend_.copy(c_, state_.P);
  backend_.fill(state_.applied, 0.0);
  backend_.measure(state_, description(), true);
}

void Iteration::sweep(int count) {
  backend_.iterate(state_, description(), count);
}

void Iteration::start_settling() {
  backend_.fill(state_.P, 0.0);
  backend_.copy(c_, state_.applied);
  backend_.fill(state_.settled, 0.0);
  columns_ = settled_columns(backend_.unsettled(state_), all_to(digits));
}

void Iteration::settle() {
  backend_.settle(state_, description(), columns_);
}

double Iteration::residual() const {
  const HostMatrix A = model_.A.download_columns(0, model_.width());
  const HostMatrix start = c(), gate = download(backend_, gate_.block());
  return bench::residual(
      {.A = A, .transposed = adjoint_, .s = s(), .c = start, .gate = adjoint_ ? &gate : nullptr},
      z());
}

Work sweep_work(const Case& c, bool adjoint) {
  const auto [m, n, d] = sizes(c);
  const double real = real_bytes(c.precision);
  const double digit = c.precision == Precision::mixed ? 1.0 : real;  // of A and of increments
  Work work;
  work.add_products(c.precision, 1.0, c.shape);
  work.bytes = digit * m * m + (4.0 * real + 2.0 * digit + (adjoint ? real : 0.0)) * m * n;
  return work;
}

}  // namespace widedeq::bench
