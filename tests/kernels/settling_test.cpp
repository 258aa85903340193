// Which columns a settling takes, to how many digits, and in which order.
#include "kernels/settling.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace widedeq {
namespace {

using Order = std::vector<Index>;
using Counts = std::array<Index, plane_digits>;

TEST(Settling, ColumnsOfMoreDigitsComeFirst) {
  const std::vector<double> moved{0.5, 0.0, 3.0, 1e-9, 0.02, 7.0, 0.1, 0.3};
  const SettledColumns columns = settled_columns(moved, {0.01, 0.2, 2.0});
  EXPECT_EQ(columns.order, (Order{2, 5, 0, 7, 4, 6}));
  EXPECT_EQ(columns.count, (Counts{6, 4, 2}));
  EXPECT_EQ(columns.size(), 6);
  EXPECT_EQ(columns.left, 1e-9);
  EXPECT_EQ(columns.digits(), 3);
  std::vector<int> digits;
  for (Index k = 0; k < columns.size(); ++k)
    digits.push_back(columns.digits_of(k));
  EXPECT_EQ(digits, (std::vector<int>{3, 3, 2, 2, 1, 1}));
  // e0 d0 of six, e1 d0 and e0 d1 of four, e2 d0, e1 d1 and e0 d2 of two
  EXPECT_EQ(columns.products(), 6.0 + 2.0 * 4.0 + 3.0 * 2.0);
}

TEST(Settling, ALimitItselfIsNotAboveIt) {
  const SettledColumns columns = settled_columns({0.1, 0.2, 0.3}, {0.1, 0.2, 0.3});
  EXPECT_EQ(columns.order, (Order{2, 1}));
  EXPECT_EQ(columns.count, (Counts{2, 1, 0}));
  EXPECT_EQ(columns.left, 0.1);
  EXPECT_EQ(columns.digits(), 2);
}

TEST(Settling, WhatIsNotANumberTakesAllDigits) {
  const SettledColumns columns = settled_columns({NAN, 0.1, INFINITY}, {0.2, 0.3, 0.4});
  EXPECT_EQ(columns.order, (Order{0, 2}));
  EXPECT_EQ(columns.count, (Counts{2, 2, 2}));
}

TEST(Settling, AllToSoManyDigitsLeavesOutWhatHasNotMoved) {
  for (int digits = 1; digits <= plane_digits; ++digits) {
    const SettledColumns columns = settled_columns({0.0, 1e-300, 1.0}, all_to(digits));
    EXPECT_EQ(columns.order, (Order{1, 2}));
    EXPECT_EQ(columns.digits(), digits);
    EXPECT_EQ(columns.products(), 2.0 * digits * (digits + 1) / 2.0);
  }
}

TEST(Settling, NoColumnsAreNoWork) {
  const SettledColumns columns = settled_columns({}, all_to(3));
  EXPECT_EQ(columns.size(), 0);
  EXPECT_EQ(columns.digits(), 0);
  EXPECT_EQ(columns.products(), 0.0);
}

}  // namespace
}  // namespace widedeq
