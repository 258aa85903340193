// "Did you mean": the known word nearest to a misspelt one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace widedeq {

/// Single-letter insertions, deletions, replacements and swaps of neighbours that turn one word
/// into the other. Source: the optimal string alignment distance, Damerau (1964).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate with the smallest distance, the first of several; "" when none is near.
std::string nearest_word(std::string_view word, std::span<const std::string> candidates);

}  // namespace widedeq
