// One walk for saving a state and for putting it back.
//
// What an epoch's outcome depends on is listed once, in the transfer() of whoever owns it; the
// archive knows the direction. So what is saved and what is restored cannot come apart. Afterwards
// computation goes on with the same bits as if nothing had happened.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/host_matrix.hpp"
#include "kernels/matrix.hpp"

namespace widedeq {

class Archive {
 public:
  virtual ~Archive() = default;
  Archive() = default;
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  /// Whether transfers go from the archive to the objects.
  virtual bool is_loading() const = 0;

  /// Every entry, and the shape. An empty matrix takes the saved shape when it is loaded, memory
  /// and all; one that is not must have it already. Throws Failure (bad_data) when what is saved
  /// under that name is something else.
  virtual void matrix(std::string_view name, Matrix& values) = 0;
  /// Numbers on the host, however many there are. Throws likewise.
  virtual void numbers(std::string_view name, std::vector<double>& values) = 0;
  virtual void integers(std::string_view name, std::vector<std::int64_t>& values) = 0;
  virtual void text(std::string_view name, std::string& value) = 0;

  void number(std::string_view name, double& value);
  /// As an integer has_NAME and, where it is not there, 0.
  void optional_number(const std::string& name, std::optional<double>& value);
  /// An integer, a truth value or an enumerator.
  template <class T>
  requires(std::integral<T> || std::is_enum_v<T>) void integer(std::string_view name, T& value) {
    std::int64_t wide = static_cast<std::int64_t>(value);
    transfer_integer(name, wide);
    value = static_cast<T>(wide);
  }
  /// A matrix on the host, of any shape.
  void host_matrix(std::string_view name, HostMatrix& matrix);

  /// Runs `members` with NAME/ before every name.
  template <class Members>
  void within(std::string_view name, Members members) {
    const std::size_t length = prefix_.size();
    prefix_.append(name).append("/");
    members();
    prefix_.resize(length);
  }

 protected:
  std::string full(std::string_view name) const { return prefix_ + std::string(name); }

 private:
  void transfer_integer(std::string_view name, std::int64_t& value);
  [[noreturn]] void refuse(std::string_view name) const;

  std::string prefix_;
};

}  // namespace widedeq
