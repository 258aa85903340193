// What a person sees while a run goes on.
//
// On a terminal: one live line on stderr, redrawn at most ten times a second, as wide as the
// terminal allows, cleared before anything else is said. Elsewhere: plain lines now and then.
// log.txt has the plain lines in both cases, with times. NO_COLOR (https://no-color.org) switches
// colour off.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "host/gram_monitor.hpp"
#include "host/trainer.hpp"

namespace spdlog {
class logger;
}

namespace widedeq {

class Progress {
 public:
  /// `epochs` in all. A run with a `label` is one of many: the label heads the live line and
  /// warnings, and there is nothing else on the terminal. Throws Failure (io) when the log file
  /// cannot be made.
  Progress(const std::string& log_file, int epochs, std::string label = "");
  /// Clears the live line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// An epoch is done. The remaining time is judged by the mean epoch without the first, which
  /// warms up and may have waited for a Gram.
  void epoch(int epoch, const Evaluation& evaluation, double seconds);
  /// A Gram is done.
  void gram(const GramStatistics& gram);
  /// Something worth a line: everywhere but on a terminal, which has its live line, or when there
  /// are many runs.
  void note(const std::string& text);
  /// Something a person should not miss: everywhere.
  void warn(const std::string& text);
  /// Only for log.txt: what is said on the terminal by other means.
  void record(const std::string& text);
  /// Removes the live line, so that something else can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void draw(const std::string& text);

  int epochs_;
  std::string label_;
  bool live_, colour_;
  bool drawn_ = false;
  int counted_ = -1;  // epochs in `seconds_`; the first one seen is not
  double seconds_ = 0.0;
  std::optional<double> lambda_min_;
  Clock::time_point last_drawn_, last_line_;
  std::shared_ptr<spdlog::logger> file_, terminal_;
};

/// Whether stderr is a terminal on which a line can be redrawn.
bool stderr_is_live();

/// "0:07", "12:34", "1:02:03", "5 d 3 h".
std::string format_duration(double seconds);

/// The live line without colour, at most `columns` wide; leaves out what does not fit.
std::string progress_line(int epoch, int epochs, const Evaluation& evaluation,
                          const std::optional<double>& lambda_min, double mean_seconds,
                          int columns);

}  // namespace widedeq
