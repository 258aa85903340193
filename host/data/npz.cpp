// NumPy's .npz files through libzip. Format and memory: see npz.hpp.
#include "host/data/npz.hpp"

#include <zip.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "host/data/ending.hpp"
#include "host/failure.hpp"

namespace widedeq {
namespace {

constexpr std::string_view suffix = ".npy";
constexpr zip_uint64_t most_inflation = 1032;  // no deflate stream grows by more than that
constexpr std::size_t chunk_elements = 8192;

/// Reading: the machine's fault where libzip cannot get at the bytes, else the archive's.
Failure read_failure(zip_error_t* error, const std::string& where) {
  const int code = zip_error_code_zip(error);
  const std::string what =
      std::string("the .npz archive cannot be read: ") + zip_error_strerror(error);
  if (code == ZIP_ER_OPEN || code == ZIP_ER_READ || code == ZIP_ER_MEMORY)
    return {ExitCode::io, what, where, "check the path and its permissions"};
  return {ExitCode::bad_data, what, where, "copy the file again or write it with numpy.savez"};
}

Failure write_failure(zip_error_t* error, const std::string& where) {
  return {ExitCode::io, std::string("cannot write the .npz archive: ") + zip_error_strerror(error),
          where, "check the path, its permissions and the space left"};
}

using Archive = std::unique_ptr<zip_t, decltype(&zip_discard)>;

/// `failure` turns libzip's complaint into ours.
Archive open_archive(const std::string& path, int flags,
                     Failure (*failure)(zip_error_t*, const std::string&)) {
  int code = 0;
  Archive archive(zip_open(path.c_str(), flags, &code), &zip_discard);
  if (archive) return archive;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const Failure thrown = failure(&error, path);
  zip_error_fini(&error);
  throw thrown;
}

/// The position of every array in the archive by its name.
std::map<std::string, zip_uint64_t> list_arrays(zip_t* archive, const std::string& path) {
  std::map<std::string, zip_uint64_t> arrays;
  const auto count = static_cast<zip_uint64_t>(zip_get_num_entries(archive, 0));
  for (zip_uint64_t index = 0; index < count; ++index) {
    const char* text = zip_get_name(archive, index, 0);
    std::string name = text ? text : "";
    if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
    // Names go into error messages, which are one line.
    std::replace_if(
        name.begin(), name.end(), [](unsigned char c) { return c < ' ' || c == 127; }, '?');
    if (!arrays.emplace(name, index).second)
      throw Failure(ExitCode::bad_data, "the archive has two members named '" + name + "'", path,
                    "write it again with each name once");
  }
  return arrays;
}

NpyArray read_member(zip_t* archive, zip_uint64_t index, std::uint64_t file_size,
                     const std::string& where) {
  zip_stat_t status;
  if (zip_stat_index(archive, index, 0, &status) != 0)
    throw read_failure(zip_get_error(archive), where);
  // The size is only what the archive claims: believe no more than its bytes could unfold to.
  const bool stored = status.comp_method == ZIP_CM_STORE;
  if (!stored && status.comp_method != ZIP_CM_DEFLATE)
    throw Failure(ExitCode::bad_data, "the member is neither stored nor deflated", where,
                  "write it with numpy.savez or numpy.savez_compressed");
  if (status.size / (stored ? 1 : most_inflation) > file_size)
    throw Failure(ExitCode::bad_data, "the member claims more bytes than the archive can hold",
                  where, "copy the file again or write it with numpy.savez");
  const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> member(
      zip_fopen_index(archive, index, 0), &zip_fclose);
  if (!member) throw read_failure(zip_get_error(archive), where);
  const ByteSource source = [&](std::span<std::byte> buffer) {
    const zip_int64_t count = zip_fread(member.get(), buffer.data(), buffer.size());
    if (count < 0) throw read_failure(zip_file_get_error(member.get()), where);
    return static_cast<std::size_t>(count);
  };
  return decode_npy(source, status.size, where);
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "nothing" : text;
}

}  // namespace

std::map<std::string, NpyArray> read_npz(const std::string& path,
                                         const std::vector<std::string>& wanted) {
  // First the ordinary reasons, with the operating system's words.
  const std::uint64_t file_size = InputFile(path).size();
  const Archive archive = open_archive(path, ZIP_RDONLY, read_failure);
  const auto present = list_arrays(archive.get(), path);
  std::vector<std::string> names;
  names.reserve(present.size());
  for (const auto& [name, index] : present)
    names.push_back(name);
  std::vector<std::string> missing;
  std::copy_if(wanted.begin(), wanted.end(), std::back_inserter(missing),
               [&](const std::string& name) { return !present.contains(name); });
  if (!missing.empty())
    throw Failure(ExitCode::bad_data,
                  "the archive lacks " + joined(missing) + "; it holds " + joined(names), path,
                  "write it with numpy.savez and these names");
  std::map<std::string, NpyArray> arrays;
  for (const std::string& name : wanted.empty() ? names : wanted) {
    std::string where = path;
    where.append(", array ").append(name);
    arrays[name] = read_member(archive.get(), present.at(name), file_size, where);
  }
  return arrays;
}

/// One array as libzip reads it: header, then elements converted a chunk at a time.
class NpzWriter::Member {
 public:
  /// Borrows the values.
  Member(std::string name, const std::vector<Index>& shape, std::span<const double> values,
         NpyType type)
      : name_(std::move(name)),
        header_(format_npy_header(shape, type)),
        values_(values),
        type_(type) {
    check_npy_values(shape, values, type);
  }

  /// Keeps them.
  Member(std::string name, const std::vector<Index>& shape, std::vector<double>&& values,
         NpyType type)
      : Member(std::move(name), shape, std::span<const double>(values), type) {
    kept_ = std::move(values);  // moving a vector leaves its elements where values_ sees them
  }

  const std::string& name() const { return name_; }

  /// libzip's zip_source_callback.
  static zip_int64_t serve(void* self, void* data, zip_uint64_t length, zip_source_cmd_t command) {
    auto& member = *static_cast<Member*>(self);
    switch (command) {
      case ZIP_SOURCE_OPEN:
        member.rest_ = member.values_;
        member.ready_ = member.header_;
        member.taken_ = 0;
        return 0;
      case ZIP_SOURCE_READ:
        return static_cast<zip_int64_t>(
            member.read({static_cast<std::byte*>(data), static_cast<std::size_t>(length)}));
      case ZIP_SOURCE_STAT: {
        auto* status = static_cast<zip_stat_t*>(data);
        zip_stat_init(status);
        status->valid = ZIP_STAT_SIZE;
        status->size = member.header_.size() + member.values_.size() * size_of(member.type_);
        return sizeof(zip_stat_t);
      }
      case ZIP_SOURCE_ERROR:
        std::memset(data, 0, 2 * sizeof(int));  // nothing here can fail
        return 2 * sizeof(int);
      case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE,
                                              ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
                                              -1);
      case ZIP_SOURCE_CLOSE:
      case ZIP_SOURCE_FREE:
        return 0;
      default:
        return -1;
    }
  }

 private:
  std::size_t read(std::span<std::byte> buffer) {
    std::size_t filled = 0;
    while (filled < buffer.size()) {
      if (taken_ == ready_.size()) {
        if (rest_.empty()) break;
        const auto chunk = rest_.first(std::min(rest_.size(), chunk_elements));
        ready_.resize(chunk.size() * size_of(type_));
        encode_npy_values(chunk, type_, ready_);
        rest_ = rest_.subspan(chunk.size());
        taken_ = 0;
      }
      const std::size_t count = std::min(ready_.size() - taken_, buffer.size() - filled);
      std::memcpy(buffer.data() + filled, ready_.data() + taken_, count);
      taken_ += count;
      filled += count;
    }
    return filled;
  }

  std::string name_;
  std::vector<std::byte> header_;
  std::vector<double> kept_;
  std::span<const double> values_;
  NpyType type_;
  std::span<const double> rest_;  // not yet converted
  std::vector<std::byte> ready_;  // converted, and taken_ bytes of it given away
  std::size_t taken_ = 0;
};

void NpzWriter::Discard::operator()(zip* archive) const {
  zip_discard(archive);
}

NpzWriter::NpzWriter(const std::string& path)
    : path_(path),
      file_(path),
      archive_(open_archive(file_.temporary(), ZIP_TRUNCATE, write_failure).release()) {}

NpzWriter::~NpzWriter() = default;

void NpzWriter::add(const std::string& name, const std::vector<Index>& shape,
                    std::span<const double> values, NpyType type) {
  add(std::make_unique<Member>(name, shape, values, type));
}

void NpzWriter::add(const std::string& name, const std::vector<Index>& shape,
                    std::vector<double>&& values, NpyType type) {
  add(std::make_unique<Member>(name, shape, std::move(values), type));
}

void NpzWriter::add(std::unique_ptr<Member> member) {
  if (!archive_) throw std::logic_error("an archive that is finished takes no more arrays");
  const std::string& name = member->name();
  if (name.empty() || std::any_of(members_.begin(), members_.end(),
                                  [&](const auto& other) { return other->name() == name; }))
    throw std::invalid_argument("the name '" + name + "' is empty or taken");
  members_.push_back(std::move(member));

  zip_source_t* source = zip_source_function(archive_.get(), &Member::serve, members_.back().get());
  const std::string file_name = name + std::string(suffix);
  const zip_int64_t added =
      zip_file_add(archive_.get(), file_name.c_str(), source, ZIP_FL_ENC_UTF_8);
  if (added < 0) {
    zip_source_free(source);
    throw write_failure(zip_get_error(archive_.get()), path_);
  }
  const auto index = static_cast<zip_uint64_t>(added);
  constexpr zip_uint16_t first_of_january_1980 = 0x21;
  if (zip_set_file_compression(archive_.get(), index, ZIP_CM_STORE, 0) != 0 ||
      zip_file_set_dostime(archive_.get(), index, 0, first_of_january_1980, 0) != 0)
    throw write_failure(zip_get_error(archive_.get()), path_);
}

void NpzWriter::finish() {
  if (!archive_ || members_.empty())
    throw std::logic_error("an archive is finished once, and needs an array");
  const HeldEnd held;  // libzip writes to a file of its own, which it removes when it gives up
  zip_register_cancel_callback_with_state(
      archive_.get(), [](zip_t*, void*) { return is_ending() ? 1 : 0; }, nullptr, nullptr);
  if (zip_close(archive_.get()) != 0) throw write_failure(zip_get_error(archive_.get()), path_);
  static_cast<void>(archive_.release());  // zip_close freed it
  file_.commit();
}

}  // namespace widedeq
