// Grams as pictures: before and after training with one scale of colours, and what has changed.
#pragma once

#include <string>
#include <vector>

#include "host/study/figure.hpp"
#include "host/study/run_data.hpp"

namespace widedeq {

/// An order of samples in which a Gram shows its blocks.
struct SampleOrder {
  std::vector<Index> indices;       // a permutation of 0 .. n-1
  std::vector<Index> sizes;         // of the groups, if there are any
  std::vector<std::string> groups;  // their names, in notation
  std::string description;          // "sorted by class", in notation
};

/// By class where samples have one, else by target; in the order of the file where the data of the
/// run cannot be loaded any more. Within a class the file's order stays.
SampleOrder sample_order(const RunData& run);

/// The Gram (n x n) in that order, in at most `most` rows and columns: blocks of b x b entries
/// become their mean, b = ceil(n / most).
HostMatrix ordered_gram(const HostMatrix& gram, const SampleOrder& order, Index most);

/// A Gram and what its picture is to be called.
struct ShownGram {
  std::string name;   // of the figure
  std::string title;  // in notation
  const HostMatrix* gram = nullptr;
  const SampleOrder* order = nullptr;
};

/// Heat maps of Grams of any sizes with the same colours for the same values, the ends of the scale
/// being the 0.5 % and 99.5 % quantiles of all entries.
std::vector<Figure> gram_maps(const std::vector<ShownGram>& grams);

/// The heat map of after - before, of one size, around zero.
Figure gram_change(const std::string& name, const HostMatrix& before, const HostMatrix& after,
                   const SampleOrder& order);

}  // namespace widedeq
