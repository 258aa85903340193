// The checkpoint format: what is written is read back, and nothing else is ever read.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <random>

#include "host/failure.hpp"
#include "host/run/checkpoint_archive.hpp"
#include "host/run/checkpoints.hpp"
#include "tests/support.hpp"

namespace widedeq::test {
namespace {

namespace fs = std::filesystem;

class CheckpointTest : public ::testing::Test {
 protected:
  CheckpointTest() {
    std::string name = (fs::temp_directory_path() / "widedeq-checkpoint-XXXXXX").string();
    directory = ::mkdtemp(name.data());
  }
  ~CheckpointTest() override { fs::remove_all(directory); }
  std::string path(const std::string& name) const { return (directory / name).string(); }

  static std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  /// A small checkpoint with chunks of every kind, one of them empty.
  std::string small_checkpoint(const std::string& name) const {
    CheckpointFileWriter file(path(name), 7);
    SavingArchive archive(backend(), file);
    std::vector<double> numbers{1.5, -2.25, 1e300};
    std::vector<std::int64_t> integers{1, -1};
    std::string text = "width = 3";
    Matrix floats = upload(Element::float32, HostMatrix(13, 3)), nothing;
    archive.numbers("numbers", numbers);
    archive.integers("integers", integers);
    archive.text("text", text);
    archive.matrix("floats", floats);
    archive.matrix("nothing", nothing);
    file.finish();
    return path(name);
  }

  /// Whether a file of these bytes is refused, with a sentence.
  bool is_refused(const std::string& bytes) const {
    write(path("damaged"), bytes);
    try {
      const CheckpointFileReader reader(path("damaged"));
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), ExitCode::bad_data) << failure.what();
      return true;
    }
    return false;
  }

  fs::path directory;
};

TEST_F(CheckpointTest, WhatIsSavedIsRestored) {
  Random random(3);
  std::vector<double> numbers = random.vector(10), no_numbers;
  std::vector<std::int64_t> integers{std::numeric_limits<std::int64_t>::min(), 0, 1};
  std::string text("a\0b\n", 4);
  bool truth = true;
  Precision precision = Precision::mixed;
  HostMatrix host = random.matrix(3, 5);
  // Wider than the buffer holds at once, with a stride larger than the column.
  Matrix wide = upload(Element::float64, random.matrix(1031, 700));
  Matrix single = upload(Element::float32, random.matrix(17, 9));
  Matrix integral = backend().allocate(Element::int8, 33, 4);
  backend().generate_lattice(integral, 1, Tensor::A);
  {
    CheckpointFileWriter file(path("c"), 40);
    SavingArchive archive(backend(), file);
    archive.numbers("numbers", numbers);
    archive.numbers("none", no_numbers);
    archive.integers("integers", integers);
    archive.text("text", text);
    archive.integer("truth", truth);
    archive.integer("precision", precision);
    archive.within("inner", [&] { archive.host_matrix("host", host); });
    archive.matrix("wide", wide);
    archive.matrix("single", single);
    archive.matrix("integral", integral);
    const std::uint64_t size = file.finish();
    EXPECT_EQ(size, fs::file_size(path("c")));
  }
  CheckpointFileReader file(path("c"));
  EXPECT_EQ(file.epoch(), 40);
  LoadingArchive archive(backend(), file);
  std::vector<double> numbers_again, none_again{1.0};
  std::vector<std::int64_t> integers_again;
  std::string text_again;
  bool truth_again = false;
  Precision precision_again = Precision::fp64;
  HostMatrix host_again;
  archive.numbers("numbers", numbers_again);
  archive.numbers("none", none_again);
  archive.integers("integers", integers_again);
  archive.text("text", text_again);
  archive.integer("truth", truth_again);
  archive.integer("precision", precision_again);
  archive.within("inner", [&] { archive.host_matrix("host", host_again); });
  EXPECT_EQ(numbers_again, numbers);
  EXPECT_EQ(none_again, no_numbers);
  EXPECT_EQ(integers_again, integers);
  EXPECT_EQ(text_again, text);
  EXPECT_TRUE(truth_again);
  EXPECT_EQ(precision_again, precision);
  EXPECT_EQ(host_again.values, host.values);
  EXPECT_EQ(host_again.rows, 3);
  for (const auto& [name, saved] : {std::pair<const char*, Matrix*>{"wide", &wide},
                                    {"single", &single},
                                    {"integral", &integral}}) {
    Matrix fresh;
    archive.matrix(name, fresh);
    EXPECT_EQ(fresh.element(), saved->element());
    EXPECT_EQ(download(fresh).values, download(*saved).values) << name;
    Matrix there = backend().allocate(saved->element(), saved->rows(), saved->columns());
    archive.matrix(name, there);
    EXPECT_EQ(download(there).values, download(*saved).values) << name;
  }
}

TEST_F(CheckpointTest, WhatDoesNotFitIsRefused) {
  CheckpointFileReader file(small_checkpoint("c"));
  LoadingArchive archive(backend(), file);
  Matrix other = backend().allocate(Element::float32, 13, 4);
  EXPECT_THROW(archive.matrix("floats", other), Failure);
  Matrix of_another_type = backend().allocate(Element::float64, 13, 3);
  EXPECT_THROW(archive.matrix("floats", of_another_type), Failure);
  std::vector<double> numbers;
  EXPECT_THROW(archive.numbers("integers", numbers), Failure);
  EXPECT_THROW(archive.numbers("missing", numbers), Failure);
  double number = 0.0;
  EXPECT_THROW(archive.number("numbers", number), Failure);  // three of them
}

TEST_F(CheckpointTest, EveryFlippedBitIsNoticed) {
  const std::string whole = contents(small_checkpoint("c"));
  ASSERT_FALSE(is_refused(whole));
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_TRUE(is_refused(damaged)) << "bit " << bit;
  }
}

TEST_F(CheckpointTest, EveryTruncationIsNoticed) {
  const std::string whole = contents(small_checkpoint("c"));
  for (std::size_t length = 0; length < whole.size(); ++length)
    ASSERT_TRUE(is_refused(whole.substr(0, length))) << length << " bytes";
  EXPECT_TRUE(is_refused(whole + '\0'));
  EXPECT_TRUE(is_refused(whole + whole));
}

TEST_F(CheckpointTest, DamageInALargeBodyIsNoticed) {
  {
    CheckpointFileWriter file(path("c"), 1);
    SavingArchive archive(backend(), file);
    Matrix body = upload(Element::float32, Random(5).matrix(251, 113));
    archive.matrix("body", body);
    file.finish();
  }
  const std::string whole = contents(path("c"));
  for (std::size_t length = 0; length < whole.size(); length += 512)
    ASSERT_TRUE(is_refused(whole.substr(0, length))) << length << " bytes";
  std::mt19937_64 random(11);
  for (int i = 0; i < 1000; ++i) {
    const std::size_t bit = random() % (8 * whole.size());
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_TRUE(is_refused(damaged)) << "bit " << bit;
  }
}

TEST_F(CheckpointTest, MissingAndExchangedArraysAreNoticed) {
  // Two arrays of one length; every part of the file has a right checksum of its own.
  {
    CheckpointFileWriter file(path("c"), 1);
    for (const double value : {1.0, 2.0}) {
      file.begin(value == 1.0 ? "a" : "b", ChunkElement::float64, 1, 1);
      file.write(std::as_bytes(std::span(&value, 1)));
    }
    file.finish();
  }
  const std::string whole = contents(path("c"));
  constexpr std::size_t header = 32, chunk = 104 + 8 + 8;
  const std::string first = whole.substr(header, chunk),
                    second = whole.substr(header + chunk, chunk);
  const std::string head = whole.substr(0, header), end = whole.substr(header + 2 * chunk);
  ASSERT_FALSE(is_refused(head + first + second + end));
  EXPECT_TRUE(is_refused(head + second + first + end));
  EXPECT_TRUE(is_refused(head + first + end));
  EXPECT_TRUE(is_refused(head + first + first + end));
  EXPECT_TRUE(is_refused(head + end));
}

TEST_F(CheckpointTest, AnotherVersionIsNamed) {
  std::string bytes = contents(small_checkpoint("c"));
  bytes[8] = 1;  // what it was before solves had responses
  const std::uint64_t checksum = XXH3_64bits(bytes.data(), 24);
  bytes.replace(24, 8, reinterpret_cast<const char*>(&checksum), 8);
  write(path("c"), bytes);
  try {
    const CheckpointFileReader reader(path("c"));
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_NE(std::string(failure.what()).find("version 1"), std::string::npos) << failure.what();
  }
}

class CheckpointsTest : public CheckpointTest {
 protected:
  void save(const Checkpoints& checkpoints, int epoch, std::optional<int> way_back = {}) const {
    checkpoints.write(epoch, way_back, [](CheckpointFileWriter& file) {
      file.begin("a", ChunkElement::text, 0, 1);
    });
  }
  /// The epoch of the newest one, -1 for none; counts what was passed over.
  int newest(const Checkpoints& checkpoints, int& passed_over,
             std::optional<int> latest = {}) const {
    passed_over = 0;
    const auto file = checkpoints.newest(latest, [&](const Failure&) { ++passed_over; });
    return file ? static_cast<int>(file->epoch()) : -1;
  }
};

TEST_F(CheckpointsTest, TheNewestAreKept) {
  const Checkpoints checkpoints(directory, 2);
  int passed_over = 0;
  EXPECT_EQ(newest(checkpoints, passed_over), -1);
  for (const int epoch : {10, 20, 30, 1000000})
    save(checkpoints, epoch);
  EXPECT_EQ(checkpoints.epochs(), (std::vector<int>{30, 1000000}));
  EXPECT_EQ(newest(checkpoints, passed_over), 1000000);
  EXPECT_EQ(newest(checkpoints, passed_over, 999), 30);
  EXPECT_EQ(newest(checkpoints, passed_over, 29), -1);
}

TEST_F(CheckpointsTest, TheWayBackStaysOpen) {
  const Checkpoints checkpoints(directory, 2);
  for (const int epoch : {5, 10, 12, 14, 16})
    save(checkpoints, epoch, 11);
  EXPECT_EQ(checkpoints.epochs(), (std::vector<int>{10, 14, 16}));
  save(checkpoints, 18, 3);  // there is none so early
  EXPECT_EQ(checkpoints.epochs(), (std::vector<int>{16, 18}));
}

TEST_F(CheckpointsTest, AnEarlierOneTakesThePlaceOfLaterOnes) {
  const Checkpoints checkpoints(directory, 2);
  for (const int epoch : {10, 20, 30})
    save(checkpoints, epoch);
  save(checkpoints, 25);
  EXPECT_EQ(checkpoints.epochs(), (std::vector<int>{20, 25}));
  save(checkpoints, 5);
  EXPECT_EQ(checkpoints.epochs(), (std::vector<int>{5}));
}

TEST_F(CheckpointsTest, ADamagedOneIsPassedOverAndPutAside) {
  const Checkpoints checkpoints(directory, 5);
  for (const int epoch : {1, 2, 3})
    save(checkpoints, epoch);
  write(checkpoints.file(3), contents(checkpoints.file(3)).substr(0, 50));
  fs::rename(checkpoints.file(1), checkpoints.file(4));  // whole, of another epoch
  int passed_over = 0;
  EXPECT_EQ(newest(checkpoints, passed_over), 2);
  EXPECT_EQ(passed_over, 2);
  checkpoints.drop_after(2);
  EXPECT_EQ(checkpoints.epochs(), (std::vector<int>{2}));
  EXPECT_TRUE(fs::exists(checkpoints.file(3) + ".damaged"));
  EXPECT_FALSE(fs::exists(checkpoints.file(4)));
}

}  // namespace
}  // namespace widedeq::test
