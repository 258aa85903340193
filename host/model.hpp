// A ReLU equilibrium network: z = relu(s A z + phi(W x)), yhat = u'z + v'phi.
#pragma once

#include "host/weight_operator.hpp"

namespace widedeq {

/// What a network is, apart from its weights.
struct ModelOptions {
  double gamma = 0.5;  // s = gamma / sqrt(m); safe below 1/2 at initialisation
  Injection injection = Injection::relu;
  bool skip = true;  // the readout's second term, v'Phi
  /// Row panels of a sweep: 1 is Jacobi, more are Gauss-Seidel, 0 leaves the choice to the backend.
  /// In mixed Gauss-Seidel by strips pays for wide networks, warm or cold: a third fewer products,
  /// and the sweeps that start and close a solve are halves. (Narrow ones may need more sweeps
  /// warm.) In fp32 and fp64, where panels are library products, it saves a quarter of a cold
  /// solve's sweeps, but a warm one is too short for that: stopping exactly costs a column another
  /// sweep.
  int panels = 1;
};

/// Weights as a file or a test gives them, in double.
struct Weights {
  HostMatrix A;              // m x m
  HostMatrix W;              // m x d
  std::vector<double> u, v;  // m each; v may be empty without the skip
};

/// A network on a backend. W is m x d, u and v are m x 1, all real at the precision.
struct Model {
  /// Weights drawn from the seed: A by `law`, W, u and v from N(0,1).
  Model(Backend& backend, Precision precision, const ModelOptions& options, Index width,
        Index inputs, WeightLaw law, std::uint64_t seed);
  /// Weights given. Throws ShapeError when they do not fit each other.
  Model(Backend& backend, Precision precision, const ModelOptions& options, const Weights& weights);

  Index width() const { return A.width(); }
  Index inputs() const { return W.columns(); }
  Precision precision() const { return A.precision(); }
  /// Saves or restores the weights.
  void transfer(Archive& archive);

  /// s = gamma / sqrt(m)
  double s() const;
  /// v, or an empty block without the skip: how the stages are told.
  ConstBlock skip() const;

  ModelOptions options;
  WeightOperator A;
  Matrix W, u, v;
};

/// The weights in double, m x m doubles at once: for tests and small files.
Weights download_weights(Backend& backend, const Model& model);

}  // namespace widedeq
