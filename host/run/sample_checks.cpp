#include "host/run/sample_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "host/data/dataset.hpp"
#include "host/failure.hpp"

namespace widedeq {

void refuse_zero_samples(const HostMatrix& inputs, const std::string& where) {
  const auto d = static_cast<std::size_t>(inputs.rows);
  for (Index j = 0; j < inputs.columns; ++j) {
    const auto column = std::span(inputs.values).subspan(static_cast<std::size_t>(j) * d, d);
    if (std::all_of(column.begin(), column.end(), [](double x) { return x == 0.0; }))
      throw Failure(ExitCode::bad_data, fmt::format("sample {} is all zeros", j), where,
                    "remove it (samples are counted from 0)");
  }
}

std::string describe_duplicate(const HostMatrix& inputs) {
  const auto pair = first_duplicate(inputs);
  if (!pair) return "";
  return fmt::format("samples {} and {} are the same up to scale, so the kernel is singular",
                     pair->first, pair->second);
}

}  // namespace widedeq
