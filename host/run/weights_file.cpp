// Checks of what is read, and transposing in little memory; see weights_file.hpp.
#include "host/run/weights_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "host/data/npz.hpp"
#include "host/failure.hpp"

namespace widedeq {
namespace {

constexpr Index tile = 64;  // two tiles of doubles fit the first-level cache

void transpose_in_place(HostMatrix& matrix) {
  const Index m = matrix.rows;
  for (Index J = 0; J < m; J += tile)
    for (Index I = 0; I <= J; I += tile)
      for (Index j = J; j < std::min(J + tile, m); ++j)
        for (Index i = I; i < std::min(I + tile, j); ++i)
          std::swap(matrix(i, j), matrix(j, i));
}

/// A in C order, by panels of columns: the panels are all the memory beside the result.
std::vector<double> download_in_c_order(const WeightOperator& A) {
  const Index m = A.width();
  std::vector<double> values(static_cast<std::size_t>(m * m));
  for (Index first = 0; first < m; first += tile) {
    const HostMatrix panel = A.download_columns(first, std::min(tile, m - first));
    double* row = values.data() + first;
    for (Index i = 0; i < m; ++i, row += m)
      for (Index j = 0; j < panel.columns; ++j)
        row[j] = panel(i, j);
  }
  return values;
}

[[noreturn]] void refuse(const std::string& what, const std::string& path) {
  throw Failure(ExitCode::bad_data, what, path, "give A (m, m), W (m, d), u (m) and v (m)");
}

void check_finite(const std::string& name, const NpyArray& array, const std::string& path) {
  const auto bad = std::find_if_not(array.values.begin(), array.values.end(),
                                    [](double value) { return std::isfinite(value); });
  if (bad == array.values.end()) return;
  const Index position = bad - array.values.begin();
  const Index columns = array.shape.size() == 2 ? array.shape[1] : 0;
  const std::string where =
      columns == 0 ? fmt::format("{}[{}]", name, position)
                   : fmt::format("{}[{}, {}]", name, position / columns, position % columns);
  throw Failure(ExitCode::bad_data, fmt::format("{} is {}", where, *bad), path,
                "give finite weights");
}

}  // namespace

std::vector<double> in_c_order(HostMatrix matrix) {
  if (matrix.rows == matrix.columns) {
    transpose_in_place(matrix);
    return std::move(matrix.values);
  }
  std::vector<double> values(matrix.values.size());
  auto next = values.begin();
  for (Index i = 0; i < matrix.rows; ++i)
    for (Index j = 0; j < matrix.columns; ++j)
      *next++ = matrix(i, j);
  return values;
}

Weights load_weights(const std::string& path) {
  auto arrays = read_npz(path, {"A", "W", "u", "v"});
  NpyArray& A = arrays.at("A");
  if (A.shape.size() != 2 || A.shape[0] != A.shape[1] || A.values.empty())
    refuse("A has the shape " + shape_text(A.shape) + ", and it must be square", path);
  const Index m = A.shape[0];
  NpyArray& W = arrays.at("W");
  const auto mismatch = [&](const char* name, const NpyArray& array) {
    refuse(fmt::format("{} has the shape {}, which does not fit A's {}", name,
                       shape_text(array.shape), shape_text(A.shape)),
           path);
  };
  if (W.shape.size() != 2 || W.shape[0] != m || W.values.empty()) mismatch("W", W);
  for (const char* name : {"u", "v"})
    if (const NpyArray& array = arrays.at(name); array.shape != std::vector<Index>{m})
      mismatch(name, array);
  for (const auto& [name, array] : arrays)
    check_finite(name, array, path);

  const auto from_c_order = [](NpyArray& array) {
    // Read as columns, the file's rows are the columns of the transpose.
    HostMatrix stored;
    stored.rows = array.shape[1];
    stored.columns = array.shape[0];
    stored.values = std::move(array.values);
    HostMatrix matrix;
    matrix.rows = array.shape[0];
    matrix.columns = array.shape[1];
    matrix.values = in_c_order(std::move(stored));
    return matrix;
  };
  return {from_c_order(A), from_c_order(W), std::move(arrays.at("u").values),
          std::move(arrays.at("v").values)};
}

Model model_of(const Weights& weights, const std::string& path, Backend& backend,
               Precision precision, const ModelOptions& options) {
  try {
    return Model(backend, precision, options, weights);
  } catch (const std::domain_error&) {
    throw Failure(ExitCode::bad_data, "A holds entries too large for single precision", path,
                  "use --precision fp64");
  }
}

void save_weights(const std::string& path, Backend& backend, const Model& model) {
  const NpyType type =
      real_of(model.precision()) == Element::float64 ? NpyType::float64 : NpyType::float32;
  const Index m = model.width();
  NpzWriter file(path);
  file.add("A", {m, m}, download_in_c_order(model.A), type);
  file.add("W", {m, model.inputs()}, in_c_order(download(backend, model.W)), type);
  file.add("u", {m}, download(backend, model.u).values, type);
  file.add("v", {m}, download(backend, model.v).values, type);
  file.finish();
}

}  // namespace widedeq
