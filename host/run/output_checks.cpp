// Files compared by what they are, not by their names; see output_checks.hpp.
#include "host/run/output_checks.hpp"

#include <filesystem>
#include <system_error>
#include <utility>

#include "host/failure.hpp"
#include "host/finite.hpp"

namespace widedeq {

void refuse_overwriting(const std::vector<std::string>& sources, const std::string& out) {
  for (const std::string& source : sources) {
    std::error_code ignored;
    if (!source.empty() && std::filesystem::equivalent(source, out, ignored))
      throw Failure(ExitCode::usage, "the output would replace its own input", out,
                    "give another --out");
  }
}

void require_finite(const std::string& name, const std::vector<double>& values,
                    const std::string& remedy) {
  if (!all_finite(values))
    throw Failure(ExitCode::diverged, name + " is not finite", "nothing was written", remedy);
}

void add_finite(NpzWriter& file, const std::string& name, const std::vector<Index>& shape,
                std::vector<double> values, const std::string& remedy) {
  require_finite(name, values, remedy);
  file.add(name, shape, std::move(values));
}

}  // namespace widedeq
