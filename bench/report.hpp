// What a run leaves: a Markdown table, a JSON document, a CSV file.
#pragma once

#include <string>

#include "bench/run.hpp"
#include "host/run/record.hpp"

namespace widedeq::bench {

/// Of the JSON document and the columns of the CSV file. Scripts rely on the names.
inline constexpr int bench_schema = 2;  // 1: flops were those made

/// Writes the table line by line, while the run goes on: widths are chosen beforehand, so that the
/// columns of a terminal line up and it is Markdown all the same.
class Table {
 public:
  explicit Table(const BenchReport& report);

  /// What runs where, the roofline, and the table's head.
  std::string head() const;
  std::string line(const Row& row) const;

 private:
  const BenchReport& report_;
  std::size_t stage_ = 0, m_ = 0, n_ = 0;  // widths
};

/// What is to be said of noise and an early end; "" when there is nothing.
std::string reservations(const BenchReport& report);

/// {"schema":2,"version":...,"commit":...,"machine":{...},"options":{...},"roofline":{...},
/// "rows":[...]}; seconds, bytes and operations without prefixes. What is not known or not finite
/// is null.
Json to_json(const BenchReport& report);

/// One row: the columns of the CSV file.
Json row_json(const Row& row);

/// A header and one line a row, quoted as in RFC 4180; null is empty.
std::string to_csv(const BenchReport& report);

/// Seconds with three digits and a unit: "12.3 us", "1.23 ms", "2.34 s".
std::string format_seconds(double seconds);
/// A number with three digits, or all before the point: "0.0123", "1.23", "1234".
std::string format_three(double value);

}  // namespace widedeq::bench
