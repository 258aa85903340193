// Sums and copies of all weights; see parameters.hpp.
#include "host/parameters.hpp"

#include <array>

namespace widedeq {
namespace {

constexpr std::array parts{&Parameters::A, &Parameters::W, &Parameters::u, &Parameters::v};

}  // namespace

Parameters::Parameters(Backend& backend, const Model& model) : backend_(&backend) {
  const Element real = real_of(model.precision());
  const Index m = model.width();
  A = backend.allocate(real, m, m);
  W = backend.allocate(real, m, model.inputs());
  u = backend.allocate(real, m, 1);
  v = backend.allocate(real, m, 1);
}

Parameters Parameters::like(const Parameters& other) {
  Parameters made;
  made.backend_ = other.backend_;
  for (const auto part : parts) {
    const Matrix& shape = other.*part;
    made.*part = other.backend_->allocate(shape.element(), shape.rows(), shape.columns());
  }
  return made;
}

void Parameters::take(Model& model) {
  backend_->copy(model.A.change(), A);
  backend_->copy(model.W, W);
  backend_->copy(model.u, u);
  backend_->copy(model.v, v);
}

void Parameters::put_into(Model& model) const {
  backend_->copy(A, model.A.change());
  backend_->copy(W, model.W);
  backend_->copy(u, model.u);
  backend_->copy(v, model.v);
  model.A.refresh();
}

void Parameters::fill(double value) {
  for (const auto part : parts)
    backend_->fill(this->*part, value);
}

double Parameters::add_scaled(double alpha, const Parameters& other) {
  double squares = 0.0;
  for (const auto part : parts)
    squares += backend_->add_scaled(this->*part, alpha, other.*part);
  return squares;
}

void Parameters::copy(const Parameters& other) {
  for (const auto part : parts)
    backend_->copy(other.*part, this->*part);
}

void add_up(Parameters& to, std::span<const Term> terms) {
  to.fill(0.0);
  for (const Term& term : terms)
    to.add_scaled(term.factor, *term.of);
}

}  // namespace widedeq
