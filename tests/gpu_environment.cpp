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
      std::printf("on the GPU: %s\n", make_cuda_backend()->description().c_str());
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
