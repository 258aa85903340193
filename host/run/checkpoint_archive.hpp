// Archives (host/archive.hpp) that write to and read from checkpoint files.
#pragma once

#include "host/archive.hpp"
#include "host/run/checkpoint_file.hpp"
#include "kernels/backend.hpp"

namespace widedeq {

/// Everything that is transferred goes to the file. Matrices pass through a buffer of a few MB.
class SavingArchive final : public Archive {
 public:
  SavingArchive(Backend& backend, CheckpointFileWriter& file) : backend_(backend), file_(file) {}

  bool is_loading() const override { return false; }
  void matrix(std::string_view name, Matrix& values) override;
  void numbers(std::string_view name, std::vector<double>& values) override;
  void integers(std::string_view name, std::vector<std::int64_t>& values) override;
  void text(std::string_view name, std::string& value) override;

 private:
  Backend& backend_;
  CheckpointFileWriter& file_;
  std::vector<std::byte> buffer_;
};

/// Everything that is transferred comes from the file. What throws may leave objects half restored:
/// they are not to be used any more.
class LoadingArchive final : public Archive {
 public:
  LoadingArchive(Backend& backend, CheckpointFileReader& file) : backend_(backend), file_(file) {}

  bool is_loading() const override { return true; }
  void matrix(std::string_view name, Matrix& values) override;
  void numbers(std::string_view name, std::vector<double>& values) override;
  void integers(std::string_view name, std::vector<std::int64_t>& values) override;
  void text(std::string_view name, std::string& value) override;

 private:
  using Chunk = CheckpointFileReader::Chunk;
  /// Throws Failure (bad_data) when it is not there or of another type.
  const Chunk& chunk(std::string_view name, ChunkElement element) const;
  template <class T>
  void list(std::string_view name, ChunkElement element, std::vector<T>& values);

  Backend& backend_;
  CheckpointFileReader& file_;
  std::vector<std::byte> buffer_;
};

}  // namespace widedeq
