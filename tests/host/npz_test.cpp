// .npz files against archives written by NumPy 2.4 (with a lowered limit for zip64).
#include "host/data/npz.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <numeric>
#include <stdexcept>

#include "tests/host/data_support.hpp"

namespace widedeq::test {
namespace {

// 514 bytes
const char* const stored =
    "504b03042d0000000000000021004efb2075ffffffffffffffff05001400412e6e707901001000900000000000"
    "00009000000000000000934e554d5059010076007b276465736372273a20273c6634272c2027666f727472616e"
    "5f6f72646572273a2046616c73652c20277368617065273a2028322c2032292c207d2020202020202020202020"
    "202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "20200a0000803f000000400000404000008040504b03042d0000000000000021005cbd2af1ffffffffffffffff"
    "05001400752e6e70790100100088000000000000008800000000000000934e554d5059010076007b2764657363"
    "72273a20273c6634272c2027666f727472616e5f6f72646572273a2046616c73652c20277368617065273a2028"
    "322c292c207d202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "2020202020202020202020202020202020202020200a0000803f000080bf504b01022d032d0000000000000021"
    "004efb20759000000090000000050000000000000000000000800100000000412e6e7079504b01022d032d0000"
    "000000000021005cbd2af188000000880000000500000000000000000000008001c7000000752e6e7079504b05"
    "06000000000200020066000000860100000000";
// 392 bytes
const char* const deflated =
    "504b03042d0000000800000021004efb2075ffffffffffffffff05001400412e6e707901001000900000000000"
    "000053000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9366a2aea3a09e965f54529498"
    "179f5f94920a12774bcc294e058a17672416a402f91a463a0a469a3a0ab50a64032e0686067b060606072002e2"
    "060700504b03042d0000000800000021005cbd2af1ffffffffffffffff05001400752e6e707901001000880000"
    "00000000004b000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9366a2aea3a09e965f54"
    "529498179f5f94920a12774bcc294e058a17672416a402f91a463a9a3a0ab50a14002e0686067b20de0f00504b"
    "01022d032d0000000800000021004efb2075530000009000000005000000000000000000000080010000000041"
    "2e6e7079504b01022d032d0000000800000021005cbd2af14b0000008800000005000000000000000000000080"
    "018a000000752e6e7079504b05060000000002000200660000000c0100000000";
// 638 bytes
const char* const zip64 =
    "504b03042d0000000000000021004efb2075ffffffffffffffff05001400412e6e707901001000900000000000"
    "00009000000000000000934e554d5059010076007b276465736372273a20273c6634272c2027666f727472616e"
    "5f6f72646572273a2046616c73652c20277368617065273a2028322c2032292c207d2020202020202020202020"
    "202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "20200a0000803f000000400000404000008040504b03042d0000000000000021005cbd2af1ffffffffffffffff"
    "05001400752e6e70790100100088000000000000008800000000000000934e554d5059010076007b2764657363"
    "72273a20273c6634272c2027666f727472616e5f6f72646572273a2046616c73652c20277368617065273a2028"
    "322c292c207d202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "2020202020202020202020202020202020202020200a0000803f000080bf504b01022d032d0000000000000021"
    "004efb2075ffffffffffffffff050014000000000000000000800100000000412e6e7079010010009000000000"
    "0000009000000000000000504b01022d032d0000000000000021005cbd2af1ffffffffffffffff05001c000000"
    "0000000000008001ffffffff752e6e70790100180088000000000000008800000000000000c700000000000000"
    "504b06062c000000000000002d002d000000000000000000020000000000000002000000000000009600000000"
    "0000008601000000000000504b0607000000001c0200000000000001000000504b050600000000020002009600"
    "0000860100000000";
// 466 bytes
const char* const twice =
    "504b0304140000000000000021005cbd2af1880000008800000005000000752e6e7079934e554d505901007600"
    "7b276465736372273a20273c6634272c2027666f727472616e5f6f72646572273a2046616c73652c2027736861"
    "7065273a2028322c292c207d202020202020202020202020202020202020202020202020202020202020202020"
    "2020202020202020202020202020202020202020202020202020200a0000803f000080bf504b03041400000000"
    "0000002100bcd3ccad880000008800000005000000752e6e7079934e554d5059010076007b276465736372273a"
    "20273c6634272c2027666f727472616e5f6f72646572273a2046616c73652c20277368617065273a2028322c29"
    "2c207d202020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "2020202020202020202020202020202020200a0000803e00000041504b01021403140000000000000021005cbd"
    "2af18800000088000000050000000000000000000000800100000000752e6e7079504b01021403140000000000"
    "00002100bcd3ccad88000000880000000500000000000000000000008001ab000000752e6e7079504b05060000"
    "00000200020066000000560100000000";
// 341 bytes
const char* const with_note =
    "504b0304140000000000000021005cbd2af1880000008800000005000000752e6e7079934e554d505901007600"
    "7b276465736372273a20273c6634272c2027666f727472616e5f6f72646572273a2046616c73652c2027736861"
    "7065273a2028322c292c207d202020202020202020202020202020202020202020202020202020202020202020"
    "2020202020202020202020202020202020202020202020202020200a0000803f000080bf504b03041400000000"
    "000000210086a610360500000005000000080000006e6f74652e74787468656c6c6f504b010214031400000000"
    "00000021005cbd2af18800000088000000050000000000000000000000800100000000752e6e7079504b010214"
    "031400000000000000210086a6103605000000050000000800000000000000000000008001ab0000006e6f7465"
    "2e747874504b0506000000000200020069000000d60000000000";
// 231 bytes
const char* const bzip2 =
    "504b03042e0000000c00000021005cbd2af17b0000008800000005000000752e6e7079425a6839314159265359"
    "d678e21c000027dfe8601040e4145481034220af45dd0a400008000000a0005435464340c8034019a47a8229e5"
    "1a01ea69900c819320472be60c4e14824c048492e68a2032212852d7c513804499eecc6bf753a255fa98074892"
    "057a20d33083a1641b18fb5fc5dc914e1424359e388700504b01022e032e0000000c00000021005cbd2af17b00"
    "000088000000050000000000000000000000800100000000752e6e7079504b0506000000000100010033000000"
    "9e0000000000";

class Npz : public ::testing::Test {
 protected:
  std::string path_of(const Bytes& bytes) const {
    std::string path = directory_.file("x.npz");
    write_bytes(path, bytes);
    return path;
  }

  void expect_refused(const Bytes& bytes, const std::string& part,
                      const std::vector<std::string>& wanted = {}) const {
    const std::string path = path_of(bytes);
    expect_failure([&] { read_npz(path, wanted); }, ExitCode::bad_data, part);
  }

  TemporaryDirectory directory_;
};

/// What every archive above was made from.
void expect_a_and_u(const std::map<std::string, NpyArray>& arrays) {
  ASSERT_EQ(arrays.size(), 2U);
  EXPECT_EQ(arrays.at("A").shape, (std::vector<Index>{2, 2}));
  EXPECT_EQ(arrays.at("A").values, (std::vector<double>{1, 2, 3, 4}));
  EXPECT_EQ(arrays.at("u").shape, (std::vector<Index>{2}));
  EXPECT_EQ(arrays.at("u").values, (std::vector<double>{1, -1}));
  EXPECT_EQ(arrays.at("u").type, NpyType::float32);
}

TEST_F(Npz, ReadsStoredDeflatedAndZip64ArchivesAsNumpyWroteThem) {
  for (const char* archive : {stored, deflated, zip64})
    expect_a_and_u(read_npz(path_of(from_hex(archive))));
}

TEST_F(Npz, ReadsOnlyWhatIsWanted) {
  const auto arrays = read_npz(path_of(from_hex(stored)), {"u"});
  ASSERT_EQ(arrays.size(), 1U);
  EXPECT_EQ(arrays.at("u").values, (std::vector<double>{1, -1}));
}

TEST_F(Npz, NamesWhatIsMissingAndWhatIsThere) {
  expect_refused(from_hex(stored), "lacks W, v; it holds A, u", {"A", "W", "u", "v"});
}

TEST_F(Npz, MindsForeignMembersOnlyWhenTheyAreRead) {
  EXPECT_EQ(read_npz(path_of(from_hex(with_note)), {"u"}).size(), 1U);
  expect_refused(from_hex(with_note), "array note.txt): give a file written by numpy.save");
}

TEST_F(Npz, RefusesTwoMembersOfOneName) {
  expect_refused(from_hex(twice), "two members named 'u'", {"u"});
}

TEST_F(Npz, RefusesOtherCompressions) {
  expect_refused(from_hex(bzip2), "neither stored nor deflated");
}

TEST_F(Npz, RefusesAFlippedBitInTheElementsByItsSum) {
  Bytes bytes = from_hex(stored);
  const Bytes last = bytes_of(std::string("\0\0\x80\x40", 4));  // 4.0f, the end of A
  const auto found = std::search(bytes.begin(), bytes.end(), last.begin(), last.end());
  ASSERT_NE(found, bytes.end());
  *found ^= std::byte{1};
  expect_refused(bytes, "CRC error");
}

TEST_F(Npz, SaysThatAFileIsMissingOrNoArchive) {
  expect_failure([&] { read_npz(directory_.file("none.npz")); }, ExitCode::io, "No such file");
  expect_refused({}, "cannot be read");
  expect_refused(bytes_of("not an archive at all, but some bytes"), "cannot be read");
}

TEST_F(Npz, RefusesTruncationAtEveryByte) {
  for (const char* archive : {stored, deflated, zip64}) {
    const Bytes bytes = from_hex(archive);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      expect_refused({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)}, "");
  }
}

TEST_F(Npz, SurvivesAFlipOfEveryByte) {
  for (const char* archive : {stored, deflated, zip64}) {
    const Bytes original = from_hex(archive);
    for (std::size_t position = 0; position < original.size(); ++position)
      for (const int flip : {0x01, 0xff}) {
        Bytes bytes = original;
        bytes[position] ^= static_cast<std::byte>(flip);
        const std::string path = path_of(bytes);
        expect_no_worse_than_bad_data([&] {
          for (const auto& [name, array] : read_npz(path))
            EXPECT_TRUE(array.values == (std::vector<double>{1, 2, 3, 4}) ||
                        array.values == (std::vector<double>{1, -1}))
                << position;
        });
      }
  }
}

TEST_F(Npz, ReadsBackWhatItWroteInEveryType) {
  const std::string path = directory_.file("out.npz");
  std::vector<double> large(300 * 200);
  std::iota(large.begin(), large.end(), -1000.0);
  NpzWriter writer(path);
  writer.add("large", {300, 200}, large);
  writer.add("rounded", {300, 200}, large, NpyType::float32);
  writer.add("kept", {2, 1}, std::vector<double>{3, 4}, NpyType::int64);
  writer.add("number", {}, std::vector<double>{0.1});
  writer.add("empty", {0, 5}, std::vector<double>{});
  EXPECT_FALSE(std::filesystem::exists(path));
  writer.finish();
  EXPECT_EQ(directory_.size(), 1);

  const auto arrays = read_npz(path);
  ASSERT_EQ(arrays.size(), 5U);
  EXPECT_EQ(arrays.at("large").values, large);
  EXPECT_EQ(arrays.at("large").shape, (std::vector<Index>{300, 200}));
  EXPECT_EQ(arrays.at("rounded").values, large);
  EXPECT_EQ(arrays.at("rounded").type, NpyType::float32);
  EXPECT_EQ(arrays.at("kept").values, (std::vector<double>{3, 4}));
  EXPECT_EQ(arrays.at("number").values, std::vector<double>{0.1});
  EXPECT_EQ(arrays.at("empty").shape, (std::vector<Index>{0, 5}));
}

TEST_F(Npz, StoresTheVeryMembersThatNumpyStores) {
  const std::string path = directory_.file("out.npz");
  NpzWriter writer(path);
  writer.add("A", {2, 2}, std::vector<double>{1, 2, 3, 4}, NpyType::float32);
  writer.finish();
  const Bytes ours = read_bytes(path);
  const Bytes member = format_npy({2, 2}, std::vector<double>{1, 2, 3, 4}, NpyType::float32);
  const Bytes numpys = from_hex(stored);
  for (const Bytes& archive : {ours, numpys})
    EXPECT_NE(std::search(archive.begin(), archive.end(), member.begin(), member.end()),
              archive.end());
}

TEST_F(Npz, WritesTheSameBytesForTheSameArrays) {
  const auto written = [&](const std::string& name) {
    NpzWriter writer(directory_.file(name));
    writer.add("x", {2}, std::vector<double>{1, 2});
    writer.finish();
    return read_bytes(directory_.file(name));
  };
  EXPECT_EQ(written("first.npz"), written("second.npz"));
}

TEST_F(Npz, LeavesNothingWithoutFinish) {
  {
    NpzWriter writer(directory_.file("out.npz"));
    writer.add("x", {2}, std::vector<double>{1, 2});
  }
  EXPECT_EQ(directory_.size(), 0);
}

TEST_F(Npz, RefusesMisuse) {
  NpzWriter writer(directory_.file("out.npz"));
  EXPECT_THROW(writer.finish(), std::logic_error);
  EXPECT_THROW(writer.add("x", {3}, std::vector<double>{1, 2}), std::invalid_argument);
  EXPECT_THROW(writer.add("", {1}, std::vector<double>{1}), std::invalid_argument);
  writer.add("x", {1}, std::vector<double>{1});
  EXPECT_THROW(writer.add("x", {1}, std::vector<double>{1}), std::invalid_argument);
  writer.finish();
  EXPECT_THROW(writer.finish(), std::logic_error);
  EXPECT_THROW(writer.add("y", {1}, std::vector<double>{1}), std::logic_error);
}

TEST_F(Npz, ReportsAnUnwritableDirectoryBeforeTheWork) {
  expect_failure([&] { NpzWriter(directory_.file("none/out.npz")); }, ExitCode::io, "none/out.npz");
}

TEST_F(Npz, ReportsADiskThatIsFullAndLeavesTheOldFile) {
  const std::string path = path_of(from_hex(stored));
  NpzWriter writer(path);
  writer.add("x", {1000}, std::vector<double>(1000));
  // A limit on the size of files stands for a full disk: write() fails in the same place.
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 1000;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_failure([&] { writer.finish(); }, ExitCode::io, path);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  expect_a_and_u(read_npz(path));
}

}  // namespace
}  // namespace widedeq::test
