// What a state gathers in rounding while solves carry it on, and what that leaves of a tolerance.
#pragma once

#include "kernels/backend.hpp"

namespace widedeq {

/// Of a tolerance carried states may use up so much before they are audited.
inline constexpr double most_drift = 0.6;

/// What a state that is carried may have gathered, relative to z, in the column where it is most:
/// by so much the residual of P made anew may differ from the one measured.
///
///   rounding     P is rounded once a sweep and once an epoch, by half of 2^-24 ||z|| or so, signs
///                at random; the fewer entries a column has, the worse the worst column. In mixed
///                epochs of few sweeps are so alike that signs are, too: it grows with the number
///                of epochs, less a quarter of that of sweeps, where that is more than the root of
///                both
///   settlings    mixed alone: the error made each epoch by what they leave to the next one
///                (UnsettledShare::most)
///
/// Measured on m = 16 to 2048, gamma 0.45 to 0.9, after 6 to 48 epochs of slow and of fast descent,
/// the worst of up to 100 columns and 4 seeds: between a tenth and 1.2 of this, mostly half. (That
/// was before guesses were added to P in mixed, a rounding more an epoch and many sweeps less:
/// since then 300 epochs of slow descent, 512 x 50, audited every 43rd, came to 8.6e-7 at most. Not
/// where sweeps end at the last digits of P, as at 1e-14 in fp64, and epochs are all alike: there a
/// hundred epochs without an audit came to twice as much. Nor does it count what A itself rounds
/// off where weights off the lattice hardly move: an entry of `change` in place of all of A.)
double drift_after(double epochs, double sweeps, Index width, Precision precision,
                   double tolerance);

/// What W X, a sum of so many products in single precision, is likely to be off by, relative to the
/// z that it drives, in the column where it is most; 0 in double. (Measured, m = 256, random inputs
/// of 64 and 784 entries: 1.3e-7 and 3.6e-7.)
double injection_rounding(Index inputs, Precision precision);

/// How W X is to be added up for solves to the tolerance: in double where rounding would take too
/// much of it.
Sums injection_sums(Index inputs, Precision precision, double tolerance);

/// The sweeps a cold solve is likely to take at most, `gamma` = s sqrt(m): by all rows at once z
/// has about gamma/sqrt(2) times as far to go after each. (Measured at a tolerance of 1e-6: 12 and
/// 17 by panels and by all rows at gamma 0.5, 21 and 33 at 0.8; this says 21 and 34.)
double cold_sweeps(double gamma, double tolerance);

}  // namespace widedeq
