// The choice of OpenBLAS's kernels where OpenBLAS does not know the processor.
#include "kernels/blas_kernels.hpp"

#include <gtest/gtest.h>

namespace widedeq {
namespace {

constexpr VectorUnits none{};
constexpr VectorUnits avx2{.avx2 = true};
constexpr VectorUnits avx512{.avx2 = true, .avx512 = true};

TEST(BlasKernels, OldOnesGiveWayToTheWidestTheProcessorHas) {
  for (const char* old : {"Prescott", "Core2", "Nehalem", "Sandybridge", "Bulldozer"}) {
    EXPECT_EQ(better_blas_kernels(old, avx512), "SkylakeX") << old;
    EXPECT_EQ(better_blas_kernels(old, avx2), "Haswell") << old;
    EXPECT_EQ(better_blas_kernels(old, none), "") << old;
  }
}

TEST(BlasKernels, WhatOpenBlasChoosesWithAvx2OrUnderAnotherNameIsTrusted) {
  for (const char* good : {"Haswell", "Zen", "Excavator", "SkylakeX", "Cooperlake",
                           "Sapphirerapids", "neoversen1", "of next year", ""})
    EXPECT_EQ(better_blas_kernels(good, avx512), "") << good;
}

TEST(BlasKernels, ThisProcessHasSome) {
  EXPECT_NE(running_blas_kernels(), "");
  EXPECT_TRUE(vector_units().avx2 || !vector_units().avx512);
}

}  // namespace
}  // namespace widedeq
