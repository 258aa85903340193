// WIDEDEQ_TEST_BACKEND=cuda runs a test program on the GPU. Where there is none that serves, all
// its tests are skipped, visibly; or they fail, where WIDEDEQ_REQUIRE_GPU=1 says that there must be
// one.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "kernels/backend.hpp"

namespace widedeq::test {
namespace {

bool is_set(const char* variable, const char* value) {
  const char* text = std::getenv(variable);
  return text != nullptr && std::string(text) == value;
}

class GpuEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    if (!is_set("WIDEDEQ_TEST_BACKEND", "cuda")) return;
    try {
      const auto gpu = make_cuda_backend();
      std::printf("on the GPU: %s\n", gpu->description().c_str());
      // Every test of mixed precision would be skipped, and the program end well.
      if (is_set("WIDEDEQ_REQUIRE_GPU", "1") && !gpu->why_not_mixed().empty())
        FAIL() << "no mixed precision on this GPU: " << gpu->why_not_mixed();
    } catch (const Unsupported& error) {
      if (is_set("WIDEDEQ_REQUIRE_GPU", "1")) FAIL() << "a GPU is required: " << error.what();
      GTEST_SKIP() << "no GPU to test on: " << error.what();
    }
  }
};

// GoogleTest owns what it is given.
[[maybe_unused]] const testing::Environment* const environment =
    testing::AddGlobalTestEnvironment(new GpuEnvironment);

}  // namespace
}  // namespace widedeq::test
