// Element types, the shape check every stage begins with, and copies for the host; see matrix.hpp
// and backend.hpp.
#include "kernels/matrix.hpp"

#include "kernels/backend.hpp"

namespace widedeq {

std::size_t size_of(Element element) {
  switch (element) {
    case Element::float64:
      return 8;
    case Element::float32:
      return 4;
    case Element::int32:
      return 4;
    case Element::int8:
      return 1;
  }
  return 0;
}

const char* name_of(Element element) {
  switch (element) {
    case Element::float64:
      return "float64";
    case Element::float32:
      return "float32";
    case Element::int32:
      return "int32";
    case Element::int8:
      return "int8";
  }
  return "?";
}

void throw_wrong_element(Element is, Element wanted) {
  throw ShapeError(std::string("a block of ") + name_of(is) + " where " + name_of(wanted) +
                   " is expected");
}

void expect_shape(const char* stage, const char* name, const ConstBlock& block, Index rows,
                  Index columns) {
  if (block.rows == rows && block.columns == columns) return;
  throw ShapeError(std::string(stage) + ": " + name + " is " + shape(block) + ", expected " +
                   std::to_string(rows) + " x " + std::to_string(columns));
}

HostMatrix download(Backend& backend, ConstBlock block) {
  HostMatrix host(block.rows, block.columns);
  backend.download(block, host.view());
  return host;
}

}  // namespace widedeq
