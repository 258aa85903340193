// Parsing ranges, and refusing what is none; see shapes.hpp.
#include "bench/shapes.hpp"

#include "host/failure.hpp"
#include "host/run/config.hpp"

namespace widedeq::bench {
namespace {

constexpr Index largest_size = Index{1} << 30;  // far beyond any memory, and m * m still fits
constexpr std::size_t most_shapes = 1000;

[[noreturn]] void refuse(std::string_view what, std::string_view text) {
  throw Failure(ExitCode::usage, "'" + std::string(what) + "' is not a shape",
                "--shapes " + std::string(text),
                "give MxN such as 1024x256, or ranges: 1024:8192x1000 doubles, "
                "1024:4096:1024x256 adds 1024");
}

/// "1024", "1024:8192" or "1024:8192:1024"; empty when it is none of these.
std::vector<Index> parse_range(std::string_view text) {
  std::vector<Index> parts;
  while (true) {
    const std::size_t colon = text.find(':');
    const auto value = parse_integer(text.substr(0, colon), 1, largest_size);
    if (!value) return {};
    parts.push_back(*value);
    if (colon == text.npos) break;
    text.remove_prefix(colon + 1);
  }
  if (parts.size() > 3 || (parts.size() > 1 && parts[1] < parts[0])) return {};
  std::vector<Index> sizes;
  const Index last = parts.size() > 1 ? parts[1] : parts[0];
  for (Index size = parts[0]; size <= last && sizes.size() <= most_shapes;
       size = parts.size() == 3 ? size + parts[2] : 2 * size)
    sizes.push_back(size);
  return sizes;
}

}  // namespace

std::string to_text(Shape shape) {
  return std::to_string(shape.m) + "x" + std::to_string(shape.n);
}

std::vector<Shape> parse_shapes(std::string_view text) {
  std::vector<Shape> shapes;
  for (const std::string& word : split_list(text, "--shapes")) {
    const std::size_t cross = word.find('x');
    if (cross == word.npos) refuse(word, text);
    const std::vector<Index> rows = parse_range(std::string_view(word).substr(0, cross));
    const std::vector<Index> columns = parse_range(std::string_view(word).substr(cross + 1));
    if (rows.empty() || columns.empty()) refuse(word, text);
    for (const Index m : rows)
      for (const Index n : columns) {
        shapes.push_back({m, n});
        if (shapes.size() > most_shapes)
          throw Failure(ExitCode::usage, "these are more than 1000 shapes",
                        "--shapes " + std::string(text), "give larger steps");
      }
  }
  return shapes;
}

std::vector<std::string> split_list(std::string_view text, const std::string& option) {
  std::vector<std::string> words;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    words.emplace_back(text.substr(start, end - start));
    if (words.back().empty())
      throw Failure(ExitCode::usage, "an entry is empty", option + " '" + std::string(text) + "'",
                    "separate entries by single commas, without spaces");
    start = end + 1;
  }
  return words;
}

}  // namespace widedeq::bench
