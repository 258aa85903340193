// What the CUDA backend decides by counting, on machines without a GPU too: panels, multiplier,
// size classes, passes, memory.
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "kernels/cuda/algorithm.hpp"
#include "kernels/devices.hpp"
#include "kernels/panels.hpp"

namespace widedeq::cuda {
namespace {

constexpr Precision precisions[] = {Precision::fp64, Precision::fp32, Precision::mixed};
constexpr int h100 = 132;  // multiprocessors
constexpr Index widths[] = {0, 1, 64, 1000, 1024, 2047, 2048, 4096, 10000, 16384, 40000, 131072};
constexpr Index counts[] = {0, 1, 7, 64, 256, 257, 1000, 1024, 5000, 60000};

// ---- sweeps

TEST(CudaSweep, WavesAreCountedPanelByPanel) {
  EXPECT_EQ(waves_of(128, 256, 1, h100), 1);  // one tile
  EXPECT_EQ(waves_of(0, 256, 1, h100), 0);
  EXPECT_EQ(waves_of(128, 0, 1, h100), 0);
  EXPECT_EQ(waves_of(128 * h100, 256, 1, h100), 1);
  EXPECT_EQ(waves_of(128 * h100 + 1, 256, 1, h100), 2);
  EXPECT_EQ(waves_of(128 * h100, 257, 1, h100), 2);
  // 128 x 4 tiles: four waves as a whole, and one each as four panels of 32 x 4.
  EXPECT_EQ(waves_of(16384, 1024, 1, h100), 4);
  EXPECT_EQ(waves_of(16384, 1024, 4, h100), 4);
  EXPECT_EQ(waves_of(16384, 1024, 8, h100), 8);
}

TEST(CudaSweep, MorePanelsNeverTakeFewerWaves) {
  for (const Index m : widths)
    for (const Index n : counts)
      for (int panels = 2; panels <= most_row_panels; ++panels)
        EXPECT_GE(waves_of(m, n, panels, h100), waves_of(m, n, 1, h100))
            << m << " x " << n << ", " << panels << " panels";
}

TEST(CudaSweep, OnePanelWhereTheTilesFitOneWave) {
  EXPECT_EQ(choose_sweep(Precision::mixed, 4096, 1024, h100).panels, 1);  // 32 x 4 tiles
  EXPECT_EQ(choose_sweep(Precision::mixed, 16384, 256, h100).panels, 1);  // 128 x 1 tiles
  EXPECT_EQ(choose_sweep(Precision::mixed, 0, 0, h100).panels, 1);
  EXPECT_EQ(choose_sweep(Precision::mixed, 16384, 0, h100).panels, 1);
  EXPECT_EQ(choose_sweep(Precision::mixed, 1, 100000, h100).panels, 1);
}

TEST(CudaSweep, PanelsWhereEachFillsItsWaves) {
  EXPECT_EQ(choose_sweep(Precision::mixed, 16384, 1024, h100).panels, 4);
  // Waves without number: as many panels as are allowed.
  EXPECT_EQ(choose_sweep(Precision::mixed, 65536, 60000, h100).panels, most_row_panels);
  EXPECT_EQ(choose_sweep(Precision::mixed, 65536, 60000, 1).panels, most_row_panels);
  // The same tiles are one wave on a device that is twice as large.
  EXPECT_EQ(choose_sweep(Precision::mixed, 8192, 1024, 256).panels, 1);
  EXPECT_GT(choose_sweep(Precision::mixed, 8192, 1024, 128).panels, 1);
}

TEST(CudaSweep, PanelsStayWithinTheirLimits) {
  for (const Precision precision : precisions)
    for (const Index m : widths)
      for (const Index n : counts)
        for (const int multiprocessors : {1, 16, 108, 114, h100, 148}) {
          const int panels = choose_sweep(precision, m, n, multiprocessors).panels;
          EXPECT_GE(panels, 1);
          EXPECT_LE(panels, most_row_panels);
          if (panels == 1) continue;
          EXPECT_GE(m, panels * smallest_row_panel) << m << " x " << n;
          // Never at the price of more work than the sweeps saved: 16 with one panel, 11 with most.
          EXPECT_LE(11 * waves_of(m, n, panels, multiprocessors),
                    16 * waves_of(m, n, 1, multiprocessors))
              << m << " x " << n << ", " << panels << " panels";
        }
}

TEST(CudaSweep, WhereNothingWasMeasuredTheLibraryMultiplies) {
  for (const Precision precision : precisions)
    for (const Index m : widths)
      for (const Index n : counts)
        EXPECT_EQ(choose_sweep(precision, m, n, h100, {}).multiplier, Multiplier::library);
}

TEST(CudaSweep, MeasurementsAreSecondsOfBoth) {
  EXPECT_FALSE(measured_sweeps().empty());
  for (const SweepMeasurement& measured : measured_sweeps()) {
    // Neither below what the fastest GPU there is needs, two million int8 operations a nanosecond.
    const double least = 2.0 * static_cast<double>(measured.m * measured.m * measured.n) / 2e15;
    for (const double seconds : {measured.library, measured.fused}) {
      EXPECT_GT(seconds, least);
      EXPECT_LT(seconds, 1e-2);
    }
    EXPECT_GT(measured.multiprocessors, 0);
    EXPECT_EQ(choose_sweep(Precision::mixed, measured.m, measured.n, measured.multiprocessors)
                      .multiplier == Multiplier::fused,
              measured.fused < measured.library);
  }
}

TEST(CudaSweep, TheNearestMeasurementDecides) {
  const std::vector<SweepMeasurement> table = {
      {.multiprocessors = h100, .m = 4096, .n = 1024, .library = 2.0, .fused = 1.0},
      {.multiprocessors = h100, .m = 16384, .n = 1024, .library = 1.0, .fused = 2.0},
      {.multiprocessors = 108, .m = 65536, .n = 1024, .library = 2.0, .fused = 1.0}};
  const auto chosen = [&](Precision precision, Index m, Index n) {
    return choose_sweep(precision, m, n, h100, table).multiplier;
  };
  EXPECT_EQ(chosen(Precision::mixed, 4096, 1024), Multiplier::fused);
  EXPECT_EQ(chosen(Precision::mixed, 5000, 1000), Multiplier::fused);
  EXPECT_EQ(chosen(Precision::mixed, 2048, 512), Multiplier::fused);    // a factor of two in each
  EXPECT_EQ(chosen(Precision::mixed, 2047, 512), Multiplier::library);  // and more
  EXPECT_EQ(chosen(Precision::mixed, 4096, 2049), Multiplier::library);
  EXPECT_EQ(chosen(Precision::mixed, 16384, 1024), Multiplier::library);
  EXPECT_EQ(chosen(Precision::mixed, 10000, 1024), Multiplier::library);  // nearer to 16384
  EXPECT_EQ(chosen(Precision::mixed, 65536, 1024), Multiplier::library);  // another device's
  EXPECT_EQ(chosen(Precision::mixed, 0, 1024), Multiplier::library);
  EXPECT_EQ(chosen(Precision::fp32, 4096, 1024), Multiplier::library);  // int8 only
  EXPECT_EQ(chosen(Precision::fp64, 4096, 1024), Multiplier::library);
}

TEST(CudaSweep, MultipliersHaveNames) {
  EXPECT_EQ(multiplier_named("library"), Multiplier::library);
  EXPECT_EQ(multiplier_named("fused"), Multiplier::fused);
  EXPECT_EQ(multiplier_named("auto"), std::nullopt);
  EXPECT_EQ(multiplier_named(""), std::nullopt);
  try {
    multiplier_named("Fused");
    FAIL() << "accepted";
  } catch (const Unsupported& error) {
    EXPECT_STREQ(error.what(), "WIDEDEQ_CUDA_SWEEP=Fused: it can be library, fused or auto");
  }
}

// ---- columns

TEST(CudaColumns, ClassesAreQuartersInStepsOfSixteen) {
  using Classes = std::vector<Index>;
  EXPECT_EQ(column_classes(1024), (Classes{1024, 768, 512, 256}));
  EXPECT_EQ(column_classes(1000), (Classes{1000, 752, 512, 256}));
  EXPECT_EQ(column_classes(64), (Classes{64, 48, 32, 16}));
  EXPECT_EQ(column_classes(33), (Classes{33, 32, 16}));
  EXPECT_EQ(column_classes(17), (Classes{17, 16}));
  EXPECT_EQ(column_classes(16), (Classes{16}));
  EXPECT_EQ(column_classes(1), (Classes{1}));
  EXPECT_EQ(column_classes(0), (Classes{}));
}

TEST(CudaColumns, ClassesFallFromAllColumns) {
  for (Index n = 1; n <= 300; ++n) {
    const std::vector<Index> classes = column_classes(n);
    ASSERT_FALSE(classes.empty());
    EXPECT_LE(classes.size(), 4U);
    EXPECT_EQ(classes.front(), n);
    EXPECT_GE(4 * classes.back(), n);  // a quarter or more
    for (std::size_t k = 1; k < classes.size(); ++k) {
      EXPECT_LT(classes[k], classes[k - 1]) << n;
      EXPECT_EQ(classes[k] % 16, 0) << n;
    }
  }
}

// ---- passes

TEST(CudaPass, ThreadsGrowWithTheColumnAndTakeSixteenBytes) {
  for (const Element real : {Element::float32, Element::float64}) {
    const int values = real == Element::float32 ? 4 : 2;
    int last = 64;
    for (Index m = 0; m <= 20000; m += 7) {
      const int threads = threads_for_column(m, real);
      EXPECT_EQ(threads % 32, 0);
      EXPECT_GE(threads, last);
      EXPECT_LE(threads, 512);
      if (threads < 512) {
        EXPECT_GE(threads * values * 4, m);
      }
      last = threads;
    }
    EXPECT_EQ(last, 512);
  }
  EXPECT_EQ(threads_for_column(1024, Element::float32), 64);
  EXPECT_EQ(threads_for_column(1025, Element::float32), 128);
  EXPECT_EQ(threads_for_column(1024, Element::float64), 128);
}

// ---- memory

constexpr double gibibyte = 0x1p30;

double device_bytes(Precision precision, Index m, Index n, bool training = true) {
  return device_memory(precision, m, n, training).total();
}

TEST(CudaMemory, BytesRiseWithEverySize) {
  for (const Precision precision : precisions)
    for (const bool training : {false, true})
      for (std::size_t i = 1; i < std::size(widths); ++i)
        for (std::size_t j = 1; j < std::size(counts); ++j) {
          const double bytes = device_bytes(precision, widths[i], counts[j], training);
          EXPECT_GT(bytes, device_bytes(precision, widths[i - 1], counts[j], training));
          EXPECT_GT(bytes, device_bytes(precision, widths[i], counts[j - 1], training));
          EXPECT_LE(device_bytes(precision, widths[i], counts[j], false), bytes);
        }
}

TEST(CudaMemory, BytesAreThoseOfTheMatricesThereAre) {
  // Far from the constant part: what another weight, and another state's entry, takes.
  const auto weight = [](Precision precision, bool training) {
    const double m = 1e6;
    return device_bytes(precision, static_cast<Index>(m), 0, training) / (m * m);
  };
  EXPECT_NEAR(weight(Precision::fp64, true), 17.0, 0.1);
  EXPECT_NEAR(weight(Precision::fp32, true), 9.0, 0.1);
  EXPECT_NEAR(weight(Precision::mixed, true), 14.0, 0.1);
  EXPECT_NEAR(weight(Precision::mixed, false), 3.0, 0.1);
  const auto entry = [](Precision precision) {
    // More samples than A's change has factors, whose digits take the same room. The Gram's n x n
    // matrices grow too.
    const Index m = 1 << 20, n = 8192;
    const double more = device_bytes(precision, m, n + 1) - device_bytes(precision, m, n);
    return (more - 48.0 * (2.0 * n + 1.0)) / static_cast<double>(m);
  };
  // 2 (P, Zhat, increments), Phi, eleven of training's, three of scratch
  EXPECT_NEAR(entry(Precision::fp64), 21.0 * 8.0, 0.5);
  EXPECT_NEAR(entry(Precision::fp32), 21.0 * 4.0, 0.5);
  // 2 (12 + 1), 4, 60, and 2 * 4 + 1 + 4 + 6 of scratch
  EXPECT_NEAR(entry(Precision::mixed), 109.0, 0.5);
}

TEST(CudaMemory, TheWidestWidthIsTheLastThatFits) {
  for (const Precision precision : precisions)
    for (const Index n : counts)
      for (const double memory : {2.0, 16.0, 80.0, 141.0, 500.0}) {
        const Index widest = widest_width(memory * gibibyte, n, precision);
        if (widest == 0) {
          EXPECT_GT(device_bytes(precision, 1, n), memory * gibibyte);
          continue;
        }
        EXPECT_LE(device_bytes(precision, widest, n), memory * gibibyte);
        if (precision == Precision::mixed && widest == 132104) continue;  // no further
        EXPECT_GT(device_bytes(precision, widest + 1, n), memory * gibibyte);
      }
}

TEST(CudaMemory, TheWidestWidthFollowsMemoryAndSamples) {
  for (const Precision precision : precisions) {
    Index last = 0;
    for (double memory = 1.0; memory < 1000.0; memory *= 1.3) {
      const Index widest = widest_width(memory * gibibyte, 1000, precision);
      EXPECT_GE(widest, last);
      EXPECT_LE(widest_width(memory * gibibyte, 2000, precision), widest);
      EXPECT_GE(widest_width(memory * gibibyte, 1000, precision, false), widest);
      last = widest;
    }
    EXPECT_GT(last, 10000);
  }
}

TEST(CudaMemory, WidthsHaveTheirEnds) {
  for (const Precision precision : precisions) {
    EXPECT_EQ(widest_width(0.0, 1000, precision), 0);
    EXPECT_EQ(widest_width(-1.0, 0, precision), 0);
    EXPECT_EQ(widest_width(NAN, 0, precision), 0);
  }
  // Beyond it sums of int8 products do not fit 32 bits.
  EXPECT_EQ(widest_width(1e18, 1, Precision::mixed), 132104);
  EXPECT_GT(widest_width(1e18, 1, Precision::fp32), 132104);
}

}  // namespace
}  // namespace widedeq::cuda
