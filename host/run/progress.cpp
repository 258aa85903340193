// The live line, plain lines and the log; see progress.hpp.
#include "host/run/progress.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "host/failure.hpp"

namespace widedeq {
namespace {

constexpr auto least_redraw = std::chrono::milliseconds(100);
constexpr auto most_silence = std::chrono::seconds(10);

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

int terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(const std::string& log_file, int epochs, std::string label)
    : epochs_(epochs),
      label_(std::move(label)),
      live_(stderr_is_live()),
      colour_(!is_set("NO_COLOR")),
      last_line_(Clock::now()) {
  try {
    file_ = std::make_shared<spdlog::logger>(
        "file", std::make_shared<spdlog::sinks::basic_file_sink_st>(log_file));
  } catch (const spdlog::spdlog_ex& error) {
    throw Failure(ExitCode::io, fmt::format("cannot make the log ({})", error.what()), log_file,
                  "check the path, its permissions and the space left");
  }
  terminal_ = std::make_shared<spdlog::logger>("terminal",
                                               std::make_shared<spdlog::sinks::stderr_sink_st>());
  file_->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
  terminal_->set_pattern("%v");
  file_->flush_on(spdlog::level::info);
  // A full disk ends the run through metrics.jsonl; the log need not say it too.
  file_->set_error_handler([](const std::string&) {});
}

Progress::~Progress() {
  clear();
}

void Progress::epoch(int epoch, const Evaluation& evaluation, double seconds) {
  if (++counted_ > 0) seconds_ += seconds;
  const double mean = counted_ > 0 ? seconds_ / counted_ : seconds;
  const auto now = Clock::now();
  const bool last = epoch + 1 == epochs_;
  if (live_ && (last || now - last_drawn_ >= least_redraw)) {
    // A terminal too narrow for both shows the label alone.
    const int room = terminal_columns() - 1;
    const std::string head = label_.empty() ? "" : label_ + "  ";
    const int rest = room - static_cast<int>(head.size());
    draw(rest < 20 && !head.empty()
             ? head.substr(0, static_cast<std::size_t>(std::max(0, room)))
             : head + progress_line(epoch, epochs_, evaluation, lambda_min_, mean, rest));
    last_drawn_ = now;
  }
  // A tenth of the run a line, and no silence that makes one wonder.
  const int tenth = std::max(1, epochs_ / 10);
  if (last || epoch % tenth == 0 || now - last_line_ >= most_silence) {
    note(progress_line(epoch, epochs_, evaluation, lambda_min_, mean, 1000));
    last_line_ = now;
  }
}

void Progress::gram(const GramStatistics& gram) {
  lambda_min_ = gram.lambda_min;
  note(fmt::format(
      "gram of epoch {}: lambda_min {:.4g}, lambda_max {:.4g}, drift {:.3g}, "
      "||A||/sqrt(m) {:.4f}",
      gram.epoch, gram.lambda_min, gram.lambda_max, gram.drift, gram.weights.operator_norm));
}

void Progress::note(const std::string& text) {
  file_->info(text);
  if (!live_ && label_.empty()) terminal_->info(text);
}

void Progress::warn(const std::string& text) {
  clear();
  file_->warn(text);
  terminal_->warn("warning: " + (label_.empty() ? text : label_ + ": " + text));
}

void Progress::record(const std::string& text) {
  file_->info(text);
}

void Progress::clear() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

void Progress::draw(const std::string& text) {
  const std::size_t coloured = label_.empty() ? 5 : label_.size();  // "epoch"
  std::string line = "\r\x1b[K";
  if (colour_ && text.size() >= coloured) {
    line += "\x1b[32m" + text.substr(0, coloured) + "\x1b[0m" + text.substr(coloured);
  } else {
    line += text;
  }
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

bool stderr_is_live() {
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && terminal != nullptr &&
         std::string_view(terminal) != "dumb";
}

std::string format_duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e12) return "?";
  const auto total = static_cast<long long>(std::llround(seconds));
  const long long minutes = total / 60, hours = minutes / 60, days = hours / 24;
  if (days > 0) return fmt::format("{} d {} h", days, hours % 24);
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes % 60, total % 60);
  return fmt::format("{}:{:02}", minutes, total % 60);
}

std::string progress_line(int epoch, int epochs, const Evaluation& evaluation,
                          const std::optional<double>& lambda_min, double mean_seconds,
                          int columns) {
  const std::string last = std::to_string(epochs - 1);
  // In order of importance: what does not fit is left out from the end.
  const std::array parts{
      fmt::format("epoch {:>{}}/{}", epoch, last.size(), last),
      fmt::format("loss {:.4e}", evaluation.loss),
      "ETA " + format_duration(mean_seconds * (epochs - 1 - epoch)),
      fmt::format("sweeps {}+{}", evaluation.forward.sweeps, evaluation.adjoint.sweeps),
      lambda_min ? fmt::format("lambda_min {:.3g}", *lambda_min) : std::string(),
      fmt::format("{:.3g} s/epoch", mean_seconds),
  };
  std::string line;
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    const std::string longer = line.empty() ? part : line + "  " + part;
    if (static_cast<int>(longer.size()) > columns) break;
    line = longer;
  }
  return line.empty() ? parts[0].substr(0, static_cast<std::size_t>(std::max(0, columns))) : line;
}

}  // namespace widedeq
