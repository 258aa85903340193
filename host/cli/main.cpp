// The command-line tool: finds the subcommand, and turns exceptions into one line and an exit code.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <system_error>

#include "build_info.hpp"
#include "host/cli/commands.hpp"
#include "host/cli/restart.hpp"
#include "host/failure.hpp"
#include "host/run/outcome.hpp"
#include "host/run/provenance.hpp"
#include "host/run/spelling.hpp"
#include "kernels/address_space.hpp"

namespace widedeq {
namespace {

constexpr const char* description =
    R"(Trains very wide ReLU equilibrium networks and watches their neural tangent kernel.

  z = relu(s A z + phi(W x)/sqrt(m)),  s = gamma/sqrt(m)        an equilibrium instead of layers
  yhat = u'z + v'phi(W x)/sqrt(m)                               m is the width, A is m x m
)";

constexpr const char* footer = R"(Examples:
  widedeq train --data digits --width 1024 --epochs 60 --out runs/first
  widedeq solve --weights runs/first/weights.npz --inputs X.npy --gamma 0.5 --out solution.npz
  widedeq limit --inputs X.npy --gamma 0.5 --out limit.npz
  widedeq study --config widths.toml --out studies/widths
  widedeq report runs/first
  widedeq bench --shapes 1024x256,4096x1000
  widedeq doctor --out /scratch
  widedeq train --help

Exit codes:
   0  done                              5  an equilibrium or adjoint missed the tolerance
   2  usage or configuration           70  a bug in widedeq
   3  a file holds unusable data       74  input/output
   4  diverged, not finite, or wrong   75  stopped early
Every failure prints one line to stderr: what, where, what to do.)";

/// "unknown option --wdith (widedeq train): did you mean --width?"
Failure unknown_argument(const CLI::App& app, const std::string& argument,
                         const std::string& where) {
  const std::string word = argument.substr(0, argument.find('='));
  const bool option = word.starts_with("-");
  std::vector<std::string> known;
  if (option) {
    for (const CLI::Option* entry : app.get_options())
      for (const std::string& name : entry->get_lnames())
        known.push_back("--" + name);
  } else {
    for (const CLI::App* command : app.get_subcommands({}))
      known.push_back(command->get_name());
  }
  const std::string nearest = nearest_word(word, known);
  return {ExitCode::usage,
          option          ? "there is no option " + word
          : known.empty() ? "there is no place for the argument '" + word + "'"
                          : "there is no command '" + word + "'",
          where, nearest.empty() ? "see " + where + " --help" : "did you mean " + nearest + "?"};
}

/// The subcommand that was called; throws Failure (usage) when there is none or too much is said.
CLI::App* chosen_command(const CLI::App& app) {
  // What nobody knew is left over; the parser would name it without a proposal.
  if (const auto left = app.remaining(); !left.empty())
    throw unknown_argument(app, left.front(), "widedeq");
  const auto chosen = app.get_subcommands();
  if (chosen.empty())
    throw Failure(
        ExitCode::usage, "a command is missing", "widedeq",
        "give train, solve, limit, study, report, bench, info or doctor; see widedeq --help");
  std::string name = "widedeq";
  for (auto below = chosen; !below.empty(); below = below.front()->get_subcommands()) {
    name += ' ' + below.front()->get_name();
    if (const auto left = below.front()->remaining(); !left.empty())
      throw unknown_argument(*below.front(), left.front(), name);
  }
  return chosen.front();
}

std::string quoted_command_line(int count, char** arguments) {
  std::string line;
  for (int i = 0; i < count; ++i)
    line += (i > 0 ? " " : "") + shell_quoted(arguments[i]);
  return line;
}

/// Opens those of the standard descriptors that are closed, for reading, so that writing to them
/// still fails: the next file to be opened would take their numbers, and what is meant for a
/// terminal.
void open_standard_descriptors() {
  int descriptor = 0;
  while (descriptor >= 0 && descriptor <= STDERR_FILENO)
    descriptor = ::open("/dev/null", O_RDONLY);
  if (descriptor > STDERR_FILENO) ::close(descriptor);
}

/// OpenBLAS waits for ever for memory that there is no address space for (ulimit -v).
void require_address_space() {
  constexpr std::size_t least = std::size_t{160} << 20;  // a buffer of its, and some
  if (has_address_space(least)) return;
  throw Failure(ExitCode::usage, "there is too little address space left for OpenBLAS", "ulimit -v",
                "raise it");
}

int run_tool(int count, char** arguments) {
  CLI::App app(description, "widedeq");
  app.footer(footer);
  app.set_version_flag("--version",
                       fmt::format("widedeq {} ({})", build_info::version, build_info::git_commit));
  TrainCommand train(app);
  SolveCommand solve(app);
  LimitCommand limit(app);
  ReportCommand report(app);
  StudyCommand study(app);
  BenchCommand bench(app);
  InfoCommand info(app);
  DoctorCommand doctor(app);
  const std::array<const Command*, 8> commands{&train, &solve, &limit, &report,
                                               &study, &bench, &info,  &doctor};
  app.allow_extras();
  for (CLI::App* command : app.get_subcommands({})) {
    command->allow_extras();
    for (CLI::App* below : command->get_subcommands({}))
      below->allow_extras();
  }

  try {
    app.parse(count, arguments);
  } catch (const CLI::Success& request) {  // --help, --version
    return app.exit(request);
  } catch (const CLI::ParseError& error) {
    std::string what = error.what();
    std::replace(what.begin(), what.end(), '\n', ' ');
    throw Failure(ExitCode::usage, what, "command line", "see widedeq --help");
  }
  const CLI::App* chosen = chosen_command(app);
  require_address_space();
  for (const Command* command : commands)
    if (command->app() == chosen) return command->run(quoted_command_line(count, arguments));
  throw std::logic_error("no command has been chosen");
}

}  // namespace
}  // namespace widedeq

int main(int count, char** arguments) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file that grows beyond a limit: a write will say so
  widedeq::open_standard_descriptors();
  widedeq::restart_with_better_blas(arguments);
  try {
    const int code = widedeq::run_tool(count, arguments);
    // Output that never arrived (a full disk, a closed pipe) is a failure too.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      throw widedeq::Failure(widedeq::ExitCode::io,
                             "cannot write the output: " + std::generic_category().message(errno),
                             "standard output", "check where it goes");
    return code;
  } catch (const std::exception& error) {
    const widedeq::Outcome outcome = widedeq::outcome_of(error);
    std::fputs(("widedeq: " + outcome.sentence + "\n").c_str(), stderr);
    return outcome.exit_code;
  }
}
