// The checkpoints of a run: checkpoints/epoch-000040.ckpt holds the state before epoch 40.
//
// A new one is written beside the old ones, flushed and put in its place in one step
// (checkpoint_file.hpp), and only then do the oldest go: at any moment there is one to resume from.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/failure.hpp"
#include "host/run/checkpoint_file.hpp"

namespace widedeq {

class Checkpoints {
 public:
  /// Keeps the `keep` newest. `directory` is the run's.
  Checkpoints(std::filesystem::path directory, int keep);

  /// The epochs there are files of, ascending. Throws Failure (io).
  std::vector<int> epochs() const;
  std::string file(int epoch) const;

  /// Writes one: `save` fills it. Then it drops those of later epochs, which history has left, and
  /// the oldest; but not the newest that is no later than `way_back`. Returns its size in bytes.
  /// Throws Failure (io); then all that were there still are.
  std::uint64_t write(int epoch, std::optional<int> way_back,
                      const std::function<void(CheckpointFileWriter&)>& save) const;

  /// The newest whole one that is not of a later epoch than `latest`; null when there is none.
  /// `pass_over` gets what is wrong with every newer one: bad_data where it is damaged, io where it
  /// cannot be read. Throws Failure (io) when the directory cannot be read.
  std::unique_ptr<CheckpointFileReader> newest(
      std::optional<int> latest, const std::function<void(const Failure&)>& pass_over) const;

  /// Puts damaged ones of later epochs aside under another name, for somebody to look at, and drops
  /// the whole ones: history goes on from `epoch`.
  void drop_after(int epoch) const;

 private:
  std::filesystem::path directory_;
  int keep_;
};

}  // namespace widedeq
