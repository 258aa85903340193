// Formulas and numbers for people: from the ASCII of our sources to HTML and to gnuplot.
//
//   ||H(k) - H(0)||_F / sqrt(m)     lambda_min <= 1.5e-06     m^-1/2     Z'Z
//
// becomes signs, subscripts and superscripts. Only what we or our own files say goes through this;
// a user's words (paths, host names, command lines) are escaped and otherwise left alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace widedeq {

/// Text that stands on the line, below it or above it.
struct Piece {
  enum class Level : std::uint8_t { line, below, above };
  Level level = Level::line;
  std::string text;  // UTF-8
  bool operator==(const Piece&) const = default;
};

/// Greek letters by name (lambda, gamma, eta, Phi), sqrt(m), ||, <=, >=, +-, primes of one letter
/// (Z'Z), minus signs, _subscript, ^exponent or ^{exponent}, and 1.5e-06 as 1.5 x 10^-6.
std::vector<Piece> typeset(std::string_view notation);

/// The same as HTML, escaped: <sub> and <sup>.
std::string notation_to_html(std::string_view notation);
/// The same as gnuplot's enhanced text.
std::string notation_to_gnuplot(std::string_view notation);
/// The same on the line alone, for attributes and titles: lambda_min is "λ_min".
std::string notation_to_text(std::string_view notation);

/// Any text, so that HTML shows just that; also within quoted attributes. Control characters, which
/// HTML does not allow, and bytes that are not UTF-8 become U+FFFD.
std::string html_escaped(std::string_view text);
/// Any text, so that gnuplot's enhanced mode shows just that.
std::string gnuplot_escaped(std::string_view text);
/// A gnuplot string of any text: single quotes, in which nothing is expanded, doubled inside; line
/// breaks and other control characters become spaces.
std::string gnuplot_quoted(std::string_view text);

/// Up to four significant digits, in notation: "0.01626", "626.5", "1.2e-06", "infinite", "none"
/// for what is not a number.
std::string people_number(double value);
/// An integer with its thousands apart: "1024", "16 384".
std::string people_count(std::int64_t value);
/// "0.045 s", "3.2 min", "5.1 h"
std::string people_seconds(double seconds);
/// A share as a percentage: "12.5 %".
std::string people_percent(double share);

}  // namespace widedeq
