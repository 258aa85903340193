// Settings, configuration files and misspelt words.
#include "host/run/config.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "host/failure.hpp"
#include "host/run/config_file.hpp"
#include "host/run/record.hpp"
#include "host/run/spelling.hpp"

namespace widedeq {
namespace {

/// The failure's sentence; its code must be usage.
std::string refusal(const std::function<void()>& act) {
  try {
    act();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::usage);
    return failure.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

TrainConfig from_toml(const std::string& text) {
  TrainConfig config;
  apply_config_text(config, text, "test.toml");
  return config;
}

TEST(Config, ReadsEveryKind) {
  const TrainConfig config = from_toml(
      "width = 64\ngamma = 0.25\ntolerance = 1e-5\nskip = false\ninjection = \"linear\"\n"
      "classes = [3, 8]\nlearning-rate = \"auto\"\nprecision = \"fp64\"\nseed = 7\n");
  EXPECT_EQ(config.width, 64);
  EXPECT_EQ(config.gamma, 0.25);
  EXPECT_EQ(config.tolerance, 1e-5);
  EXPECT_FALSE(config.skip);
  EXPECT_EQ(config.injection, Injection::linear);
  EXPECT_EQ(config.classes, (std::vector<int>{3, 8}));
  EXPECT_FALSE(config.learning_rate.has_value());
  EXPECT_EQ(config.precision, Precision::fp64);
  EXPECT_EQ(config.seed, 7);
  EXPECT_EQ(from_toml("learning-rate = 2\n").learning_rate, 2.0);
}

TEST(Config, UnknownKeyNamesLineAndNearest) {
  const std::string sentence = refusal([] { from_toml("width = 64\n\nlerning-rate = 0.1\n"); });
  EXPECT_NE(sentence.find("lerning-rate"), sentence.npos);
  EXPECT_NE(sentence.find("test.toml, line 3"), sentence.npos);
  EXPECT_NE(sentence.find("did you mean learning-rate?"), sentence.npos);
}

// TOML's quoted keys may hold anything.
TEST(Config, AnUnknownKeyWithALineBreakIsStillOneLine) {
  const std::string sentence = refusal([] { from_toml("\"a\\nb\\u0007\" = 1\n"); });
  EXPECT_NE(sentence.find("'a\\u000Ab\\u0007'"), sentence.npos) << sentence;
  EXPECT_EQ(sentence.find('\n'), sentence.npos) << sentence;
}

TEST(Config, FirstMistakeInTheFileIsReported) {
  const std::string sentence = refusal([] { from_toml("zzz = 1\naaa = 2\n"); });
  EXPECT_NE(sentence.find("line 1"), sentence.npos) << sentence;
}

TEST(Config, WrongTypesAndRangesNameTheAllowedValues) {
  const std::pair<const char*, const char*> cases[] = {
      {"width = \"64\"", "an integer from 1"},
      {"width = 0", "an integer from 1"},
      {"width = 1.5", "an integer from 1"},
      {"width = 9223372036854775807", "an integer from 1"},
      {"epochs = -1", "an integer from 0"},
      {"epochs = true", "an integer from 0"},
      {"gamma = 0.0", "a finite number above 0"},
      {"gamma = nan", "a finite number above 0"},
      {"gamma = inf", "a finite number above 0"},
      {"gamma = \"auto\"", "a finite number above 0"},
      {"learning-rate = -1", "above 0, or auto"},
      {"learning-rate = \"fast\"", "above 0, or auto"},
      {"tolerance = 1", "below 1"},
      {"skip = \"no\"", "true or false"},
      {"classes = []", "class labels"},
      {"classes = [0, \"1\"]", "class labels"},
      {"classes = [-1]", "class labels"},
      {"injection = \"tanh\"", "relu or linear"},
      {"precision = \"bf16\"", "auto, mixed, fp32 or fp64"},
      {"data = \"digit\"", "digits, mnist:DIR"},
      {"data = \"npy:X.npy\"", "digits, mnist:DIR"},
      {"weights = \"uniform\"", "lattice, gaussian"},
      {"threads = -2", "an integer from 0"},
  };
  for (const auto& [line, allowed] : cases) {
    const std::string sentence = refusal([&] { from_toml(std::string("seed = 1\n") + line); });
    EXPECT_NE(sentence.find(allowed), sentence.npos) << sentence;
    EXPECT_NE(sentence.find("test.toml, line 2"), sentence.npos) << sentence;
    EXPECT_NE(sentence.find(std::string(line).substr(0, 5)), sentence.npos) << sentence;
    EXPECT_EQ(sentence.find('\n'), sentence.npos) << sentence;
  }
}

TEST(Config, BrokenTomlNamesTheLine) {
  const std::string sentence = refusal([] { from_toml("seed = 1\nwidth 64\n"); });
  EXPECT_NE(sentence.find("test.toml, line 2"), sentence.npos) << sentence;
  EXPECT_EQ(sentence.find('\n'), sentence.npos);
}

TEST(Config, MissingFileIsInputOutput) {
  TrainConfig config;
  try {
    apply_config_file(config, "/no/such/file.toml");
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::io);
  }
}

TEST(Config, WrittenAndReadAgainIsTheSame) {
  TrainConfig config;
  config.data = "npy:/a \"b\"\\c/\tX.npy,/y.npy";
  config.samples = 12;
  config.width = 77;
  config.gamma = 0.1 + 0.2;  // needs all 17 digits
  config.skip = false;
  config.injection = Injection::linear;
  config.weights = "/w.npz";
  config.learning_rate = 1.0 / 3.0;
  config.precision = Precision::mixed;
  config.backend = BackendChoice::cpu;
  config.classes = {4, 9};
  config.seed = std::numeric_limits<std::int64_t>::max();
  const TrainConfig again = from_toml(to_toml(config));
  EXPECT_EQ(config_json(again), config_json(config));
  EXPECT_EQ(again.gamma, config.gamma);
  EXPECT_EQ(again.learning_rate, config.learning_rate);
  EXPECT_EQ(again.data, config.data);
  EXPECT_EQ(to_toml(again), to_toml(config));
  EXPECT_EQ(config_json(from_toml(to_toml(TrainConfig()))), config_json(TrainConfig()));
}

TEST(Config, ResolveFillsInClassesAndPaths) {
  TrainConfig config;
  resolve(config);
  EXPECT_EQ(config.classes, (std::vector<int>{0, 1}));
  config = {};
  config.data = "npy:X.npy,y.npy";
  config.weights = "w.npz";
  resolve(config);
  EXPECT_FALSE(config.classes.has_value());
  EXPECT_TRUE(config.data.starts_with("npy:/")) << config.data;
  EXPECT_NE(config.data.find(",/"), config.data.npos) << config.data;
  EXPECT_TRUE(config.weights.starts_with("/")) << config.weights;
  config = {};
  config.data = "sphere";
  config.classes = {0};
  EXPECT_NE(refusal([&] { resolve(config); }).find("--classes"), std::string::npos);
}

TEST(Config, WaysThatExcludeEachOtherAreRefused) {
  const auto sentence = [](const std::string& text) {
    return refusal([&] {
      TrainConfig config = from_toml(text);
      resolve(config);
    });
  };
  EXPECT_NE(sentence("optimizer = \"flow\"\nbatch-size = 10\n").find("--batch-size 10"),
            std::string::npos);
  EXPECT_NE(sentence("optimizer = \"flow\"\non-divergence = \"halve\"\n").find("halve"),
            std::string::npos);
  TrainConfig config = from_toml("batch-size = 10\non-divergence = \"halve\"\n");
  resolve(config);
  EXPECT_TRUE(config.in_batches(11));
  EXPECT_FALSE(config.in_batches(10));
  EXPECT_FALSE(config.trainer_options(11).warm_start);
  EXPECT_TRUE(config.trainer_options(10).warm_start);
  EXPECT_FALSE(from_toml("optimizer = \"flow\"\n").trainer_options(10).warm_start);
}

TEST(Config, AFlowIsNoMoreExactThanItsGradients) {
  TrainConfig config;
  config.optimizer = Optimizer::flow;
  for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::mixed})
    EXPECT_NO_THROW(check_flow_tolerance(config, precision));
  config.flow_tolerance = 1e-7;  // below the solves' 1e-6
  const std::string by_solves = refusal([&] { check_flow_tolerance(config, Precision::fp64); });
  EXPECT_NE(by_solves.find("--tolerance"), std::string::npos) << by_solves;
  config.tolerance = 1e-8;
  EXPECT_NO_THROW(check_flow_tolerance(config, Precision::fp64));
  config.tolerance = 1e-7;
  const std::string by_precision = refusal([&] { check_flow_tolerance(config, Precision::mixed); });
  EXPECT_NE(by_precision.find("fp64"), std::string::npos) << by_precision;
  config.optimizer = Optimizer::descent;
  EXPECT_NO_THROW(check_flow_tolerance(config, Precision::mixed));
}

TEST(Config, ToleranceMustBeWithinReach) {
  EXPECT_NO_THROW(check_tolerance(1e-12, Precision::fp64));
  const std::string sentence = refusal([] { check_tolerance(1e-12, Precision::fp32); });
  EXPECT_NE(sentence.find("fp64"), sentence.npos) << sentence;
}

TEST(Config, ParsersAreStrict) {
  EXPECT_EQ(parse_integer("12", 0, 99), 12);
  for (const char* text : {"", " 12", "12 ", "12x", "1e3", "0x10", "99999999999999999999", "100"})
    EXPECT_FALSE(parse_integer(text, 0, 99).has_value()) << text;
  EXPECT_EQ(parse_number("1e-3"), 1e-3);
  for (const char* text : {"", "nan", "inf", "-inf", "1e999", "1,5", "1.0 "})
    EXPECT_FALSE(parse_number(text).has_value()) << text;
}

TEST(Spelling, FindsTheNearestWord) {
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("width", "width"), 0U);
  EXPECT_EQ(edit_distance("wdith", "width"), 1U);  // a swap
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  const std::vector<std::string> words{"width", "weights", "epochs"};
  EXPECT_EQ(nearest_word("wieghts", words), "weights");
  EXPECT_EQ(nearest_word("epoch", words), "epochs");
  EXPECT_EQ(nearest_word("x", {}), "");
}

}  // namespace
}  // namespace widedeq
