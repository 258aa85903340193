// Products and time; see estimate.hpp.
#include <algorithm>
#include <cmath>

#include "host/run/estimate_sizes.hpp"

namespace widedeq {
namespace {

/// Products of both solves of an epoch, m x m times m x n being one.
///
/// A solve contracts by about gamma sqrt(active fraction) a sweep. What is added to that, and the
/// factors, are fitted to counted operations at (m, n) = (1024, 200), gamma 0.2, 0.5 and 0.8,
/// tolerance 1e-3 and 1e-6: within a quarter. A warm start is worth three digits and a bit.
struct SolveProducts {
  explicit SolveProducts(const Workload& work, const Sizes& z) {
    const double active = work.injection == Injection::relu ? 0.7 : 0.5;
    const double rate = std::log(std::max(1e-3, std::min(0.98, work.gamma * std::sqrt(active))));
    const double sweeps =
        2.0 * std::log(work.tolerance) / rate;  // by all rows at once, both solves
    const double digits = std::max(1.0, -std::log10(work.tolerance));
    const double saved = std::max(0.17, 1.0 - 3.3 / digits);
    const bool has_panels = panels_of(work, z) > 1;
    const double fp = std::max(2.0, has_panels ? 0.8 * sweeps : sweeps);
    const double strips = 4.5 + 0.5 * sweeps;  // Gauss-Seidel by strips
    const double plane = 15.0 + 0.15 * strips;
    if (z.is_mixed) {
      cold = strips + (work.weights != WeightSource::lattice ? plane : 0.0);
      const double settled = work.weights != WeightSource::lattice ? 14.0 : 4.5;
      // Guesses cost no product here, and solves that begin with one are shorter by a quarter.
      later = z.is_warm ? 0.75 * saved * sweeps + settled : strips + plane;
      cold_with_change = strips + plane;
    } else {
      cold = cold_with_change = fp;
      later = z.is_warm ? std::max(2.0, saved * sweeps) : fp;
    }
  }
  double cold = 0.0, later = 0.0;
  double cold_with_change = 0.0;  // from nothing, but with weights that have been trained
};

Operations& operator+=(Operations& sum, const Operations& more) {
  sum.fp64 += more.fp64;
  sum.fp32 += more.fp32;
  sum.int8 += more.int8;
  return sum;
}

Operations times(const Operations& one, double count) {
  return {one.fp64 * count, one.fp32 * count, one.int8 * count};
}

double& of(Operations& operations, Precision precision) {
  if (precision == Precision::mixed) return operations.int8;
  return precision == Precision::fp32 ? operations.fp32 : operations.fp64;
}

}  // namespace

WorkEstimate estimate_work(const Workload& work) {
  const Sizes z(work);
  const double one = 2.0 * z.m * z.m * z.n;
  const SolveProducts solves(work, z);
  const Precision real = z.is_mixed ? Precision::fp32 : work.precision;

  // A -= eta s (L diag r) Z'  1; what follows it in P and Q  3 n/(2 m) each; Phi and dW  d/m each.
  // Factors: their norm b/m for an update of rank b, and the four settlings' products with half of
  // them.
  const double rank = z.n / z.steps;
  double update = 1.0 + 2.0 * z.d / z.m;
  if (z.is_warm) update += 3.0 * z.n / z.m;
  if (z.has_factors) update += rank / z.m + 4.0 * z.factors / z.m;

  WorkEstimate estimate;
  const auto epoch = [&](double products) {
    Operations operations;
    of(operations, work.precision) += products * one;
    of(operations, real) += update * one;
    return operations;
  };
  // Entries of m x n that pass by beside the products: about 18 bytes a sweep in mixed, six reals
  // else, and some 25 passes around the solves. Of m x m: a new plane, or change and operand.
  const double sweep_bytes = (z.is_mixed ? 18.0 : 6.0 * z.real) * z.m * z.n;
  const double around = 25.0 * z.real * z.m * z.n;
  const double fold = z.is_mixed ? 40.0 / std::max(1.0, z.kept) : 4.0 * z.real + 1.0;
  const double square = (fold + (z.is_chunked ? 6.0 * z.real : 0.0)) * z.m * z.m;
  // Epochs of batches: all but the first step has what training has added to A. Of a flow: one
  // evaluation, a step's six, and sums of all weights: some 60 passes.
  const double after = z.is_flow ? 6.0 : z.steps - 1.0;
  const double share = z.is_flow ? 1.0 : 1.0 / z.steps;  // of the samples, in one evaluation
  const double sums = z.is_flow ? 60.0 * z.real * z.m * z.m : 0.0;
  const auto bytes = [&](double first) {
    return share * ((first + after * solves.later) * sweep_bytes + (1.0 + after) * around) +
           (1.0 + after) * square + sums;
  };
  estimate.first = epoch(share * (solves.cold + after * solves.later));
  estimate.later = epoch(share * (1.0 + after) * solves.later);
  if (z.is_flow) {
    of(estimate.first, real) += after * update * one;
    of(estimate.later, real) += after * update * one;
  }
  estimate.first_bytes = bytes(solves.cold);
  estimate.later_bytes = bytes(solves.later);

  // Audits: both solves' P in double, every so often and in the last epoch.
  const int later = std::max(0, work.epochs - 1);
  if (z.is_warm && later > 0) {
    const int audits = 1 + (later - 1) / z.audit_every;
    estimate.later.fp64 += 2.0 * one * audits / later;
  }
  // Held-out samples: a forward solve, half of both, from nothing.
  if (work.test_samples > 0) {
    const double one_test =
        one * static_cast<double>(work.test_samples) / z.n * solves.cold_with_change / 2.0;
    of(estimate.first, work.precision) += one_test;
    of(estimate.later, work.precision) += one_test / std::max(1, work.test_every);
  }
  if (work.epochs > 0) estimate.all = estimate.first;
  estimate.all += times(estimate.later, later);

  // Four m x n symmetric products and one d x n, and two sets of eigenvalues, whose (4/3) n^3
  // operations run at about a quarter of a product's speed.
  estimate.grams = z.grams;
  estimate.gram.fp64 = (4.0 * z.m + z.d) * z.n * z.n + 4.0 * 2.0 * 4.0 / 3.0 * z.n * z.n * z.n;
  estimate.gram_bytes = 16.0 * masters(z) + 6.0 * z.m * z.n * z.real;
  if (z.steps > 1.0) {  // all samples at the same weights
    of(estimate.gram, work.precision) += solves.later * one;
    of(estimate.gram, real) += update * one;
    estimate.gram_bytes += solves.later * sweep_bytes + around;
  }
  return estimate;
}

TimeEstimate estimate_time(const Workload& work, const WorkEstimate& operations,
                           const Speed& speed) {
  const auto seconds = [&](const Operations& count, double bytes) {
    const auto part = [](double amount, double rate) { return rate > 0.0 ? amount / rate : 0.0; };
    return part(count.fp64, speed.fp64) + part(count.fp32, speed.fp32) +
           part(count.int8, speed.int8) + part(bytes, speed.bytes);
  };
  TimeEstimate time;
  time.first = seconds(operations.first, operations.first_bytes);
  time.later = seconds(operations.later, operations.later_bytes);
  time.gram = seconds(operations.gram, operations.gram_bytes);
  // Grams run beside the epochs, on the same cores.
  const int later = std::max(0, work.epochs - 1);
  time.all =
      (work.epochs > 0 ? time.first : 0.0) + later * time.later + operations.grams * time.gram;
  return time;
}

}  // namespace widedeq
