// Replaces a file by "new" content, whole or not at all, and ends as the tool would: the program
// that atomic_file_faults_test breaks at every call.
//
//     widedeq_atomic_writer PATH BYTES
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>

#include "host/data/atomic_file.hpp"
#include "host/run/outcome.hpp"

int main(int count, char** arguments) {
  if (count != 3) return 2;
  try {
    const std::vector<std::byte> bytes(std::strtoul(arguments[2], nullptr, 10), std::byte{'n'});
    widedeq::write_file_atomically(arguments[1], bytes);
    return 0;
  } catch (const std::exception& error) {
    const widedeq::Outcome outcome = widedeq::outcome_of(error);
    std::fprintf(stderr, "%s\n", outcome.sentence.c_str());
    return outcome.exit_code;
  }
}
