// The libraries this program runs with beside those it was compiled with; see doctor.hpp.
//
// Shared libraries may be replaced under a program: a module that is not loaded, a container with
// other versions. Of those that tell their version at run time a different one is worth a warning,
// a different major version a failure.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>
#include <zip.h>
#include <zlib.h>

#include <algorithm>

#include "build_info.hpp"
#include "host/run/doctor.hpp"
#include "kernels/blas_kernels.hpp"

namespace widedeq {
namespace {

struct Library {
  std::string name;     // as in build_info::dependencies
  std::string running;  // its version now; empty when it does not tell
};

/// "0.3.21" from "... OpenBLAS 0.3.21 NO_LAPACKE ..."
std::string version_after(const std::string& text, const std::string& name) {
  const std::size_t place = text.find(name + " ");
  if (place == text.npos) return "";
  const std::size_t start = place + name.size() + 1;
  return text.substr(start, text.find_first_not_of("0123456789.", start) - start);
}

std::string compiled_version(const std::string& name) {
  for (const auto& [dependency, version] : build_info::dependencies)
    if (dependency == name) return std::string(version);
  return "";
}

/// OpenBLAS's kernels beside the processor. The tool chooses better ones itself where it can.
Finding examine_blas() {
  const std::string running = running_blas_kernels();
  const std::string better = better_blas_kernels(running, vector_units());
  Finding finding{
      .name = "blas", .text = fmt::format("OpenBLAS runs its {} kernels", running), .remedy = {}};
  if (better.empty()) return finding;
  finding.severity = Severity::warn;
  finding.text += ", which use no AVX2";
  finding.remedy =
      fmt::format("fp32 and fp64 are several times as fast with OPENBLAS_CORETYPE={}", better);
  return finding;
}

std::string major_of(const std::string& version) {
  return version.substr(0, version.find('.'));
}

}  // namespace

std::vector<Finding> examine_libraries(const std::string& backend_description) {
  const unsigned xxhash = XXH_versionNumber();
  const std::vector<Library> libraries{
      {"OpenBLAS", version_after(backend_description, "OpenBLAS")},
      {"oneDNN", version_after(backend_description, "oneDNN")},
      {"ZLIB", zlibVersion()},
      {"libzip", zip_libzip_version()},
      {"xxHash", fmt::format("{}.{}.{}", xxhash / 10000, xxhash / 100 % 100, xxhash % 100)}};
  std::vector<std::string> same;
  std::vector<Finding> different;
  for (const Library& library : libraries) {
    const std::string compiled = compiled_version(library.name);
    const std::string& running = library.running;
    if (running == compiled || running.empty() || compiled.empty()) {
      same.push_back(library.name + " " + (running.empty() ? compiled : running));
      continue;
    }
    const bool fails = major_of(running) != major_of(compiled);
    different.push_back({.name = "library",
                         .severity = fails ? Severity::fail : Severity::warn,
                         .text = fmt::format("{} {} is loaded, {} was compiled with", library.name,
                                             running, compiled),
                         .remedy = "build again here, or load the library it was built with"});
  }
  std::vector<Finding> findings;
  findings.push_back({.name = "libraries",
                      .text = fmt::format("{}: as compiled with", fmt::join(same, ", ")),
                      .remedy = {}});
  findings.push_back(examine_blas());
  if (backend_description.find("OpenBLAS") != std::string::npos &&
      backend_description.find("USE_OPENMP") == std::string::npos)
    findings.push_back({.name = "library",
                        .severity = Severity::warn,
                        .text = "OpenBLAS has threads of its own, which compete with OpenMP's",
                        .remedy = "use one built with USE_OPENMP=1"});
  std::ranges::move(different, std::back_inserter(findings));
  return findings;
}

}  // namespace widedeq
