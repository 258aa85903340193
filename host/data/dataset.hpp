// Training data: where it comes from, and what is checked before anything is computed with it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/host_matrix.hpp"

namespace widedeq {

/// Samples of d numbers with their targets.
struct Samples {
  HostMatrix inputs;            ///< d x n, one sample a column
  std::vector<double> targets;  ///< n
};

/// n samples to train on, and those held out. Everything is finite, n >= 1 and d >= 1.
struct Dataset : Samples {
  std::vector<int> labels;            ///< n classes, or empty where there are none
  std::vector<double> class_targets;  ///< of every class, ascending; empty where there are none
  Samples held_out;                   ///< the samples that follow in the source, perhaps none
  std::string description;            ///< one line for people
};

/// What the user asked for.
struct DatasetRequest {
  std::string source = "digits";  ///< "digits", "mnist:DIR", "npy:INPUTS.npy,TARGETS.npy", "sphere"
  std::vector<int> classes;       ///< digits and mnist: those to keep, in this order; empty: all
  std::optional<Index> samples;   ///< the first so many; nothing: all that are not held out
                                  ///< (sphere: 256)
  Index held_out = 0;             ///< so many that follow them
  std::uint64_t seed = 0;         ///< sphere
  Index sphere_inputs = 16;       ///< sphere: d
};

/// Loads, selects and checks.
///
/// digits, mnist  Pixels as they are, samples of the wanted classes in file order, the first N of
///                those, each column scaled to unit length. Class number c of K, in the order of
///                the request (all classes: ascending), has the target -1 + 2 c / (K - 1); one
///                class, 1. DIR holds the files of MNIST under their own names, plain or
///                gzip-compressed; the training part is taken if it is there, else the test part
///                (t10k).
/// npy            Inputs (n, d) and targets (n) or (n, 1) as they are.
/// sphere         Columns x = g / ||g||, g ~ N(0, I), and the smooth function
///                y = (2 sin(a'x) + cos(2 b'x)) / 3 in [-1, 1], with a, b ~ N(0, I). A sample
///                depends on the seed and its number only, so fewer samples are the first of more.
///
/// Throws Failure: usage for a request that makes no sense, io for a file that cannot be read,
/// bad_data for content that cannot be used (absent classes, too few samples, a sample of zeros,
/// NaN or infinity, shapes that do not match).
Dataset load_dataset(const DatasetRequest& request);

/// The two paths of "INPUTS.npy,TARGETS.npy". Where directories have commas in their names, the one
/// between two absolute paths. Throws Failure (usage) when there is no such, or several, or a path
/// is empty.
std::pair<std::string, std::string> split_paths(const std::string& paths);

/// The inputs (n, d) of a .npy file, taken as they are, as d x n. Throws Failure as load_dataset.
HostMatrix load_inputs(const std::string& path);

/// The targets (n) or (n, 1) of a .npy file, one for each of `samples`. Throws Failure likewise.
std::vector<double> load_targets(const std::string& path, Index samples);

/// Two columns i < j that point the same way, || x_i/||x_i|| - x_j/||x_j|| || <= tolerance, or
/// nothing. Such samples make the kernel singular: relu is positively homogeneous, so one sample's
/// features are a multiple of the other's. Columns of zeros equal each other. The pair with the
/// smallest j, then the smallest i, is given.
///
/// Directions that agree have projections on any fixed unit vector that agree: columns are sorted
/// by their projection on a random one, and compared with their neighbours there. O(n d + n log n)
/// unless the data are contrived; n numbers of memory, no copy of the inputs.
std::optional<std::pair<Index, Index>> first_duplicate(const HostMatrix& inputs,
                                                       double tolerance = 1e-12);

}  // namespace widedeq
