// A as the device's products read it.
#pragma once

#include <array>

#include "kernels/backend.hpp"
#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

/// Any of the two below.
struct DeviceOperand : Operand {
  /// Nobody asked for a number of panels: each solve has the one that suits its columns, `panels`
  /// being the most there may be.
  bool chooses_panels = false;
};

/// fp64, fp32: one dense copy, A = step * base + change rounded to Real.
struct DenseOperand : DeviceOperand {
  Matrix A;  // m x m real
};

/// An m x m int8 matrix M for products op(M) q: of both, column i is row i of op(M), so that
/// neither M nor M' is transposed in a sweep. Rows and columns are padded with zeros to multiples
/// of 16.
struct BothWays {
  Matrix plain;       // M', for op(M) = M
  Matrix transposed;  // M, for op(M) = M'
  bool plain_is_current = false, transposed_is_current = false;

  bool is_current(Transpose t) const {
    return t == Transpose::yes ? transposed_is_current : plain_is_current;
  }
  MatrixView<const std::int8_t> operator[](Transpose t) const {
    const Matrix& matrix = t == Transpose::yes ? transposed : plain;
    return matrix.block().as<const std::int8_t>();
  }
  void forget() { plain_is_current = transposed_is_current = false; }
};

/// mixed: A = step * base + plane_step * (plane[0] + plane[1] / 256 + plane[2] / 256^2)
///            + left right', the factors of `source`, which sweeps leave out as they do the plane.
///
/// When a plane outgrows a step of the base it is folded into a base of the operand's own, as on
/// the CPU. Digits are made when a settling first asks for them (prepare_plane).
struct DigitOperand : DeviceOperand {
  BothWays base;
  double step = 0.0, plane_step = 0.0;
  bool has_digits = false;   // the plane is not zero
  double digits_norm = 0.0;  // its Frobenius norm
  WeightView source;
  mutable std::array<BothWays, plane_digits> plane;
};

/// out = step * base + change in Real (float or double), the entries from (row, column) on; A's
/// factors are left out. `out` may be any block of the device's. Asynchronous.
template <class Real>
void write_out(Context& context, const WeightView& A, Index row, Index column,
               MatrixView<Real> out);

/// M' of an m x m int8 matrix, padded as in BothWays. Asynchronous.
Matrix transposed(Context& context, const ConstBlock& M);

std::unique_ptr<DeviceOperand> make_operand(Precision precision, Index width, int panels);
void refresh(Context& context, Operand& operand, const WeightView& A, Changed changed);

/// Makes op(plane)'s first `digits` digits current.
void prepare_plane(Context& context, const DigitOperand& operand, Transpose transpose, int digits);

}  // namespace widedeq::cuda
