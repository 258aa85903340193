// Table, JSON and CSV of a report that is made up.
#include "bench/report.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "bench/stages.hpp"

namespace widedeq::bench {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    lines.push_back(line);
  return lines;
}

Row good_row() {
  Row row;
  row.stage = "sweep";
  row.precision = Precision::mixed;
  row.shape = {4096, 1000};
  row.check_shape = {1024, 64};
  row.error = 1.25e-7;
  row.tolerance = 2e-6;
  row.timing = statistics_of(std::vector<double>(12, 0.5));
  row.timing.timed = 6.0;
  row.work.add_products(Precision::mixed, 6.0, row.shape);
  row.work.bytes = 1e9;
  row.product_seconds = 0.4;
  row.roofline_seconds = 0.125;
  return row;
}

Row failed_row() {
  Row row;
  row.stage = "forward";
  row.precision = Precision::fp32;
  row.shape = row.check_shape = {64, 9};
  row.error = INFINITY;
  row.tolerance = 1e-6;
  row.failure = "error inf, allowed are 1e-06";
  return row;
}

BenchReport made_up_report() {
  BenchReport report;
  report.options.stages = parse_stages("forward,sweep");
  report.options.shapes = {{4096, 1000}, {64, 9}};
  report.options.config.threads = 3;
  report.backend = "cpu: 3 threads, \"some\" library";
  report.started = "2024-05-01T12:00:00Z";
  report.roofline.memory.bytes_per_second = 20e9;
  report.roofline.memory.timing = statistics_of({1.0});
  report.roofline.peak.fp64 = {100e9, {2048, 1024}, statistics_of({1.0})};
  report.rows = {good_row(), failed_row()};
  return report;
}

TEST(Format, ThreeDigits) {
  EXPECT_EQ(format_three(0.0), "0");
  EXPECT_EQ(format_three(1.0), "1.00");
  EXPECT_EQ(format_three(12.345), "12.3");
  EXPECT_EQ(format_three(123.45), "123");
  EXPECT_EQ(format_three(1234.5), "1234");
  EXPECT_EQ(format_three(0.12345), "0.123");
  EXPECT_EQ(format_three(0.0012345), "0.00123");
  EXPECT_EQ(format_three(9.9996), "10.0");
  EXPECT_EQ(format_three(1e-5), "1.00e-05");
  EXPECT_EQ(format_three(INFINITY), "-");
  EXPECT_EQ(format_three(NAN), "-");
}

TEST(Format, Seconds) {
  EXPECT_EQ(format_seconds(1.234e-8), "12.3 ns");
  EXPECT_EQ(format_seconds(1.234e-5), "12.3 us");
  EXPECT_EQ(format_seconds(0.9996e-3), "1.00 ms");
  EXPECT_EQ(format_seconds(0.1234), "123 ms");
  EXPECT_EQ(format_seconds(12.34), "12.3 s");
}

TEST(Table, IsMarkdownWhoseColumnsLineUp) {
  const BenchReport report = made_up_report();
  const Table table(report);
  const auto head = lines_of(table.head());
  const std::string text = table.head();
  for (const char* part : {"cpu: 3 threads", "d = 64", "gamma 0.5", "tolerance 1e-06",
                           "Roofline: 20.0 GB/s, fp64 100 Gflop/s", "Noise: "})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;

  const std::string &names = head[head.size() - 2], &rule = head.back();
  const std::string good = lines_of(table.line(good_row())).at(0);
  const std::string failed = lines_of(table.line(failed_row())).at(0);
  EXPECT_EQ(names.size(), rule.size());
  EXPECT_EQ(names.size(), good.size());
  std::size_t bars = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] != '|') continue;
    ++bars;
    EXPECT_EQ(rule[i], '|') << i;
    EXPECT_EQ(good[i], '|') << i;
    EXPECT_EQ(failed[i] == '|', i + 1 < names.size()) << i;  // its last cell is longer
  }
  EXPECT_EQ(bars, 12U);
  EXPECT_EQ(std::ranges::count(failed, '|'), 12);
  EXPECT_EQ(failed.back(), '|');
  for (const char* part : {" sweep ", " mixed ", " 4096 ", " 1000 ", " 500 ms ", " 0.00 % ",
                           " 403 ", " 2.00 ", " 80.0 % ", " 25.0 % ", " 1.2e-07 "})
    EXPECT_NE(good.find(part), std::string::npos) << part << "\n" << good;
  EXPECT_NE(failed.find("FAILED"), std::string::npos);
  EXPECT_NE(failed.find("error inf, allowed are 1e-06"), std::string::npos);
}

TEST(Table, MarksWhatIsNotToBeTrusted) {
  const BenchReport report = made_up_report();
  Row row = good_row();
  row.warning = "noise 1.3 %";
  row.timing.noise = 0.013;
  EXPECT_NE(Table(report).line(row).find(" 1.30 % ! "), std::string::npos);
  row.timing = statistics_of({0.5});
  EXPECT_NE(Table(report).line(row).find(" ? ! "), std::string::npos);
}

TEST(Reservations, NameNoiseAndAnEarlyEnd) {
  BenchReport report = made_up_report();
  EXPECT_EQ(report.failures(), 1U);
  EXPECT_EQ(reservations(report), "");
  report.rows[0].warning = "noise 1.3 %";
  EXPECT_EQ(reservations(report), "1 of 2 rows marked !: not measured well within 5 s");
  report.stopped = true;
  EXPECT_NE(reservations(report).find("; stopped early"), std::string::npos);
}

TEST(BenchJson, HoldsEverythingWithoutPrefixes) {
  const Json record = Json::parse(to_json(made_up_report()).dump());
  EXPECT_EQ(record.at("schema"), bench_schema);
  EXPECT_EQ(record.at("threads"), 3);
  EXPECT_EQ(record.at("started"), "2024-05-01T12:00:00Z");
  EXPECT_TRUE(record.at("machine").contains("processor"));
  EXPECT_TRUE(record.contains("version"));
  EXPECT_TRUE(record.contains("commit"));
  EXPECT_EQ(record.at("options").at("max_seconds"), 5.0);
  EXPECT_EQ(record.at("roofline").at("memory").at("bytes_per_second"), 20e9);
  EXPECT_EQ(record.at("roofline").at("fp64").at("m"), 2048);
  EXPECT_TRUE(record.at("roofline").at("mixed").is_null());  // not measured

  const Json& good = record.at("rows").at(0);
  EXPECT_EQ(good.at("ok"), true);
  EXPECT_TRUE(good.at("failure").is_null());
  EXPECT_EQ(good.at("samples"), 12);
  EXPECT_EQ(good.at("seconds_median"), 0.5);
  EXPECT_EQ(good.at("products"), 6.0);
  EXPECT_EQ(good.at("flops"), 12.0 * 4096 * 4096 * 1000);
  EXPECT_EQ(good.at("bytes_per_second"), 2e9);
  EXPECT_EQ(good.at("share_of_product"), 0.8);
  EXPECT_EQ(good.at("share_of_roofline"), 0.25);

  const Json& failed = record.at("rows").at(1);
  EXPECT_EQ(failed.at("ok"), false);
  EXPECT_EQ(failed.at("failure"), "error inf, allowed are 1e-06");
  EXPECT_TRUE(failed.at("error").is_null());  // JSON has no infinity
  EXPECT_EQ(failed.at("tolerance"), 1e-6);
  EXPECT_TRUE(failed.at("seconds_median").is_null());
  EXPECT_TRUE(failed.at("share_of_roofline").is_null());
  EXPECT_EQ(failed.size(), good.size());
}

TEST(BenchCsv, HasAHeaderAndQuotesWhatNeedsIt) {
  BenchReport report = made_up_report();
  report.rows[1].failure = "a \"b\", c";
  const auto lines = lines_of(to_csv(report));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_TRUE(lines[0].starts_with("stage,precision,m,n,ok,failure,warning,")) << lines[0];
  EXPECT_TRUE(lines[1].starts_with("sweep,mixed,4096,1000,true,,,1024,64,")) << lines[1];
  EXPECT_TRUE(lines[2].starts_with("forward,fp32,64,9,false,\"a \"\"b\"\", c\",,64,9,,1e-06,,"))
      << lines[2];
  const auto columns = [](const std::string& line) {
    bool quoted = false;
    return 1 + std::ranges::count_if(line, [&](char c) {
             quoted = quoted != (c == '"');
             return c == ',' && !quoted;
           });
  };
  EXPECT_EQ(columns(lines[0]), columns(lines[1]));
  EXPECT_EQ(columns(lines[0]), columns(lines[2]));
  EXPECT_TRUE(lines[0].ends_with(",started,commit,processor,backend,threads,cold")) << lines[0];
  EXPECT_NE(lines[1].find("2024-05-01T12:00:00Z"), std::string::npos) << lines[1];
  report.rows.clear();
  EXPECT_EQ(lines_of(to_csv(report)), std::vector<std::string>{lines[0]});
}

}  // namespace
}  // namespace widedeq::bench
