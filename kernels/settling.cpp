// See settling.hpp.
#include "kernels/settling.hpp"

#include <algorithm>

namespace widedeq {

int SettledColumns::digits() const {
  return static_cast<int>(std::ranges::count_if(count, [](Index columns) { return columns > 0; }));
}

double SettledColumns::products() const {
  double sum = 0.0;
  for (int order = 0; order < plane_digits; ++order)  // of those with i + j = order
    sum += (order + 1.0) * static_cast<double>(count[static_cast<std::size_t>(order)]);
  return sum;
}

SettledColumns settled_columns(const std::vector<double>& moved, const DigitLimits& limits) {
  SettledColumns columns;
  // Written so that what is not a number is above every limit.
  const auto digits_of = [&](double relative) {
    return std::ranges::count_if(limits, [&](double limit) { return !(relative <= limit); });
  };
  for (std::ptrdiff_t digits = plane_digits; digits > 0; --digits) {
    for (std::size_t j = 0; j < moved.size(); ++j)
      if (digits_of(moved[j]) == digits) columns.order.push_back(static_cast<Index>(j));
    columns.count[static_cast<std::size_t>(digits - 1)] = static_cast<Index>(columns.order.size());
  }
  for (const double relative : moved)
    if (digits_of(relative) == 0) columns.left = std::max(columns.left, relative);
  return columns;
}

}  // namespace widedeq
