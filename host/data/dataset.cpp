// Training data: sources, selection, checks. See dataset.hpp.
#include "host/data/dataset.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <set>
#include <string_view>

#include "host/data/digits.hpp"
#include "host/data/idx.hpp"
#include "host/data/npy.hpp"
#include "host/failure.hpp"
#include "host/probe.hpp"
#include "kernels/random.hpp"

namespace widedeq {
namespace {

/// Images as a file has them: one a row, with its class.
struct LabelledImages {
  Index pixels = 0;                  ///< d
  std::vector<std::uint8_t> values;  ///< (n, d)
  std::vector<std::uint8_t> labels;  ///< (n)
  std::string where;
};

[[noreturn]] void refuse(const std::string& what, const std::string& where,
                         const std::string& remedy) {
  throw Failure(ExitCode::bad_data, what, where, remedy);
}

std::vector<std::uint8_t> bytes_of(const NpyArray& array) {
  std::vector<std::uint8_t> bytes(array.values.size());
  std::transform(array.values.begin(), array.values.end(), bytes.begin(),
                 [](double value) { return static_cast<std::uint8_t>(value); });
  return bytes;
}

LabelledImages load_digits() {
  const NpyArray images = parse_npy(digits_images(), "the bundled digits");
  const NpyArray labels = parse_npy(digits_labels(), "the bundled labels");
  return {images.shape.at(1), bytes_of(images), bytes_of(labels), "digits"};
}

/// The file of one part ("train" or "t10k") and kind ("images" or "labels"), or "".
std::string find_mnist_file(const std::string& directory, const std::string& part,
                            const std::string& kind) {
  const std::string axes = kind == "images" ? "idx3" : "idx1";
  for (const char* separator : {"-", "."})
    for (const char* ending : {"", ".gz"}) {
      const auto path = std::filesystem::path(directory) /
                        fmt::format("{}-{}{}{}-ubyte{}", part, kind, separator, axes, ending);
      std::error_code ignored;  // a directory that cannot be searched has no such file
      if (std::filesystem::exists(path, ignored)) return path.string();
    }
  return "";
}

LabelledImages load_mnist(const std::string& directory) {
  const std::string part = find_mnist_file(directory, "train", "images").empty() ? "t10k" : "train";
  const std::string images_path = find_mnist_file(directory, part, "images");
  const std::string labels_path = find_mnist_file(directory, part, "labels");
  if (images_path.empty() || labels_path.empty())
    throw Failure(
        ExitCode::io,
        images_path.empty() ? "there are no MNIST images" : "the MNIST labels are missing",
        directory,
        fmt::format("put {0}-images-idx3-ubyte and {0}-labels-idx1-ubyte there, plain or "
                    "with .gz",
                    images_path.empty() ? "train" : part));
  IdxArray images = read_idx(images_path);
  IdxArray labels = read_idx(labels_path);
  if (images.shape.size() != 3 || images.shape[1] * images.shape[2] == 0)
    refuse(fmt::format("the images have the shape {}", shape_text(images.shape)), images_path,
           "give (n, height, width)");
  if (labels.shape != std::vector<Index>{images.shape[0]})
    refuse(fmt::format("there are {} images, and the labels have the shape {}", images.shape[0],
                       shape_text(labels.shape)),
           labels_path, "give one label for each image");
  return {images.shape[1] * images.shape[2], std::move(images.values), std::move(labels.values),
          images_path};
}

/// The classes of the request, or all there are; each is there, and none comes twice.
std::vector<int> chosen_classes(const LabelledImages& images, const std::vector<int>& wanted) {
  const std::set<int> present(images.labels.begin(), images.labels.end());
  if (present.empty()) refuse("there are no samples", images.where, "give a file that holds some");
  if (wanted.empty()) return {present.begin(), present.end()};
  if (std::set<int>(wanted.begin(), wanted.end()).size() != wanted.size())
    throw Failure(ExitCode::usage, "a class is named twice",
                  fmt::format("{}", fmt::join(wanted, ",")), "name each class once");
  for (const int label : wanted)
    if (!present.contains(label))
      refuse(fmt::format("there is no class {}", label), images.where,
             fmt::format("choose from {}", fmt::join(present, ", ")));
  return wanted;
}

/// How many samples to take in all, those to hold out included, where so many are there.
Index wanted_samples(const DatasetRequest& request, Index available, const std::string& of_what,
                     const std::string& where) {
  const Index wanted = request.samples ? *request.samples + request.held_out : available;
  if (wanted > available || wanted <= request.held_out)
    refuse(fmt::format(
               "{}{} were asked for, and there are {}{}",
               request.samples ? fmt::format("{} samples", *request.samples) : "samples",
               request.held_out > 0 ? fmt::format(" and {} to hold out", request.held_out) : "",
               available, of_what),
           where,
           of_what.empty() ? "ask for fewer samples" : "ask for fewer samples or more classes");
  return wanted;
}

/// Moves the last samples to the held-out ones.
void hold_out(Dataset& data, Index count) {
  if (count == 0) return;
  const Index d = data.inputs.rows, n = data.inputs.columns - count;
  const auto kept_values = static_cast<std::ptrdiff_t>(d * n);
  data.held_out.inputs = HostMatrix(d, count);
  std::copy(data.inputs.values.begin() + kept_values, data.inputs.values.end(),
            data.held_out.inputs.values.begin());
  data.held_out.targets.assign(data.targets.begin() + n, data.targets.end());
  data.inputs.columns = n;
  data.inputs.values.resize(static_cast<std::size_t>(d * n));
  data.targets.resize(static_cast<std::size_t>(n));
  if (!data.labels.empty()) data.labels.resize(static_cast<std::size_t>(n));
}

/// "500 samples of 784 inputs, 100 more held out"
std::string size_text(const Dataset& data, const DatasetRequest& request) {
  const Index n = data.inputs.columns - request.held_out;
  const std::string more =
      request.held_out > 0 ? fmt::format(", {} more held out", request.held_out) : "";
  return fmt::format("{} samples of {} inputs{}", n, data.inputs.rows, more);
}

Dataset select(const LabelledImages& images, const DatasetRequest& request) {
  const std::vector<int> classes = chosen_classes(images, request.classes);
  std::vector<Index> rows;
  for (std::size_t row = 0; row < images.labels.size(); ++row)
    if (std::count(classes.begin(), classes.end(), images.labels[row]) > 0)
      rows.push_back(static_cast<Index>(row));
  const Index count =
      wanted_samples(request, static_cast<Index>(rows.size()),
                     fmt::format(" of the classes {}", fmt::join(classes, ", ")), images.where);
  rows.resize(static_cast<std::size_t>(count));

  Dataset data;
  // Targets: -1 + 2 c / (K - 1).
  const auto last = static_cast<double>(classes.size()) - 1.0;
  for (std::size_t c = 0; c < classes.size(); ++c)
    data.class_targets.push_back(last > 0.0 ? -1.0 + 2.0 * static_cast<double>(c) / last : 1.0);
  data.inputs = HostMatrix(images.pixels, static_cast<Index>(rows.size()));
  for (Index j = 0; j < data.inputs.columns; ++j) {
    const auto row = static_cast<std::size_t>(rows[static_cast<std::size_t>(j)]);
    const std::uint8_t* pixels =
        images.values.data() + row * static_cast<std::size_t>(images.pixels);
    const double norm = std::sqrt(std::inner_product(pixels, pixels + images.pixels, pixels, 0.0));
    if (norm == 0.0)
      refuse(fmt::format("sample {} is all zeros and has no direction", row), images.where,
             "remove it (samples are counted from 0)");
    for (Index i = 0; i < images.pixels; ++i)
      data.inputs(i, j) = pixels[i] / norm;
    const int label = images.labels[row];
    const auto c = std::find(classes.begin(), classes.end(), label) - classes.begin();
    data.labels.push_back(label);
    data.targets.push_back(data.class_targets[static_cast<std::size_t>(c)]);
  }
  data.description = fmt::format("{}, classes {}: {}", images.where, fmt::join(classes, ", "),
                                 size_text(data, request));
  return data;
}

Dataset load_npy(const std::string& paths, const DatasetRequest& request) {
  const auto [path, targets] = split_paths(paths);
  Dataset data;
  data.inputs = load_inputs(path);
  data.targets = load_targets(targets, data.inputs.columns);
  const Index wanted = wanted_samples(request, data.inputs.columns, "", path);
  data.inputs.columns = wanted;
  data.inputs.values.resize(static_cast<std::size_t>(data.inputs.rows * wanted));
  data.targets.resize(static_cast<std::size_t>(wanted));
  data.description = fmt::format("{}: {}", path, size_text(data, request));
  return data;
}

/// x = g / ||g||,  y = (2 sin(a'x) + cos(2 b'x)) / 3
Dataset make_sphere(const DatasetRequest& request) {
  constexpr Index default_samples = 256;
  constexpr Index limit = Index{1} << 31;  // the generator counts rows and columns in 32 bits
  const Index d = request.sphere_inputs;
  const Index n = request.samples.value_or(default_samples) + request.held_out;
  if (d < 2 || d > limit || n > limit)
    throw Failure(ExitCode::usage, "a sphere has 2 to 2^31 inputs and up to 2^31 samples",
                  fmt::format("{} inputs, {} samples", d, n), "ask for a size within these");
  Dataset data;
  data.inputs = HostMatrix(d, n);
  for (Index j = 0; j < data.inputs.columns; ++j) {
    double* x = data.inputs.view().column(j);
    for (Index i = 0; i < d; ++i)
      x[i] = standard_normal(request.seed, Tensor::inputs, i, j);
    const double norm = std::sqrt(std::inner_product(x, x + d, x, 0.0));
    double along_a = 0.0;
    double along_b = 0.0;
    for (Index i = 0; i < d; ++i) {
      x[i] /= norm;
      along_a += standard_normal(request.seed, Tensor::targets, i, 0) * x[i];
      along_b += standard_normal(request.seed, Tensor::targets, i, 1) * x[i];
    }
    data.targets.push_back((2.0 * std::sin(along_a) + std::cos(2.0 * along_b)) / 3.0);
  }
  data.description = fmt::format("sphere, seed {}: {}", request.seed, size_text(data, request));
  return data;
}

/// Refuses an array (rows, columns) in C order that has a NaN or an infinity.
void check_finite(const std::vector<double>& values, Index columns, const std::string& where) {
  const auto bad = std::find_if_not(values.begin(), values.end(),
                                    [](double value) { return std::isfinite(value); });
  if (bad == values.end()) return;
  const Index position = bad - values.begin();
  refuse(fmt::format("the number at row {}, column {} is {}", position / columns,
                     position % columns, *bad),
         where, "replace or remove it (rows and columns are counted from 0)");
}

/// max |x| * ||x / max |x||| in two factors, so that no square overflows.
struct Scale {
  double largest = 0.0;
  double norm = 0.0;
};

Scale scale_of(std::span<const double> x) {
  Scale scale;
  for (const double value : x)
    scale.largest = std::max(scale.largest, std::abs(value));
  if (scale.largest == 0.0) return {1.0, 1.0};  // a column of zeros stays one
  for (const double value : x)
    scale.norm += (value / scale.largest) * (value / scale.largest);
  scale.norm = std::sqrt(scale.norm);
  return scale;
}

}  // namespace

namespace {

Dataset load_all(const DatasetRequest& request) {
  const std::string& source = request.source;
  const auto after = [&](std::string_view prefix) { return source.substr(prefix.size()); };
  if (request.samples && *request.samples < 1)
    throw Failure(ExitCode::usage, "the number of samples is not positive",
                  fmt::format("{}", *request.samples), "ask for one or more");
  if (source == "digits") return select(load_digits(), request);
  if (source.starts_with("mnist:")) return select(load_mnist(after("mnist:")), request);
  const bool is_npy = source.starts_with("npy:");
  if (!is_npy && source != "sphere")
    throw Failure(ExitCode::usage, "this source of data is not known", source,
                  "give digits, mnist:DIR, npy:INPUTS.npy,TARGETS.npy or sphere");
  if (!request.classes.empty())
    throw Failure(ExitCode::usage, "this source of data has no classes to choose from", source,
                  "leave the classes out");
  return is_npy ? load_npy(after("npy:"), request) : make_sphere(request);
}

}  // namespace

Dataset load_dataset(const DatasetRequest& request) {
  Dataset data = load_all(request);
  hold_out(data, request.held_out);
  return data;
}

std::pair<std::string, std::string> split_paths(const std::string& paths) {
  const bool several = std::ranges::count(paths, ',') > 1;
  const std::string_view between = several && paths.starts_with('/') ? ",/" : ",";
  const std::size_t comma = paths.find(between);
  if (comma == std::string::npos || paths.find(between, comma + 1) != std::string::npos)
    throw Failure(ExitCode::usage,
                  several ? "which of the commas is between the two paths is not to be told"
                          : "two paths with a comma between them were expected",
                  "npy:" + paths,
                  several ? "give absolute paths, or names without commas"
                          : "give npy:INPUTS.npy,TARGETS.npy");
  if (comma == 0 || comma + 1 == paths.size())
    throw Failure(ExitCode::usage, "a path is empty", "--data npy:" + paths,
                  "give npy:INPUTS.npy,TARGETS.npy");
  return {paths.substr(0, comma), paths.substr(comma + 1)};
}

HostMatrix load_inputs(const std::string& path) {
  NpyArray array = read_npy(path);
  if (array.shape.size() != 2)
    refuse(fmt::format("the inputs have the shape {}", shape_text(array.shape)), path,
           "give (n, d), one sample a row: .reshape(n, -1)");
  if (array.values.empty())
    refuse(fmt::format("the inputs are empty, their shape is {}", shape_text(array.shape)), path,
           "give one sample or more");
  check_finite(array.values, array.shape[1], path);
  // (n, d) in C order is d x n by columns: the same memory.
  HostMatrix inputs;
  inputs.rows = array.shape[1];
  inputs.columns = array.shape[0];
  inputs.values = std::move(array.values);
  return inputs;
}

std::vector<double> load_targets(const std::string& path, Index samples) {
  NpyArray array = read_npy(path);
  if (array.shape != std::vector<Index>{samples} && array.shape != std::vector<Index>{samples, 1})
    refuse(fmt::format("the targets have the shape {}, and there are {} samples",
                       shape_text(array.shape), samples),
           path, "give one target for each sample");
  check_finite(array.values, 1, path);
  return std::move(array.values);
}

std::optional<std::pair<Index, Index>> first_duplicate(const HostMatrix& inputs, double tolerance) {
  const auto d = static_cast<std::size_t>(inputs.rows);
  const auto column = [&](Index j) {
    return std::span(inputs.values).subspan(static_cast<std::size_t>(j) * d, d);
  };

  // p_j = g' x_j / (||g|| ||x_j||)
  const std::vector<double> direction = probe_vector(inputs.rows);
  const Scale length = scale_of(direction);
  std::vector<Scale> scales;
  std::vector<std::pair<double, Index>> sorted;
  for (Index j = 0; j < inputs.columns; ++j) {
    const Scale& scale = scales.emplace_back(scale_of(column(j)));
    double sum = 0.0;
    for (std::size_t i = 0; i < d; ++i)
      sum += direction[i] * (column(j)[i] / scale.largest);
    sorted.emplace_back(sum / (length.largest * length.norm * scale.norm), j);
  }
  std::sort(sorted.begin(), sorted.end());

  const auto same_direction = [&](Index a, Index b) {
    const Scale& scale_a = scales[static_cast<std::size_t>(a)];
    const Scale& scale_b = scales[static_cast<std::size_t>(b)];
    double sum = 0.0;
    for (std::size_t i = 0; i < d && sum <= tolerance * tolerance; ++i) {
      const double difference = column(a)[i] / scale_a.largest / scale_a.norm -
                                column(b)[i] / scale_b.largest / scale_b.norm;
      sum += difference * difference;
    }
    return sum <= tolerance * tolerance;
  };

  // |p_i - p_j| <= ||difference|| <= tolerance, plus the rounding of two sums of d products.
  const double reach = tolerance + 4.0 * static_cast<double>(d) * 0x1p-53;
  std::optional<std::pair<Index, Index>> first;
  for (std::size_t a = 0; a < sorted.size(); ++a)
    for (std::size_t b = a + 1; b < sorted.size() && sorted[b].first - sorted[a].first <= reach;
         ++b) {
      const auto [i, j] = std::minmax(sorted[a].second, sorted[b].second);
      const bool earlier = !first || std::pair(j, i) < std::pair(first->second, first->first);
      if (earlier && same_direction(i, j)) first = {i, j};
    }
  return first;
}

}  // namespace widedeq
