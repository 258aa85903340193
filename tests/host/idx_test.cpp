// IDX files written by hand, plain and compressed by Python's gzip.
#include "host/data/idx.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/host/data_support.hpp"

namespace widedeq::test {
namespace {

// 42 bytes
const char* const images_gz =
    "1f8b08000000000002036360e06066606060826266462666165636760e4e2e6e1e0048110c841c000000";
// 62 bytes
const char* const two_members_gz =
    "1f8b08000000000002036360e060666060608262664626661600c9ad6cd5140000001f8b080000000000020363"
    "6563e7e0e4e2e60100f2c0baf908000000";

/// Two images of 2 x 3 pixels, 1 to 12.
Bytes images() {
  Bytes bytes = from_hex("00000803000000020000000200000003");
  for (int pixel = 1; pixel <= 12; ++pixel)
    bytes.push_back(static_cast<std::byte>(pixel));
  return bytes;
}

void expect_images(const IdxArray& array) {
  std::vector<std::uint8_t> counted(12);
  std::iota(counted.begin(), counted.end(), std::uint8_t{1});
  EXPECT_EQ(array.shape, (std::vector<Index>{2, 2, 3}));
  EXPECT_EQ(array.values, counted);
}

void expect_refused(const Bytes& bytes, const std::string& part) {
  expect_failure([&] { parse_idx(bytes, "here"); }, ExitCode::bad_data, part);
}

TEST(Idx, ReadsPlainAndCompressedImages) {
  expect_images(parse_idx(images(), "test"));
  expect_images(parse_idx(from_hex(images_gz), "test"));
}

TEST(Idx, ReadsAFileByItsContentWhateverItsName) {
  const TemporaryDirectory directory;
  write_bytes(directory.file("x"), from_hex(images_gz));
  expect_images(read_idx(directory.file("x")));
}

TEST(Idx, ReadsSizesBeyondOneByteBigEndian) {
  Bytes bytes = from_hex("0000080100000102");
  bytes.resize(bytes.size() + 258, std::byte{7});
  EXPECT_EQ(parse_idx(bytes, "test").values, std::vector<std::uint8_t>(258, 7));
}

TEST(Idx, ReadsGzipInSeveralMembers) {
  // RFC 1952, 2.2: members follow each other and their contents are joined.
  const Bytes halves = from_hex(two_members_gz);
  expect_images(parse_idx(halves, "test"));
}

TEST(Idx, ReadsAnArrayWithoutElements) {
  const IdxArray array = parse_idx(from_hex("000008020000000000000005"), "test");
  EXPECT_EQ(array.shape, (std::vector<Index>{0, 5}));
  EXPECT_TRUE(array.values.empty());
}

TEST(Idx, RefusesOtherFilesAndOtherTypes) {
  expect_refused({}, "header is cut short");
  expect_refused(bytes_of("PK\x03\x04 and so on"), "not an IDX file");
  expect_refused(from_hex("00000d010000000100000000"), "unsigned bytes");
}

TEST(Idx, RefusesAbsurdSizesBeforeAllocating) {
  expect_refused(from_hex("00000801ffffffff00"), "cut short");
  expect_refused(from_hex("00000803ffffffffffffffffffffffff00"), "cut short");
  expect_refused(from_hex("00000802800000000000000200"), "cut short");
}

TEST(Idx, RefusesTruncationAtEveryByte) {
  for (const Bytes& bytes : {images(), from_hex(images_gz)})
    for (std::size_t size = 0; size < bytes.size(); ++size)
      expect_refused({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)}, "here");
  Bytes cut = from_hex(images_gz);
  cut.pop_back();
  expect_refused(cut, "gzip stream is cut short");
}

TEST(Idx, RefusesBytesAfterTheEnd) {
  for (Bytes bytes : {images(), from_hex(images_gz)}) {
    bytes.push_back(std::byte{0});
    expect_refused(bytes, "here");
  }
  Bytes longer = images();
  longer.push_back(std::byte{0});
  expect_refused(longer, "bytes after the IDX array");
}

TEST(Idx, RefusesAWrongSumOrLengthInGzip) {
  for (const std::size_t from_end : {8U, 4U}) {
    Bytes bytes = from_hex(images_gz);
    bytes[bytes.size() - from_end] ^= std::byte{1};
    expect_refused(bytes, "gzip stream is corrupt");
  }
}

TEST(Idx, SurvivesEveryValueOfEveryByte) {
  for (const Bytes& original : {images(), from_hex(images_gz)})
    for (std::size_t position = 0; position < original.size(); ++position)
      for (int value = 0; value < 256; ++value) {
        Bytes bytes = original;
        bytes[position] = static_cast<std::byte>(value);
        expect_no_worse_than_bad_data(
            [&] { EXPECT_LE(parse_idx(bytes, "test").values.size(), 12U); });
      }
}

TEST(Idx, SaysThatAFileIsMissing) {
  const TemporaryDirectory directory;
  expect_failure([&] { read_idx(directory.file("none")); }, ExitCode::io, "No such file");
}

}  // namespace
}  // namespace widedeq::test
