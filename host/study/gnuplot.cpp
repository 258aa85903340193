// Running gnuplot, what it complains of, and names that do not clash within a page; see
// gnuplot.hpp.
#include "host/study/gnuplot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "host/data/atomic_file.hpp"
#include "host/failure.hpp"
#include "host/run/stop.hpp"
#include "host/study/notation.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& what, const std::string& where, const std::string& remedy,
                       ExitCode code = ExitCode::io) {
  throw Failure(code, what, where, remedy);
}

[[noreturn]] void fail_with(const std::string& what, int error) {
  fail(what + ": " + std::generic_category().message(error), "gnuplot",
       "check that programs can be started here");
}

/// What a child process is to find: its working directory and where its output goes.
class SpawnActions {
 public:
  SpawnActions() { ::posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_ = {};
};

class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) fail_with("cannot make a pipe", errno);
  }
  ~Pipe() {
    close_writing();
    ::close(ends_[0]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int writing() const { return ends_[1]; }
  void close_writing() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }
  /// Everything until the last writer closes.
  std::string read_all() {
    close_writing();
    std::string text;
    std::array<char, 4096> buffer{};
    while (true) {
      const ssize_t count =
          uninterrupted([&] { return ::read(ends_[0], buffer.data(), buffer.size()); });
      if (count <= 0) return text;
      text.append(buffer.data(), static_cast<std::size_t>(count));
    }
  }

 private:
  std::array<int, 2> ends_ = {-1, -1};
};

/// The line of gnuplot's complaint that says what is wrong: the last one that is not empty.
std::string complaint_of(const std::string& text) {
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return "it does not say why";
  const std::size_t start = text.find_last_of('\n', end);
  return text.substr(start == std::string::npos ? 0 : start + 1,
                     end - (start == std::string::npos ? 0 : start + 1) + 1);
}

void require_no_stop(const std::string& folder) {
  if (stop_requested())
    fail("stopped before the figures were drawn", folder, "call it again", ExitCode::stopped);
}

/// Runs `gnuplot -d SCRIPT...` in the folder.
void run_gnuplot(const std::vector<std::string>& scripts, const std::string& folder) {
  require_no_stop(folder);
  SpawnActions actions;
  Pipe errors;
  // Relative names in the child count from the folder.
  ::posix_spawn_file_actions_addchdir_np(actions.get(), folder.c_str());
  ::posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(actions.get(), STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(actions.get(), errors.writing(), STDERR_FILENO);
  std::vector<std::string> words = {"gnuplot", "-d"};
  words.insert(words.end(), scripts.begin(), scripts.end());
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);

  // A file that grows too large is to end gnuplot, which would not notice, though it is not to end
  // us.
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGXFSZ);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t child = -1;
  const int error =
      ::posix_spawnp(&child, "gnuplot", actions.get(), &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  if (error == ENOENT || error == EACCES)
    fail("plots are drawn by gnuplot, and it is not there", "gnuplot",
         "install it (Debian: apt-get install gnuplot-nox), or put it on the PATH",
         ExitCode::usage);
  if (error != 0) fail_with("cannot start gnuplot", error);
  const std::string said = errors.read_all();
  int status = 0;
  if (uninterrupted([&] { return ::waitpid(child, &status, 0); }) < 0)
    fail_with("cannot wait for gnuplot", errno);
  const bool is_drawn = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (is_drawn) return;
  require_no_stop(folder);  // which may have been what ended it
  fail("gnuplot failed: " + complaint_of(said), folder,
       "try `gnuplot --version`: 5.4 or later, with the terminals svg and pngcairo, is needed");
}

void write_text(const fs::path& path, const std::string& text) {
  AtomicFile file(path.string());
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

bool is_id_start(std::string_view svg, std::size_t at) {
  for (const std::string_view before :
       {" id=\"", " id='", "href=\"#", "href='#", "url(#", "\tid=\"", "\tid='"})
    if (at >= before.size() && svg.substr(at - before.size(), before.size()) == before) return true;
  return false;
}

}  // namespace

void draw(const std::vector<Figure>& figures, const std::string& folder) {
  std::vector<std::string> scripts;
  for (const Figure& figure : figures) {
    write_text(fs::path(folder) / (figure.name + ".dat"), figure_data(figure));
    write_text(fs::path(folder) / (figure.name + ".gp"), figure_script(figure));
    scripts.push_back(figure.name + ".gp");
  }
  if (scripts.empty()) return;
  run_gnuplot(scripts, folder);
  for (const Figure& figure : figures)
    for (const char* extension : {".svg", ".png"}) {
      const fs::path picture = fs::path(folder) / (figure.name + extension);
      std::error_code error;
      if (fs::file_size(picture, error) == 0 || error)
        fail("gnuplot wrote no picture", picture.string(), "check the space left on the disk");
    }
}

std::string inline_svg(const std::string& svg, const std::string& prefix, const std::string& title,
                       const std::string& where) {
  const std::size_t start = svg.find("<svg");
  const std::size_t end = svg.rfind("</svg>");
  if (start == std::string::npos || end == std::string::npos || end < start)
    fail("gnuplot wrote no whole SVG", where, "check the space left on the disk");
  const std::string_view body = std::string_view(svg).substr(start, end + 6 - start);

  std::string text;
  for (std::size_t at = 0; at < body.size(); ++at) {
    if (is_id_start(body, at)) text += prefix;
    text += body[at];
  }
  // The file's own title and description name gnuplot; series without a title are called by number.
  const auto remove = [&](std::string_view from, std::string_view to) {
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at))
      text.erase(at, text.find(to, at) + to.size() - at);
  };
  remove("<title>Gnuplot", "</title>");
  remove("<title>gnuplot_plot_", "</title>");
  remove("<desc>", "</desc>");
  text.insert(4, fmt::format(" role=\"img\" aria-label=\"{}\"", html_escaped(title)));
  return text;
}

}  // namespace widedeq
