// Makes one file operation of a program fail: preloaded (LD_PRELOAD), it stands between the program
// and the C library.
//
//   WIDEDEQ_FAULT_DIR     only calls on this directory (a canonical path) and what is below it
//   count WIDEDEQ_FAULT         FAMILIES:N:WHAT, for instance write,fsync:3:ENOSPC
//                           FAMILIES  open write fsync close rename truncate unlink mkdir, or all
//                           N         the N-th counted call is hit; with N+ all later ones too
//                           WHAT      the name of an errno; short: half of the bytes are written,
//                                     and only calls that can do that count; kill: SIGKILL just
//                                     before the call
//   WIDEDEQ_FAULT_REPORT  a file to which "fault N FUNCTION PATH" is added for every call that is
//                         hit, and "calls N", the number of counted calls, at exit
//
// As on Linux, a close that fails has closed the descriptor; of any other call that fails nothing
// has happened. The C library's streams write and close from inside, where nothing can stand in
// between: fopen, fwrite, fflush and fclose are counted in place of the system calls they make, and
// what a stream holds back is lost when its fflush or fclose is hit, as by a disk that is full.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio_ext.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

enum class Hit { no, fail, half };

/// What the environment asks for.
struct Plan {
  std::string directory, families, report;
  long first = 0;
  bool stays = false;
  bool kill = false, half = false;
  int error = 0;
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

[[noreturn]] void refuse(const std::string& fault) {
  std::fprintf(stderr, "WIDEDEQ_FAULT=%s is not FAMILIES:N:WHAT\n", fault.c_str());
  std::abort();
}

Plan read_plan() {
  Plan plan;
  plan.directory = environment("WIDEDEQ_FAULT_DIR");
  plan.report = environment("WIDEDEQ_FAULT_REPORT");
  const std::string fault = environment("WIDEDEQ_FAULT");
  plan.families = fault.empty() ? "all" : fault.substr(0, fault.find(':'));
  if (fault.empty()) return plan;  // counts, and hits nothing
  const std::size_t last = fault.rfind(':');
  if (last == fault.npos || last == plan.families.size()) refuse(fault);
  const char* number = fault.c_str() + plan.families.size() + 1;
  char* end = nullptr;
  plan.first = std::strtol(number, &end, 10);
  plan.stays = *end == '+';
  const std::string what = fault.substr(last + 1);
  plan.kill = what == "kill";
  plan.half = what == "short";
  for (int error = 1; error < 200; ++error)
    if (const char* name = strerrorname_np(error); name && what == name) plan.error = error;
  if (plan.first < 1 || *(end + plan.stays) != ':') refuse(fault);
  if (!plan.kill && !plan.half && plan.error == 0) refuse(fault);
  return plan;
}

/// Made at the first call and never destroyed: other libraries open and close files before this
/// one's constructors and after its destructors.
const Plan& plan() {
  static const Plan& made = *new Plan(read_plan());
  return made;
}

std::atomic<long> calls{0};

/// Adds a line to the report, by system calls that are not counted.
void report(const std::string& line) {
  const long descriptor = ::syscall(SYS_openat, AT_FDCWD, plan().report.c_str(),
                                    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0) return;
  ::syscall(SYS_write, descriptor, line.data(), line.size());
  ::syscall(SYS_close, descriptor);
}

__attribute__((destructor)) void report_calls() {
  report("calls " + std::to_string(calls) + "\n");
}

/// Where a descriptor leads; empty for none.
std::string path_of(int descriptor) {
  char path[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const ssize_t length = ::readlink(link.c_str(), path, sizeof(path));
  return length < 0 ? "" : std::string(path, static_cast<std::size_t>(length));
}

std::string path_of(std::FILE* stream) {
  return path_of(::fileno(stream));
}

/// An absolute path with the symbolic links of its directories followed; empty when these are not
/// there.
std::string path_of(const char* name, int directory = AT_FDCWD) {
  std::string path = name;
  if (path.empty()) return path;
  if (path[0] != '/') path.insert(0, (directory == AT_FDCWD ? "." : path_of(directory)) + "/");
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved)) return resolved;
  const std::size_t slash = path.rfind('/');
  if (!::realpath((path.substr(0, slash) + "/").c_str(), resolved)) return "";
  return resolved + path.substr(slash);
}

bool lists(std::string_view families, std::string_view family) {
  if (families == "all") return true;
  for (std::size_t start = 0; start <= families.size();) {
    const std::size_t end = std::min(families.find(',', start), families.size());
    if (families.substr(start, end - start) == family) return true;
    start = end + 1;
  }
  return false;
}

/// Counts a call and says whether it is hit; then errno is set. `bytes`: what it is to write.
template <class... Place>
Hit hit(const char* family, const char* function, std::size_t bytes, Place... place) {
  const int kept = errno;
  if (plan().directory.empty() || !lists(plan().families, family)) return Hit::no;
  if (plan().half && bytes < 2) return Hit::no;
  const std::string path = path_of(place...);
  errno = kept;
  if (path != plan().directory && !path.starts_with(plan().directory + "/")) return Hit::no;
  const long n = ++calls;
  if (plan().first == 0 || n < plan().first || (n > plan().first && !plan().stays)) return Hit::no;
  report("fault " + std::to_string(n) + " " + function + " " + path + "\n");
  if (plan().kill) ::kill(::getpid(), SIGKILL);
  errno = plan().half ? kept : plan().error;
  return plan().half ? Hit::half : Hit::fail;
}

/// The C library's own function.
template <class Function>
Function next(Function, const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

mode_t mode_argument(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

/// What is lost when a stream cannot be written.
void lose(std::FILE* stream) {
  __fpurge(stream);
  stream->_flags |= _IO_ERR_SEEN;  // ferror()
}

}  // namespace

#define REAL(name) static const auto real = next(&::name, #name)

extern "C" {

// --- open ---------------------------------------------------------------------------------------

#define DEFINE_OPEN(name)                                                         \
  int name(const char* path, int flags, ...) {                                    \
    REAL(name);                                                                   \
    va_list arguments;                                                            \
    va_start(arguments, flags);                                                   \
    const mode_t mode = mode_argument(flags, arguments);                          \
    va_end(arguments);                                                            \
    return hit("open", #name, 0, path) == Hit::no ? real(path, flags, mode) : -1; \
  }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

#define DEFINE_OPENAT(name)                                                \
  int name(int directory, const char* path, int flags, ...) {              \
    REAL(name);                                                            \
    va_list arguments;                                                     \
    va_start(arguments, flags);                                            \
    const mode_t mode = mode_argument(flags, arguments);                   \
    va_end(arguments);                                                     \
    const bool passes = hit("open", #name, 0, path, directory) == Hit::no; \
    return passes ? real(directory, path, flags, mode) : -1;               \
  }
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

#define DEFINE_CREAT(name)                                                 \
  int name(const char* path, mode_t mode) {                                \
    REAL(name);                                                            \
    return hit("open", #name, 0, path) == Hit::no ? real(path, mode) : -1; \
  }
DEFINE_CREAT(creat)
DEFINE_CREAT(creat64)

#define DEFINE_MKSTEMP(name)                                          \
  int name(char* path) {                                              \
    REAL(name);                                                       \
    const char* where = path;                                         \
    return hit("open", #name, 0, where) == Hit::no ? real(path) : -1; \
  }
DEFINE_MKSTEMP(mkstemp)
DEFINE_MKSTEMP(mkstemp64)

#define DEFINE_FOPEN(name)                                                      \
  std::FILE* name(const char* path, const char* mode) {                         \
    REAL(name);                                                                 \
    return hit("open", #name, 0, path) == Hit::no ? real(path, mode) : nullptr; \
  }
DEFINE_FOPEN(fopen)
DEFINE_FOPEN(fopen64)

// --- write --------------------------------------------------------------------------------------

ssize_t write(int descriptor, const void* bytes, std::size_t count) {
  REAL(write);
  const Hit verdict = hit("write", "write", count, descriptor);
  if (verdict == Hit::fail) return -1;
  return real(descriptor, bytes, verdict == Hit::half ? count / 2 : count);
}

#define DEFINE_PWRITE(name)                                                           \
  ssize_t name(int descriptor, const void* bytes, std::size_t count, off_t offset) {  \
    REAL(name);                                                                       \
    const Hit verdict = hit("write", #name, count, descriptor);                       \
    if (verdict == Hit::fail) return -1;                                              \
    return real(descriptor, bytes, verdict == Hit::half ? count / 2 : count, offset); \
  }
DEFINE_PWRITE(pwrite)
DEFINE_PWRITE(pwrite64)

ssize_t writev(int descriptor, const iovec* parts, int count) {
  REAL(writev);
  std::size_t bytes = 0;
  for (int i = 0; i < count; ++i)
    bytes += parts[i].iov_len;
  const Hit verdict = hit("write", "writev", bytes, descriptor);
  if (verdict == Hit::no) return real(descriptor, parts, count);
  if (verdict == Hit::fail) return -1;
  std::string joined;
  for (int i = 0; i < count; ++i)
    joined.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  const iovec half{joined.data(), bytes / 2};
  return real(descriptor, &half, 1);
}

// The C library goes on by itself after a short write: a stream's calls count only for errors.
std::size_t fwrite(const void* bytes, std::size_t size, std::size_t count, std::FILE* stream) {
  REAL(fwrite);
  if (hit("write", "fwrite", 0, stream) == Hit::no) return real(bytes, size, count, stream);
  lose(stream);
  return 0;
}

int fflush(std::FILE* stream) {
  REAL(fflush);
  if (!stream || hit("write", "fflush", 0, stream) == Hit::no) return real(stream);
  lose(stream);
  return EOF;
}

// --- fsync, ftruncate ---------------------------------------------------------------------------

#define DEFINE_FSYNC(name)                                                        \
  int name(int descriptor) {                                                      \
    REAL(name);                                                                   \
    return hit("fsync", #name, 0, descriptor) == Hit::no ? real(descriptor) : -1; \
  }
DEFINE_FSYNC(fsync)
DEFINE_FSYNC(fdatasync)

#define DEFINE_FTRUNCATE(name)                                                             \
  int name(int descriptor, off_t size) noexcept {                                          \
    REAL(name);                                                                            \
    return hit("truncate", #name, 0, descriptor) == Hit::no ? real(descriptor, size) : -1; \
  }
DEFINE_FTRUNCATE(ftruncate)
DEFINE_FTRUNCATE(ftruncate64)

// --- close --------------------------------------------------------------------------------------

int close(int descriptor) {
  REAL(close);
  const bool fails = hit("close", "close", 0, descriptor) != Hit::no;
  const int error = errno;
  const int result = real(descriptor);
  if (!fails) return result;
  errno = error;
  return -1;
}

int fclose(std::FILE* stream) {
  REAL(fclose);
  const bool fails = hit("close", "fclose", 0, stream) != Hit::no;
  const int error = errno;
  if (fails) lose(stream);
  const int result = real(stream);
  if (!fails) return result;
  errno = error;
  return EOF;
}

// --- names: hit by the destination of a rename --------------------------------------------------

int rename(const char* from, const char* to) noexcept {
  REAL(rename);
  return hit("rename", "rename", 0, to) == Hit::no ? real(from, to) : -1;
}

int renameat(int from_directory, const char* from, int to_directory, const char* to) noexcept {
  REAL(renameat);
  const bool passes = hit("rename", "renameat", 0, to, to_directory) == Hit::no;
  return passes ? real(from_directory, from, to_directory, to) : -1;
}

int renameat2(int from_directory, const char* from, int to_directory, const char* to,
              unsigned flags) noexcept {
  REAL(renameat2);
  const bool passes = hit("rename", "renameat2", 0, to, to_directory) == Hit::no;
  return passes ? real(from_directory, from, to_directory, to, flags) : -1;
}

int unlink(const char* path) noexcept {
  REAL(unlink);
  return hit("unlink", "unlink", 0, path) == Hit::no ? real(path) : -1;
}

int unlinkat(int directory, const char* path, int flags) noexcept {
  REAL(unlinkat);
  const bool passes = hit("unlink", "unlinkat", 0, path, directory) == Hit::no;
  return passes ? real(directory, path, flags) : -1;
}

int remove(const char* path) noexcept {
  REAL(remove);
  return hit("unlink", "remove", 0, path) == Hit::no ? real(path) : -1;
}

int mkdir(const char* path, mode_t mode) noexcept {
  REAL(mkdir);
  return hit("mkdir", "mkdir", 0, path) == Hit::no ? real(path, mode) : -1;
}

int mkdirat(int directory, const char* path, mode_t mode) noexcept {
  REAL(mkdirat);
  const bool passes = hit("mkdir", "mkdirat", 0, path, directory) == Hit::no;
  return passes ? real(directory, path, mode) : -1;
}

}  // extern "C"
