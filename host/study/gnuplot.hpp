// Figures become pictures: gnuplot as a program of its own, and its SVG within a page.
#pragma once

#include <string>
#include <vector>

#include "host/study/figure.hpp"

namespace widedeq {

/// Writes NAME.dat and NAME.gp of prepared figures into the folder, which is there, and runs
/// `gnuplot` in it, which writes NAME.svg and NAME.png. No shell is involved, nor the user's
/// settings for gnuplot. Throws Failure: usage where there is no gnuplot, io where a file cannot be
/// written or gnuplot does not draw.
void draw(const std::vector<Figure>& figures, const std::string& folder);

/// An SVG file that gnuplot wrote, to stand in a page among others: without prolog, every id behind
/// `prefix`, and with a title for those who cannot see it. `where` names it in errors. Throws
/// Failure (io) when it is not a whole one.
std::string inline_svg(const std::string& svg, const std::string& prefix, const std::string& title,
                       const std::string& where);

}  // namespace widedeq
