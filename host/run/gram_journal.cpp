// When a Gram is announced, saved and recorded; see gram_journal.hpp.
#include "host/run/gram_journal.hpp"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "host/data/npy.hpp"
#include "host/run/record.hpp"

namespace widedeq {
namespace {

/// A symmetric matrix: its columns are its rows.
void save(const RunDirectory& directory, const char* name, const HostMatrix& matrix) {
  write_npy(directory.file(name), {matrix.rows, matrix.columns}, matrix.values);
}

}  // namespace

GramJournal::GramJournal(GramMonitor* monitor, const RunDirectory& directory, Sink& sink,
                         Progress& progress)
    : monitor_(monitor), directory_(directory), sink_(sink), progress_(progress) {}

void GramJournal::look() {
  if (monitor_ == nullptr) return;
  if (auto gram = monitor_->poll()) announce(std::move(*gram));
}

void GramJournal::wait() {
  if (monitor_ == nullptr) return;
  const auto start = std::chrono::steady_clock::now();
  auto gram = monitor_->wait();
  const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
  if (gram && waited.count() > 0.1)
    progress_.note(
        fmt::format("waited {:.1f} s for the gram of epoch {}", waited.count(), gram->epoch));
  if (gram) announce(std::move(*gram));
}

void GramJournal::write_pending() {
  wait();
  if (!unwritten_) return;
  sink_.write(gram_record(*last_));
  unwritten_ = false;
}

void GramJournal::transfer(Archive& archive) {
  // A run may be resumed with other Grams than it had, or none: what has been announced stays so,
  // and what they are compared with.
  bool has_grams = monitor_ != nullptr || first_.has_value();
  archive.integer("has_monitor", has_grams);
  if (!has_grams) return;
  monitor_ != nullptr ? monitor_->transfer(archive) : carried_.transfer(archive);
  const auto transfer_gram = [&](const char* name, std::optional<GramStatistics>& gram) {
    archive.within(name, [&] {
      bool is_there = gram.has_value();
      archive.integer("is_there", is_there);
      if (!is_there) return;
      if (!gram) gram.emplace();
      gram->transfer(archive);
    });
  };
  transfer_gram("first_gram", first_);
  transfer_gram("last_gram", last_);
  archive.integer("unwritten", unwritten_);
}

void GramJournal::save_last() const {
  if (last_) save(directory_, "gram/ntk-last.npy", last_->ntk);
}

void GramJournal::announce(GramStatistics gram) {
  const auto n = static_cast<Index>(gram.eigenvalues.size());
  write_npy(directory_.file(fmt::format("gram/eigenvalues-{:06}.npy", gram.epoch)), {n},
            gram.eigenvalues);
  if (!first_) {
    save(directory_, "gram/ntk-first.npy", gram.ntk);
    save(directory_, "gram/state-first.npy", gram.states);
    save(directory_, "gram/adjoint-first.npy", gram.adjoints);
    gram.states = gram.adjoints = HostMatrix();  // the files have them
    first_ = gram;
  }
  progress_.gram(gram);
  last_ = std::move(gram);
  unwritten_ = true;
}

}  // namespace widedeq
