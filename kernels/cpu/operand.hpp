// A as the CPU's products read it.
#pragma once

#include <array>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/cpu/integer_product.hpp"
#include "kernels/cpu/strips.hpp"
#include "kernels/cpu/workspace.hpp"

namespace widedeq::cpu {

/// fp64, fp32: one dense copy, A = step * base + change rounded to Real.
template <class Real>
struct DenseOperand : Operand {
  std::vector<Real> A;  // m x m

  MatrixView<const Real> view() const { return {A.data(), width, width}; }
};

/// Both orientations of an int8 matrix, so that neither A nor A' is transposed in a sweep.
template <class Packed>
struct BothWays {
  Packed plain, transposed;
  bool plain_is_current = false, transposed_is_current = false;

  const Packed& operator[](Transpose t) const { return t == Transpose::yes ? transposed : plain; }
  bool is_current(Transpose t) const {
    return t == Transpose::yes ? transposed_is_current : plain_is_current;
  }
  void pack(const std::int8_t* digit, Index m, Transpose t) {
    if (t == Transpose::yes) {
      transposed.pack(digit, m, Transpose::yes);
      transposed_is_current = true;
    } else {
      plain.pack(digit, m, Transpose::no);
      plain_is_current = true;
    }
  }
  void pack(const std::int8_t* digit, Index m) {
    pack(digit, m, Transpose::no);
    pack(digit, m, Transpose::yes);
  }
  void forget() { plain_is_current = transposed_is_current = false; }
};

/// mixed: A = step * base + plane_step * (plane[0] + plane[1] / 256 + plane[2] / 256^2)
///            + left right', the factors of `source`, which sweeps leave out as they do the plane.
///
/// While `change` stays below a step, base is A's own and the plane's digits are those of `change`,
/// absent while it is zero. A larger change is folded into a base of the operand's own, for a plane
/// as large as the base would have to be settled at every sweep; that base (own_base) stays until
/// the plane outgrows a step again.
///
/// A warm epoch needs the first digits of the plane alone, so each is made and packed when a
/// settling first asks for it (prepare_plane), from the masters in `source`.
///
/// The base is packed for the library's products when all rows are swept at once, and in strips for
/// our own when they are swept by panels: a strip is then a panel, however many were asked for.
struct DigitOperand : Operand {
  BothWays<PackedIntegers> base;  // one panel
  BothWays<PackedStrips> strips;  // several
  double step = 0.0, plane_step = 0.0;
  bool has_digits = false;   // the plane is not zero
  double digits_norm = 0.0;  // its Frobenius norm
  WeightView source;
  mutable std::array<BothWays<PackedStrips>, plane_digits> plane;
};

std::unique_ptr<Operand> make_operand(Precision precision, Index width, int panels);
void refresh(Operand& operand, const WeightView& A, Changed changed);

/// Makes op(plane)'s first `digits` digits current.
void prepare_plane(const DigitOperand& operand, Transpose transpose, int digits,
                   Workspace& workspace);

}  // namespace widedeq::cpu
