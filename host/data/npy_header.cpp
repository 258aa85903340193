// The front of a .npy file: element types, the header's parser and its writer.
// Format: see npy_header.hpp.
#include "host/data/npy_header.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "host/failure.hpp"

namespace widedeq {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t longest_header = 65536;  // as much as version 1 can say
constexpr std::size_t most_axes = 64;          // NumPy's own limit

struct TypeCode {
  NpyType type;
  std::string_view code;
  std::size_t size;
};

constexpr std::array<TypeCode, 11> type_codes{{
    {NpyType::boolean, "b1", 1},
    {NpyType::int8, "i1", 1},
    {NpyType::uint8, "u1", 1},
    {NpyType::int16, "i2", 2},
    {NpyType::uint16, "u2", 2},
    {NpyType::int32, "i4", 4},
    {NpyType::uint32, "u4", 4},
    {NpyType::int64, "i8", 8},
    {NpyType::uint64, "u8", 8},
    {NpyType::float32, "f4", 4},
    {NpyType::float64, "f8", 8},
}};

const TypeCode& row_of(NpyType type) {
  for (const TypeCode& row : type_codes)
    if (row.type == type) return row;
  throw std::invalid_argument("this NpyType does not exist");
}

[[noreturn]] void refuse(const std::string& what, const std::string& where,
                         const std::string& remedy = "write the file again with numpy.save") {
  throw Failure(ExitCode::bad_data, what, where, remedy);
}

/// The type named by a descriptor such as "<f8" or "|u1".
NpyType type_named(const std::string& descriptor, const std::string& where) {
  const std::string convert = "convert the array with .astype(numpy.float64)";
  const char order = descriptor.empty() ? '\0' : descriptor[0];
  const std::string code = descriptor.empty() ? "" : descriptor.substr(1);
  switch (code.empty() ? '\0' : code[0]) {
    case 'O':
      refuse("the array holds Python objects", where, convert);
    case 'c':
      refuse("the array holds complex numbers", where, "save its real part");
    case 'U':
      refuse("the array holds Unicode text", where, convert);
    case 'S':
    case 'a':
      refuse("the array holds byte strings", where, convert);
    case 'V':
      refuse("the array holds records or raw bytes", where, "save one field at a time");
    case 'M':
    case 'm':
      refuse("the array holds dates or times", where, convert);
    default:
      break;
  }
  if (code == "f2") refuse("the array holds half precision numbers", where, convert);
  if (code == "f16") refuse("the array holds long double numbers", where, convert);
  for (const TypeCode& row : type_codes) {
    if (code != row.code) continue;
    if (order == '>' && row.size > 1)
      refuse("the array is big-endian", where, "convert it with .astype('<" + code + "')");
    if (order == '<' || (row.size == 1 && (order == '|' || order == '>'))) return row.type;
  }
  refuse("the element type '" + descriptor + "' is not known", where, convert);
}

/// Recursive descent over the header's text:
///   header = '{' [ entry { ',' entry } [ ',' ] ] '}'      entry = string ':' value
///   value  = string | 'True' | 'False' | '(' [ number { ',' number } [ ',' ] ] ')'
/// with each of the three keys exactly once, in any order, and nothing but space after it.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::size_t offset, const std::string& where)
      : text_(text), offset_(offset), where_(where) {}

  NpyHeader parse() {
    std::optional<NpyType> type;
    std::optional<bool> fortran_order;
    std::optional<std::vector<Index>> shape;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr" && !type)
        type = descriptor();
      else if (key == "fortran_order" && !fortran_order)
        fortran_order = boolean();
      else if (key == "shape" && !shape)
        shape = tuple();
      else
        fail("the key '" + key + "' is unknown or comes twice");
      if (!accept(',') && peek() != '}') fail("',' or '}' was expected");
    }
    if (peek() != '\0' || position_ != text_.size()) fail("nothing was expected after '}'");
    if (!type || !fortran_order || !shape) fail("'descr', 'fortran_order' or 'shape' is missing");
    return {*type, *fortran_order, *std::move(shape)};
  }

 private:
  /// The next character after white space; '\0' at the end.
  char peek() {
    position_ = std::min(text_.find_first_not_of(" \t\n", position_), text_.size());
    return position_ < text_.size() ? text_[position_] : '\0';
  }

  bool accept(char wanted) {
    const bool found = peek() == wanted;
    if (found) ++position_;
    return found;
  }

  void expect(char wanted) {
    if (!accept(wanted)) fail("'" + std::string(1, wanted) + "' was expected");
  }

  std::string string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("a quoted string was expected");
    const std::size_t first = position_ + 1;
    const std::size_t last = text_.find(quote, first);
    const std::string_view content = text_.substr(first, last - first);
    const auto printable = [](char c) { return c >= ' ' && c <= '~' && c != '\\'; };
    if (last == std::string_view::npos || !std::all_of(content.begin(), content.end(), printable))
      fail("the string does not end or holds unusual characters");
    position_ = last + 1;
    return std::string(content);
  }

  NpyType descriptor() {
    if (peek() == '[')
      refuse("the array has named fields (a structured type)", where_, "save one field at a time");
    return type_named(string(), where_);
  }

  bool boolean() {
    peek();
    for (const auto& [word, value] : {std::pair{"True", true}, std::pair{"False", false}}) {
      if (!text_.substr(position_).starts_with(word)) continue;
      position_ += std::strlen(word);
      return value;
    }
    fail("True or False was expected");
  }

  std::vector<Index> tuple() {
    std::vector<Index> sizes;
    expect('(');
    bool comma = true;
    while (!accept(')')) {
      if (!comma) fail("',' or ')' was expected");
      if (sizes.size() == most_axes) fail("the shape has too many axes");
      sizes.push_back(number());
      comma = accept(',');
    }
    if (sizes.size() == 1 && !comma) fail("the shape is a number, not a tuple");
    return sizes;
  }

  Index number() {
    if (peek() == '-') fail("the shape has a negative size");
    const std::size_t first = position_;
    Index value = 0;
    for (; position_ < text_.size(); ++position_) {
      const char digit = text_[position_];
      if (digit < '0' || digit > '9') break;
      if (__builtin_mul_overflow(value, Index{10}, &value) ||
          __builtin_add_overflow(value, Index{digit - '0'}, &value))
        fail("the shape has an impossibly large size");
    }
    if (position_ == first) fail("a number was expected");
    return value;
  }

  [[noreturn]] void fail(const std::string& what) const {
    refuse("the .npy header is malformed, " + what,
           where_ + ", byte " + std::to_string(offset_ + position_));
  }

  std::string_view text_;
  std::size_t offset_;
  const std::string& where_;
  std::size_t position_ = 0;
};

}  // namespace

std::size_t size_of(NpyType type) {
  return row_of(type).size;
}

std::string descriptor_of(NpyType type) {
  const TypeCode& row = row_of(type);
  return (row.size == 1 ? '|' : '<') + std::string(row.code);
}

std::string shape_text(const std::vector<Index>& shape) {
  std::string text = "(";
  for (std::size_t axis = 0; axis < shape.size(); ++axis)
    text += (axis > 0 ? ", " : "") + std::to_string(shape[axis]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

std::optional<Index> element_count(const std::vector<Index>& shape) {
  Index product = 1;
  bool empty = false;
  for (const Index size : shape) {
    if (size == 0)
      empty = true;
    else if (size < 0 || __builtin_mul_overflow(product, size, &product))
      return std::nullopt;
  }
  return empty ? 0 : product;
}

NpyHeader read_npy_header(const ByteSource& source, std::uint64_t size, const std::string& where) {
  std::uint64_t offset = 0;
  const auto read = [&](std::size_t count) {
    std::string bytes(count, '\0');
    if (count > size - offset ||
        read_fully(source, std::as_writable_bytes(std::span(bytes))) != count)
      refuse("the .npy header is cut short", where, "copy or write the file again");
    offset += count;
    return bytes;
  };

  if (size < magic.size() || read(magic.size()) != magic)
    refuse("this is not a .npy file", where, "give a file written by numpy.save");
  const std::string version = read(2);
  if (version[0] < 1 || version[0] > 3 || version[1] != 0)
    refuse("the .npy version is not 1.0, 2.0 or 3.0", where);
  std::size_t length = 0;
  const std::string length_bytes = read(version[0] == 1 ? 2 : 4);
  std::memcpy(&length, length_bytes.data(), length_bytes.size());
  if (length > longest_header) refuse("the .npy header is impossibly long", where);
  const std::size_t text_offset = static_cast<std::size_t>(offset);
  const std::string text = read(length);
  NpyHeader header = HeaderParser(text, text_offset, where).parse();

  const std::optional<Index> count = element_count(header.shape);
  Index needed = 0;
  if (!count || __builtin_mul_overflow(*count, static_cast<Index>(size_of(header.type)), &needed))
    refuse("the shape " + shape_text(header.shape) + " is impossibly large", where);
  const std::uint64_t left = size - offset;
  if (static_cast<std::uint64_t>(needed) != left)
    refuse((static_cast<std::uint64_t>(needed) > left ? "the array is cut short: "
                                                      : "there are bytes after the array: ") +
               ("the shape " + shape_text(header.shape)) + " of " + descriptor_of(header.type) +
               " takes " + std::to_string(needed) + " bytes after the header, and there are " +
               std::to_string(left),
           where, "copy or write the file again");
  return header;
}

std::vector<std::byte> format_npy_header(const std::vector<Index>& shape, NpyType type) {
  std::string text = "{'descr': '" + descriptor_of(type) +
                     "', 'fortran_order': False, 'shape': " + shape_text(shape) + ", }";
  const std::size_t front = magic.size() + 4;  // magic, version, length
  text.append(63 - (front + text.size()) % 64, ' ');
  text += '\n';
  if (shape.size() > most_axes) throw std::invalid_argument("a .npy array has at most 64 axes");
  const std::string header = std::string(magic) + '\1' + '\0' +
                             static_cast<char>(text.size() & 0xff) +
                             static_cast<char>(text.size() >> 8) + text;
  const auto bytes = std::as_bytes(std::span(header));
  return {bytes.begin(), bytes.end()};
}

}  // namespace widedeq
