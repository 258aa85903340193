// NumPy's .npz files: a zip archive of NAME.npy members.
//
// Read: stored and deflated members, zip64 included; every member read is checked against its CRC.
// Written: stored members, as numpy.savez writes them, zip64 where the size asks for it. The time
// stamps are fixed, so the same arrays make the same bytes.
//
// Source: PKWARE APPNOTE.TXT (through libzip); numpy.savez.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/data/atomic_file.hpp"
#include "host/data/npy.hpp"

struct zip;  // libzip's archive

namespace widedeq {

/// The arrays of an archive by name, without the ".npy": all of them, or just those `wanted`, and
/// then other members may be anything. Memory: eight bytes an element, and nothing beside that.
/// Throws Failure: io when the file cannot be read; bad_data when it is not a zip archive, a member
/// is corrupt, a name comes twice, or a wanted array is missing (the error lists what is there).
std::map<std::string, NpyArray> read_npz(const std::string& path,
                                         const std::vector<std::string>& wanted = {});

/// Writes an archive in three steps: construct, add arrays, finish().
///
/// The archive appears at finish(), whole or not at all; a writer destroyed before that leaves
/// nothing behind. Elements are converted piece by piece while finish() writes, so an array given
/// as a span costs no memory but must stay as it is until then.
class NpzWriter {
 public:
  /// Throws Failure (io) when a file cannot be created beside `path`.
  explicit NpzWriter(const std::string& path);
  ~NpzWriter();

  /// Adds an array of `shape` in C order; borrows the values until finish().
  /// Throws std::invalid_argument when they do not fit the shape or the type (check_npy_values), or
  /// when the name is empty or already taken.
  void add(const std::string& name, const std::vector<Index>& shape, std::span<const double> values,
           NpyType type = NpyType::float64);

  /// The same, keeping the values.
  void add(const std::string& name, const std::vector<Index>& shape, std::vector<double>&& values,
           NpyType type = NpyType::float64);

  /// Writes and renames. Throws Failure (io), for instance when the disk is full, and
  /// std::logic_error when nothing was added. Nothing may be added afterwards.
  void finish();

 private:
  class Member;
  struct Discard {
    void operator()(zip* archive) const;
  };
  void add(std::unique_ptr<Member> member);

  std::string path_;
  AtomicFile file_;
  std::vector<std::unique_ptr<Member>> members_;  // read by the archive when it closes: outlive it
  std::unique_ptr<zip, Discard> archive_;
};

}  // namespace widedeq
