// Samples without length, or next to none, and samples given twice; see sample_checks.hpp.
#include "host/run/sample_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "host/data/dataset.hpp"
#include "host/failure.hpp"
#include "host/run/config.hpp"

namespace widedeq {

void refuse_small_samples(const HostMatrix& inputs, Precision precision, const std::string& where,
                          Index first) {
  // fp64: the square of a norm times a tolerance of 1e-14 has to be a normal number. fp32: single
  // entries of z, to 1e-7, have to be. mixed: int8 increments have a least scale besides, 2^-110.
  const double least = precision == Precision::fp64   ? 1e-130
                       : precision == Precision::fp32 ? 1e-30
                                                      : 1e-24;
  for (Index j = 0; j < inputs.columns; ++j) {
    double largest = 0.0;
    for (Index i = 0; i < inputs.rows; ++i)
      largest = std::max(largest, std::abs(inputs(i, j)));
    if (largest >= least) continue;
    if (largest == 0.0)
      throw Failure(ExitCode::bad_data, fmt::format("sample {} is all zeros", first + j), where,
                    "remove it (samples are counted from 0)");
    throw Failure(ExitCode::bad_data,
                  fmt::format("sample {} is too small for {}: its largest entry is {:.3g}",
                              first + j, name_of(precision), largest),
                  where,
                  precision == Precision::fp64 ? "scale the inputs"
                                               : "scale the inputs, or --precision fp64");
  }
}

std::string describe_duplicate(const HostMatrix& inputs) {
  const auto pair = first_duplicate(inputs);
  if (!pair) return "";
  return fmt::format("samples {} and {} are the same up to scale, so the kernel is singular",
                     pair->first, pair->second);
}

}  // namespace widedeq
