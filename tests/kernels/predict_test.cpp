// The guess that a warm solve starts with, and the gains that it is made of, each against its
// formula in double loops.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "tests/kernels/carried_states.hpp"

namespace widedeq {
namespace {

using test::affine;
using test::backend;
using test::difference;
using test::download;
using test::Framed;
using test::relative_error;

constexpr std::int32_t most_guessed = 8;  // in a row; then they are forgotten
constexpr Extrapolation usual{.alone = 0.9, .newer = 1.8, .older = -0.85};

/// Responses of a state by hand: what is known of column j is `known[j]`.
struct Responses {
  HostMatrix P, P_before, Z, Z_before;
  std::vector<std::int32_t> known;
};

class Guesses : public test::CarriedStates {
 protected:
  WeightOperator lattice(Index m, int panels = 0) const {
    return {backend(), precision(), m, WeightLaw::lattice, 3, panels};
  }
  /// Has a state note gains; all of it sentinels.
  void allow_guesses(SweepState& state) const {
    const auto make = [&] {
      Matrix matrix = backend().allocate(real(), state.P.rows(), state.P.columns());
      backend().fill(matrix, Framed::sentinel);
      return matrix;
    };
    for (Gains* gains : {&state.gained, &state.gained_before}) {
      gains->P = make();
      if (precision() == Precision::mixed) gains->Z = make();
    }
  }
  /// Random ones, of which column j knows known(j).
  template <class Known>
  Responses put_responses(SweepState& state, Known known) {
    allow_guesses(state);
    const Index m = state.P.rows(), n = state.count;
    Responses given{random(m, n), random(m, n), random(m, n), random(m, n), {}};
    const auto put = [&](const HostMatrix& values, Matrix& matrix) {
      if (!matrix.empty()) backend().upload(values.view(), matrix.columns(0, n));
    };
    put(given.P, state.gained.P);
    put(given.P_before, state.gained_before.P);
    put(given.Z, state.gained.Z);
    put(given.Z_before, state.gained_before.Z);
    for (Index j = 0; j < n; ++j) {
      given.known.push_back(static_cast<std::int32_t>(known(j)));
      given.known.push_back(0);
    }
    backend().restore(std::as_bytes(std::span(given.known)), state.known.columns(0, n));
    return given;
  }

  std::vector<std::int32_t> known_of(const SweepState& state) const {
    std::vector<std::int32_t> known(static_cast<std::size_t>(2 * state.count));
    backend().save(state.known.columns(0, state.count), std::as_writable_bytes(std::span(known)));
    return known;
  }

  static bool switched_or_spare(Index j, Index n) { return j == 2 || j == 8 || j >= n; }
};

double weight_of_newer(std::int32_t known, const Extrapolation& by) {
  return known == 0 ? 0.0 : (known == 1 ? by.alone : by.newer);
}
double weight_of_older(std::int32_t known, const Extrapolation& by) {
  return known == 2 ? by.older : 0.0;
}
HostMatrix extrapolated(const HostMatrix& newer, const HostMatrix& older,
                        const std::vector<std::int32_t>& known, const Extrapolation& by) {
  HostMatrix R(newer.rows, newer.columns);
  for (Index j = 0; j < R.columns; ++j)
    for (Index i = 0; i < R.rows; ++i) {
      const std::int32_t count = known[static_cast<std::size_t>(2 * j)];
      R(i, j) = weight_of_newer(count, by) * newer(i, j) + weight_of_older(count, by) * older(i, j);
    }
  return R;
}

TEST_P(Guesses, SweepsNoteWhatTheyAdd) {
  const Index m = 130, n = 9;
  const double tolerance = test::tight(precision()).tolerance;
  for (const int panels : {0, 1, 3})
    for (const bool jacobi : {false, true}) {
      SCOPED_TRACE(std::to_string(panels) + " panels" + (jacobi ? ", jacobi" : ""));
      const WeightOperator A = lattice(m, panels);
      Sweep one = sweep(A, Transpose::no, 1e-2);
      one.jacobi = jacobi;
      SweepState state = state_at(random(m, n), HostMatrix(m, n), 2);
      backend().measure(state, one, true);
      ASSERT_EQ(backend().iterate(state, one, 100).open, 0);

      // From here on, but for columns 2 and 8.
      allow_guesses(state);
      for (Matrix* gained : {&state.gained.P, &state.gained.Z})
        if (!gained->empty()) backend().fill(*gained, 0.0);
      std::vector<std::int32_t> switched(static_cast<std::size_t>(n + 2));
      switched[2] = switched[8] = 1;
      backend().restore(std::as_bytes(std::span(switched)), state.switched);
      const HostMatrix P = download(state.P), Z = download(state.applied);
      one.tolerance = tolerance;
      backend().measure(state, one, false);
      ASSERT_EQ(backend().iterate(state, one, 200).open, 0);

      const HostMatrix added = difference(download(state.P), P);
      const HostMatrix gained = download(state.gained.P);
      HostMatrix moved = difference(download(state.applied), Z);
      if (precision() == Precision::mixed) {
        // Free of the rounding of Zhat, so closer to what has been multiplied than the difference.
        const HostMatrix noted = download(state.gained.Z);
        for (Index j = 0; j < n + 2; ++j)
          for (Index i = 0; i < m; ++i)
            EXPECT_NEAR(noted(i, j), switched_or_spare(j, n) ? 0.0 : moved(i, j),
                        8.0 * eps() * (std::abs(Z(i, j)) + 1e-2))
                << i << " " << j;
        moved = noted;
      }
      // gained.P = s A moved, to the rounding of itself and not of P
      const HostMatrix product =
          affine(A.download_columns(0, m), Transpose::no, one.s, moved, HostMatrix(m, n + 2));
      const bool exact = precision() == Precision::mixed;
      for (Index j = 0; j < n + 2; ++j) {
        const double size = oracle::column_norm(product, j);
        for (Index i = 0; i < m; ++i) {
          const double wanted = switched_or_spare(j, n) ? 0.0 : product(i, j);
          EXPECT_NEAR(gained(i, j), wanted, exact ? 20.0 * eps() * size : 20.0 * eps())
              << i << " " << j;
          if (!switched_or_spare(j, n)) {
            EXPECT_NEAR(gained(i, j), added(i, j), 50.0 * eps() * (std::abs(P(i, j)) + 1.0));
          }
        }
      }
    }
}

TEST_P(Guesses, AGuessIsExtrapolatedFromWhatColumnsKnow) {
  for (const Index m : {1, 5, 33, 130})
    for (const Index n : {1, 7, 65}) {
      SCOPED_TRACE("m=" + std::to_string(m) + " n=" + std::to_string(n));
      const WeightOperator A = lattice(m);
      const HostMatrix P = random(m, n), Z = oracle::relu(random(m, n));
      SweepState state = state_at(P, Z, 2);
      const Responses given = put_responses(state, [](Index j) { return (j + 1) % 3; });
      const HostMatrix R = extrapolated(given.P, given.P_before, given.known, usual);
      const bool opens = backend().predict(state, sweep(A), usual);
      EXPECT_EQ(opens, precision() != Precision::mixed);
      ASSERT_EQ(state.open_count, opens ? n : 0);
      const HostMatrix applied = download(state.applied), now = download(state.P);
      const HostMatrix gained = download(state.gained.P);
      if (opens) {
        const HostMatrix open = download(state.open), pending = download(state.pending);
        for (Index j = 0; j < n; ++j) {
          EXPECT_EQ(open(0, j), static_cast<double>(j));
          for (Index i = 0; i < m; ++i) {
            const double size = std::abs(P(i, j)) + 4.0 * std::abs(given.P(i, j)) +
                                4.0 * std::abs(given.P_before(i, j)) + Z(i, j);
            ASSERT_NEAR(applied(i, j), std::max(P(i, j) + R(i, j), 0.0), 4.0 * eps() * size);
            ASSERT_NEAR(applied(i, j), Z(i, j) + pending(i, j), 4.0 * eps() * size);
            ASSERT_EQ(gained(i, j), 0.0);
            ASSERT_EQ(now(i, j), P(i, j));
          }
        }
      } else {
        const HostMatrix S = extrapolated(given.Z, given.Z_before, given.known, usual);
        const HostMatrix moved = download(state.gained.Z);
        for (Index j = 0; j < n; ++j)
          for (Index i = 0; i < m; ++i) {
            const double size = std::abs(given.P(i, j)) + std::abs(given.P_before(i, j));
            const double step = std::abs(given.Z(i, j)) + std::abs(given.Z_before(i, j));
            ASSERT_NEAR(gained(i, j), R(i, j), 4.0 * eps() * size);
            ASSERT_NEAR(moved(i, j), S(i, j), 4.0 * eps() * step);
            ASSERT_NEAR(now(i, j), P(i, j) + R(i, j), 4.0 * eps() * (size + std::abs(P(i, j))));
            ASSERT_NEAR(applied(i, j), Z(i, j) + S(i, j), 4.0 * eps() * (step + Z(i, j)));
          }
        EXPECT_EQ(download(state.gained_before.Z.columns(0, n)).values, given.Z.values);
      }
      EXPECT_EQ(download(state.gained_before.P.columns(0, n)).values, given.P.values);
      const std::vector<std::int32_t> known = known_of(state);
      for (Index j = 0; j < n; ++j) {
        const auto at = static_cast<std::size_t>(2 * j);
        EXPECT_EQ(known[at], std::min(given.known[at] + 1, 2)) << j;
        EXPECT_EQ(known[at + 1], 0) << j;
      }
      // Columns that are not in use are left alone.
      for (const Matrix* matrix :
           {&state.P, &state.applied, &state.gained.P, &state.gained_before.P})
        EXPECT_EQ(download(matrix->columns(n, 2)).values,
                  std::vector<double>(static_cast<std::size_t>(2 * m), Framed::sentinel));
    }
}

TEST_P(Guesses, WhatAColumnDoesNotKnowIsNotRead) {
  const Index m = 33, n = 3;
  const WeightOperator A = lattice(m);
  const HostMatrix P = random(m, n), Z = oracle::relu(random(m, n));
  SweepState state = state_at(P, Z);
  put_responses(state, [](Index j) { return j; });
  const auto spoil = [&](Matrix& matrix, Index column) {
    if (!matrix.empty()) backend().fill(matrix.columns(column, 1), NAN);
  };
  for (Matrix* gained : {&state.gained.P, &state.gained.Z})
    spoil(*gained, 0);
  for (Matrix* before : {&state.gained_before.P, &state.gained_before.Z})
    for (const Index j : {0, 1})
      spoil(*before, j);
  backend().predict(state, sweep(A), usual);
  EXPECT_TRUE(test::all_finite(download(state.applied).values));
  EXPECT_TRUE(test::all_finite(download(state.gained.P).values));
}

TEST_P(Guesses, BehindAMaskSwitchedColumnsKeepWhatWasGuessed) {
  for (const Index m : {5, 33, 130}) {
    const Index n = 7;
    SCOPED_TRACE("m=" + std::to_string(m));
    const WeightOperator A = lattice(m);
    const HostMatrix D = random(m, n), P = random(m, n);
    HostMatrix L = random(m, n), gate = D;
    const double left = 1e-9;  // of units that are off
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < m; ++i)
        L(i, j) = D(i, j) > 0.0 ? L(i, j) : left;
    // One unit goes on in column 2, one off in columns 3, 4 and 5, where there is one.
    const auto switches = [](Index j) { return 2 <= j && j <= 5; };
    for (const Index j : {2, 3, 4, 5})
      for (Index i = 0; i < m; ++i)
        if ((D(i, j) > 0.0) == (j != 2)) {
          gate(i, j) = -D(i, j);
          L(i, j) = j == 2 ? left : 0.5;
          break;
        }
    ASSERT_NE(gate.values, D.values);
    Framed gates(real(), m, n, 3, 1);
    backend().upload(gate.view(), gates);
    Sweep masked = sweep(A);
    masked.transpose = Transpose::yes;
    masked.epilogue = Epilogue::mask;
    masked.gate = gates.block();
    SweepState state = state_at(P, test::rounded(real(), L));
    backend().fill(state.residual, 1e-7);
    backend().fill(state.size, 1.0);
    // Column 3 has been guessed as often as may be, column 5 knows nothing.
    Responses given = put_responses(state, [](Index j) { return j == 5 ? 0 : 2; });
    given.known[2 * 3 + 1] = most_guessed;
    given.known[2 * 4 + 1] = most_guessed - 1;
    backend().restore(std::as_bytes(std::span(given.known)), state.known);
    const HostMatrix R = extrapolated(given.P, given.P_before, given.known, usual);
    backend().predict(state, masked, usual);

    const HostMatrix gained = download(state.gained.P), applied = download(state.applied);
    const bool mixed = precision() == Precision::mixed;
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < m; ++i) {
        ASSERT_NEAR(gained(i, j), mixed || switches(j) ? R(i, j) : 0.0, 20.0 * eps()) << i << j;
        if (!mixed) {
          ASSERT_NEAR(applied(i, j), gate(i, j) > 0.0 ? P(i, j) + R(i, j) : 0.0, 40.0 * eps());
        }
      }
    EXPECT_EQ(download(state.gained_before.P).values, given.P.values);
    const std::vector<std::int32_t> known = known_of(state);
    const std::vector<std::int32_t> wanted{2, 0, 2, 0, 2, 1, 0, 0, 2, most_guessed, 0, 0, 2, 0};
    EXPECT_EQ(known, wanted);
    const HostMatrix switched = download(state.switched);
    for (Index j = 0; j < n; ++j)
      EXPECT_EQ(switched(0, j), switches(j) ? 1.0 : 0.0) << j;
  }
}

TEST_P(Guesses, ALinearIterationHasNothingToGuess) {
  const WeightOperator A = lattice(5);
  const HostMatrix P = random(5, 3);
  SweepState state = state_at(P, P);
  put_responses(state, [](Index) { return 2; });
  Sweep linear = sweep(A);
  linear.epilogue = Epilogue::none;
  EXPECT_THROW(backend().predict(state, linear, usual), ShapeError);
  EXPECT_EQ(download(state.applied).values, P.values);
}

TEST_P(Guesses, NothingIsOpenedWhereLittleIsKnown) {
  const Index m = 33, n = 7;
  const WeightOperator A = lattice(m);
  const HostMatrix P = random(m, n), Z = random(m, n);
  // Nothing known; something by two in seven; all, of which nothing follows.
  for (const Index know : {0, 2, 7}) {
    SweepState state = state_at(P, Z);
    const Responses given = put_responses(state, [&](Index j) { return j < know ? 2 : 0; });
    const Extrapolation by = know == n ? Extrapolation() : usual;
    EXPECT_FALSE(backend().predict(state, sweep(A), by)) << know << " known";
    EXPECT_EQ(state.open_count, 0);
    if (precision() != Precision::mixed || know != 2) {
      EXPECT_EQ(download(state.P).values, P.values);
      EXPECT_EQ(download(state.applied).values, Z.values);
    }
    EXPECT_EQ(download(state.gained_before.P).values, given.P.values);
  }
}

TEST_P(Guesses, AWrongGuessCostsNoAccuracy) {
  const Index m = 130, n = 7;
  const WeightOperator A = lattice(m);
  oracle::Network net;
  net.A = A.download_columns(0, m);
  net.X = HostMatrix(1, n);
  net.gamma = 0.5;
  const HostMatrix c = random(m, n);
  const oracle::Equilibrium truth = oracle::equilibrium(net, c);
  ASSERT_TRUE(truth.converged);
  const double tolerance = test::tight(precision()).tolerance;
  const Sweep one = sweep(A, Transpose::no, tolerance);
  SweepState state = state_at(c, HostMatrix(m, n));
  backend().measure(state, one, true);
  ASSERT_EQ(backend().iterate(state, one, 300).open, 0);

  // In mixed what P is said to have gained is what Zhat's gain makes; else it may be anything.
  put_responses(state, [](Index) { return 2; });
  if (precision() == Precision::mixed)
    for (Gains* gains : {&state.gained, &state.gained_before})
      backend().upload(
          affine(net.A, Transpose::no, one.s, download(gains->Z), HostMatrix(m, n)).view(),
          gains->P);
  const bool opened = backend().predict(state, one, usual);
  EXPECT_EQ(opened, precision() != Precision::mixed);
  EXPECT_GT(relative_error(download(state.applied), truth.Z), 0.1);
  if (!opened) backend().measure(state, one, false);
  const SweepStatus status = backend().iterate(state, one, 300);
  EXPECT_EQ(status.open, 0);
  EXPECT_GT(status.sweeps, 1);
  EXPECT_LT(relative_error(download(state.applied), truth.Z), 6.0 * tolerance + 4.0 * eps());
  EXPECT_LT(relative_error(download(state.P),
                           affine(net.A, Transpose::no, one.s, download(state.applied), c)),
            20.0 * eps());
  EXPECT_LE(test::largest(backend().residuals(state)), tolerance);
}

TEST_P(Guesses, MisuseIsRefusedByName) {
  const HostMatrix P = random(3, 4);
  const WeightOperator A = lattice(3), wider = lattice(5);
  SweepState state = state_at(P, P);
  EXPECT_SHAPE_ERROR(backend().predict(state, sweep(A), usual), "0 x 0", "3 x 4");  // nothing noted
  allow_guesses(state);
  EXPECT_SHAPE_ERROR(backend().predict(state, sweep(wider), usual), "3 x 4", "5");
  state.gained_before.P = backend().allocate(real(), 3, 5);
  EXPECT_SHAPE_ERROR(backend().predict(state, sweep(A), usual), "3 x 5", "3 x 4");
  allow_guesses(state);
  backend().fill(state.applied, 0.0);
  ASSERT_GT(backend().measure(state, sweep(A), true).open, 0);
  const HostMatrix applied = download(state.applied);
  EXPECT_THROW(backend().predict(state, sweep(A), usual), ShapeError);  // columns are open
  EXPECT_EQ(download(state.P).values, P.values);
  EXPECT_EQ(download(state.applied).values, applied.values);
  EXPECT_EQ(known_of(state), std::vector<std::int32_t>(8));
}

INSTANTIATE_TEST_SUITE_P(, Guesses,
                         testing::Values(Precision::fp64, Precision::fp32, Precision::mixed),
                         [](const auto& it) { return std::string(test::name_of(it.param)); });

}  // namespace
}  // namespace widedeq
