// HTML piece by piece, and the files of a page put in place at once; see page.hpp.
#include "host/study/page.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>

#include "build_info.hpp"
#include "host/data/atomic_file.hpp"
#include "host/data/byte_source.hpp"
#include "host/failure.hpp"
#include "host/study/gnuplot.hpp"
#include "host/study/notation.hpp"
#include "host/study/page_style.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;

/// By this a report is known as one.
constexpr std::string_view signature = "<meta name=\"generator\" content=\"widedeq report\">";

[[noreturn]] void fail(const std::string& what, const fs::path& where, const std::error_code& error,
                       ExitCode code = ExitCode::io) {
  throw Failure(code, error ? what + ": " + error.message() : what, where.string(),
                "choose another place with --out");
}

/// A file in a report's directory that the page does not name, by its name there.
std::optional<std::string> not_of_a_report(const fs::path& directory) {
  std::error_code error;
  const std::string page = read_text((directory / "index.html").string());
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (name != "index.html" && name != "figures") return name;
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(directory / "figures", error)) {
    const std::string name = "figures/" + entry.path().filename().string();
    if (page.find("\"" + name + "\"") == std::string::npos) return name;
  }
  return std::nullopt;
}

/// Nothing, an empty directory or a report may be replaced, and nothing else with it.
void refuse_other_content(const fs::path& directory) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(directory, error))) return;
  if (!fs::is_directory(directory, error))
    fail("--out is a file, and a report wants a directory", directory, {}, ExitCode::usage);
  const bool is_empty = fs::is_empty(directory, error);
  if (error) fail("cannot look into the directory", directory, error);
  const fs::path page = directory / "index.html";
  const bool is_report =
      fs::exists(page, error) && read_text(page).find(signature) != std::string::npos;
  if (!is_empty && !is_report)
    fail("the directory holds something else than a report", directory, {}, ExitCode::usage);
  if (const auto other = is_empty ? std::nullopt : not_of_a_report(directory))
    fail("beside a report the directory holds " + *other, directory, {}, ExitCode::usage);
}

/// A directory in the making beside its place; destroyed before it takes that, it leaves nothing.
class NewDirectory {
 public:
  explicit NewDirectory(const fs::path& place) : place_(place) {
    std::error_code error;
    fs::create_directories(place.parent_path(), error);
    if (error) fail("cannot make the directory", place.parent_path(), error);
    path_ = place.parent_path() / fmt::format(".{}.{}.tmp", place.filename().string(), ::getpid());
    fs::remove_all(path_, error);  // of a process of this number that was killed
    fs::create_directories(path_ / "figures", error);
    if (!error) return;
    std::error_code ignored;  // of removing what there is of it
    fs::remove_all(path_, ignored);
    fail("cannot make the directory", path_, error);
  }
  ~NewDirectory() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  NewDirectory(const NewDirectory&) = delete;
  NewDirectory& operator=(const NewDirectory&) = delete;

  const fs::path& path() const { return path_; }

  /// Changes places with the one that was there, in one step where the file system can do that.
  void take_place() const {
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, place_.c_str(), RENAME_EXCHANGE) == 0)
      return;  // the old one goes with this object
    std::error_code error;
    const fs::path aside = path_.string() + ".old";
    const bool was_there = fs::exists(place_, error);
    if (was_there) fs::rename(place_, aside, error);
    if (error) fail("cannot replace the report", place_, error);
    fs::rename(path_, place_, error);
    if (error) {
      std::error_code ignored;
      if (was_there) fs::rename(aside, place_, ignored);
      fail("cannot put the report in its place", place_, error);
    }
    if (was_there) fs::remove_all(aside, error);
  }

 private:
  fs::path place_, path_;
};

std::string cell(const char* tag, const std::string& html, bool is_number) {
  return fmt::format("<{0}{1}>{2}</{0}>", tag, is_number ? " class=\"number\"" : "", html);
}

std::string figure_html(const Figure& figure, const std::string& svg) {
  std::string files;
  for (const auto& [extension, what] : {std::pair("svg", "SVG"), std::pair("png", "PNG"),
                                        std::pair("dat", "data"), std::pair("gp", "script")})
    files += fmt::format("<a href=\"figures/{}.{}\">{}</a>", figure.name, extension, what);
  return fmt::format(
      "<figure id=\"{}\"{}>\n{}\n<figcaption>{} <span class=\"files\">{}</span></figcaption>\n"
      "</figure>\n",
      figure.name, figure.is_wide ? " class=\"wide\"" : "", svg, notation_to_html(figure.caption),
      files);
}

std::string figures_html(const std::vector<Figure>& figures, const fs::path& folder) {
  if (figures.empty()) return "";
  const bool maps =
      std::ranges::all_of(figures, [](const Figure& figure) { return figure.map.has_value(); });
  const char* kind = !maps ? "" : figures.size() % 3 == 0 ? " maps" : " maps pair";
  std::string html = fmt::format("<div class=\"figures{}\">\n", kind);
  for (const Figure& figure : figures) {
    const fs::path file = folder / (figure.name + ".svg");
    html += figure_html(
        figure, inline_svg(read_text(file), figure.name + "-",
                           notation_to_text(figure.title + ". " + figure.caption), file.string()));
  }
  return html + "</div>\n";
}

}  // namespace

Page::Page(std::string title, std::string subtitle)
    : title_(std::move(title)), subtitle_(std::move(subtitle)) {}

void Page::put(const std::string& html) {
  blocks_.push_back({html, {}});
}

void Page::section(const std::string& heading) {
  put("<h2>" + heading + "</h2>\n");
}

void Page::paragraph(const std::string& html) {
  put("<p>" + html + "</p>\n");
}

void Page::table(const Table& table) {
  if (!table.rows.empty()) put("<div class=\"scroll\">" + table_html(table) + "</div>\n");
}

void Page::tables(const std::vector<Table>& tables) {
  std::string html;
  for (const Table& table : tables)
    if (!table.rows.empty()) html += "<div class=\"scroll\">" + table_html(table) + "</div>\n";
  if (!html.empty()) put("<div class=\"beside\">" + html + "</div>\n");
}

void Page::folded(const std::string& summary, const Table& table) {
  if (table.rows.empty()) return;
  put("<details><summary>" + summary + "</summary>\n<div class=\"scroll\">" + table_html(table) +
      "</div></details>\n");
}

void Page::headline(const std::vector<std::pair<std::string, std::string>>& values) {
  if (values.empty()) return;
  std::string html = "<dl class=\"headline\">\n";
  for (const auto& [value, meaning] : values)
    html += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", meaning, value);
  put(html + "</dl>\n");
}

void Page::verdicts(const std::vector<StudyVerdict>& verdicts) {
  if (verdicts.empty()) return;
  std::string html = "<ul class=\"marks\">\n";
  for (const auto& [finding, statement, evidence] : verdicts) {
    const char* name = finding == StudyFinding::holds   ? "holds"
                       : finding == StudyFinding::fails ? "fails"
                                                        : "open";
    const char* mark = finding == StudyFinding::holds   ? "✓"
                       : finding == StudyFinding::fails ? "✗"
                                                        : "?";
    html += fmt::format("<li><b class=\"{}\">{} {}</b><div><span>{}</span>", name, mark, name,
                        notation_to_html(statement));
    if (!evidence.empty())
      html += "<span class=\"evidence\">" + notation_to_html(evidence) + "</span>";
    html += "</div></li>\n";
  }
  put(html + "</ul>\n");
}

void Page::figures(std::vector<Figure> figures) {
  std::erase_if(figures, [](Figure& figure) { return !prepare(figure); });
  if (!figures.empty()) blocks_.push_back({"", std::move(figures)});
}

std::string Page::write(const std::string& directory) const {
  fs::path place = fs::absolute(directory).lexically_normal();
  if (!place.has_filename()) place = place.parent_path();  // "out/" is "out"
  std::error_code error;                                   // of a dead link, which is refused
  if (fs::is_symlink(place, error))
    if (const fs::path end = fs::canonical(place, error); !error) place = end;
  refuse_other_content(place);
  const NewDirectory made(place);
  std::vector<Figure> figures;
  for (const Block& block : blocks_)
    figures.insert(figures.end(), block.figures.begin(), block.figures.end());
  draw(figures, (made.path() / "figures").string());
  const std::string html = assemble((made.path() / "figures").string());
  write_file_atomically((made.path() / "index.html").string(), std::as_bytes(std::span(html)));
  made.take_place();
  return (fs::path(directory) / "index.html").lexically_normal().string();
}

std::string Page::assemble(const std::string& folder) const {
  std::string html = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  html += std::string(signature) + "\n";
  html += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  html += "<title>" + html_escaped(title_) + "</title>\n<style>" + page_style + "</style>\n";
  html += "</head>\n<body>\n<header>\n<h1>" + html_escaped(title_) + "</h1>\n";
  html += "<p class=\"subtitle\">" + html_escaped(subtitle_) + "</p>\n</header>\n<main>\n";
  for (const Block& block : blocks_)
    html += block.html + figures_html(block.figures, folder);
  html += fmt::format(
      "</main>\n<footer>Made by widedeq {} ({}). Every figure is in figures/ as SVG and PNG, with "
      "its data and the gnuplot script that draws it.</footer>\n</body>\n</html>\n",
      html_escaped(build_info::version), html_escaped(build_info::git_commit));
  return html;
}

std::string table_html(const Table& table) {
  const auto is_number = [&](std::size_t column) {
    return column < table.numbers.size() && table.numbers[column];
  };
  std::string html = "<table>\n";
  if (!table.head.empty()) {
    html += "<thead><tr>";
    for (std::size_t column = 0; column < table.head.size(); ++column)
      html += cell("th", table.head[column], is_number(column));
    html += "</tr></thead>\n";
  }
  html += "<tbody>\n";
  for (std::size_t k = 0; k < table.rows.size(); ++k) {
    const bool is_emphasised = std::ranges::find(table.emphasised, k) != table.emphasised.end();
    html += is_emphasised ? "<tr class=\"emphasised\">" : "<tr>";
    for (std::size_t column = 0; column < table.rows[k].size(); ++column)
      html += cell("td", table.rows[k][column], is_number(column));
    html += "</tr>\n";
  }
  return html + "</tbody></table>\n";
}

std::string url_of(const std::string& path) {
  std::string url;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    url += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return url;
}

}  // namespace widedeq
