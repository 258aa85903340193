// .npy files against headers written by hand and bytes written by NumPy 2.4.
#include "host/data/npy.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmath>
#include <csignal>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "host/data/atomic_file.hpp"
#include "tests/host/data_support.hpp"

namespace widedeq::test {
namespace {

// 152 bytes
const char* const float32_c =
    "934e554d5059010076007b276465736372273a20273c6634272c2027666f727472616e5f6f72646572273a2046"
    "616c73652c20277368617065273a2028322c2033292c207d202020202020202020202020202020202020202020"
    "202020202020202020202020202020202020202020202020202020202020202020202020200a0000c03f000000"
    "c000004040000080400000a040000080be";
// 320 bytes
const char* const float64_fortran =
    "934e554d5059010076007b276465736372273a20273c6638272c2027666f727472616e5f6f72646572273a2054"
    "7275652c20277368617065273a2028322c20332c2034292c207d20202020202020202020202020202020202020"
    "202020202020202020202020202020202020202020202020202020202020202020202020200a00000000000000"
    "000000000000002840000000000000104000000000000030400000000000002040000000000000344000000000"
    "0000f03f0000000000002a40000000000000144000000000000031400000000000002240000000000000354000"
    "000000000000400000000000002c40000000000000184000000000000032400000000000002440000000000000"
    "364000000000000008400000000000002e400000000000001c4000000000000033400000000000002640000000"
    "0000003740";
// 152 bytes
const char* const int64_v2 =
    "934e554d50590200740000007b276465736372273a20273c6938272c2027666f727472616e5f6f72646572273a"
    "2046616c73652c20277368617065273a2028332c292c207d202020202020202020202020202020202020202020"
    "202020202020202020202020202020202020202020202020202020202020202020202020200a01000000000000"
    "00feffffffffffffff0000000000002000";
// 131 bytes
const char* const boolean_v3 =
    "934e554d50590300740000007b276465736372273a20277c6231272c2027666f727472616e5f6f72646572273a"
    "2046616c73652c20277368617065273a2028332c292c207d202020202020202020202020202020202020202020"
    "202020202020202020202020202020202020202020202020202020202020202020202020200a010001";
// 283 bytes
const char* const objects =
    "934e554d5059010076007b276465736372273a20277c4f272c2027666f727472616e5f6f72646572273a204661"
    "6c73652c20277368617065273a2028322c292c207d202020202020202020202020202020202020202020202020"
    "202020202020202020202020202020202020202020202020202020202020202020202020200a80049590000000"
    "000000008c166e756d70792e5f636f72652e6d756c74696172726179948c0c5f7265636f6e7374727563749493"
    "948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b014b02859468038c0564"
    "747970659493948c024f3894898887945294284b038c017c944e4e4e4affffffff4affffffff4b3f749462895d"
    "94284b018c016194657494622e";

/// A file by hand: magic, version, header length, header, elements.
Bytes npy(const std::string& header, const std::string& elements, int version = 1) {
  std::string file = "\x93NUMPY";
  file += static_cast<char>(version);
  file += '\0';
  file += static_cast<char>(header.size() % 256);
  file += static_cast<char>(header.size() / 256);
  if (version > 1) file += std::string(2, '\0');
  return bytes_of(file + header + elements);
}

std::string header(const std::string& descr, const std::string& shape,
                   const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}

void expect_refused(const Bytes& bytes, const std::string& part) {
  expect_failure([&] { parse_npy(bytes, "here"); }, ExitCode::bad_data, part);
}

TEST(Npy, ReadsFloat32AsNumpyWroteIt) {
  const NpyArray array = parse_npy(from_hex(float32_c), "test");
  EXPECT_EQ(array.shape, (std::vector<Index>{2, 3}));
  EXPECT_EQ(array.type, NpyType::float32);
  EXPECT_EQ(array.values, (std::vector<double>{1.5, -2, 3, 4, 5, -0.25}));
}

TEST(Npy, ReadsFortranOrderOfThreeAxesIntoCOrder) {
  const NpyArray array = parse_npy(from_hex(float64_fortran), "test");
  std::vector<double> counted(24);
  std::iota(counted.begin(), counted.end(), 0.0);
  EXPECT_EQ(array.shape, (std::vector<Index>{2, 3, 4}));
  EXPECT_EQ(array.values, counted);
}

TEST(Npy, ReadsVersions2And3AsNumpyWroteThem) {
  EXPECT_EQ(parse_npy(from_hex(int64_v2), "test").values,
            (std::vector<double>{1, -2, 9007199254740992.0}));
  EXPECT_EQ(parse_npy(from_hex(boolean_v3), "test").values, (std::vector<double>{1, 0, 1}));
}

TEST(Npy, WritesTheVeryBytesThatNumpyWrites) {
  EXPECT_EQ(format_npy({2, 3}, std::vector<double>{1.5, -2, 3, 4, 5, -0.25}, NpyType::float32),
            from_hex(float32_c));
}

TEST(Npy, ReadsEveryIntegerTypeWithItsSign) {
  const auto first = [](const std::string& descr, const std::string& elements) {
    return parse_npy(npy(header(descr, "(1,)"), elements), "test").values.at(0);
  };
  EXPECT_EQ(first("|i1", "\xfe"), -2.0);
  EXPECT_EQ(first("|u1", "\xfe"), 254.0);
  EXPECT_EQ(first("<i2", "\xfe\xff"), -2.0);
  EXPECT_EQ(first("<u2", "\xfe\xff"), 65534.0);
  EXPECT_EQ(first("<i4", "\xfe\xff\xff\xff"), -2.0);
  EXPECT_EQ(first("<u4", "\xfe\xff\xff\xff"), 4294967294.0);
  EXPECT_EQ(first("<i8", "\xfe\xff\xff\xff\xff\xff\xff\xff"), -2.0);
  EXPECT_EQ(first("<u8", std::string("\0\0\0\0\0\0\0\x80", 8)), 9223372036854775808.0);
  EXPECT_EQ(first("|b1", "\x02"), 1.0);
}

TEST(Npy, ReadsKeysInAnyOrderEitherQuoteAndAnySpacing) {
  const NpyArray array = parse_npy(
      npy("{ \"shape\":(2 , 1),'fortran_order':False  ,\"descr\" : '|u1'}   ", "\x07\x08"), "test");
  EXPECT_EQ(array.shape, (std::vector<Index>{2, 1}));
  EXPECT_EQ(array.values, (std::vector<double>{7, 8}));
}

TEST(Npy, ReadsOneNumberWithoutAxesAndArraysWithoutNumbers) {
  const NpyArray number = parse_npy(npy(header("|u1", "()"), "\x05"), "test");
  EXPECT_TRUE(number.shape.empty());
  EXPECT_EQ(number.values, std::vector<double>{5});
  const NpyArray nothing = parse_npy(npy(header("<f8", "(3, 0)", "True"), ""), "test");
  EXPECT_EQ(nothing.shape, (std::vector<Index>{3, 0}));
  EXPECT_TRUE(nothing.values.empty());
}

TEST(Npy, RefusesEachForeignTypeWithItsOwnSentence) {
  const auto refused = [](const std::string& descr, const std::string& part) {
    expect_refused(npy(header(descr, "(1,)"), std::string(16, '\0')), part);
  };
  refused("|O", "Python objects");
  refused("<c16", "complex");
  refused("<U5", "Unicode");
  refused("|S5", "byte strings");
  refused("|V8", "records or raw bytes");
  refused("<M8[ns]", "dates or times");
  refused("<f2", "half precision");
  refused("<f16", "long double");
  refused(">f8", "big-endian");
  refused(">i2", "big-endian");
  refused("<f3", "'<f3' is not known");
  refused("f8", "is not known");
  refused("=f8", "is not known");
  refused("<", "is not known");
  refused("", "is not known");
  expect_refused(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "0000"),
                 "structured");
  expect_refused(from_hex(objects), "Python objects");
}

TEST(Npy, RefusesMalformedHeadersAndSaysAtWhichByte) {
  const auto refused = [](const std::string& text, const std::string& part) {
    expect_refused(npy(text, "\x01"), part);
  };
  const std::string rest = "'fortran_order': False, 'shape': (1,)}";
  refused("", "here, byte 10): write the file again");
  refused("[]", "'{' was expected");
  refused("{", "a quoted string was expected");
  refused("{}", "is missing");
  refused("{'descr' '|u1', " + rest, "':' was expected");
  refused("{'descr': '|u1' " + rest, "',' or '}' was expected");
  refused("{'descr': '|u1, " + rest, "is not known");
  refused("{'descr': '|u1', 'descr': '|u1', " + rest, "'descr' is unknown or comes twice");
  refused("{'descr': '|u1', 'extra': '|u1', " + rest, "'extra' is unknown or comes twice");
  refused("{'descr': '|u1', " + rest + " x", "nothing was expected after");
  refused("{'descr': '|u1', " + rest + std::string(1, '\0'), "nothing was expected after");
  refused("{'descr': '|u\\x31', " + rest, "unusual characters");
  refused("{'descr': '|u1', 'shape': (1,)}", "is missing");
  refused("{'descr': '|u1', 'fortran_order': 0, 'shape': (1,)}", "True or False");
  refused(header("|u1", "1"), "'(' was expected");
  refused(header("|u1", "(1)"), "not a tuple");
  refused(header("|u1", "(1 2)"), "',' or ')'");
  refused(header("|u1", "(,)"), "a number was expected");
  refused(header("|u1", "(1.0,)"), "',' or ')'");
  refused(header("|u1", "(1"), "a number was expected");
}

TEST(Npy, RefusesAbsurdShapesBeforeAllocating) {
  const auto refused = [](const std::string& shape, const std::string& part) {
    expect_refused(npy(header("<f8", shape), std::string(8, '\0')), part);
  };
  refused("(-1,)", "negative");
  refused("(9223372036854775808,)", "impossibly large");
  refused("(9223372036854775807,)", "impossibly large");
  refused("(4294967296, 4294967296)", "impossibly large");
  refused("(0, 4294967296, 4294967296)", "impossibly large");
  refused("(2305843009213693952,)", "impossibly large");
  refused("(1152921504606846975,)", "cut short");
  std::string axes;
  for (int axis = 0; axis < 65; ++axis)
    axes += "1, ";
  refused("(" + axes + ")", "too many axes");
}

TEST(Npy, RefusesOtherFilesVersionsAndHeaderLengths) {
  expect_refused({}, "not a .npy file");
  expect_refused(bytes_of("PK\x03\x04 and so on"), "not a .npy file");
  expect_refused(npy(header("|u1", "(1,)"), "\x01", 4), "version");
  expect_refused(bytes_of(std::string("\x93NUMPY\x02\0\xff\xff\xff\xff{}", 14)), "impossibly long");
  expect_refused(bytes_of(std::string("\x93NUMPY\x01\0\xff\xff{}", 12)), "cut short");
}

TEST(Npy, RefusesTruncationAtEveryByteAndBytesAfterTheEnd) {
  for (const char* file : {float32_c, float64_fortran, int64_v2, boolean_v3}) {
    Bytes bytes = from_hex(file);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_THROW(parse_npy(std::span(bytes).first(size), "test"), Failure) << size;
    bytes.push_back(std::byte{0});
    expect_refused(bytes, "there are bytes after the array");
  }
}

TEST(Npy, SurvivesEveryValueOfEveryHeaderByte) {
  const Bytes original = from_hex(float32_c);
  const std::size_t elements = 24;
  for (std::size_t position = 0; position < original.size() - elements; ++position)
    for (int value = 0; value < 256; ++value) {
      Bytes bytes = original;
      bytes[position] = static_cast<std::byte>(value);
      expect_no_worse_than_bad_data([&] {
        const NpyArray array = parse_npy(bytes, "test");
        EXPECT_EQ(array.values.size() * size_of(array.type), elements) << position << " " << value;
      });
    }
}

TEST(Npy, SaysThatAFileIsMissingOrNotAFile) {
  const TemporaryDirectory directory;
  expect_failure([&] { read_npy(directory.file("none.npy")); }, ExitCode::io, "No such file");
  expect_failure([&] { read_npy(directory.file("")); }, ExitCode::io, "not a regular file");
}

TEST(Npy, NamesTheFileItRefuses) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("x.npy");
  write_bytes(path, bytes_of("nonsense"));
  expect_failure([&] { read_npy(path); }, ExitCode::bad_data, path);
}

TEST(Npy, RefusesToWriteWhatDoesNotFit) {
  const auto refused = [](double value, NpyType type) {
    EXPECT_THROW(format_npy({1}, std::vector{value}, type), std::invalid_argument) << value;
  };
  refused(256, NpyType::uint8);
  refused(-1, NpyType::uint8);
  refused(0.5, NpyType::int32);
  refused(2, NpyType::boolean);
  refused(9223372036854775808.0, NpyType::int64);
  refused(std::nan(""), NpyType::int64);
  refused(1e39, NpyType::float32);
  EXPECT_THROW(format_npy({2}, std::vector{1.0}), std::invalid_argument);
  EXPECT_THROW(format_npy({-1}, std::vector{1.0}), std::invalid_argument);
  EXPECT_NO_THROW(format_npy({1}, std::vector{-9223372036854775808.0}, NpyType::int64));
  EXPECT_NO_THROW(
      format_npy({1}, std::vector{std::numeric_limits<double>::infinity()}, NpyType::float32));
}

RC_GTEST_PROP(Npy, ReadsBackWhatItWrote, (const std::vector<std::int16_t>& numbers)) {
  const std::vector<double> values(numbers.begin(), numbers.end());
  const auto n = static_cast<Index>(values.size());
  for (const NpyType type :
       {NpyType::int16, NpyType::int32, NpyType::int64, NpyType::float32, NpyType::float64}) {
    const NpyArray array = parse_npy(format_npy({1, n, 1}, values, type), "test");
    RC_ASSERT(array.shape == (std::vector<Index>{1, n, 1}));
    RC_ASSERT(array.type == type);
    RC_ASSERT(array.values == values);
  }
}

TEST(Npy, ReadsBackALargeFileThatTakesManyChunks) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("large.npy");
  std::vector<double> values(100001);
  std::iota(values.begin(), values.end(), 0.0);
  write_npy(path, {100001}, values, NpyType::float32);
  EXPECT_EQ(read_npy(path).values, values);
  EXPECT_EQ(read_bytes(path), format_npy({100001}, values, NpyType::float32));
  EXPECT_EQ(directory.size(), 1);
}

TEST(AtomicFile, AppearsAtCommitWithOrdinaryPermissions) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("new");
  const mode_t mask = ::umask(022);
  AtomicFile file(path);
  ::umask(mask);
  file.write(bytes_of("text"));
  EXPECT_FALSE(std::filesystem::exists(path));
  file.commit();
  EXPECT_EQ(read_bytes(path), bytes_of("text"));
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0644U);
  EXPECT_EQ(directory.size(), 1);
}

TEST(AtomicFile, FollowsLinksButThoseIntoSomebodysOpenFiles) {
  const TemporaryDirectory directory;
  const std::string place = directory.file("far.bin"), link = directory.file("link.bin"),
                    second = directory.file("second.bin");
  std::filesystem::create_symlink("far.bin", link);
  std::filesystem::create_symlink(link, second);
  for (const char* text : {"first", "over it"}) {  // a link to nothing yet, and to a file
    write_file_atomically(second, bytes_of(text));
    EXPECT_TRUE(std::filesystem::is_symlink(link));
    EXPECT_TRUE(std::filesystem::is_symlink(second));
    EXPECT_FALSE(std::filesystem::is_symlink(place));
    EXPECT_EQ(InputFile(place).size(), std::string_view(text).size());
  }
  const std::string output = directory.file("output");
  std::filesystem::create_symlink("/proc/self/fd/1", output);
  for (const std::string& open : {output, std::string("/proc/self/fd/1"), std::string("/dev/fd/1")})
    EXPECT_THROW(AtomicFile{open}, Failure) << open;
  EXPECT_TRUE(std::filesystem::is_symlink(output));
}

TEST(AtomicFile, LeavesTheOldFileAndNothingElseWithoutCommit) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("old");
  write_file_atomically(path, bytes_of("old"));
  { AtomicFile(path).write(bytes_of("new")); }
  EXPECT_EQ(read_bytes(path), bytes_of("old"));
  EXPECT_EQ(directory.size(), 1);
}

TEST(AtomicFile, RefusesMissingDirectoriesAndThingsThatAreNotFiles) {
  const TemporaryDirectory directory;
  const auto refused = [](const std::string& path, const std::string& part) {
    expect_failure([&] { write_file_atomically(path, {}); }, ExitCode::io, part);
  };
  refused(directory.file("none/file"), "No such file or directory");
  refused(directory.file("."), "not a regular file");
  refused("/dev/null", "not a regular file");
  EXPECT_EQ(directory.size(), 0);
}

TEST(AtomicFile, ReportsADiskThatIsFullAndLeavesNothing) {
  const TemporaryDirectory directory;
  // A limit on the size of files stands for a full disk: write() fails in the same place.
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 1000;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_failure([&] { write_npy(directory.file("x.npy"), {1000}, std::vector<double>(1000)); },
                 ExitCode::io, "cannot write the file");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(directory.size(), 0);
}

}  // namespace
}  // namespace widedeq::test
