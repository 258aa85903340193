// Samples in order of their targets or labels, and colours that maps share; see gram_maps.hpp.
#include "host/study/gram_maps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "host/data/dataset.hpp"
#include "host/failure.hpp"
#include "host/study/run_figures.hpp"

namespace widedeq {
namespace {

constexpr Index most_pixels = 240;
constexpr double cut = 0.005;  // of the entries, at each end of the colours

/// The training samples of the run, or nothing where they are not to be had.
std::optional<Dataset> samples_of(const RunData& run) {
  DatasetRequest request;
  request.source = run.config.data;
  if (run.config.classes) request.classes = *run.config.classes;
  request.samples = run.samples();
  request.seed = static_cast<std::uint64_t>(run.config.seed);
  try {
    return load_dataset(request);
  } catch (const Failure&) {
    return std::nullopt;
  }
}

template <class Key>
void sort_by(SampleOrder& order, const std::vector<Key>& keys) {
  std::ranges::stable_sort(order.indices, {},
                           [&](Index i) { return keys[static_cast<std::size_t>(i)]; });
}

HeatMap map_of(const HostMatrix& gram, const SampleOrder& order) {
  HeatMap map;
  map.values = ordered_gram(gram, order, most_pixels);
  const double scale = static_cast<double>(map.values.rows) / static_cast<double>(gram.rows);
  if (order.groups.size() < 2 || order.groups.size() > 10) return map;
  map.groups = order.groups;
  double at = 0.0;
  map.borders.push_back(0.0);
  for (const Index size : order.sizes)
    map.borders.push_back(at += scale * static_cast<double>(size));
  return map;
}

Figure figure_of(const std::string& name, const std::string& title, HeatMap map,
                 const SampleOrder& order, Index samples) {
  Figure figure;
  figure.name = name;
  figure.title = title;
  figure.x.label = "samples, " + order.description;
  const Index block = (samples + most_pixels - 1) / most_pixels;
  if (block > 1) figure.caption = fmt::format("A pixel is the mean of {0} by {0} entries. ", block);
  figure.map = std::move(map);
  return figure;
}

/// The values of which a part `cut` is below the first and above the second.
std::pair<double, double> ends_of(std::vector<double> values) {
  std::ranges::sort(values);
  std::pair ends{quantile(values, cut), quantile(values, 1.0 - cut)};
  // A matrix of one value has a scale, too.
  if (!(ends.first < ends.second)) {
    const double room = std::max(1e-3 * std::abs(ends.first), 1e-12);
    ends = {ends.first - room, ends.second + room};
  }
  return ends;
}

}  // namespace

SampleOrder sample_order(const RunData& run) {
  SampleOrder order;
  const Index n = run.ntk_first ? run.ntk_first->rows : run.samples().value_or(0);
  order.indices.resize(static_cast<std::size_t>(n));
  std::iota(order.indices.begin(), order.indices.end(), Index{0});
  order.description = "in the order of the data";
  const auto data = samples_of(run);
  if (!data || static_cast<Index>(data->targets.size()) != n) return order;
  if (data->labels.empty()) {
    sort_by(order, data->targets);
    order.description = "sorted by target";
    return order;
  }
  sort_by(order, data->labels);
  order.description = "sorted by class";
  std::map<int, Index> sizes;
  for (const int label : data->labels)
    ++sizes[label];
  for (const auto& [label, size] : sizes) {
    order.groups.push_back(std::to_string(label));
    order.sizes.push_back(size);
  }
  return order;
}

HostMatrix ordered_gram(const HostMatrix& gram, const SampleOrder& order, Index most) {
  const Index n = gram.rows;
  const Index block = (n + most - 1) / most;
  const Index pixels = (n + block - 1) / block;
  HostMatrix sums(pixels, pixels), counts(pixels, pixels);
  for (Index j = 0; j < n; ++j)
    for (Index i = 0; i < n; ++i) {
      sums(i / block, j / block) += gram(order.indices[static_cast<std::size_t>(i)],
                                         order.indices[static_cast<std::size_t>(j)]);
      counts(i / block, j / block) += 1.0;
    }
  for (std::size_t k = 0; k < sums.values.size(); ++k)
    sums.values[k] /= counts.values[k];
  return sums;
}

std::vector<Figure> gram_maps(const std::vector<ShownGram>& grams) {
  std::vector<HeatMap> maps;
  std::vector<double> all;
  for (const ShownGram& shown : grams) {
    maps.push_back(map_of(*shown.gram, *shown.order));
    all.insert(all.end(), maps.back().values.values.begin(), maps.back().values.values.end());
  }
  if (all.empty()) return {};
  const auto [low, high] = ends_of(std::move(all));
  std::vector<Figure> figures;
  for (std::size_t k = 0; k < grams.size(); ++k) {
    maps[k].low = low;
    maps[k].high = high;
    figures.push_back(figure_of(grams[k].name, grams[k].title, std::move(maps[k]), *grams[k].order,
                                grams[k].gram->rows));
    figures.back().caption +=
        k > 0 ? "In the same colours."
              : "The same colours mean the same values in each; they end at the 0.5 and 99.5 % "
                "quantiles.";
  }
  return figures;
}

Figure gram_change(const std::string& name, const HostMatrix& before, const HostMatrix& after,
                   const SampleOrder& order) {
  HostMatrix change(before.rows, before.columns);
  for (std::size_t k = 0; k < change.values.size(); ++k)
    change.values[k] = after.values[k] - before.values[k];
  HeatMap map = map_of(change, order);
  std::vector<double> sizes;
  for (const double value : map.values.values)
    sizes.push_back(std::abs(value));
  map.high = ends_of(std::move(sizes)).second;
  map.low = -map.high;
  map.diverging = true;
  Figure figure = figure_of(name, "change", std::move(map), order, before.rows);
  figure.caption +=
      "The last less the first; colours of its own, white where nothing changed, to the 99.5 % "
      "quantile of its size.";
  return figure;
}

}  // namespace widedeq
