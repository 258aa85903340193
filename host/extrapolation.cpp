// The least squares of two drives; see extrapolation.hpp.
#include "host/extrapolation.hpp"

#include <array>
#include <numeric>

namespace widedeq {
namespace {

/// (Measured, 4096 x 1000, sphere: from 0 to 3e-3 it is hardly felt, at 1e-2 guesses of the
/// adjoint are worse by five times.)
constexpr double noise = 1e-3;

/// A guess that leaves more than this of a response saves less than a sweep.
constexpr double most_missed = 0.3;

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// Whether the coefficients of d_1 and d_2 leave little enough of d_0; `price` = noise^2 ||d_0||^2.
bool is_close(std::span<const std::vector<double>> d, const std::array<double, 2>& c,
              double price) {
  double missed = price * (c[0] * c[0] + c[1] * c[1]);
  for (std::size_t j = 0; j < d[0].size(); ++j) {
    const double guess = c[0] * d[1][j] + (c[1] != 0.0 ? c[1] * d[2][j] : 0.0);
    missed += (d[0][j] - guess) * (d[0][j] - guess);
  }
  return missed <= most_missed * most_missed * dot(d[0], d[0]);  // false where it is not a number
}

}  // namespace

Extrapolation extrapolate(std::span<const std::vector<double>> drives) {
  Extrapolation by;
  if (drives.size() < 2) return by;
  const double price = noise * noise * dot(drives[0], drives[0]);
  if (price == 0.0) return by;
  const double g11 = dot(drives[1], drives[1]) + price, g10 = dot(drives[1], drives[0]);
  if (const double alone = g10 / g11; is_close(drives, {alone, 0.0}, price))
    by.alone = by.newer = alone;
  if (drives.size() < most_drives) return by;

  // (d_i'd_j + price I) c = d_i'd_0
  const double g22 = dot(drives[2], drives[2]) + price, g20 = dot(drives[2], drives[0]);
  const double g12 = dot(drives[1], drives[2]);
  const double determinant = g11 * g22 - g12 * g12;
  const double newer = (g22 * g10 - g12 * g20) / determinant;
  const double older = (g11 * g20 - g12 * g10) / determinant;
  if (is_close(drives, {newer, older}, price)) {
    by.newer = newer;
    by.older = older;
  }
  return by;
}

}  // namespace widedeq
