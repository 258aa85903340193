// Matrices by panels of columns, lists as they are; see checkpoint_archive.hpp.
#include "host/run/checkpoint_archive.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "host/failure.hpp"

namespace widedeq {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{4} << 20;

ChunkElement chunk_element(Element element) {
  switch (element) {
    case Element::float64:
      return ChunkElement::float64;
    case Element::float32:
      return ChunkElement::float32;
    case Element::int32:
      return ChunkElement::int32;
    case Element::int8:
      return ChunkElement::int8;
  }
  return ChunkElement::float64;
}

/// function(first column, their number, their bytes) for panels that fill the buffer.
template <class Function>
void by_panels(const Matrix& matrix, std::vector<std::byte>& buffer, Function function) {
  const std::size_t column = static_cast<std::size_t>(matrix.rows()) * size_of(matrix.element());
  if (column == 0) return;
  const auto most = static_cast<Index>(std::max<std::size_t>(1, buffer_bytes / column));
  for (Index first = 0; first < matrix.columns(); first += most) {
    const Index count = std::min(most, matrix.columns() - first);
    const std::size_t bytes = column * static_cast<std::size_t>(count);
    buffer.resize(std::max(buffer.size(), bytes));
    function(first, count, std::span(buffer).first(bytes));
  }
}

}  // namespace

// ---- saving

void SavingArchive::matrix(std::string_view name, Matrix& values) {
  file_.begin(full(name), chunk_element(values.element()), values.rows(), values.columns());
  by_panels(values, buffer_, [&](Index first, Index count, std::span<std::byte> bytes) {
    backend_.save(values.columns(first, count), bytes);
    file_.write(bytes);
  });
}

void SavingArchive::numbers(std::string_view name, std::vector<double>& values) {
  file_.begin(full(name), ChunkElement::float64, static_cast<Index>(values.size()), 1);
  file_.write(std::as_bytes(std::span(values)));
}

void SavingArchive::integers(std::string_view name, std::vector<std::int64_t>& values) {
  file_.begin(full(name), ChunkElement::int64, static_cast<Index>(values.size()), 1);
  file_.write(std::as_bytes(std::span(values)));
}

void SavingArchive::text(std::string_view name, std::string& value) {
  file_.begin(full(name), ChunkElement::text, static_cast<Index>(value.size()), 1);
  file_.write(std::as_bytes(std::span(value)));
}

// ---- loading

const LoadingArchive::Chunk& LoadingArchive::chunk(std::string_view name,
                                                   ChunkElement element) const {
  const Chunk* found = file_.find(full(name));
  if (found == nullptr || found->element != element)
    throw Failure(ExitCode::bad_data,
                  fmt::format("{} is {}", full(name),
                              found == nullptr ? "not in the checkpoint" : "of another type"),
                  file_.path(), "resume with the program and configuration that wrote it");
  return *found;
}

void LoadingArchive::matrix(std::string_view name, Matrix& values) {
  if (values.empty()) {
    const Chunk* found = file_.find(full(name));
    if (found != nullptr && found->bytes() == 0) return;
    for (const Element element :
         {Element::float64, Element::float32, Element::int32, Element::int8})
      if (found != nullptr && found->element == chunk_element(element))
        values = backend_.allocate(element, found->rows, found->columns);
  }
  const Chunk& saved = chunk(name, chunk_element(values.element()));
  if (saved.rows != values.rows() || saved.columns != values.columns())
    throw Failure(ExitCode::bad_data,
                  fmt::format("{} is {} x {} in the checkpoint and {} here", full(name), saved.rows,
                              saved.columns, shape(values.block())),
                  file_.path(), "resume with the configuration that wrote it");
  std::uint64_t position = 0;
  by_panels(values, buffer_, [&](Index first, Index count, std::span<std::byte> bytes) {
    file_.read(saved, position, bytes);
    backend_.restore(bytes, values.columns(first, count));
    position += bytes.size();
  });
}

template <class T>
void LoadingArchive::list(std::string_view name, ChunkElement element, std::vector<T>& values) {
  const Chunk& saved = chunk(name, element);
  values.resize(saved.bytes() / sizeof(T));
  file_.read(saved, 0, std::as_writable_bytes(std::span(values)));
}

void LoadingArchive::numbers(std::string_view name, std::vector<double>& values) {
  list(name, ChunkElement::float64, values);
}

void LoadingArchive::integers(std::string_view name, std::vector<std::int64_t>& values) {
  list(name, ChunkElement::int64, values);
}

void LoadingArchive::text(std::string_view name, std::string& value) {
  std::vector<char> letters;
  list(name, ChunkElement::text, letters);
  value.assign(letters.begin(), letters.end());
}

}  // namespace widedeq
