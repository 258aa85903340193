// What training takes of a device's memory against what is said of it beforehand.
#include <gtest/gtest.h>

#include "host/gram_monitor.hpp"
#include "host/trainer.hpp"
#include "kernels/devices.hpp"
#include "tests/cuda_on_host/cuda_on_host.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

/// Bytes that are taken when a run of a few epochs, an audit and a Gram ends, all of it being
/// there.
double taken_by_training(Precision precision, Index m, Index n) {
  const auto allocated = [] { return static_cast<double>(cuda_on_host::counters().allocated); };
  const double before = allocated();
  const auto backend = make_cuda_backend();
  Model model(*backend, precision, {}, m, 8, WeightLaw::lattice, 1);
  std::vector<double> targets;
  for (Index j = 0; j < n; ++j)
    targets.push_back(j % 2 == 0 ? 1.0 : -1.0);
  Trainer trainer(*backend, model, test::Random(1).matrix(8, n), targets, {.tolerance = 1e-4});
  GramMonitor monitor(*backend, model, n, 1e-6);
  for (int epoch = 0; epoch < 4; ++epoch) {
    const bool with_gram = epoch == 1;
    if (with_gram) monitor.begin(epoch);
    EXPECT_TRUE(trainer.evaluate(with_gram ? &monitor : nullptr).converged());
    if (with_gram) {
      monitor.submit(model, trainer.X(), {});
      monitor.wait();
    }
    trainer.update(1e-3);
  }
  return allocated() - before;
}

class MemoryOfTraining : public testing::TestWithParam<Precision> {};

TEST_P(MemoryOfTraining, GrowsAsIsSaid) {
  const Precision precision = GetParam();
  const auto real = static_cast<double>(size_of(real_of(precision)));
  // What does not depend on sizes is assumed, not counted. Products that are made in pieces of up
  // to 256 MiB belong to that, but such small ones are made in one: three sums of digits, or G and
  // the scaled factor, for an update; a matrix in double for a Gram.
  const auto pieces = [&](double m, double n) {
    return (precision == Precision::mixed ? 12.0 * m * m : real * m * (m + n)) + 8.0 * m * n;
  };
  const auto said = [&](Index m, Index n) {
    return device_memory(precision, m, n).total() +
           pieces(static_cast<double>(m), static_cast<double>(n));
  };
  const double more =
      taken_by_training(precision, 768, 160) - taken_by_training(precision, 256, 96);
  const double expected = said(768, 160) - said(256, 96);
  EXPECT_LE(more, expected);
  EXPECT_GE(more, 0.8 * expected);
}

INSTANTIATE_TEST_SUITE_P(, MemoryOfTraining,
                         testing::Values(Precision::fp64, Precision::fp32, Precision::mixed),
                         [](const auto& it) { return std::string(test::name_of(it.param)); });

}  // namespace
}  // namespace widedeq
