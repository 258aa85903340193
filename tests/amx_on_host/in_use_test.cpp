// Whether a program has been linked as it should be: a processor's own kernel would pass too.
#include <gtest/gtest.h>

#include "kernels/cpu/strip_kernel.hpp"

namespace widedeq::cpu {
namespace {

TEST(AmxOnHost, IsTheKernelInUse) {
  EXPECT_STREQ(strip_kernel().name, "AMX");
  EXPECT_TRUE(strip_kernel().is_worth_digits);
}

}  // namespace
}  // namespace widedeq::cpu
