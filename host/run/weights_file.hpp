// Weights in .npz files, as NumPy sees them: A (m, m), W (m, d), u (m), v (m).
//
// A[i, j] is the weight from unit j to unit i, so that NumPy's `A @ z` is the network's A z.
// Matrices in memory are column-major, so files hold their transposed memory.
#pragma once

#include <string>
#include <vector>

#include "host/model.hpp"

namespace widedeq {

/// Reads and checks all four arrays. Memory: the m x m doubles once. Throws Failure: io when the
/// file cannot be read, bad_data when it is no .npz, an array is missing, shapes do not fit each
/// other (both are named) or an entry is not finite.
Weights load_weights(const std::string& path);

/// A model of the weights of the file `path`. Throws Failure (bad_data) where they are finite in
/// the file and not in the precision.
Model model_of(const Weights& weights, const std::string& path, Backend& backend,
               Precision precision, const ModelOptions& options);

/// Writes the model's weights, float64 for fp64 and float32 otherwise, whole or not at all.
/// Memory: the m x m doubles once. Throws Failure (io).
void save_weights(const std::string& path, Backend& backend, const Model& model);

/// The elements row by row, reusing the memory when the matrix is square.
std::vector<double> in_c_order(HostMatrix matrix);

}  // namespace widedeq
