// A page: one HTML file with everything in it, and its figures as files beside it.
//
//   DIR/index.html
//   DIR/figures/NAME.svg, NAME.png, NAME.gp, NAME.dat
//
// The page asks for nothing from anywhere: pictures are SVG within it, there is no script and no
// font. Paragraphs and cells are HTML as notation_to_html and html_escaped make it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "host/study/analysis.hpp"
#include "host/study/figure.hpp"

namespace widedeq {

/// Rows of HTML cells under a head. Numbers are set to the right.
struct Table {
  std::vector<std::string> head;  // may be empty
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> numbers;            // of each column; missing: no
  std::vector<std::size_t> emphasised;  // rows to be seen first
};

class Page {
 public:
  /// Plain texts.
  Page(std::string title, std::string subtitle);

  void section(const std::string& heading);
  void paragraph(const std::string& html);
  void table(const Table& table);
  /// Side by side where there is room.
  void tables(const std::vector<Table>& tables);
  /// What matters most, in large type: value and what it is, both HTML.
  void headline(const std::vector<std::pair<std::string, std::string>>& values);
  /// A line each, with a mark that needs no colour.
  void verdicts(const std::vector<StudyVerdict>& verdicts);
  /// Side by side where there is room. Those with nothing to show are left out.
  void figures(std::vector<Figure> figures);
  /// What few will want to read, folded away; printed all the same.
  void folded(const std::string& summary, const Table& table);

  /// Draws, and puts the page into the directory in one step: one that is there is replaced whole,
  /// if it is a report or empty. Returns the path of index.html. Throws Failure: usage where
  /// something else is in the way or there is no gnuplot, io.
  std::string write(const std::string& directory) const;

 private:
  struct Block {
    std::string html;
    std::vector<Figure> figures;  // after the HTML
  };
  void put(const std::string& html);
  std::string assemble(const std::string& folder) const;

  std::string title_, subtitle_;
  std::vector<Block> blocks_;
};

/// The table as HTML.
std::string table_html(const Table& table);

/// The path as a relative link: percent-encoded where a URL needs it.
std::string url_of(const std::string& path);

}  // namespace widedeq
