// NumPy's .npy files: the elements, to and from doubles, and the order of axes.
// Format: see npy.hpp.
#include "host/data/npy.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "host/data/atomic_file.hpp"
#include "host/failure.hpp"

namespace widedeq {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are copied as they lie");

constexpr const char* again = "copy or write the file again";
constexpr std::size_t chunk_bytes = 65536;  // a multiple of every element size

/// Calls visit(T{}) with the C++ type of the elements.
template <class Visitor>
auto visit_element(NpyType type, Visitor&& visit) {
  switch (type) {
    case NpyType::int8:
      return visit(std::int8_t{});
    case NpyType::boolean:
    case NpyType::uint8:
      return visit(std::uint8_t{});
    case NpyType::int16:
      return visit(std::int16_t{});
    case NpyType::uint16:
      return visit(std::uint16_t{});
    case NpyType::int32:
      return visit(std::int32_t{});
    case NpyType::uint32:
      return visit(std::uint32_t{});
    case NpyType::int64:
      return visit(std::int64_t{});
    case NpyType::uint64:
      return visit(std::uint64_t{});
    case NpyType::float32:
      return visit(float{});
    case NpyType::float64:
      return visit(double{});
  }
  throw std::invalid_argument("this NpyType does not exist");
}

void decode_values(std::span<const std::byte> bytes, NpyType type, std::span<double> values) {
  visit_element(type, [&]<class T>(T) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      T element;
      std::memcpy(&element, bytes.data() + i * sizeof(T), sizeof(T));
      values[i] = static_cast<double>(element);
    }
  });
  if (type == NpyType::boolean)
    for (double& value : values)
      value = value != 0.0 ? 1.0 : 0.0;
}

/// The elements in C order (last axis fastest) of an array stored in Fortran order (first fastest).
std::vector<double> c_order(const std::vector<Index>& shape, const std::vector<double>& fortran) {
  std::vector<Index> stride(shape.size(), 1);
  for (std::size_t axis = 1; axis < shape.size(); ++axis)
    stride[axis] = stride[axis - 1] * shape[axis - 1];
  std::vector<Index> position(shape.size(), 0);
  Index offset = 0;  // sum of position * stride
  std::vector<double> values(fortran.size());
  for (double& value : values) {
    value = fortran[static_cast<std::size_t>(offset)];
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      offset += stride[axis];
      if (++position[axis] < shape[axis]) break;
      offset -= stride[axis] * shape[axis];
      position[axis] = 0;
    }
  }
  return values;
}

/// Whether a double can be stored as T: integers exactly, floating point within its range.
template <class T>
bool fits(double value) {
  if constexpr (std::is_integral_v<T>) {
    const double end = std::ldexp(1.0, std::numeric_limits<T>::digits);  // first that is too large
    return value >= (std::is_signed_v<T> ? -end : 0.0) && value < end && std::trunc(value) == value;
  } else {
    return !std::isfinite(value) || std::abs(value) <= std::numeric_limits<T>::max();
  }
}

}  // namespace

NpyArray decode_npy(const ByteSource& source, std::uint64_t size, const std::string& where) {
  NpyHeader header = read_npy_header(source, size, where);
  const auto count = static_cast<std::size_t>(*element_count(header.shape));
  NpyArray array{std::move(header.shape), header.type, std::vector<double>(count)};
  std::vector<std::byte> buffer(chunk_bytes);
  const std::size_t element = size_of(array.type);
  std::span<double> rest(array.values);
  while (!rest.empty()) {
    const std::span<double> values = rest.first(std::min(rest.size(), chunk_bytes / element));
    const std::span<std::byte> bytes = std::span(buffer).first(values.size() * element);
    if (read_fully(source, bytes) != bytes.size())
      throw Failure(ExitCode::bad_data, "the array is cut short", where, again);
    decode_values(bytes, array.type, values);
    rest = rest.subspan(values.size());
  }
  // Reading to the very end is also what makes a zip member check its sum.
  if (source(std::span(buffer).first(1)) != 0)
    throw Failure(ExitCode::bad_data, "there are bytes after the array", where, again);
  if (header.fortran_order && array.shape.size() > 1)
    array.values = c_order(array.shape, array.values);
  return array;
}

NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& where) {
  return decode_npy(bytes_from_memory(bytes), bytes.size(), where);
}

NpyArray read_npy(const std::string& path) {
  InputFile file(path);
  return decode_npy(file.source(), file.size(), path);
}

void check_npy_values(const std::vector<Index>& shape, std::span<const double> values,
                      NpyType type) {
  if (element_count(shape) != static_cast<Index>(values.size()))
    throw std::invalid_argument("the shape " + shape_text(shape) + " does not have " +
                                std::to_string(values.size()) + " elements");
  visit_element(type, [&]<class T>(T) {
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!fits<T>(values[i]) || (type == NpyType::boolean && values[i] > 1.0))
        throw std::invalid_argument("the value " + std::to_string(values[i]) + " at position " +
                                    std::to_string(i) + " does not fit " + descriptor_of(type));
  });
}

void encode_npy_values(std::span<const double> values, NpyType type, std::span<std::byte> bytes) {
  visit_element(type, [&]<class T>(T) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const T element = static_cast<T>(values[i]);
      std::memcpy(bytes.data() + i * sizeof(T), &element, sizeof(T));
    }
  });
}

std::vector<std::byte> format_npy(const std::vector<Index>& shape, std::span<const double> values,
                                  NpyType type) {
  check_npy_values(shape, values, type);
  std::vector<std::byte> bytes = format_npy_header(shape, type);
  const std::size_t offset = bytes.size();
  bytes.resize(offset + values.size() * size_of(type));
  encode_npy_values(values, type, std::span(bytes).subspan(offset));
  return bytes;
}

void write_npy(const std::string& path, const std::vector<Index>& shape,
               std::span<const double> values, NpyType type) {
  check_npy_values(shape, values, type);
  AtomicFile file(path);
  file.write(format_npy_header(shape, type));
  std::vector<std::byte> buffer(chunk_bytes);
  while (!values.empty()) {
    const auto chunk = values.first(std::min(values.size(), chunk_bytes / size_of(type)));
    const auto bytes = std::span(buffer).first(chunk.size() * size_of(type));
    encode_npy_values(chunk, type, bytes);
    file.write(bytes);
    values = values.subspan(chunk.size());
  }
  file.commit();
}

}  // namespace widedeq
