// Finding, adding and dropping them; see checkpoints.hpp.
#include "host/run/checkpoints.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

#include "host/failure.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view before = "epoch-";
constexpr std::string_view after = ".ckpt";

/// The epoch in "epoch-000040.ckpt"; nothing for any other name.
std::optional<int> epoch_of(std::string_view name) {
  if (!name.starts_with(before) || !name.ends_with(after) ||
      name.size() <= before.size() + after.size())
    return std::nullopt;
  name.remove_prefix(before.size());
  name.remove_suffix(after.size());
  int epoch = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), epoch);
  const bool whole = error == std::errc() && end == name.data() + name.size();
  return whole ? std::optional(epoch) : std::nullopt;
}

[[noreturn]] void fail(const std::string& what, const fs::path& where,
                       const std::error_code& error) {
  throw Failure(ExitCode::io, what + ": " + error.message(), where.string(),
                "check the path, its permissions and the space left");
}

}  // namespace

Checkpoints::Checkpoints(fs::path directory, int keep)
    : directory_(std::move(directory) / "checkpoints"), keep_(std::max(1, keep)) {}

std::vector<int> Checkpoints::epochs() const {
  std::vector<int> found;
  std::error_code error;
  if (!fs::exists(directory_, error)) return found;
  fs::directory_iterator entry(directory_, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error))
    if (const auto epoch = epoch_of(entry->path().filename().string())) found.push_back(*epoch);
  if (error) fail("cannot look for checkpoints", directory_, error);
  std::ranges::sort(found);
  return found;
}

std::string Checkpoints::file(int epoch) const {
  return (directory_ / fmt::format("{}{:06}{}", before, epoch, after)).string();
}

std::uint64_t Checkpoints::write(int epoch, std::optional<int> way_back,
                                 const std::function<void(CheckpointFileWriter&)>& save) const {
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error) fail("cannot make the directory of checkpoints", directory_, error);
  CheckpointFileWriter file(this->file(epoch), epoch);
  save(file);
  const std::uint64_t size = file.finish();

  // One too many does no harm, so errors are no matter.
  std::vector<int> all = epochs();
  for (; all.back() > epoch; all.pop_back())
    fs::remove(this->file(all.back()), error);
  const auto later = std::ranges::upper_bound(all, way_back.value_or(-1));
  const int needed = later == all.begin() ? -1 : *std::prev(later);
  for (std::size_t i = 0; i + static_cast<std::size_t>(keep_) < all.size(); ++i)
    if (all[i] != needed) fs::remove(this->file(all[i]), error);
  return size;
}

std::unique_ptr<CheckpointFileReader> Checkpoints::newest(
    std::optional<int> latest, const std::function<void(const Failure&)>& pass_over) const {
  const std::vector<int> all = epochs();
  for (auto epoch = all.rbegin(); epoch != all.rend(); ++epoch) {
    if (latest && *epoch > *latest) continue;
    try {
      auto reader = std::make_unique<CheckpointFileReader>(file(*epoch));
      if (reader->epoch() == *epoch) return reader;
      pass_over(Failure(ExitCode::bad_data,
                        fmt::format("the checkpoint holds epoch {}", reader->epoch()),
                        reader->path(), "give it the name of its epoch"));
    } catch (const Failure& failure) {
      pass_over(failure);
    }
  }
  return nullptr;
}

void Checkpoints::drop_after(int epoch) const {
  for (const int later : epochs()) {
    if (later <= epoch) continue;
    const std::string name = file(later);
    std::error_code error;
    try {
      const CheckpointFileReader whole(name);
      fs::remove(name, error);
    } catch (const Failure&) {
      fs::rename(name, name + ".damaged", error);
    }
    if (error) fail("cannot drop the checkpoint", name, error);
  }
}

}  // namespace widedeq
