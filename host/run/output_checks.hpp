// What an .npz of results must not do: replace what it was computed from, or hold a NaN.
#pragma once

#include <string>
#include <vector>

#include "host/data/npz.hpp"

namespace widedeq {

/// Throws Failure (usage) when `out` is one of the sources, under whatever name. Empty names are
/// none.
void refuse_overwriting(const std::vector<std::string>& sources, const std::string& out);

/// Adds an array of `shape` in C order, but never one with a NaN or an infinity in it: throws
/// Failure (diverged) with the `remedy`. Errors otherwise as NpzWriter::add.
void add_finite(
    NpzWriter& file, const std::string& name, const std::vector<Index>& shape,
    std::vector<double> values,
    const std::string& remedy =
        "the inputs, weights or targets are too large: scale them, or --precision fp64");

}  // namespace widedeq
