// What cells need, by the formulas of host/run/estimate.hpp; see study_plan.hpp.
#include "host/study/study_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <queue>
#include <utility>

#include "host/run/machine.hpp"
#include "host/run/prepare.hpp"
#include "host/run/progress.hpp"
#include "host/run/weights_file.hpp"

namespace widedeq {
namespace {

struct DataShape {
  Index samples = 0, inputs = 0;
};

/// What does not follow from a cell's settings alone: the shape of its data, its backend, the width
/// of a file's weights. Each is looked at once however many cells share it.
class Memory {
 public:
  DataShape data_of(const TrainConfig& config) {
    const std::string key = data_key(config);
    const auto there = shapes_.find(key);
    if (there != shapes_.end()) return there->second;
    const Dataset data = load_data(config);
    return shapes_[key] = {data.inputs.columns, data.inputs.rows};
  }

  Backend& backend_of(const TrainConfig& config) {
    const int threads = config.threads > 0 ? config.threads : default_threads();
    auto& backend = backends_[{config.backend, threads}];
    if (!backend) {
      BackendChoice choice = config.backend;
      backend = make_backend(choice, threads);
    }
    return *backend;
  }

  /// The width that a weights file gives.
  Index width_in(const std::string& weights) {
    const auto there = widths_.find(weights);
    if (there != widths_.end()) return there->second;
    return widths_[weights] = load_weights(weights).A.rows;
  }

 private:
  /// Every setting that may change data; the seed does where they are drawn.
  static std::string data_key(const TrainConfig& config) {
    constexpr std::array relevant{"data", "classes", "samples", "test-samples"};
    std::string key = config.data == "sphere" ? std::to_string(config.seed) : "";
    for (const Setting& entry : settings())
      if (std::ranges::find(relevant, entry.name) != relevant.end())
        key += '\n' + entry.get(config).value_or("");
    return key;
  }

  std::map<std::string, DataShape> shapes_;
  std::map<std::pair<BackendChoice, int>, std::unique_ptr<Backend>> backends_;
  std::map<std::string, Index> widths_;
};

/// Seconds a run takes beside its epochs, however small it is: files, most of all.
constexpr double start_seconds = 0.05;

/// Speeds of a machine that does not exist, one core of today or so, and what a run takes besides.
/// Where the precision is left open it is taken to be mixed, whatever this machine has.
double cost_of(Workload work, const TrainConfig& config) {
  constexpr Speed nominal{.fp64 = 50e9, .fp32 = 100e9, .int8 = 400e9, .bytes = 10e9};
  work.precision = config.precision.value_or(Precision::mixed);
  const double square = static_cast<double>(work.width) * static_cast<double>(work.width);
  return start_seconds + 50.0 * square / nominal.bytes +
         estimate_time(work, estimate_work(work), nominal).all;
}

double sum_of(const Operations& count) {
  return count.fp64 + count.fp32 + count.int8;
}

std::string shortages(const StudyEstimate& e) {
  std::string text;
  if (e.memory_available && e.memory > *e.memory_available)
    text += fmt::format(
        "The memory is too small for the largest cell: {} needed, {} available; lower the widths, "
        "or ask for more.\n",
        format_bytes(e.memory), format_bytes(*e.memory_available));
  if (e.device_available && e.device > *e.device_available)
    text += fmt::format(
        "The GPU's memory is too small for the largest cell: {} needed, {} free; lower the widths, "
        "or set backend = \"cpu\".\n",
        format_bytes(e.device), format_bytes(*e.device_available));
  if (e.disk_available && e.disk > *e.disk_available)
    text += fmt::format(
        "The disk is too small: {} needed, {} free; make room, choose another --out, or lower "
        "keep.\n",
        format_bytes(e.disk), format_bytes(*e.disk_available));
  return text;
}

}  // namespace

std::vector<CellPlan> plan_cells(const Study& study) {
  Memory memory;
  std::vector<CellPlan> plan;
  for (const StudyCell& cell : study.cells) {
    TrainConfig config = cell.config;
    Backend& backend = memory.backend_of(config);
    check_numerics(config, backend);
    const DataShape data = memory.data_of(config);
    if (!config.width && config.weights_from_file()) config.width = memory.width_in(config.weights);
    CellPlan one;
    one.work = workload_of(config, data.samples, data.inputs);
    one.work.checkpoints = config.checkpoints_at_once();
    one.operations = estimate_work(one.work);
    const bool on_device = backend.free_device_memory().has_value();
    const MemoryEstimate memory_needed = estimate_memory(one.work, on_device);
    one.memory = memory_needed.peak();
    one.device = total(memory_needed.device);
    one.disk = total(estimate_disk(one.work));
    one.cost = cost_of(one.work, cell.config);
    plan.push_back(one);
  }
  return plan;
}

std::vector<std::vector<int>> shares(const std::vector<CellPlan>& plan, int n) {
  std::vector<int> order(plan.size());
  std::iota(order.begin(), order.end(), 0);
  const auto cost = [&](int cell) { return plan[static_cast<std::size_t>(cell)].cost; };
  std::ranges::stable_sort(order, [&](int a, int b) { return cost(a) > cost(b); });
  // The share with the least to do so far, the first of those, takes the next cell.
  using Load = std::pair<double, std::size_t>;
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  std::vector<std::vector<int>> all(static_cast<std::size_t>(n));
  for (std::size_t k = 0; k < all.size(); ++k)
    loads.emplace(0.0, k);
  for (const int cell : order) {
    const auto [load, k] = loads.top();
    loads.pop();
    all[k].push_back(cell);
    loads.emplace(load + cost(cell), k);
  }
  for (std::vector<int>& share : all)
    std::ranges::sort(share);
  return all;
}

double operations_of(const CellPlan& plan) {
  return sum_of(plan.operations.all) + plan.operations.grams * sum_of(plan.operations.gram);
}

StudyEstimate estimate_study(const Study& study, const std::vector<CellPlan>& plan,
                             const std::vector<int>& chosen) {
  StudyEstimate estimate;
  std::map<Precision, Speed> speeds;
  // By the largest of each precision: that is where the time goes.
  std::map<Precision, int> largest;
  for (const int number : chosen) {
    const CellPlan& cell = plan[static_cast<std::size_t>(number)];
    const auto [place, is_new] = largest.emplace(cell.work.precision, number);
    if (cell.cost > plan[static_cast<std::size_t>(place->second)].cost) place->second = number;
  }
  for (const auto& [precision, number] : largest) {
    const auto index = static_cast<std::size_t>(number);
    BackendChoice choice = study.cells[index].config.backend;
    const int threads = study.cells[index].config.threads;
    const auto backend = make_backend(choice, threads > 0 ? threads : default_threads());
    backend->make_operand(precision, plan[index].work.width);  // whether it can; allocates nothing
    speeds[precision] = measure_speed(*backend, plan[index].work);
    if (const auto free = backend->free_device_memory()) estimate.device_available = free;
  }
  for (const int number : chosen) {
    const CellPlan& cell = plan[static_cast<std::size_t>(number)];
    estimate.seconds.push_back(
        start_seconds + estimate_time(cell.work, cell.operations, speeds[cell.work.precision]).all);
    estimate.time += estimate.seconds.back();
    estimate.memory = std::max(estimate.memory, cell.memory);
    estimate.device = std::max(estimate.device, cell.device);
    estimate.disk += cell.disk;
    estimate.operations += operations_of(cell);
  }
  estimate.memory_available = available_memory_bytes();
  estimate.disk_available = free_space(study.directory);
  return estimate;
}

bool fits(const StudyEstimate& estimate) {
  return shortages(estimate).empty();
}

std::string format_estimate(const Study& study, const std::vector<CellPlan>& plan,
                            const std::vector<int>& chosen, const StudyEstimate& e) {
  std::string table =
      fmt::format("{} of {} cells; nothing was started\n\n", chosen.size(), study.cells.size());
  std::size_t wide = 4;
  for (const int number : chosen)
    wide = std::max(wide, study.cells[static_cast<std::size_t>(number)].describe().size());
  const auto row = [&](const std::string& number, const std::string& name,
                       const std::string& memory, const std::string& work, const std::string& disk,
                       const std::string& time) {
    table += fmt::format("{:>6}  {:<{}}  {:>9}  {:>11}  {:>9}  {:>8}\n", number, name, wide, memory,
                         work, disk, time);
  };
  row("cell", "", "memory", "work", "disk", "time");
  std::size_t largest = 0, longest = 0;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const auto at = [&](std::size_t j) -> const CellPlan& {
      return plan[static_cast<std::size_t>(chosen[j])];
    };
    row(std::to_string(chosen[i]), study.cells[static_cast<std::size_t>(chosen[i])].describe(),
        format_bytes(at(i).memory), format_operations(operations_of(at(i))),
        format_bytes(at(i).disk), format_seconds(e.seconds[i]));
    if (at(i).memory > at(largest).memory) largest = i;
    if (e.seconds[i] > e.seconds[longest]) longest = i;
  }
  row("all", "one after the other", format_bytes(e.memory), format_operations(e.operations),
      format_bytes(e.disk), format_seconds(e.time));
  table += "\n";
  if (!chosen.empty())
    table += fmt::format("memory: at most, of the largest, cell {}; longest: cell {}\n",
                         chosen[largest], chosen[longest]);
  if (e.memory_available)
    table += fmt::format("memory available: {}\n", format_bytes(*e.memory_available));
  if (e.device_available)
    table += fmt::format("GPU memory: {} at most, of {} free\n", format_bytes(e.device),
                         format_bytes(*e.device_available));
  if (e.disk_available) table += fmt::format("disk free: {}\n", format_bytes(*e.disk_available));
  table += "time: at the speed measured just now, an estimate to a factor of two\n";
  const std::string sentences = shortages(e);
  return sentences.empty() ? table : table + "\n" + sentences;
}

}  // namespace widedeq
