// The list of unfinished files, in memory that a handler may read at any time; see ending.hpp.
#include "host/data/ending.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <climits>
#include <csignal>
#include <cstddef>

namespace widedeq {
namespace {

struct Place {
  std::atomic<bool> is_taken{false};
  std::atomic<bool> is_valid{false};  // `path` is whole
  std::array<char, PATH_MAX> path{};
};
std::array<Place, 16> unfinished{};

std::atomic<int> holders{0}, signal_to_end_by{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "a handler may touch no others");

void end_now(int signal) noexcept {
  for (const Place& place : unfinished)
    if (place.is_valid) ::unlink(place.path.data());
  std::signal(signal, SIG_DFL);
  std::raise(signal);  // in its own handler it ends the process when that returns
}

}  // namespace

UnfinishedFile::UnfinishedFile(const std::string& path) : place_(-1) {
  if (path.size() >= PATH_MAX) return;
  for (std::size_t k = 0; k < unfinished.size() && place_ < 0; ++k)
    if (bool is_taken = false; unfinished[k].is_taken.compare_exchange_strong(is_taken, true))
      place_ = static_cast<int>(k);
  if (place_ < 0) return;
  Place& place = unfinished[static_cast<std::size_t>(place_)];
  place.path[path.copy(place.path.data(), PATH_MAX - 1)] = '\0';
  place.is_valid = true;
}

UnfinishedFile::~UnfinishedFile() {
  if (place_ < 0) return;
  Place& place = unfinished[static_cast<std::size_t>(place_)];
  place.is_valid = false;
  place.is_taken = false;
}

void end_by_signal(int signal) noexcept {
  signal_to_end_by = signal;
  if (holders == 0) end_now(signal);
}

HeldEnd::HeldEnd() {
  ++holders;
}

HeldEnd::~HeldEnd() {
  if (--holders == 0 && signal_to_end_by != 0) end_now(signal_to_end_by);
}

bool is_ending() noexcept {
  return signal_to_end_by != 0;
}

}  // namespace widedeq
