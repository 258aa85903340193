// Which page a directory calls for; see report.hpp.
#include "host/study/report.hpp"

#include <filesystem>

#include "host/failure.hpp"

namespace widedeq {

std::string write_report(const std::string& directory, const std::optional<std::string>& out) {
  const std::string place = out.value_or((std::filesystem::path(directory) / "report").string());
  if (std::filesystem::exists(std::filesystem::path(directory) / "study.toml"))
    return report_of_study(analyse_study(directory), place).write(place);
  return report_of_run(read_run(directory)).write(place);
}

std::string write_comparison(const std::string& a, const std::string& b, const std::string& out) {
  return report_of_two(read_run(a), read_run(b)).write(out);
}

}  // namespace widedeq
