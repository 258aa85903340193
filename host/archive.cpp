// Single values by way of lists; see archive.hpp.
#include "host/archive.hpp"

#include "host/failure.hpp"

namespace widedeq {

void Archive::refuse(std::string_view name) const {
  throw Failure(ExitCode::bad_data, "the saved state does not belong to this run", full(name),
                "resume with the configuration it was made with");
}

void Archive::number(std::string_view name, double& value) {
  std::vector<double> values{value};
  numbers(name, values);
  if (values.size() != 1) refuse(name);
  value = values.front();
}

void Archive::optional_number(const std::string& name, std::optional<double>& value) {
  bool is_there = value.has_value();
  double number_or_0 = value.value_or(0.0);
  integer("has_" + name, is_there);
  number(name, number_or_0);
  value = is_there ? std::optional(number_or_0) : std::nullopt;
}

void Archive::transfer_integer(std::string_view name, std::int64_t& value) {
  std::vector<std::int64_t> values{value};
  integers(name, values);
  if (values.size() != 1) refuse(name);
  value = values.front();
}

void Archive::host_matrix(std::string_view name, HostMatrix& matrix) {
  within(name, [&] {
    integer("rows", matrix.rows);
    integer("columns", matrix.columns);
    numbers("values", matrix.values);
    if (matrix.rows < 0 || matrix.columns < 0 ||
        static_cast<std::size_t>(matrix.rows * matrix.columns) != matrix.values.size())
      refuse("values");
  });
}

}  // namespace widedeq
