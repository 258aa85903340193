// What a Gauss-Seidel sweep does to some rows of one column, once their products are there.
//
//   P += unit_new newer + unit_old older     d = f(P) - Zhat     q = round(d)     Zhat += q
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/cpu/open_columns.hpp"
#include "kernels/element.hpp"
#include "kernels/matrix_view.hpp"

namespace widedeq::cpu {

/// The rows of one panel in one column. Handed on by value, as in sweep.cpp.
template <class Real, class Product, class Increment>
struct Rows {
  Real* P;
  Real* applied;
  const Real* gate;      // mask only
  const Product* newer;  // null: nothing
  const Product* older;  // null: nothing
  Real newer_unit, older_unit;
  Increment* pending;
  Real scale;      // of the increments to make; 0: make none
  Real* gained_P;  // null: not noted
  Real* gained_Z;  // null: not noted; so it is in fp64 and fp32
};

/// Has a strip's rows of a column brought near while the product with them is still under way. They
/// are a few cache lines here and a few there, which the processor would not guess. (Expected: a
/// fifth of a sweep at 4096 x 1000 was waiting for them.) Inlined by force: GCC 12 takes a function
/// that only prefetches for one without effects and leaves its calls out.
template <class Real>
[[gnu::always_inline]] inline void prefetch_rows(const Real* rows) {
  constexpr Index line = 64 / sizeof(Real);
  for (Index i = 0; i < 64; i += line)
    __builtin_prefetch(rows + i, 1);
}

/// ColumnNorms in lanes that are added up at the end of a sweep only: a strip has few rows, and a
/// sum over lanes takes as long as all the rest of the pass. (Measured: one such sum a strip made
/// the pass 17 % longer. GCC keeps 64 lanes for a reduction beside int8 stores and adds them up one
/// by one.)
struct LaneSums {
  static constexpr Index lanes = 16;
  double missing[lanes] = {};
  double applied[lanes] = {};
  double largest[lanes] = {};

  ColumnNorms total() const {
    ColumnNorms norms;
    for (Index l = 0; l < lanes; ++l)
      norms = {norms.missing + missing[l], norms.applied + applied[l],
               std::max(norms.largest, largest[l])};
    return norms;
  }
};

/// update() for `lanes` rows from `first` on. A loop for every type it deals in, so that each is
/// vectorised as wide as its type allows.
template <Epilogue epilogue, bool measure_only, class Real, class Product, class Increment>
inline void update_lanes(const Rows<Real, Product, Increment>& rows, Real inverse, Index first,
                         Index lanes, LaneSums& sums, Real* largest) {
  Real d[LaneSums::lanes];
#pragma omp simd
  for (Index l = 0; l < lanes; ++l) {
    const Real gate = epilogue == Epilogue::mask ? rows.gate[first + l] : Real(0);
    const Real entry = activate<epilogue>(rows.P[first + l], gate) - rows.applied[first + l];
    const Real size = std::abs(entry), until_now = largest[l];
    largest[l] = size > until_now ? size : until_now;
    d[l] = entry;
  }
#pragma omp simd
  for (Index l = 0; l < lanes; ++l) {
    const auto missing = static_cast<double>(d[l]);
    const auto applied = static_cast<double>(rows.applied[first + l]);
    sums.missing[l] += missing * missing;
    sums.applied[l] += applied * applied;
  }
  if constexpr (measure_only) return;
  if constexpr (std::is_same_v<Increment, std::int8_t>) {
#pragma omp simd
    for (Index l = 0; l < lanes; ++l) {
      d[l] = int8_digit(d[l], inverse);
      rows.applied[first + l] += rows.scale * d[l];
    }
    if (rows.gained_Z != nullptr) {
#pragma omp simd
      for (Index l = 0; l < lanes; ++l)
        rows.gained_Z[first + l] += rows.scale * d[l];
    }
  } else {
#pragma omp simd
    for (Index l = 0; l < lanes; ++l) {
      d[l] = rows.scale > Real(0) ? d[l] : Real(0);
      rows.applied[first + l] += d[l];
    }
  }
#pragma omp simd
  for (Index l = 0; l < lanes; ++l)
    rows.pending[first + l] = static_cast<Increment>(d[l]);
}

/// P += products, and so does what it has gained. Both products at once, so that P is rounded once.
template <class Real, class Product, class Increment>
inline void add_products(const Rows<Real, Product, Increment>& rows, Index count) {
  const auto add = [&](Real* to, auto product) {
#pragma omp simd
    for (Index i = 0; i < count; ++i)
      to[i] += product(i);
  };
  const auto add_everywhere = [&](auto product) {
    add(rows.P, product);
    if (rows.gained_P != nullptr) add(rows.gained_P, product);
  };
  const auto newer = [&rows](Index i) {
    return rows.newer_unit * static_cast<Real>(rows.newer[i]);
  };
  const auto older = [&rows](Index i) {
    return rows.older_unit * static_cast<Real>(rows.older[i]);
  };
  if (rows.newer != nullptr && rows.older != nullptr)
    return add_everywhere([&](Index i) { return newer(i) + older(i); });
  if (rows.newer != nullptr) return add_everywhere(newer);
  if (rows.older != nullptr) add_everywhere(older);
}

/// P takes in the products; what is missing in Zhat is measured and, unless `measure_only`, made
/// into increments. Adds to `sums`.
template <Epilogue epilogue, bool measure_only, class Real, class Product, class Increment>
void update(Rows<Real, Product, Increment> rows, Index count, LaneSums& sums) {
  add_products(rows, count);
  const Real inverse = rows.scale > Real(0) ? Real(1) / rows.scale : Real(0);
  constexpr Index lanes = LaneSums::lanes;
  Real largest[lanes] = {};
  const Index whole = count / lanes * lanes;
  for (Index first = 0; first < whole; first += lanes)
    update_lanes<epilogue, measure_only>(rows, inverse, first, lanes, sums, largest);
  update_lanes<epilogue, measure_only>(rows, inverse, whole, count - whole, sums, largest);
  for (Index l = 0; l < lanes; ++l)
    sums.largest[l] = std::max(sums.largest[l], static_cast<double>(largest[l]));
}

}  // namespace widedeq::cpu
