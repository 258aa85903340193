// Runs the tool as a user would: a process, its exit code, what it said and what it left behind.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <vector>

#include "host/data/npy.hpp"
#include "host/data/npz.hpp"

namespace widedeq::test {

namespace fs = std::filesystem;

inline std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::vector<nlohmann::json> read_records(const fs::path& path) {
  std::ifstream file(path);
  std::vector<nlohmann::json> records;
  for (std::string line; std::getline(file, line);)
    records.push_back(nlohmann::json::parse(line));
  return records;
}

/// The records of one kind.
inline std::vector<nlohmann::json> of_kind(const std::vector<nlohmann::json>& records,
                                           const std::string& kind) {
  std::vector<nlohmann::json> chosen;
  for (const auto& record : records)
    if (record.at("kind") == kind) chosen.push_back(record);
  return chosen;
}

/// metrics.jsonl without the wall times.
inline std::string without_times(const std::string& text) {
  return std::regex_replace(text, std::regex(R"("seconds":[^,}]*)"), "\"seconds\":0");
}

struct Result {
  int code = -1;
  std::string output, error;

  /// The lines of stderr that begin "widedeq: ".
  std::vector<std::string> complaints() const {
    std::vector<std::string> lines;
    std::size_t start = 0;
    while (start < error.size()) {
      const std::size_t end = std::min(error.find('\n', start), error.size());
      const std::string line = error.substr(start, end - start);
      if (line.starts_with("widedeq: ")) lines.push_back(line);
      start = end + 1;
    }
    return lines;
  }
};

/// Each test has a directory of its own, which is the tool's working directory.
class CliTest : public ::testing::Test {
 protected:
  CliTest() {
    std::string name = (fs::temp_directory_path() / "widedeq-cli-XXXXXX").string();
    directory = ::mkdtemp(name.data());
    ::setenv("CUDA_VISIBLE_DEVICES", "", 1);  // what is tested here is not a GPU that may be there
  }
  ~CliTest() override { fs::remove_all(directory); }

  std::string path(const std::string& name) const { return (directory / name).string(); }

  /// Runs `widedeq ARGUMENTS` through the shell. stderr is not a terminal.
  Result run(const std::string& arguments) const { return run_with("", arguments); }

  /// The same in another environment: "-u OTHER NAME=VALUE", as env takes it.
  Result run_with(const std::string& variables, const std::string& arguments) const {
    const std::string command = "cd '" + directory.string() + "' && env " + variables +
                                " '" WIDEDEQ_BINARY "' " + arguments +
                                " >.stdout 2>.stderr </dev/null";
    const int status = std::system(command.c_str());
    Result result;
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    result.output = read_text(directory / ".stdout");
    result.error = read_text(directory / ".stderr");
    fs::remove(directory / ".stdout");
    fs::remove(directory / ".stderr");
    return result;
  }

  bool has_mixed() const {
    return run("info").output.find("fp64, fp32, mixed") != std::string::npos;
  }

  /// Expects the exit code, one line of complaint that has all the parts, and no new file.
  void expect_refused(const std::string& arguments, int code,
                      const std::vector<std::string>& parts) const {
    const auto before = files();
    const Result result = run(arguments);
    EXPECT_EQ(result.code, code) << arguments << "\n" << result.error;
    const auto lines = result.complaints();
    ASSERT_EQ(lines.size(), 1U) << arguments << "\n" << result.error;
    for (const std::string& part : parts)
      EXPECT_NE(lines[0].find(part), std::string::npos) << "no '" << part << "' in " << lines[0];
    EXPECT_EQ(files(), before) << arguments;
  }

  /// Everything in the directory, with sizes.
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(directory))
      names.push_back(entry.path().string() +
                      (entry.is_regular_file() ? " " + std::to_string(entry.file_size()) : "/"));
    std::sort(names.begin(), names.end());
    return names;
  }

  void write_text(const std::string& name, const std::string& text) const {
    std::ofstream(directory / name, std::ios::binary) << text;
  }

  /// X.npy (n, d), y.npy (n) and w.npz of width m: smooth and without duplicates.
  void write_problem(Index m, Index n, Index d) const {
    write_npy(path("X.npy"), {n, d}, wave(n * d, 0.1));
    write_npy(path("y.npy"), {n}, wave(n, 0.2));
    write_weights("w.npz", {m, m}, {m, d}, m, m);
  }

  void write_weights(const std::string& name, std::vector<Index> A, std::vector<Index> W, Index u,
                     Index v) const {
    NpzWriter file(path(name));
    file.add("A", A, wave(A[0] * A[1], 0.3));
    file.add("W", W, wave(W[0] * W[1], 0.4));
    file.add("u", {u}, wave(u, 0.5));
    file.add("v", {v}, wave(v, 0.6));
    file.finish();
  }

  /// Numbers in [-1, 1] without a pattern that repeats.
  static std::vector<double> wave(Index count, double phase) {
    std::vector<double> values;
    for (Index i = 0; i < count; ++i) {
      const auto x = static_cast<double>(i);
      values.push_back(std::sin(phase + 1.7 * x + 0.31 * x * x));
    }
    return values;
  }

  fs::path directory;
};

}  // namespace widedeq::test
