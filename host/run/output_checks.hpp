// What an .npz of results must not do: replace what it was computed from, or hold a NaN.
#pragma once

#include <string>
#include <vector>

#include "host/data/npz.hpp"

namespace widedeq {

/// Throws Failure (usage) when `out` is one of the sources, under whatever name. Empty names are
/// none.
void refuse_overwriting(const std::vector<std::string>& sources, const std::string& out);

inline constexpr const char* scale_them =
    "the inputs, weights or targets are too large: scale them, or --precision fp64";

/// Throws Failure (diverged) with the `remedy` for values with a NaN or an infinity among them.
void require_finite(const std::string& name, const std::vector<double>& values,
                    const std::string& remedy = scale_them);

/// Adds an array of `shape` in C order, but only if it is finite: errors as require_finite and
/// NpzWriter::add.
void add_finite(NpzWriter& file, const std::string& name, const std::vector<Index>& shape,
                std::vector<double> values, const std::string& remedy = scale_them);

}  // namespace widedeq
