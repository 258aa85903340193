// From lines of JSON to records, with what may be missing; see run_data.hpp.
#include "host/study/run_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <system_error>

#include "host/data/byte_source.hpp"
#include "host/data/npy.hpp"
#include "host/failure.hpp"
#include "host/run/checkpoints.hpp"
#include "host/run/resume.hpp"
#include "host/run/run_directory.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

[[noreturn]] void refuse(const std::string& what, const std::string& where) {
  throw Failure(ExitCode::bad_data, what, where,
                "put the file back as the run wrote it, or repeat the run");
}

/// One line of metrics.jsonl: its fields by name, of the type they must have.
class Line {
 public:
  Line(std::string_view text, std::string where) : where_(std::move(where)) {
    record_ = Json::parse(text, nullptr, false);
    if (!record_.is_object()) refuse("a line is no JSON object", where_);
  }

  const Json& record() const { return record_; }
  const std::string& where() const { return where_; }
  [[noreturn]] void refuse_field(std::string_view name, const char* wanted) const {
    refuse(fmt::format("'{}' is not {}", name, wanted), where_);
  }

  /// NaN where null stands for a number that was not finite.
  double number(const char* name) const {
    const auto entry = record_.find(name);
    if (entry != record_.end() && entry->is_null()) return nan;
    if (entry == record_.end() || !entry->is_number()) refuse_field(name, "a number");
    return entry->get<double>();
  }
  std::optional<double> optional_number(const char* name) const {
    if (!record_.contains(name) || record_[name].is_null()) return std::nullopt;
    return number(name);
  }
  std::optional<double> share(const char* name) const {
    const auto value = optional_number(name);
    if (value && !(*value >= 0.0 && *value <= 1.0)) refuse_field(name, "a share, from 0 to 1");
    return value;
  }
  int integer(const char* name) const {
    const auto entry = record_.find(name);
    const bool fits = entry != record_.end() && entry->is_number_integer() &&
                      entry->get<double>() >= 0.0 &&
                      entry->get<double>() <= std::numeric_limits<int>::max();
    if (!fits) refuse_field(name, "an integer from 0 on");
    return entry->get<int>();
  }
  std::optional<int> optional_integer(const char* name) const {
    if (!record_.contains(name) || record_[name].is_null()) return std::nullopt;
    return integer(name);
  }
  std::string text(const char* name) const {
    const auto entry = record_.find(name);
    if (entry == record_.end() || !entry->is_string()) refuse_field(name, "a text");
    return entry->get<std::string>();
  }
  Certificate certificate(const char* name) const {
    const auto entry = record_.find(name);
    if (entry == record_.end() || !entry->is_object()) refuse_field(name, "an object");
    const Line inner(entry->dump(), where_ + ", " + name);
    Certificate certificate;
    const std::string word = inner.text("verdict");
    const auto verdicts = {Verdict::certified, Verdict::estimated, Verdict::refused};
    const auto* const found =
        std::ranges::find_if(verdicts, [&](Verdict verdict) { return word == describe(verdict); });
    if (found == verdicts.end()) inner.refuse_field("verdict", "certified, estimated or refused");
    certificate.verdict = *found;
    certificate.value = inner.number("value");
    certificate.probability = inner.number("probability");
    certificate.reason = inner.text("reason");
    return certificate;
  }

 private:
  Json record_;
  std::string where_;
};

EpochRecord epoch_of(const Line& line) {
  return {.epoch = line.integer("epoch"),
          .loss = line.number("loss"),
          .test_loss = line.optional_number("test_loss"),
          .error = line.share("error"),
          .test_error = line.share("test_error"),
          .operator_norm = line.optional_number("operator_norm"),
          .residual_forward = line.optional_number("residual_forward"),
          .residual_adjoint = line.optional_number("residual_adjoint"),
          .audit_forward = line.optional_number("audit_forward"),
          .audit_adjoint = line.optional_number("audit_adjoint"),
          .sweeps_forward = line.optional_integer("sweeps_forward"),
          .sweeps_adjoint = line.optional_integer("sweeps_adjoint"),
          .gradient_norm = line.optional_number("gradient_norm"),
          .seconds = line.optional_number("seconds")};
}

GramRecord gram_of(const Line& line) {
  return {.epoch = line.integer("epoch"),
          .lambda_min = line.number("lambda_min"),
          .lambda_max = line.number("lambda_max"),
          .trace = line.optional_number("trace"),
          .drift = line.optional_number("drift"),
          .feature_lambda_min = line.optional_number("feature_lambda_min"),
          .operator_norm = line.optional_number("operator_norm"),
          .distance_A = line.optional_number("distance_A"),
          .flipped = line.share("flipped")};
}

ResumedRecord resumed_of(const Line& line) {
  ResumedRecord resumed{line.integer("epoch"), {}};
  const auto changed = line.record().find("changed");
  if (changed == line.record().end() || !changed->is_object())
    line.refuse_field("changed", "an object");
  for (const auto& [name, pair] : changed->items()) {
    if (!pair.is_array() || pair.size() != 2) line.refuse_field(name, "a pair");
    resumed.changes.push_back({name, pair[0], pair[1]});
  }
  return resumed;
}

/// A setting's value as train takes it.
std::string setting_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  const std::string text = to_line(value);
  return value.is_array() ? text.substr(1, text.size() - 2) : text;
}

void take_settings(RunData& run, const Json& settings) {
  run.config = config_from(settings);
  run.settings.clear();
  for (const auto& [name, value] : settings.items())
    run.settings.emplace_back(name, setting_text(value));
}

/// Settings that a run was resumed with. Other changes are of what it ran on, and may be called as
/// a setting is (data, and backend in older records): those say nothing that the setting takes.
void take_changes(RunData& run, const ResumedRecord& resumed) {
  for (const Change& change : resumed.changes) {
    if (change.now.is_null() || change.name == "data") continue;
    const auto setting = std::ranges::find(settings(), change.name, &Setting::name);
    if (setting == settings().end()) continue;
    const std::string text = setting_text(change.now);
    if (!setting->set(run.config, text)) continue;
    auto shown =
        std::ranges::find(run.settings, change.name, [](const auto& it) { return it.first; });
    if (shown == run.settings.end()) shown = run.settings.insert(shown, {change.name, ""});
    shown->second = text;
  }
}

void take_run(RunData& run, const Line& line) {
  if (!run.record.is_null()) refuse("a second record 'run'", line.where());
  if (line.integer("schema") > metrics_schema)
    refuse(fmt::format("schema {} is of a later version of widedeq", line.integer("schema")),
           line.where());
  const auto config = line.record().find("config");
  if (config == line.record().end() || !config->is_object())
    line.refuse_field("config", "an object");
  for (const char* name : {"width", "samples"})
    if (line.optional_integer(name) == 0) line.refuse_field(name, "an integer from 1 on");
  try {
    take_settings(run, *config);
  } catch (const Failure& failure) {
    refuse(failure.what(), line.where());
  }
  run.learning_rate = line.optional_number("learning_rate");
  run.record = line.record();
}

/// Records of one kind come in the order of their epochs, each once.
template <class Record>
void append(std::vector<Record>& records, Record record, const Line& line) {
  if (!records.empty() && record.epoch <= records.back().epoch)
    refuse(fmt::format("epoch {} stands after epoch {}", record.epoch, records.back().epoch),
           line.where());
  records.push_back(std::move(record));
}

HostMatrix read_gram(const fs::path& path) {
  NpyArray array = read_npy(path.string());
  if (array.shape.size() != 2 || array.shape[0] != array.shape[1] || array.shape[0] < 1)
    refuse("a Gram must be square", path.string());
  HostMatrix gram;
  gram.rows = gram.columns = array.shape[0];
  gram.values = std::move(array.values);  // symmetric: its rows are its columns
  return gram;
}

std::vector<Spectrum> read_spectra(const fs::path& directory) {
  std::vector<Spectrum> spectra;
  std::error_code error;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    constexpr std::string_view before = "eigenvalues-", after = ".npy";
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(before) || !name.ends_with(after)) continue;
    const auto epoch = parse_integer(
        std::string_view(name).substr(before.size(), name.size() - before.size() - after.size()), 0,
        std::numeric_limits<int>::max());
    if (!epoch) continue;
    NpyArray array = read_npy(entry->path().string());
    if (array.shape.size() != 1 || array.values.empty() || !std::ranges::is_sorted(array.values))
      refuse("eigenvalues must be a list in ascending order", entry->path().string());
    spectra.push_back({static_cast<int>(*epoch), std::move(array.values)});
  }
  std::ranges::sort(spectra, {}, &Spectrum::epoch);
  return spectra;
}

/// Everything the run saved of its Grams is of one size.
void check_sizes(const RunData& run, const fs::path& directory) {
  const auto n = run.samples();
  if (!n) return;
  const auto check = [&](Index size, const std::string& name) {
    if (size != *n)
      refuse(fmt::format("of a run with {} samples, and the size is {}", *n, size),
             (directory / name).string());
  };
  for (const Spectrum& spectrum : run.spectra)
    check(static_cast<Index>(spectrum.eigenvalues.size()),
          fmt::format("eigenvalues-{:06}.npy", spectrum.epoch));
  if (run.ntk_first) check(run.ntk_first->rows, "ntk-first.npy");
  if (run.ntk_last) check(run.ntk_last->rows, "ntk-last.npy");
}

/// A run under way may replace checkpoints while they are read, and old ones may be damaged: what
/// the report loses without one is a curve.
std::vector<double> read_first_residual(const std::string& directory) {
  try {
    std::vector<double> residual;
    const auto file = Checkpoints(directory, 1).newest(std::nullopt, [](const Failure&) {});
    if (file == nullptr) return {};
    const auto* chunk = file->find("state/first_residual");
    if (chunk == nullptr || chunk->element != ChunkElement::float64) return {};
    residual.resize(static_cast<std::size_t>(chunk->bytes() / sizeof(double)));
    file->read(*chunk, 0, std::as_writable_bytes(std::span(residual)));
    return residual;
  } catch (const Failure&) {
    return {};
  }
}

/// Of the record "run", which has been checked: a number, null, or not there.
std::optional<Index> count_in(const Json& record, const char* name) {
  const auto entry = record.find(name);
  if (entry == record.end() || entry->is_null()) return std::nullopt;
  return entry->get<Index>();
}

}  // namespace

double EpochRecord::largest_residual() const {
  double largest = 0.0;
  for (const auto& residual : {residual_forward, residual_adjoint, audit_forward, audit_adjoint})
    largest = std::max(largest, residual.value_or(0.0));
  return largest;
}

double RunData::tolerance_at(int epoch) const {
  double tolerance = config.tolerance;
  for (auto record = resumed.rbegin(); record != resumed.rend() && epoch < record->epoch; ++record)
    for (const Change& change : record->changes)
      if (change.name == "tolerance" && change.before.is_number())
        tolerance = change.before.get<double>();
  return tolerance;
}

bool RunData::meets_tolerance() const {
  return std::ranges::all_of(epochs, [&](const EpochRecord& epoch) {
    return epoch.largest_residual() <= tolerance_at(epoch.epoch);
  });
}

double RunData::zero_to_rounding() const {
  const auto n = static_cast<double>(samples().value_or(1));
  double largest = 0.0;
  for (const GramRecord& gram : grams)
    largest = std::max(largest, gram.lambda_max);
  return std::numeric_limits<double>::epsilon() * n * largest;
}

std::map<int, double> RunData::contractions() const {
  std::map<int, double> looks;
  const auto look = [&](int epoch, const std::optional<double>& norm) {
    if (!norm) return;
    double& q = looks[epoch];
    q = std::max(q, config.gamma * *norm);
  };
  for (const EpochRecord& record : epochs)
    look(record.epoch, record.operator_norm);
  for (const GramRecord& gram : grams)
    look(gram.epoch, gram.operator_norm);
  if (ended) look(ended->epoch, ended->operator_norm);
  return looks;
}

std::optional<Index> RunData::width() const {
  if (const auto width = count_in(record, "width")) return width;
  return config.width;
}

std::optional<Index> RunData::samples() const {
  if (const auto samples = count_in(record, "samples")) return samples;
  if (!spectra.empty()) return static_cast<Index>(spectra.front().eigenvalues.size());
  return config.samples;
}

bool is_run(const std::string& directory) {
  std::error_code error;
  return fs::is_directory(directory, error) && RunDirectory::holds_run(directory);
}

void parse_metrics(RunData& run, const std::string& text, const std::string& where) {
  std::size_t start = 0;
  for (int number = 1; start < text.size(); ++number) {
    const std::size_t end = text.find('\n', start);
    if (end == std::string::npos) return;  // being written
    const Line line(std::string_view(text).substr(start, end - start),
                    fmt::format("{} line {}", where, number));
    start = end + 1;
    const std::string kind = line.text("kind");
    if (run.record.is_null() && kind != "run")
      refuse("the record 'run' must come first", line.where());
    if (kind == "run") {
      take_run(run, line);
    } else if (kind == "epoch") {
      append(run.epochs, epoch_of(line), line);
    } else if (kind == "gram") {
      append(run.grams, gram_of(line), line);
    } else if (kind == "certificate") {
      append(run.certificates,
             CertificateRecord{line.integer("epoch"), line.certificate("contraction"),
                               line.certificate("distance"), line.certificate("lambda_min")},
             line);
    } else if (kind == "halved") {
      run.halved.push_back({line.integer("epoch"), line.number("learning_rate"),
                            line.integer("replaces"), line.text("reason")});
    } else if (kind == "ended") {
      run.ended = EndedRecord{line.integer("epoch"), line.text("cause"), line.text("reason"),
                              line.optional_number("operator_norm")};
    } else if (kind == "resumed") {
      run.resumed.push_back(resumed_of(line));
      take_changes(run, run.resumed.back());
    }  // whatever else a later version of this schema adds
  }
}

RunData read_run(const std::string& directory, Reading reading) {
  if (!is_run(directory))
    throw Failure(ExitCode::usage, "there is no run in the directory", directory,
                  "give a directory that `widedeq train` or `study` made");
  const fs::path place(directory);
  std::error_code error;
  RunData run;
  run.directory = directory;
  run.status = "unknown";
  if (std::ifstream file(place / "STATUS"); !std::getline(file, run.status)) run.status = "unknown";
  if (fs::exists(place / "metrics.jsonl", error))
    parse_metrics(run, read_text(place / "metrics.jsonl"), (place / "metrics.jsonl").string());
  if (run.record.is_null())
    if (const auto config = stored_config(directory)) take_settings(run, config_json(*config));
  if (reading == Reading::records) return run;

  // Files of Grams without a record are of epochs that were, or are to be, computed again.
  run.spectra = read_spectra(place / "gram");
  std::erase_if(run.spectra, [&](const Spectrum& spectrum) {
    return !std::ranges::binary_search(run.grams, spectrum.epoch, {}, &GramRecord::epoch);
  });
  for (const auto& [name, gram] :
       {std::pair("ntk-first.npy", &run.ntk_first), std::pair("ntk-last.npy", &run.ntk_last)})
    if (fs::exists(place / "gram" / name, error)) *gram = read_gram(place / "gram" / name);
  check_sizes(run, place / "gram");
  run.first_residual = read_first_residual(directory);
  if (std::ifstream file(place / "provenance.json"); file) {
    run.provenance = Json::parse(file, nullptr, false);
    if (!run.provenance.is_object())
      refuse("the file is no JSON object", (place / "provenance.json").string());
  }
  return run;
}

}  // namespace widedeq
