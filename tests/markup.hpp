// A strict little reader of XML, and of HTML as we write it: tags balance, attributes are quoted,
// ampersands are entities. What it finds is all that tests of pages and pictures ask for.
#pragma once

#include <cctype>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace widedeq::test {

struct Element {
  std::string name;
  std::map<std::string, std::string> attributes;
};

struct Markup {
  std::string complaint;  // empty: well-formed
  std::vector<Element> elements;
  std::string text;  // of all elements but style, entities as they are

  /// The values of an attribute, in order, of elements of that name, or of all.
  std::vector<std::string> values(const std::string& attribute,
                                  const std::string& name = "") const {
    std::vector<std::string> found;
    for (const Element& element : elements)
      if (const auto entry = element.attributes.find(attribute);
          entry != element.attributes.end() && (name.empty() || element.name == name))
        found.push_back(entry->second);
    return found;
  }
  int count(const std::string& name) const {
    int number = 0;
    for (const Element& element : elements)
      number += element.name == name ? 1 : 0;
    return number;
  }
};

class MarkupReader {
 public:
  explicit MarkupReader(std::string_view source) : source_(source) {}

  Markup read() {
    while (at_ < source_.size() && markup_.complaint.empty())
      source_[at_] == '<' ? tag() : text();
    if (markup_.complaint.empty() && !open_.empty()) complain("never closed: " + open_.back());
    return std::move(markup_);
  }

 private:
  void complain(const std::string& what) {
    markup_.complaint = what + " before: " + std::string(source_.substr(at_, 60));
  }

  void text() {
    const std::size_t end = std::min(source_.find('<', at_), source_.size());
    const std::string_view part = source_.substr(at_, end - at_);
    check_entities(part);
    if (open_.empty() || open_.back() != "style") markup_.text += part;
    at_ = end;
  }

  void check_entities(std::string_view part) {
    for (std::size_t k = part.find('&'); k != part.npos; k = part.find('&', k + 1)) {
      const std::size_t end = part.find(';', k);
      if (end == part.npos || end - k > 8) complain("a bare ampersand");
    }
  }

  void tag() {
    for (const auto& [start, end] :
         {std::pair("<?", "?>"), std::pair("<!--", "-->"), std::pair("<!DOCTYPE", ">")})
      if (source_.substr(at_).starts_with(start)) {
        at_ = source_.find(end, at_);
        if (at_ == source_.npos) return complain("a declaration without end");
        at_ += std::string_view(end).size();
        return;
      }
    ++at_;
    const bool closes = skip('/');
    Element element{name(), {}};
    if (element.name.empty()) return complain("no name in a tag");
    while (true) {
      skip_space();
      if (at_ >= source_.size() || source_[at_] == '>' || source_[at_] == '/') break;
      const std::string key = name();
      skip_space();
      if (key.empty() || !skip('=')) return complain("a bad attribute");
      skip_space();
      const char quote = at_ < source_.size() ? source_[at_] : ' ';
      if (quote != '"' && quote != '\'') return complain("an attribute without quotes");
      const std::size_t end = source_.find(quote, at_ + 1);
      if (end == source_.npos) return complain("an attribute without end");
      const std::string_view value = source_.substr(at_ + 1, end - at_ - 1);
      if (value.find('<') != value.npos) return complain("a < in an attribute");
      check_entities(value);
      if (!element.attributes.emplace(key, value).second) return complain("an attribute twice");
      at_ = end + 1;
    }
    const bool empty = skip('/');
    if (!skip('>')) return complain("a tag without end");
    if (closes) {
      if (open_.empty() || open_.back() != element.name)
        return complain("closes " + element.name + " and not " +
                        (open_.empty() ? "anything" : open_.back()));
      open_.pop_back();
      return;
    }
    if (!empty && element.name != "meta") open_.push_back(element.name);
    markup_.elements.push_back(std::move(element));
  }

  bool skip(char c) {
    if (at_ >= source_.size() || source_[at_] != c) return false;
    ++at_;
    return true;
  }

  void skip_space() {
    while (at_ < source_.size() && std::isspace(static_cast<unsigned char>(source_[at_])))
      ++at_;
  }

  std::string name() {
    const std::size_t start = at_;
    while (at_ < source_.size() &&
           (std::isalnum(static_cast<unsigned char>(source_[at_])) || source_[at_] == '-' ||
            source_[at_] == ':' || source_[at_] == '_'))
      ++at_;
    return std::string(source_.substr(start, at_ - start));
  }

  std::string_view source_;
  std::size_t at_ = 0;
  std::vector<std::string> open_;
  Markup markup_;
};

inline Markup read_markup(std::string_view source) {
  return MarkupReader(source).read();
}

}  // namespace widedeq::test
