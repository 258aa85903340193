// One parser of the notation, three ways to write its pieces; see notation.hpp.
#include "host/study/notation.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace widedeq {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_word(char c) {
  return is_letter(c) || is_digit(c);
}

/// What stands for itself wherever it occurs, and what does so as a whole word only. The longer
/// first.
constexpr auto signs = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"||", "‖"},
    {"<=", "≤"},
    {">=", "≥"},
    {"+-", "±"},
    {"!=", "≠"},
    {"<-", "←"},
    {"1/2 sum ", "½ Σ "},
    {" - ", " − "},
    {" * ", " · "},
});
constexpr auto words = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"sqrt(m)", "√m"},
    {"lambda", "λ"},
    {"gamma", "γ"},
    {"theta", "θ"},
    {"eta", "η"},
    {"Phi", "Φ"},
});

/// Reads notation from left to right.
class Typesetter {
 public:
  explicit Typesetter(std::string_view text) : text_(text) {}

  std::vector<Piece> run() {
    while (at_ < text_.size())
      step();
    return std::move(pieces_);
  }

 private:
  char before() const { return at_ == 0 ? ' ' : text_[at_ - 1]; }
  char peek(std::size_t ahead) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : ' ';
  }

  void put(std::string_view text, Piece::Level level = Piece::Level::line) {
    if (pieces_.empty() || pieces_.back().level != level) pieces_.push_back({level, ""});
    pieces_.back().text += text;
  }

  void step() {
    if (option() || exponent_of_ten() || script() || word() || times() || sign() || prime() ||
        minus())
      return;
    put(text_.substr(at_++, 1));
  }

  /// --learning-rate, --gamma: to be typed as it stands
  bool option() {
    if (!text_.substr(at_).starts_with("--") || !is_letter(peek(2))) return false;
    std::size_t end = at_ + 2;
    while (end < text_.size() && (is_word(text_[end]) || text_[end] == '-'))
      ++end;
    put(text_.substr(at_, end - at_));
    at_ = end;
    return true;
  }

  /// x 0.99, 40 x 30
  bool times() {
    if (!text_.substr(at_).starts_with(" x ") || !is_digit(peek(3))) return false;
    put(" × ");
    at_ += 3;
    return true;
  }

  /// 1.5e-06
  bool exponent_of_ten() {
    if (text_[at_] != 'e' || !is_digit(before())) return false;
    std::size_t end = at_ + 1;
    const bool negative = peek(1) == '-';
    if (negative || peek(1) == '+') ++end;
    std::size_t first = end;
    while (end < text_.size() && is_digit(text_[end]))
      ++end;
    if (end == first || (end < text_.size() && is_word(text_[end]))) return false;
    // Digits before it that belong to a word, of a commit say, are no number.
    std::size_t start = at_;
    while (start > 0 && (is_digit(text_[start - 1]) || text_[start - 1] == '.'))
      --start;
    if (start > 0 && is_letter(text_[start - 1])) return false;
    while (first + 1 < end && text_[first] == '0')
      ++first;
    // 1e-06 is 10^-6.
    const bool is_one = text_.substr(start, at_ - start) == "1";
    if (is_one) pieces_.back().text.pop_back();
    put(is_one ? "10" : "×10");
    put((negative ? "−" : "") + std::string(text_.substr(first, end - first)), Piece::Level::above);
    at_ = end;
    return true;
  }

  /// _min, ^-1/2, ^{k+1}
  bool script() {
    const char c = text_[at_];
    if (c != '_' && c != '^') return false;
    const auto level = c == '_' ? Piece::Level::below : Piece::Level::above;
    std::string content;
    std::size_t end = at_ + 1;
    if (peek(1) == '{') {
      end = text_.find('}', at_);
      if (end == std::string_view::npos) return false;
      content = text_.substr(at_ + 2, end - at_ - 2);
      ++end;
    } else {
      if (c == '^' && peek(1) == '-') ++end;
      while (end < text_.size() &&
             (is_word(text_[end]) || (c == '^' && (text_[end] == '/' || text_[end] == '.') &&
                                      end + 1 < text_.size() && is_digit(text_[end + 1]))))
        ++end;
      content = text_.substr(at_ + 1, end - at_ - 1);
    }
    if (content.empty() || content == "-") return false;
    if (content == "inf") content = "∞";
    if (content.starts_with('-')) content = "−" + content.substr(1);
    put(content, level);
    at_ = end;
    return true;
  }

  bool word() {
    if (is_word(before())) return false;
    for (const auto& [name, sign] : words) {
      if (!text_.substr(at_).starts_with(name) || is_word(peek(name.size()))) continue;
      put(sign);
      at_ += name.size();
      return true;
    }
    return false;
  }

  bool sign() {
    for (const auto& [name, sign] : signs) {
      if (!text_.substr(at_).starts_with(name)) continue;
      put(sign);
      at_ += name.size();
      return true;
    }
    return false;
  }

  /// Z'Z, Phi'Phi, A'; not in "the run's".
  bool prime() {
    const bool single = at_ < 2 || !is_word(text_[at_ - 2]);
    const bool product = peek(1) >= 'A' && peek(1) <= 'Z';
    if (text_[at_] != '\'' || !is_letter(before()) || peek(1) == 's' || !(single || product))
      return false;
    put("′");
    ++at_;
    return true;
  }

  /// -0.5 and -log x, but not 1-2 or well-posed.
  bool minus() {
    const char c = before();
    const bool starts = at_ == 0 || c == '(' || c == '[';
    if (text_[at_] != '-' ||
        !(is_digit(peek(1)) ? starts || c == ' ' : starts && is_letter(peek(1))))
      return false;
    put("−");
    ++at_;
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<Piece> pieces_;
};

/// The text, whatever its bytes, as UTF-8.
std::string valid_utf8(std::string_view text) {
  const auto dumped =
      nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(dumped).get<std::string>();
}

}  // namespace

std::vector<Piece> typeset(std::string_view notation) {
  return Typesetter(notation).run();
}

std::string notation_to_html(std::string_view notation) {
  std::string html;
  for (const auto& [level, text] : typeset(notation)) {
    const std::string escaped = html_escaped(text);
    switch (level) {
      case Piece::Level::line:
        html += escaped;
        break;
      case Piece::Level::below:
        html += "<sub>" + escaped + "</sub>";
        break;
      case Piece::Level::above:
        html += "<sup>" + escaped + "</sup>";
        break;
    }
  }
  return html;
}

std::string notation_to_gnuplot(std::string_view notation) {
  std::string enhanced;
  for (const auto& [level, text] : typeset(notation)) {
    const std::string escaped = gnuplot_escaped(text);
    if (level == Piece::Level::line) {
      enhanced += escaped;
    } else {
      enhanced += (level == Piece::Level::below ? "_{" : "^{") + escaped + "}";
    }
  }
  return enhanced;
}

std::string notation_to_text(std::string_view notation) {
  std::string line;
  for (const auto& [level, text] : typeset(notation)) {
    if (level == Piece::Level::below) line += "_";
    if (level == Piece::Level::above) line += "^";
    line += text;
  }
  return line;
}

std::string html_escaped(std::string_view text) {
  std::string escaped;
  for (const char c : valid_utf8(text)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default: {
        const auto code = static_cast<unsigned char>(c);
        const bool is_control = (code < 0x20 && c != '\n' && c != '\t') || code == 0x7f;
        escaped += is_control ? "\uFFFD" : std::string(1, c);
      }
    }
  }
  return escaped;
}

std::string gnuplot_escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (std::string_view("_^{}@&~\\").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string gnuplot_quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : valid_utf8(text)) {
    if (c == '\'') quoted += '\'';
    quoted += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  return quoted + "'";
}

std::string people_number(double value) {
  if (std::isnan(value)) return "none";
  if (std::isinf(value)) return value > 0 ? "infinite" : "-infinite";
  const double size = std::abs(value);
  if (size == 0.0) return "0";
  if (size >= 1e-3 && size < 99995.0) {
    // Four significant digits, and no fewer than the integer has.
    const int before = static_cast<int>(std::floor(std::log10(size))) + 1;
    std::string text = fmt::format("{:.{}f}", value, std::max(0, 4 - before));
    if (text.find('.') != std::string::npos) {
      text.erase(text.find_last_not_of('0') + 1);
      if (text.ends_with('.')) text.pop_back();
    }
    return text;
  }
  const std::string text = fmt::format("{:.3e}", value);
  std::string mantissa = text.substr(0, text.find('e'));
  mantissa.erase(mantissa.find_last_not_of('0') + 1);
  if (mantissa.ends_with('.')) mantissa.pop_back();
  return mantissa + text.substr(text.find('e'));
}

std::string people_count(std::int64_t value) {
  std::string text = std::to_string(value);
  const std::size_t sign = value < 0 ? 1 : 0;
  if (text.size() - sign < 5) return text;
  for (std::size_t at = text.size(); at > sign + 3;)
    text.insert(at -= 3, "\u202F");
  return text;
}

std::string people_seconds(double seconds) {
  if (!std::isfinite(seconds)) return people_number(seconds);
  if (seconds < 0.9995e-3) return fmt::format("{:.3g} µs", seconds * 1e6);
  if (seconds < 0.9995) return fmt::format("{:.3g} ms", seconds * 1e3);
  if (seconds < 120.0) return fmt::format("{:.3g} s", seconds);
  if (seconds < 7200.0) return fmt::format("{:.3g} min", seconds / 60.0);
  if (seconds < 48.0 * 3600.0) return fmt::format("{:.3g} h", seconds / 3600.0);
  return fmt::format("{:.3g} days", seconds / 86400.0);
}

std::string people_percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.3g} %", 100.0 * share) : people_number(share);
}

}  // namespace widedeq
