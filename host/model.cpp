// Drawing a network's weights, or taking them from the host; see model.hpp.
#include "host/model.hpp"

#include <cmath>

namespace widedeq {
namespace {

Matrix upload_vector(Backend& backend, Element real, const char* name,
                     const std::vector<double>& values, Index width) {
  if (static_cast<Index>(values.size()) != width)
    throw ShapeError(std::string("model: ") + name + " has " + std::to_string(values.size()) +
                     " entries, A is " + std::to_string(width) + " x " + std::to_string(width));
  Matrix vector = backend.allocate(real, width, 1);
  backend.upload({values.data(), width, 1}, vector);
  return vector;
}

}  // namespace

Model::Model(Backend& backend, Precision precision, const ModelOptions& model_options, Index width,
             Index inputs, WeightLaw law, std::uint64_t seed)
    : options(model_options),
      A(backend, precision, width, law, seed, model_options.panels),
      W(backend.allocate(real_of(precision), width, inputs)),
      u(backend.allocate(real_of(precision), width, 1)),
      v(backend.allocate(real_of(precision), width, 1)) {
  backend.generate_gaussian(W, seed, Tensor::W);
  backend.generate_gaussian(u, seed, Tensor::u);
  backend.generate_gaussian(v, seed, Tensor::v);
}

Model::Model(Backend& backend, Precision precision, const ModelOptions& model_options,
             const Weights& weights)
    : options(model_options), A(backend, precision, weights.A.view(), model_options.panels) {
  const Element real = real_of(precision);
  if (weights.W.rows != width())
    throw ShapeError("model: W is " + shape(weights.W) + ", A is " + shape(weights.A));
  W = backend.allocate(real, weights.W.rows, weights.W.columns);
  backend.upload(weights.W.view(), W);
  u = upload_vector(backend, real, "u", weights.u, width());
  const bool without_v = weights.v.empty() && !options.skip;
  v = without_v ? backend.allocate(real, width(), 1)
                : upload_vector(backend, real, "v", weights.v, width());
}

void Model::transfer(Archive& archive) {
  archive.within("A", [&] { A.transfer(archive); });
  archive.matrix("W", W);
  archive.matrix("u", u);
  archive.matrix("v", v);
}

double Model::s() const {
  return options.gamma / std::sqrt(static_cast<double>(width()));
}

ConstBlock Model::skip() const {
  return options.skip ? v.block() : ConstBlock();
}

Weights download_weights(Backend& backend, const Model& model) {
  Weights weights;
  weights.A = model.A.download_columns(0, model.width());
  weights.W = download(backend, model.W);
  weights.u = download(backend, model.u).values;
  weights.v = download(backend, model.v).values;
  return weights;
}

}  // namespace widedeq
