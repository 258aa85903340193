// A as the CPU's products read it.
#pragma once

#include <array>

#include "kernels/backend.hpp"
#include "kernels/cpu/integer_product.hpp"
#include "kernels/cpu/workspace.hpp"

namespace widedeq::cpu {

/// fp64, fp32: one dense copy, A = step * base + change rounded to Real.
template <class Real>
struct DenseOperand : Operand {
  std::vector<Real> A;  // m x m

  MatrixView<const Real> view() const { return {A.data(), width, width}; }
};

/// Both orientations of one digit of A, so that neither A nor A' is transposed in a sweep.
struct PackedDigit {
  PackedIntegers plain, transposed;

  const PackedIntegers& operator[](Transpose t) const {
    return t == Transpose::yes ? transposed : plain;
  }
  void pack(const std::int8_t* digit, Index m) {
    plain.pack(digit, m, false);
    transposed.pack(digit, m, true);
  }
};

/// How much finer a digit is than the one before. A digit covers -127 .. 127, so what one leaves
/// out is at most half a unit, 128 units of the next.
inline constexpr double digit_ratio = 256.0;

/// The digits of a residual plane. With the base's eight bits they hold entries to 2^-32 of the
/// largest: as good as single precision for entries down to 2^-8 of it.
inline constexpr int plane_digits = 3;

/// mixed: A = step * base + plane_step * (plane[0] + plane[1] / 256 + plane[2] / 256^2).
/// While `change` stays below a step, base is A's own and the plane's digits are those of `change`,
/// absent while it is zero. A larger change moves into the base's digit (`folded`): a plane as
/// large as the base would have to be settled at every sweep.
struct DigitOperand : Operand {
  PackedDigit base;
  std::array<PackedDigit, plane_digits> plane;
  double step = 0.0, plane_step = 0.0;
  bool folded = false;
};

std::unique_ptr<Operand> make_operand(Precision precision, Index width);
void refresh(Operand& operand, const WeightView& A, bool base_changed, Workspace& workspace);

}  // namespace widedeq::cpu
