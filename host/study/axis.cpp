// Choosing steps and marks, linear and logarithmic; see axis.hpp.
#include "host/study/axis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace widedeq {
namespace {

constexpr int wanted_ticks = 6;
constexpr int most_decades = 7;  // with a label each

double power_of_ten(int exponent) {
  // Division keeps 0.001 the double that is written so.
  return exponent < 0 ? 1.0 / std::pow(10.0, -exponent) : std::pow(10.0, exponent);
}

/// 1, 2 or 5 times a power of ten, so that about wanted_ticks fit.
double linear_step(double span) {
  const double rough = span / wanted_ticks;
  const int exponent = static_cast<int>(std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power_of_ten(exponent) >= rough * 0.999) return factor * power_of_ten(exponent);
  return power_of_ten(exponent + 1);
}

std::vector<Tick> linear_ticks(const Axis& axis, double low, double high) {
  double step = linear_step(high - low);
  if (axis.integers) step = std::max(1.0, step);
  std::vector<Tick> ticks;
  const auto first = std::ceil(low / step - 1e-9);
  const auto last = std::floor(high / step + 1e-9);
  for (double k = first; k <= last; ++k) {
    // k step as the decimal number it means: 3 * 0.1 is not 0.3.
    const double value = k == 0.0 ? 0.0 : std::stod(fmt::format("{:.12g}", k * step));
    ticks.push_back({value, tick_label(value) + axis.unit});
  }
  return ticks;
}

std::vector<Tick> log_ticks(const Axis& axis, double low, double high) {
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  const auto inside = [&](double value) {
    return value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9);
  };
  int decades = 0;
  for (int exponent = first; exponent <= last; ++exponent)
    decades += inside(power_of_ten(exponent)) ? 1 : 0;

  std::vector<Tick> ticks;
  const int every = (decades + most_decades - 1) / most_decades;
  int labels = 0;
  for (int exponent = first; exponent <= last; ++exponent)
    for (int factor = 1; factor < 10; ++factor) {
      const double value = std::stod(fmt::format("{}e{}", factor, exponent));
      if (!inside(value)) continue;
      const bool has_label = decades >= 3 ? factor == 1 && exponent % std::max(every, 1) == 0
                                          : factor == 1 || factor == 2 || factor == 5;
      // Nine small marks a decade become a smear where decades are many.
      if (!has_label && factor > 1 && decades > most_decades) continue;
      ticks.push_back({value, has_label ? tick_label(value) + axis.unit : ""});
      labels += has_label ? 1 : 0;
    }
  return labels >= 3 ? ticks : linear_ticks(axis, low, high);
}

}  // namespace

namespace {

Scale scale_with_room(const Axis& axis, double low, double high) {
  low = std::min(low, axis.low.value_or(low));
  high = std::max(high, axis.high.value_or(high));
  Scale scale;
  if (axis.log) {
    // A tenth of a decade at least, and 4 % of what there is, on both sides.
    const double room = std::max(0.04 * std::log10(high / low), low == high ? 0.1 : 0.02);
    scale.low = low * std::pow(10.0, -room);
    scale.high = high * std::pow(10.0, room);
    scale.ticks = log_ticks(axis, scale.low, scale.high);
    return scale;
  }
  const double size = std::max(std::abs(low), std::abs(high));
  // Numbers that differ by rounding alone are not to be torn apart.
  const double span = std::max(high - low, size == 0.0 ? 1.0 : 1e-3 * size);
  const double middle = 0.5 * (low + high);
  const bool flat = high - low < span;
  scale.low = flat ? middle - 0.5 * span : low - 0.04 * span;
  scale.high = flat ? middle + 0.5 * span : high + 0.04 * span;
  if (low >= 0.0) scale.low = std::max(scale.low, 0.0);
  if (axis.low && low == *axis.low) scale.low = low;
  if (axis.high && high == *axis.high) scale.high = high;
  scale.ticks = linear_ticks(axis, scale.low, scale.high);
  return scale;
}

}  // namespace

Scale scale_of(const Axis& axis, double low, double high) {
  Scale scale = scale_with_room(axis, low, high);
  if (axis.marks.empty()) return scale;
  scale.ticks.clear();
  for (const double value : axis.marks)
    if (value >= scale.low && value <= scale.high)
      scale.ticks.push_back({value, tick_label(value) + axis.unit});
  return scale;
}

std::string tick_label(double value) {
  const double size = std::abs(value);
  if (size == 0.0) return "0";
  if (size >= 0.9995e-3 && size < 1e5) return fmt::format("{:.6g}", value);
  const std::string text = fmt::format("{:.5e}", value);
  const std::size_t e = text.find('e');
  std::string mantissa = text.substr(0, e);
  mantissa.erase(mantissa.find_last_not_of('0') + 1);
  if (mantissa.ends_with('.')) mantissa.pop_back();
  const int exponent = std::stoi(text.substr(e + 1));
  if (mantissa == "1") return fmt::format("10^{{{}}}", exponent);
  return fmt::format("{}e{:+03d}", mantissa, exponent);
}

}  // namespace widedeq
