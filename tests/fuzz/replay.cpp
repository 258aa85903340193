// Runs a fuzz target over every file of its corpus and, the same ones each time, over mutations of
// them: what CTest runs, with any compiler.
//
//     widedeq_replay_NAME CORPUS MUTATIONS [FILE...]
//
// MUTATIONS: how many of each file. With FILEs (findings) just these are run, as they are. A corpus
// file called valid-... must be accepted by the reader, one called bad-... refused. An input that
// ends the program, or takes more than a few seconds, is left in finding-NAME in the working
// directory.
#include <fcntl.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/fuzz/fuzz_support.hpp"

namespace {

using Input = std::vector<std::uint8_t>;
using Random = std::mt19937_64;

constexpr unsigned seconds_an_input = 10;
constexpr std::size_t longest = 1 << 16;

// For the signal handler.
const Input* current = nullptr;
std::string finding_name;

void keep_finding() {
  if (!current) return;
  const int file = ::open(finding_name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) return;
  static_cast<void>(!::write(file, current->data(), current->size()));
  ::close(file);
  std::fprintf(stderr, "the input is in %s\n", finding_name.c_str());
}

void die(int signal) {
  keep_finding();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

Input read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void run(const Input& input) {
  // A copy of just this size: a reader that goes beyond it is caught by AddressSanitizer.
  const Input copy(input.begin(), input.end());
  current = &copy;
  ::alarm(seconds_an_input);
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
  ::alarm(0);
  current = nullptr;
}

// --- Mutations
// ------------------------------------------------------------------------------------

std::size_t below(Random& random, std::size_t end) {
  return end == 0 ? 0 : static_cast<std::size_t>(random() % end);
}

/// Writes an integer of 1, 2, 4 or 8 bytes that is likely to hurt, in either byte order.
void overwrite_number(Input& input, Random& random) {
  const std::size_t width = std::size_t{1} << below(random, 4);
  if (input.size() < width) return;
  std::uint64_t number = 0;
  switch (below(random, 4)) {
    case 0:
      number = below(random, 5) - 2;  // -2 ... 2
      break;
    case 1:
      number = std::uint64_t{1} << below(random, 64);
      break;
    case 2:
      number = (std::uint64_t{1} << below(random, 64)) - 1;
      break;
    default:
      number = random();
  }
  const std::size_t start = below(random, input.size() - width + 1);
  const bool big_endian = below(random, 2) == 0;
  for (std::size_t i = 0; i < width; ++i)
    input[start + (big_endian ? width - 1 - i : i)] = static_cast<std::uint8_t>(number >> 8 * i);
}

void mutate_once(Input& input, const std::vector<Input>& corpus, Random& random) {
  const std::size_t start = below(random, input.size());
  const std::size_t count = std::min(1 + below(random, 16), input.size() - start);
  const auto at = input.begin() + static_cast<std::ptrdiff_t>(start);
  const auto end = at + static_cast<std::ptrdiff_t>(count);
  switch (below(random, 8)) {
    case 0:
    case 1:
      if (!input.empty()) *at ^= static_cast<std::uint8_t>(1 << below(random, 8));
      break;
    case 2:
      if (!input.empty()) *at = static_cast<std::uint8_t>(random());
      break;
    case 3:
      overwrite_number(input, random);
      break;
    case 4:
      input.resize(start);
      break;
    case 5:
      input.erase(at, end);
      break;
    case 6: {
      const Input repeated(at, end);
      input.insert(at, repeated.begin(), repeated.end());
      break;
    }
    default: {  // the front of this one, the back of another
      const Input& other = corpus[below(random, corpus.size())];
      const auto from = static_cast<std::ptrdiff_t>(below(random, other.size()));
      input.erase(at, input.end());
      input.insert(input.end(), other.begin() + from, other.end());
    }
  }
  if (input.size() > longest) input.resize(longest);
}

Input mutated(const Input& original, const std::vector<Input>& corpus, Random& random) {
  Input input = original;
  for (std::size_t left = 1 + below(random, 4); left > 0; --left)
    mutate_once(input, corpus, random);
  if (widedeq::fuzz::repair && below(random, 2) == 0) widedeq::fuzz::repair(input);
  return input;
}

}  // namespace

#if defined(__SANITIZE_ADDRESS__)
extern "C" void __sanitizer_set_death_callback(void (*callback)());
#endif

int main(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr, "usage: %s CORPUS MUTATIONS [FILE...]\n", arguments[0]);
    return 2;
  }
  const std::filesystem::path folder = arguments[1];
  const long mutations = std::strtol(arguments[2], nullptr, 10);
  finding_name = "finding-" + folder.filename().string();
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_set_death_callback(keep_finding);
#endif
  for (const int signal : {SIGABRT, SIGALRM, SIGSEGV, SIGFPE, SIGBUS, SIGILL})
    std::signal(signal, die);

  if (count > 3) {
    for (int i = 3; i < count; ++i)
      run(read_file(arguments[i]));
    return 0;
  }

  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Input> corpus;
  std::transform(paths.begin(), paths.end(), std::back_inserter(corpus), read_file);

  bool as_named = true;
  bool accepted_one = false, refused_one = false;
  for (std::size_t i = 0; i < corpus.size(); ++i) {
    run(corpus[i]);
    const std::string name = paths[i].filename().string();
    const bool accepted = widedeq::fuzz::accepted_last_input;
    (accepted ? accepted_one : refused_one) = true;
    if (name.starts_with(accepted ? "bad-" : "valid-")) {
      std::fprintf(stderr, "%s was %s\n", name.c_str(), accepted ? "accepted" : "refused");
      as_named = false;
    }
  }
  if (!accepted_one || !refused_one) {
    std::fprintf(stderr, "the corpus wants inputs of both kinds, accepted and refused\n");
    return 1;
  }

  Random random(1);
  long accepted = 0;
  for (const Input& original : corpus)
    for (long i = 0; i < mutations; ++i) {
      run(mutated(original, corpus, random));
      accepted += widedeq::fuzz::accepted_last_input ? 1 : 0;
    }
  std::printf("%zu files, %ld mutations of each, of which %ld were accepted\n", corpus.size(),
              mutations, accepted);
  return as_named ? 0 : 1;
}
