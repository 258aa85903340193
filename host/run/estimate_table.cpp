// Measuring the machine, and the table that `train --dry-run` prints; see estimate.hpp.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "host/run/estimate.hpp"
#include "host/run/machine.hpp"
#include "host/run/progress.hpp"
#include "kernels/error.hpp"

namespace widedeq {
namespace {

using Clock = std::chrono::steady_clock;

template <class Act>
double seconds_of(Act&& act) {
  const auto start = Clock::now();
  act();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The shortest of as many samples as fit the time, at least four: on a machine that others use
/// too, small products are slow now and then by far more than anything here may be wrong.
template <class Act>
double shortest_seconds(Act&& act, double budget) {
  constexpr int fewest = 4;
  constexpr int most = 50;
  double shortest = seconds_of(act);
  double spent = shortest;
  for (int count = 1; count < most && (count < fewest || spent + shortest < budget); ++count) {
    const double seconds = seconds_of(act);
    spent += seconds;
    shortest = std::min(shortest, seconds);
  }
  return std::max(shortest, 1e-9);
}

/// Operations a second of the library's product, the best of several sizes: what a run reaches in
/// its large products, and less disturbed the more sizes are tried. Takes about `budget` seconds.
double product_speed(Backend& backend, Precision precision, Index m, Index n, double budget) {
  double speed = 0.0;
  for (const Index side : {512, 1024, 2048}) {
    const Index rows = std::min(m, side);
    const Index columns = std::min(n, side / 4);
    const double operations = 2.0 * static_cast<double>(rows * rows) * static_cast<double>(columns);
    if (speed > 0.0 && operations / speed > 2.0 * budget) break;
    const BareProduct product = backend.bare_product(precision, rows, columns);
    const auto multiply = [&] {
      product.multiply();
      backend.synchronize();
    };
    multiply();  // libraries make their kernels at the first call
    speed = std::max(speed, operations / shortest_seconds(multiply, budget / 4.0));
    if (rows == m && columns == n) break;
  }
  return speed;
}

/// Bytes a second, read and written, of a copy that no cache holds.
double copy_speed(Backend& backend) {
  constexpr Index rows = Index{1} << 15, columns = 256;  // threads share out columns
  const Matrix from = backend.allocate(Element::float32, rows, columns);
  Matrix to = backend.allocate(Element::float32, rows, columns);
  const double seconds = shortest_seconds(
      [&] {
        backend.copy(from, to);
        backend.synchronize();
      },
      0.1);
  return 8.0 * static_cast<double>(rows * columns) / seconds;
}

/// "int8 12.3 Gflop, fp32 1.5 Gflop"
std::string by_arithmetic(const Operations& operations) {
  std::string text;
  const auto add = [&](const char* name, double count) {
    if (count > 0.0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, format_operations(count));
  };
  add("int8", operations.int8);
  add("fp32", operations.fp32);
  add("fp64", operations.fp64);
  return text;
}

std::string row(const std::string& name, const std::string& value, const std::string& remark = "") {
  std::string line = fmt::format("  {:<30}{:>12}", name, value);
  if (!remark.empty()) line += "   " + remark;
  return line + "\n";
}

std::string remark_available(const std::optional<double>& bytes, const char* what) {
  return bytes ? fmt::format("{} {}", format_bytes(*bytes), what) : "";
}

/// The widest network, no wider than the workload's, whose matrices fit a GPU's memory otherwise as
/// they are; 0: there is none.
Index width_that_fits(Workload work, double memory) {
  Index fits = 0, too_wide = work.width + 1;
  while (too_wide - fits > 1) {
    work.width = fits + (too_wide - fits) / 2;
    (total(estimate_memory(work, true).device) <= memory ? fits : too_wide) = work.width;
  }
  return fits;
}

std::string shortages(const Estimate& e) {
  std::string text;
  if (!e.unsupported.empty()) text += "This run cannot be made here: " + e.unsupported + ".\n";
  if (const double peak = e.memory.peak(); e.memory_available && peak > *e.memory_available) {
    const bool samples_weigh = 2 * e.work.samples > e.work.width;
    text += fmt::format(
        "The memory is too small: {} needed, {} available; lower --width{}, or ask for more.\n",
        format_bytes(peak), format_bytes(*e.memory_available),
        samples_weigh ? ", --chunk or --samples" : "");
  }
  if (const double needed = total(e.memory.device);
      e.device_available && needed > *e.device_available) {
    const Index width = width_that_fits(e.work, *e.device_available);
    text += fmt::format(
        "The GPU's memory is too small: {} needed, {} free; {}, or use --backend "
        "cpu.\n",
        format_bytes(needed), format_bytes(*e.device_available),
        width > 0 ? fmt::format("lower --width (about {} would fit)", width)
                  : "lower --samples, or --chunk");
  }
  if (const double disk = total(e.disk); e.disk_available && disk > *e.disk_available)
    text += fmt::format(
        "The disk is too small: {} needed, {} free; make room, or choose another --out.\n",
        format_bytes(disk), format_bytes(*e.disk_available));
  return text;
}

}  // namespace

Speed measure_speed(Backend& backend, const Workload& work, double seconds) {
  const bool is_mixed = work.precision == Precision::mixed;
  const bool needs_doubles = work.gram_every > 0 || work.automatic_rate || work.warm_start;
  const Index n = std::min(work.samples, work.chunk > 0 ? work.chunk : work.samples);
  const auto speed_of = [&](Precision precision) {
    return product_speed(backend, precision, work.width, n, seconds / 3.0);
  };
  Speed speed;
  if (is_mixed) speed.int8 = speed_of(Precision::mixed);
  if (is_mixed || work.precision == Precision::fp32) speed.fp32 = speed_of(Precision::fp32);
  if (work.precision == Precision::fp64 || needs_doubles) speed.fp64 = speed_of(Precision::fp64);
  speed.bytes = copy_speed(backend);
  return speed;
}

Estimate estimate(Backend& backend, const Workload& work, const std::string& out) {
  Estimate e;
  e.work = work;
  e.memory_available = available_memory_bytes();
  e.device_available = backend.free_device_memory();
  e.disk_available = free_space(out);
  e.memory = estimate_memory(work, e.device_available.has_value());
  e.operations = estimate_work(work);
  e.disk = estimate_disk(work);
  try {
    backend.make_operand(work.precision, work.width);  // allocates nothing yet
    e.speed = measure_speed(backend, work);
  } catch (const Unsupported& error) {
    e.unsupported = error.what();
  }
  e.time = estimate_time(work, e.operations, e.speed);
  return e;
}

bool fits(const Estimate& estimate) {
  return shortages(estimate).empty();
}

std::string format_operations(double count) {
  static constexpr const char* units[] = {"flop",  "kflop", "Mflop", "Gflop",
                                          "Tflop", "Pflop", "Eflop"};
  std::size_t unit = 0;
  while (count >= 999.5 && unit + 1 < std::size(units)) {
    count /= 1000.0;
    ++unit;
  }
  return fmt::format("{:.3g} {}", count, units[unit]);
}

std::string format_seconds(double seconds) {
  if (seconds < 0.01) return fmt::format("{:.1f} ms", 1e3 * seconds);
  if (seconds < 1.0) return fmt::format("{:.0f} ms", 1e3 * seconds);
  if (seconds < 100.0) return fmt::format("{:.1f} s", seconds);
  return format_duration(seconds);
}

std::optional<double> free_space(const std::string& out) {
  namespace fs = std::filesystem;
  if (out.empty()) return std::nullopt;
  std::error_code error;
  fs::path place = fs::absolute(out, error);
  while (!fs::is_directory(place, error) && place.has_relative_path())
    place = place.parent_path();
  const fs::space_info space = fs::space(place, error);
  return error ? std::nullopt : std::optional(static_cast<double>(space.available));
}

std::string format_bytes(double bytes) {
  static constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < std::size(units)) {
    bytes /= 1000.0;
    ++unit;
  }
  const int decimals = unit == 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", bytes, decimals, units[unit]);
}

std::string format_estimate(const Estimate& e) {
  const Workload& work = e.work;
  std::string table =
      fmt::format("width {}, {} samples of {} inputs, {}, {} epochs; nothing was started\n\n",
                  work.width, work.samples, work.inputs, name_of(work.precision), work.epochs);

  const auto list = [&](const std::vector<Share>& shares) {
    for (const Share& share : shares)
      table += row("  " + share.name, format_bytes(share.bytes));
  };
  if (!e.memory.device.empty()) {
    table += row("GPU memory at most", format_bytes(total(e.memory.device)),
                 remark_available(e.device_available, "free"));
    list(e.memory.device);
    table += "\n";
  }
  table += row("memory at most", format_bytes(e.memory.peak()),
               remark_available(e.memory_available, "available"));
  list(e.memory.training);
  table += row("while loading", format_bytes(e.memory.loading));
  table += row("while saving weights", format_bytes(e.memory.saving));

  table +=
      "\n" + row("disk", format_bytes(total(e.disk)), remark_available(e.disk_available, "free"));
  list(e.disk);

  const auto sum = [](const Operations& o) { return o.fp64 + o.fp32 + o.int8; };
  const auto& [first, later, all, gram, grams, first_bytes, later_bytes, gram_bytes] = e.operations;
  table += "\n";
  if (work.epochs > 1)
    table += row("work of an epoch", format_operations(sum(later)), by_arithmetic(later));
  if (grams > 0)
    table += row(fmt::format("work of a Gram, {} in all", grams), format_operations(sum(gram)));
  table += row("work in all", format_operations(sum(all) + grams * sum(gram)));
  if (e.unsupported.empty()) {
    table += "\n";
    if (work.epochs > 1) table += row("time of an epoch", format_seconds(e.time.later));
    if (grams > 0) table += row("time of a Gram", format_seconds(e.time.gram), "beside the epochs");
    table += row("time in all", format_seconds(e.time.all),
                 "an estimate, to a factor of two from m = 512 on");
    const auto rate = [](double operations) { return fmt::format("{:.3g}", operations / 1e9); };
    std::string measured;
    if (e.speed.int8 > 0.0) measured += "int8 " + rate(e.speed.int8) + ", ";
    if (e.speed.fp32 > 0.0) measured += "fp32 " + rate(e.speed.fp32) + ", ";
    if (e.speed.fp64 > 0.0) measured += "fp64 " + rate(e.speed.fp64) + ", ";
    measured.resize(measured.size() - 2);
    table +=
        fmt::format("  measured just now: {} Gflop/s; {} GB/s\n", measured, rate(e.speed.bytes));
  }
  const std::string sentences = shortages(e);
  return sentences.empty() ? table : table + "\n" + sentences;
}

}  // namespace widedeq
