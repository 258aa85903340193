// The little languages of the command line: shapes, stages, precisions.
#include "bench/shapes.hpp"

#include <gtest/gtest.h>

#include "bench/run.hpp"
#include "bench/stages.hpp"
#include "host/failure.hpp"

namespace widedeq::bench {
namespace {

using Shapes = std::vector<Shape>;

/// The sentence of the usage failure that the call throws; "" when it throws none.
template <class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::usage);
    return failure.what();
  }
  return "";
}

TEST(ParseShapes, Lists) {
  EXPECT_EQ(parse_shapes("1024x256"), (Shapes{{1024, 256}}));
  EXPECT_EQ(parse_shapes("1024x256,4096x1000,1x1"), (Shapes{{1024, 256}, {4096, 1000}, {1, 1}}));
  EXPECT_EQ(to_text({1024, 256}), "1024x256");
}

TEST(ParseShapes, RangesDouble) {
  EXPECT_EQ(parse_shapes("1024:8192x1000"),
            (Shapes{{1024, 1000}, {2048, 1000}, {4096, 1000}, {8192, 1000}}));
  EXPECT_EQ(parse_shapes("1000:3999x7"), (Shapes{{1000, 7}, {2000, 7}}));
  EXPECT_EQ(parse_shapes("5:5x7"), (Shapes{{5, 7}}));
  EXPECT_EQ(parse_shapes("5x100:400"), (Shapes{{5, 100}, {5, 200}, {5, 400}}));
}

TEST(ParseShapes, RangesAdd) {
  EXPECT_EQ(parse_shapes("1024:4096:1024x256"),
            (Shapes{{1024, 256}, {2048, 256}, {3072, 256}, {4096, 256}}));
  EXPECT_EQ(parse_shapes("10:15:2x1:2:1"),
            (Shapes{{10, 1}, {10, 2}, {12, 1}, {12, 2}, {14, 1}, {14, 2}}));
  EXPECT_EQ(parse_shapes("1:2x8:16,3x3"), (Shapes{{1, 8}, {1, 16}, {2, 8}, {2, 16}, {3, 3}}));
}

TEST(ParseShapes, RefusesEverythingElse) {
  for (const char* text : {"1024", "x", "1024x", "x256", "0x1", "1x0", "-1x2", "1024x256x3",
                           "1e3x5", "8:4x1", "1:2:0x1", "1:2:3:4x1", ":4x1", "1:x1", "a:bx1",
                           "1024 x256", "1024X256", "99999999999999999999x1"}) {
    const std::string sentence = refusal([&] { parse_shapes(text); });
    EXPECT_NE(sentence.find("is not a shape"), std::string::npos) << text << ": " << sentence;
    EXPECT_NE(sentence.find(text), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("give MxN"), std::string::npos) << sentence;
  }
  for (const char* text : {"", ",", "1x1,", ",1x1", "1x1,,2x2"})
    EXPECT_NE(refusal([&] { parse_shapes(text); }).find("empty"), std::string::npos) << text;
  EXPECT_NE(refusal([] { parse_shapes("1:1000000:1x1"); }).find("1000 shapes"), std::string::npos);
  EXPECT_NE(refusal([] { parse_shapes("1:100:1x1:100:1"); }).find("1000"), std::string::npos);
}

TEST(ParseStages, ByNameInTheListsOrder) {
  EXPECT_EQ(parse_stages("all").size(), all_stages().size());
  const auto chosen = parse_stages("epoch,sweep,inject,sweep");
  ASSERT_EQ(chosen.size(), 3U);
  EXPECT_EQ(chosen[0].name, "inject");
  EXPECT_EQ(chosen[1].name, "sweep");
  EXPECT_EQ(chosen[2].name, "epoch");
}

TEST(ParseStages, ProposesTheNearest) {
  EXPECT_NE(refusal([] { parse_stages("swep"); }).find("did you mean sweep?"), std::string::npos);
  EXPECT_NE(refusal([] { parse_stages("sweep,rank_updat"); }).find("did you mean rank_update?"),
            std::string::npos);
  EXPECT_NE(refusal([] { parse_stages("xyzzy"); }).find("--help"), std::string::npos);
}

TEST(ParsePrecisions, ByNameFromTheReferenceOn) {
  EXPECT_TRUE(parse_precisions("all").empty());
  EXPECT_EQ(parse_precisions("mixed,fp64"),
            (std::vector<Precision>{Precision::fp64, Precision::mixed}));
  EXPECT_NE(refusal([] { parse_precisions("fp16"); }).find("fp64,fp32,mixed"), std::string::npos);
  EXPECT_NE(refusal([] { parse_precisions("auto"); }), "");
}

}  // namespace
}  // namespace widedeq::bench
