// Study files: what is accepted can be written and read back, the same in every cell.
#include <set>

#include "host/run/config_file.hpp"
#include "host/study/study_config.hpp"
#include "tests/fuzz/fuzz_support.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace widedeq;
  // A range of a few bytes may ask for 10,000 cells; nothing may ask for more.
  const fuzz::AllocationLimit limit(16 * size + (std::size_t{1} << 25));
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto study =
      fuzz::accept(ExitCode::usage, [&] { return parse_study(text, "input", "directory"); });
  if (!study) return 0;

  fuzz::promise(!study->cells.empty(), "a study has cells");
  const std::string written = to_toml(*study);
  const Study again = parse_study(written, "written", "directory");  // a Failure is a finding here
  fuzz::promise(again.grid == study->grid, "the grid written is the grid read");
  fuzz::promise(to_toml(again) == written, "the same study, the same file");
  fuzz::promise(to_toml(extended(*study, again)) == written, "a study goes on with itself");
  std::set<std::string> directories;
  for (std::size_t i = 0; i < study->cells.size(); ++i) {
    const StudyCell& cell = study->cells[i];
    fuzz::promise(again.cells[i].directory == cell.directory, "cells keep their directories");
    fuzz::promise(to_toml(again.cells[i].config) == to_toml(cell.config), "and their settings");
    fuzz::promise(directories.insert(cell.directory).second, "each has its own");
    fuzz::promise(cell.name.size() < 255 && cell.name.find_first_of("/ \n\"'") == cell.name.npos &&
                      !cell.name.starts_with('.'),
                  "a name that any file system takes");
  }
  return 0;
}
