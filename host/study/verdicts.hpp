// The theory's statements, each held against the cells of a group.
//
// Source: Gao et al., "A global convergence theory for deep ReLU implicit networks via
// over-parameterization", ICLR 2022: while training stays in the ball where A is well-posed,
// lambda_min(Phi'Phi) does not fall below half of its start lambda_0 and
//
//   loss(k) <= (1 - eta lambda_0 / 2)^k loss(0)      of the flow, exp(-eta lambda_0)^k
//
// (The flow's because d loss/dt = -r'H r <= -2 lambda_min(H) loss and lambda_min(H) >= lambda_0/2.)
// It speaks of networks with the skip, where Phi'Phi is a part of H, and of small eta: r <- (I -
// eta H) r shrinks by 1 - eta lambda_min(H) at least only where eta (lambda_min + lambda_max) <= 2,
// which the first kernel is asked for.
#pragma once

#include <vector>

#include "host/study/analysis.hpp"
#include "host/study/cell_data.hpp"

namespace widedeq {

/// A stretch of epochs, the last one included; empty when last < first.
struct EpochRange {
  int first = 0, last = -1;
  int length() const { return last - first + 1; }
};

/// The longest stretch of epochs k with loss(k+stride) <= factor^stride loss(k), as far as one can
/// tell: to 10^-5 of a loss, and by solves to `tolerance`, which leave ||r|| open by about
/// 2 tolerance ||yhat||. Of ||yhat|| there is no record; it is taken to be as large as r(0).
EpochRange linear_range(const std::vector<EpochRecord>& epochs, double factor,
                        double tolerance = 0.0, int stride = 1);

/// How many epochs apart losses have to be for one to tell that the later one is at most
/// factor^stride times the earlier: what that takes off is twice what one cannot tell of the median
/// loss. Nothing where the run is too short for it.
std::optional<int> stride_that_tells(const std::vector<EpochRecord>& epochs, double factor,
                                     double tolerance);

/// The first epoch k with loss(k) > factor^k loss(0), likewise; nothing when there is none.
std::optional<int> first_above(const std::vector<EpochRecord>& epochs, double factor,
                               double tolerance = 0.0);

/// Every statement that the cells have something to say to; `quantities` are those of the group.
std::vector<StudyVerdict> study_verdicts(const std::vector<const CellData*>& cells,
                                         const std::vector<Quantity>& quantities);

}  // namespace widedeq
