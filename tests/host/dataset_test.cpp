// Datasets: selection, scaling and targets against values worked out by hand, and every refusal.
#include "host/data/dataset.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "host/data/digits.hpp"
#include "host/data/npy.hpp"
#include "kernels/random.hpp"
#include "tests/host/data_support.hpp"

namespace widedeq::test {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

DatasetRequest request_of(const std::string& source, std::vector<int> classes = {},
                          std::optional<Index> samples = {}) {
  DatasetRequest request;
  request.source = source;
  request.classes = std::move(classes);
  request.samples = samples;
  return request;
}

void expect_refused(const DatasetRequest& request, ExitCode code, const std::string& part) {
  expect_failure([&] { load_dataset(request); }, code, part);
}

void expect_unit_columns(const HostMatrix& inputs) {
  for (Index j = 0; j < inputs.columns; ++j) {
    double sum = 0.0;
    for (Index i = 0; i < inputs.rows; ++i)
      sum += inputs(i, j) * inputs(i, j);
    ASSERT_NEAR(sum, 1.0, 1e-14) << j;
  }
}

TEST(Digits, AreInTheBinaryAsTheyWerePublished) {
  const NpyArray images = parse_npy(digits_images(), "images");
  const NpyArray labels = parse_npy(digits_labels(), "labels");
  EXPECT_EQ(images.shape, (std::vector<Index>{1797, 64}));
  EXPECT_EQ(labels.shape, std::vector<Index>{1797});
  EXPECT_EQ(images.type, NpyType::uint8);
  // The first image is a 0, and its second row of pixels is known from many a tutorial.
  EXPECT_EQ(labels.values[0], 0.0);
  const std::vector<double> second_row{0, 0, 13, 15, 10, 15, 5, 0};
  EXPECT_TRUE(std::equal(second_row.begin(), second_row.end(), images.values.begin() + 8));
  // UCI, optdigits.names: how often each class occurs in the test part.
  const std::vector<Index> published{178, 182, 177, 183, 181, 182, 181, 179, 174, 180};
  for (int label = 0; label < 10; ++label)
    EXPECT_EQ(std::count(labels.values.begin(), labels.values.end(), label),
              published[static_cast<std::size_t>(label)]);
}

TEST(Dataset, TakesAllTenClassesOfTheDigitsByDefault) {
  const Dataset data = load_dataset(request_of("digits"));
  EXPECT_EQ(data.inputs.rows, 64);
  EXPECT_EQ(data.inputs.columns, 1797);
  EXPECT_EQ(data.targets.size(), 1797U);
  expect_unit_columns(data.inputs);
  for (std::size_t j = 0; j < data.targets.size(); ++j)
    ASSERT_NEAR(data.targets[j], -1.0 + 2.0 * data.labels[j] / 9.0, 1e-15);
}

TEST(Dataset, KeepsFileOrderAndTakesTheFirstOfTheWantedClasses) {
  const Dataset data = load_dataset(request_of("digits", {0, 1}, 6));
  // The labels of the file begin 0 1 2 ... 9 0 1 2 ... 9 0 1.
  EXPECT_EQ(data.labels, (std::vector<int>{0, 1, 0, 1, 0, 1}));
  EXPECT_EQ(data.targets, (std::vector<double>{-1, 1, -1, 1, -1, 1}));
  EXPECT_EQ(data.inputs.columns, 6);
  EXPECT_EQ(data.description, "digits, classes 0, 1: 6 samples of 64 inputs");
  const NpyArray images = parse_npy(digits_images(), "images");
  // Column 2 is row 10 of the file, to scale.
  double norm = 0.0;
  for (std::size_t i = 0; i < 64; ++i)
    norm = std::hypot(norm, images.values[640 + i]);
  for (Index i = 0; i < 64; ++i)
    EXPECT_NEAR(data.inputs(i, 2), images.values[static_cast<std::size_t>(640 + i)] / norm, 1e-15);
}

TEST(Dataset, NumbersTargetsInTheOrderOfTheRequest) {
  const Dataset data = load_dataset(request_of("digits", {2, 0, 1}, 3));
  EXPECT_EQ(data.labels, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(data.targets, (std::vector<double>{0, 1, -1}));
}

TEST(Dataset, GivesASingleClassTheTargetOne) {
  const Dataset data = load_dataset(request_of("digits", {7}));
  EXPECT_EQ(data.targets, std::vector<double>(179, 1.0));
}

TEST(Dataset, RefusesAbsentClassesAndNamesThoseThatExist) {
  expect_refused(request_of("digits", {0, 11}), ExitCode::bad_data,
                 "there is no class 11 (digits): choose from 0, 1, 2, 3, 4, 5, 6, 7, 8, 9");
  expect_refused(request_of("digits", {3, 3}), ExitCode::usage, "named twice");
}

TEST(Dataset, RefusesMoreSamplesThanThereAreAndSaysHowMany) {
  expect_refused(request_of("digits", {0, 1}, 361), ExitCode::bad_data, "there are 360");
  EXPECT_EQ(load_dataset(request_of("digits", {0, 1}, 360)).inputs.columns, 360);
  expect_refused(request_of("digits", {}, 0), ExitCode::usage, "not positive");
  expect_refused(request_of("sphere", {}, -5), ExitCode::usage, "not positive");
}

TEST(Dataset, HoldsOutTheSamplesThatFollow) {
  for (const char* source : {"digits", "sphere"}) {
    const std::vector<int> classes =
        std::string(source) == "digits" ? std::vector{0, 1, 2} : std::vector<int>();
    const Dataset all = load_dataset(request_of(source, classes, 30));
    DatasetRequest request = request_of(source, classes, 20);
    request.held_out = 10;
    const Dataset data = load_dataset(request);
    ASSERT_EQ(data.inputs.columns, 20);
    ASSERT_EQ(data.held_out.inputs.rows, data.inputs.rows);
    ASSERT_EQ(data.held_out.inputs.columns, 10);
    for (Index j = 0; j < 30; ++j) {
      const Samples& part = j < 20 ? static_cast<const Samples&>(data) : data.held_out;
      const Index column = j < 20 ? j : j - 20;
      EXPECT_EQ(part.targets[static_cast<std::size_t>(column)],
                all.targets[static_cast<std::size_t>(j)]);
      for (Index i = 0; i < all.inputs.rows; ++i)
        ASSERT_EQ(part.inputs(i, column), all.inputs(i, j));
    }
    EXPECT_NE(data.description.find("20 samples of"), std::string::npos) << data.description;
    EXPECT_NE(data.description.find(", 10 more held out"), std::string::npos) << data.description;
    if (!classes.empty()) {
      EXPECT_EQ(data.labels.size(), 20U);
      EXPECT_EQ(data.class_targets, (std::vector<double>{-1.0, 0.0, 1.0}));
    }
  }
  // All but those, where nobody says how many; and never all of them.
  DatasetRequest rest = request_of("digits", {0, 1});
  rest.held_out = 100;
  EXPECT_EQ(load_dataset(rest).inputs.columns, 260);
  rest.held_out = 360;
  expect_refused(rest, ExitCode::bad_data, "360 to hold out were asked for, and there are 360");
  rest.samples = 300;
  rest.held_out = 61;
  expect_refused(rest, ExitCode::bad_data,
                 "300 samples and 61 to hold out were asked for, and there are 360 of the classes");
}

TEST(Dataset, RefusesUnknownSourcesAndClassesWhereThereAreNone) {
  expect_refused(request_of("imagenet"), ExitCode::usage, "imagenet");
  expect_refused(request_of(""), ExitCode::usage, "not known");
  expect_refused(request_of("sphere", {0, 1}), ExitCode::usage, "no classes");
  expect_refused(request_of("npy:a.npy,b.npy", {0, 1}), ExitCode::usage, "no classes");
  expect_refused(request_of("npy:a.npy"), ExitCode::usage, "a comma between");
  expect_refused(request_of("npy:a,b,c"), ExitCode::usage, "which of the commas");
}

TEST(Dataset, PathsMayHaveCommasWhereTheyAreAbsolute) {
  using Paths = std::pair<std::string, std::string>;
  EXPECT_EQ(split_paths("a.npy,b.npy"), (Paths{"a.npy", "b.npy"}));
  EXPECT_EQ(split_paths("/d/a.npy,b.npy"), (Paths{"/d/a.npy", "b.npy"}));
  EXPECT_EQ(split_paths("/d,e/a.npy,/d,e/b.npy"), (Paths{"/d,e/a.npy", "/d,e/b.npy"}));
  for (const char* paths : {"/d,/a.npy,/d,/b.npy", "/d,e/a.npy,b.npy", ",b.npy", "a.npy,", ""})
    expect_failure([&] { split_paths(paths); }, ExitCode::usage, "npy:");
}

/// Three images of 1 x 2 pixels with labels 5, 3, 5 in MNIST's files.
class Mnist : public ::testing::Test {
 protected:
  void write_images(const std::string& name, const std::string& pixels = "030400010c05") const {
    write_bytes(directory_.file(name), from_hex("00000803000000030000000100000002" + pixels));
  }
  void write_labels(const std::string& name, const std::string& labels = "00000003050305") const {
    write_bytes(directory_.file(name), from_hex("00000801" + labels));
  }
  DatasetRequest request(std::vector<int> classes = {}) const {
    return request_of("mnist:" + directory_.file(""), std::move(classes));
  }

  TemporaryDirectory directory_;
};

TEST_F(Mnist, IsScaledAndLabelled) {
  write_images("t10k-images-idx3-ubyte");
  write_labels("t10k-labels-idx1-ubyte");
  const Dataset data = load_dataset(request());
  const std::vector<double> scaled{3.0 / 5, 4.0 / 5, 0, 1, 12.0 / 13, 5.0 / 13};
  EXPECT_EQ(data.inputs.rows, 2);
  EXPECT_EQ(data.inputs.values, scaled);
  EXPECT_EQ(data.labels, (std::vector<int>{5, 3, 5}));
  EXPECT_EQ(data.targets, (std::vector<double>{1, -1, 1}));
}

TEST_F(Mnist, IsFoundUnderDottedAndMixedNames) {
  write_images("t10k-images.idx3-ubyte");
  write_labels("t10k-labels-idx1-ubyte.gz");  // gzip or not is seen in the content
  EXPECT_EQ(load_dataset(request({5})).inputs.columns, 2);
}

TEST_F(Mnist, PrefersTheTrainingPart) {
  write_images("t10k-images-idx3-ubyte");
  write_labels("t10k-labels-idx1-ubyte");
  write_images("train-images-idx3-ubyte", "010001000100");
  write_labels("train-labels-idx1-ubyte", "00000003010101");
  EXPECT_EQ(load_dataset(request()).labels, (std::vector<int>{1, 1, 1}));
}

TEST_F(Mnist, RefusesADirectoryWithoutIt) {
  expect_refused(request(), ExitCode::io, "train-images-idx3-ubyte");
  write_images("train-images-idx3-ubyte");
  write_labels("t10k-labels-idx1-ubyte");
  expect_refused(request(), ExitCode::io, "labels are missing");
}

TEST_F(Mnist, RefusesASampleOfZerosAndNamesIt) {
  write_images("t10k-images-idx3-ubyte", "030400000c05");
  write_labels("t10k-labels-idx1-ubyte");
  expect_refused(request(), ExitCode::bad_data, "sample 1 is all zeros");
  EXPECT_EQ(load_dataset(request({5})).inputs.columns, 2);  // the zeros are not among these
}

TEST_F(Mnist, RefusesCountsThatDoNotMatch) {
  write_images("t10k-images-idx3-ubyte");
  write_labels("t10k-labels-idx1-ubyte", "000000020503");
  expect_refused(request(), ExitCode::bad_data, "3 images, and the labels have the shape (2,)");
}

TEST_F(Mnist, RefusesOtherShapesAndNoImages) {
  write_labels("t10k-images-idx3-ubyte");
  write_labels("t10k-labels-idx1-ubyte");
  expect_refused(request(), ExitCode::bad_data, "images have the shape (3,)");
  write_bytes(directory_.file("t10k-images-idx3-ubyte"),
              from_hex("00000803000000000000000100000002"));
  write_labels("t10k-labels-idx1-ubyte", "00000000");
  expect_refused(request(), ExitCode::bad_data, "there are no samples");
  expect_refused(request({0}), ExitCode::bad_data, "there are no samples");
}

TEST_F(Mnist, AsPublishedIsRead) {
  const char* directory = std::getenv("WIDEDEQ_MNIST_DIR");
  if (directory == nullptr) GTEST_SKIP() << "WIDEDEQ_MNIST_DIR is not set: real MNIST not read";
  const Dataset data = load_dataset(request_of(std::string("mnist:") + directory, {0, 1}, 1000));
  EXPECT_EQ(data.inputs.rows, 784);
  EXPECT_EQ(data.inputs.columns, 1000);
  expect_unit_columns(data.inputs);
  for (std::size_t j = 0; j < data.targets.size(); ++j)
    ASSERT_EQ(data.targets[j], data.labels[j] == 0 ? -1.0 : 1.0);
  EXPECT_EQ(first_duplicate(data.inputs), std::nullopt);
}

class NpyData : public ::testing::Test {
 protected:
  void write(const std::vector<Index>& inputs_shape, const std::vector<double>& inputs,
             const std::vector<Index>& targets_shape, const std::vector<double>& targets) const {
    write_npy(directory_.file("x.npy"), inputs_shape, inputs);
    write_npy(directory_.file("y.npy"), targets_shape, targets);
  }
  DatasetRequest request(std::optional<Index> samples = {}) const {
    return request_of("npy:" + directory_.file("x.npy") + "," + directory_.file("y.npy"), {},
                      samples);
  }

  TemporaryDirectory directory_;
};

TEST_F(NpyData, IsTakenAsItIs) {
  write({2, 3}, {1, 2, 3, 0, 0, 0}, {2}, {10, -20});
  const Dataset data = load_dataset(request());
  EXPECT_EQ(data.inputs.rows, 3);
  EXPECT_EQ(data.inputs.columns, 2);
  EXPECT_EQ(data.inputs(2, 0), 3.0);
  EXPECT_EQ(data.inputs(0, 1), 0.0);
  EXPECT_EQ(data.targets, (std::vector<double>{10, -20}));
  EXPECT_TRUE(data.labels.empty());
}

TEST_F(NpyData, AcceptsTargetsInAColumnAndTakesTheFirstSamples) {
  write({3, 1}, {1, 2, 3}, {3, 1}, {4, 5, 6});
  const Dataset data = load_dataset(request(2));
  EXPECT_EQ(data.inputs.columns, 2);
  EXPECT_EQ(data.inputs.values, (std::vector<double>{1, 2}));
  EXPECT_EQ(data.targets, (std::vector<double>{4, 5}));
  expect_refused(request(4), ExitCode::bad_data, "4 samples were asked for, and there are 3");
}

TEST_F(NpyData, RefusesWhatIsNotFiniteAndNamesRowAndColumn) {
  write({2, 3}, {1, 2, 3, 4, nan, 6}, {2}, {1, 2});
  expect_refused(request(), ExitCode::bad_data, "row 1, column 1 is nan");
  write({2, 3}, {1, 2, 3, 4, 5, 6}, {2}, {1, -std::numeric_limits<double>::infinity()});
  expect_refused(request(), ExitCode::bad_data, "row 1, column 0 is -inf");
}

TEST_F(NpyData, RefusesShapesThatDoNotMatchOrHoldNothing) {
  write({2, 3}, {1, 2, 3, 4, 5, 6}, {3}, {1, 2, 3});
  expect_refused(request(), ExitCode::bad_data, "targets have the shape (3,), and there are 2");
  write({2, 3}, {1, 2, 3, 4, 5, 6}, {1, 2}, {1, 2});
  expect_refused(request(), ExitCode::bad_data, "targets have the shape (1, 2)");
  write({6}, {1, 2, 3, 4, 5, 6}, {6}, {1, 2, 3, 4, 5, 6});
  expect_refused(request(), ExitCode::bad_data, "inputs have the shape (6,)");
  write({0, 3}, {}, {0}, {});
  expect_refused(request(), ExitCode::bad_data, "inputs are empty");
  write({3, 0}, {}, {3}, {1, 2, 3});
  expect_refused(request(), ExitCode::bad_data, "inputs are empty");
}

TEST_F(NpyData, SaysWhichFileIsMissing) {
  write({1, 1}, {1}, {1}, {1});
  std::filesystem::remove(directory_.file("y.npy"));
  expect_refused(request(), ExitCode::io, "y.npy");
}

TEST(Sphere, HasUnitColumnsAndTheTargetsOfItsFormula) {
  DatasetRequest request = request_of("sphere", {}, 40);
  request.seed = 7;
  request.sphere_inputs = 5;
  const Dataset data = load_dataset(request);
  EXPECT_EQ(data.inputs.rows, 5);
  EXPECT_EQ(data.inputs.columns, 40);
  expect_unit_columns(data.inputs);
  for (Index j = 0; j < 40; ++j) {
    double a = 0.0;
    double b = 0.0;
    for (Index i = 0; i < 5; ++i) {
      a += standard_normal(7, Tensor::targets, i, 0) * data.inputs(i, j);
      b += standard_normal(7, Tensor::targets, i, 1) * data.inputs(i, j);
    }
    const double target = data.targets[static_cast<std::size_t>(j)];
    EXPECT_NEAR(target, (2.0 * std::sin(a) + std::cos(2.0 * b)) / 3.0, 1e-14);
    EXPECT_LE(std::abs(target), 1.0);
  }
  EXPECT_EQ(first_duplicate(data.inputs), std::nullopt);
}

TEST(Sphere, DependsOnTheSeedAndTheNumberOfTheSampleOnly) {
  const Dataset all = load_dataset(request_of("sphere"));
  const Dataset few = load_dataset(request_of("sphere", {}, 10));
  DatasetRequest other = request_of("sphere", {}, 10);
  other.seed = 1;
  EXPECT_EQ(all.inputs.columns, 256);
  EXPECT_TRUE(
      std::equal(few.inputs.values.begin(), few.inputs.values.end(), all.inputs.values.begin()));
  EXPECT_TRUE(std::equal(few.targets.begin(), few.targets.end(), all.targets.begin()));
  EXPECT_NE(load_dataset(other).inputs.values, few.inputs.values);
}

TEST(Sphere, RefusesImpossibleSizes) {
  DatasetRequest request = request_of("sphere");
  request.sphere_inputs = 1;
  expect_refused(request, ExitCode::usage, "1 inputs, 256 samples");
  expect_refused(request_of("sphere", {}, Index{1} << 62), ExitCode::usage, "up to 2^31 samples");
}

HostMatrix columns(Index rows, const std::vector<double>& values) {
  HostMatrix matrix(rows, static_cast<Index>(values.size()) / rows);
  matrix.values = values;
  return matrix;
}

TEST(FirstDuplicate, FindsEqualColumnsAndPositiveMultiples) {
  using Pair = std::pair<Index, Index>;
  EXPECT_EQ(first_duplicate(columns(2, {1, 2, 3, 4, 1, 2})), (Pair{0, 2}));
  EXPECT_EQ(first_duplicate(columns(2, {3, 4, 1, 2, 0.1, 0.2})), (Pair{1, 2}));
  EXPECT_EQ(first_duplicate(columns(2, {0, 0, 1, 2, 0, 0})), (Pair{0, 2}));
  EXPECT_EQ(first_duplicate(columns(2, {1e300, 2e300, 1, 0, 1e-300, 2e-300})), (Pair{0, 2}));
}

TEST(FirstDuplicate, TellsOppositeAndNearlyEqualColumnsApart) {
  EXPECT_EQ(first_duplicate(columns(2, {1, 2, -1, -2, 1, 2.000001})), std::nullopt);
  EXPECT_EQ(first_duplicate(columns(2, {1, 2, 1, 2.000001}), 1e-5),
            (std::pair<Index, Index>{0, 1}));
  EXPECT_EQ(first_duplicate(columns(1, {1})), std::nullopt);
}

TEST(FirstDuplicate, GivesTheEarliestOfManyPairs) {
  // All the same: the pair that a reader of the file meets first.
  EXPECT_EQ(first_duplicate(columns(1, std::vector<double>(5000, 2.0))),
            (std::pair<Index, Index>{0, 1}));
}

RC_GTEST_PROP(FirstDuplicate, AgreesWithComparingEveryPair, (std::uint16_t seed)) {
  // Entries -1, 0, 1 in three rows: columns are parallel just when they are equal.
  HostMatrix matrix(3, 8);
  for (Index j = 0; j < 8; ++j)
    for (Index i = 0; i < 3; ++i)
      matrix(i, j) = std::round(std::tanh(standard_normal(seed, Tensor::A, i, j)));
  std::optional<std::pair<Index, Index>> expected;
  for (Index j = 0; j < 8 && !expected; ++j)
    for (Index i = 0; i < j && !expected; ++i)
      if (matrix(0, i) == matrix(0, j) && matrix(1, i) == matrix(1, j) &&
          matrix(2, i) == matrix(2, j))
        expected = {i, j};
  RC_ASSERT(first_duplicate(matrix) == expected);
}

TEST(FirstDuplicate, FindsOneAmongThousandsOfLongColumns) {
  DatasetRequest request = request_of("sphere", {}, 2000);
  request.sphere_inputs = 100;
  HostMatrix inputs = load_dataset(request).inputs;
  EXPECT_EQ(first_duplicate(inputs), std::nullopt);
  for (Index i = 0; i < 100; ++i)
    inputs(i, 1777) = 3.0 * inputs(i, 42);
  EXPECT_EQ(first_duplicate(inputs), (std::pair<Index, Index>{42, 1777}));
}

}  // namespace
}  // namespace widedeq::test
