// Figures: axes one can read, data as they were, scripts that gnuplot draws, pictures that are
// some.
#include "host/study/figure.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>
#include <sstream>

#include "host/study/axis.hpp"
#include "host/study/gnuplot.hpp"
#include "tests/host/data_support.hpp"
#include "tests/markup.hpp"

namespace widedeq::test {
namespace {

namespace fs = std::filesystem;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// What a label says, in notation: "0.5", "2e-05", "10^{-7}".
double value_of(const std::string& label) {
  if (label.starts_with("10^{")) return std::pow(10.0, std::stod(label.substr(4)));
  return std::stod(label);
}

TEST(AxisTest, MarksAreWithinTheScaleAndSayWhereTheyAre) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  for (int trial = 0; trial < 2000; ++trial) {
    Axis axis;
    axis.log = trial % 2 == 0;
    const double size = std::pow(10.0, 8.0 * uniform(random));
    double low = size * (axis.log ? 1.0 : uniform(random));
    double high = axis.log ? low * std::pow(10.0, 5.0 + 5.0 * uniform(random))
                           : low + size * std::pow(10.0, uniform(random));
    const Scale scale = scale_of(axis, low, high);
    EXPECT_LE(scale.low, low);
    EXPECT_GE(scale.high, high);
    int labels = 0;
    double before = -infinity;
    for (const Tick& tick : scale.ticks) {
      EXPECT_GT(tick.value, before);
      before = tick.value;
      const double room = 1e-9 * (std::abs(scale.low) + std::abs(scale.high));
      EXPECT_GE(tick.value, scale.low - room);
      EXPECT_LE(tick.value, scale.high + room);
      if (tick.label.empty()) continue;
      ++labels;
      // Six digits are written.
      EXPECT_NEAR(value_of(tick.label), tick.value, 1e-5 * std::abs(tick.value)) << tick.label;
    }
    EXPECT_GE(labels, 2) << low << " " << high << " " << axis.log;
    EXPECT_LE(labels, 14) << low << " " << high << " " << axis.log;
  }
}

TEST(AxisTest, SpecialCases) {
  const auto labels = [](const Axis& axis, double low, double high) {
    std::string text;
    for (const Tick& tick : scale_of(axis, low, high).ticks)
      if (!tick.label.empty()) text += tick.label + " ";
    return text;
  };
  Axis epochs;
  epochs.integers = true;
  epochs.low = 0.0;
  epochs.high = 119.0;
  EXPECT_EQ(labels(epochs, 0, 119), "0 20 40 60 80 100 ");
  EXPECT_EQ(scale_of(epochs, 0, 119).low, 0.0);
  EXPECT_EQ(scale_of(epochs, 0, 119).high, 119.0);
  epochs.high = 2.0;
  EXPECT_EQ(labels(epochs, 0, 2), "0 1 2 ");
  Axis percents;
  percents.unit = " %";
  EXPECT_EQ(labels(percents, 0.0, 1.0), "0 % 0.2 % 0.4 % 0.6 % 0.8 % 1 % ");
  Axis log;
  log.log = true;
  EXPECT_EQ(labels(log, 1e-6, 1.0), "10^{-6} 10^{-5} 10^{-4} 0.001 0.01 0.1 1 ");
  EXPECT_EQ(labels(log, 1e-7, 1.0), "10^{-6} 10^{-4} 0.01 1 ");
  log.marks = {64, 128, 256};
  EXPECT_EQ(labels(log, 64, 256), "64 128 256 ");
  // One value, zero or a constant: still a scale, and nothing negative where nothing was.
  for (const double value : {0.0, 1.0, -3.0, 1e-300, 1e300}) {
    const Scale scale = scale_of(Axis(), value, value);
    EXPECT_LT(scale.low, scale.high) << value;
    EXPECT_TRUE(value < 0.0 || scale.low >= 0.0) << value;
  }
  EXPECT_LT(scale_of(log, 5.0, 5.0).low, 5.0);
}

/// Lightness L* (CIE 1976) of "#rrggbb".
double lightness(const std::string& hex) {
  double luminance = 0.0;
  constexpr std::array weights = {0.2126, 0.7152, 0.0722};
  for (std::size_t k = 0; k < 3; ++k) {
    const double c = std::stoi(hex.substr(1 + 2 * k, 2), nullptr, 16) / 255.0;
    luminance += weights[k] * (c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4));
  }
  return 116.0 * std::cbrt(luminance) - 16.0;
}

TEST(FigureTest, PensDifferWithoutColours) {
  // Ten steps of lightness are seen in print, or the dashes tell two curves apart.
  for (int a = 0; a < 5; ++a)
    for (int b = 0; b < a; ++b) {
      EXPECT_NE(pen(a).dash, pen(b).dash);
      EXPECT_NE(pen(a).point, pen(b).point);
      EXPECT_GT(std::abs(lightness(pen(a).colour) - lightness(pen(b).colour)), 8.0) << a << b;
    }
  double before = 101.0;
  for (int k = 0; k <= 10; ++k) {
    const double now = lightness(shade(0.1 * k));
    EXPECT_LT(now, before - 2.0) << k;
    EXPECT_LT(now, 80.0);  // on white
    before = now;
  }
}

/// Curves of all kinds, with names that a careless script would stumble over.
Figure curves() {
  Figure figure;
  figure.name = "curves";
  figure.title = "it's 100 % \"loss\" `touch oops` $HOME ||r||_2 \\ {x} @y";
  figure.x.label = "epoch";
  figure.y.label = "value";
  figure.y.log = true;
  int k = 0;
  for (const Mark mark : {Mark::line, Mark::steps, Mark::points, Mark::line_points, Mark::band}) {
    Series series;
    series.title = "series '" + std::to_string(k) + "'";
    series.mark = mark;
    series.pen = pen(k);
    for (int i = 0; i < 5; ++i) {
      series.x.push_back(i / 3.0);
      series.y.push_back(std::exp(-0.7 * i * k) / 3.0);
      if (mark == Mark::band) series.high.push_back(2.0 * series.y.back());
    }
    ++k;
    figure.series.push_back(series);
  }
  figure.references.push_back({0.25, "bound"});
  return figure;
}

Figure map(bool diverging) {
  Figure figure;
  figure.name = diverging ? "change" : "gram";
  figure.title = "H";
  HeatMap heat;
  heat.values = HostMatrix(3, 3);
  for (Index j = 0; j < 3; ++j)
    for (Index i = 0; i < 3; ++i)
      heat.values(i, j) = static_cast<double>(10 * i + j) - (diverging ? 11.0 : 0.0);
  heat.low = diverging ? -11.0 : 0.0;
  heat.high = diverging ? 11.0 : 22.0;
  heat.diverging = diverging;
  heat.borders = {0.0, 1.5, 3.0};
  heat.groups = {"0", "1"};
  figure.map = heat;
  return figure;
}

/// The blocks of numbers in a .dat file.
std::vector<std::vector<std::vector<double>>> blocks_of(const std::string& data) {
  std::vector<std::vector<std::vector<double>>> blocks;
  std::istringstream lines(data);
  int empty = 2;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) ++empty;
    if (line.empty() || line[0] == '#') continue;
    if (empty >= 2) blocks.emplace_back();
    empty = 0;
    std::istringstream words(line);
    blocks.back().emplace_back(std::istream_iterator<double>(words),
                               std::istream_iterator<double>());
  }
  return blocks;
}

TEST(FigureTest, TheDataAreTheData) {
  const Figure figure = curves();
  const auto blocks = blocks_of(figure_data(figure));
  ASSERT_EQ(blocks.size(), figure.series.size());
  for (std::size_t k = 0; k < blocks.size(); ++k) {
    const Series& series = figure.series[k];
    ASSERT_EQ(blocks[k].size(), series.x.size());
    for (std::size_t i = 0; i < blocks[k].size(); ++i) {
      std::vector<double> row = {series.x[i], series.y[i]};
      if (series.mark == Mark::band) row.push_back(series.high[i]);
      EXPECT_EQ(blocks[k][i], row);  // to the last digit
    }
  }
  const auto rows = blocks_of(figure_data(map(false)));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0][1], (std::vector<double>{10, 11, 12}));
}

TEST(FigureTest, WhatCannotBeDrawnIsLeftOut) {
  Figure figure = curves();
  figure.series[0].y = {1.0, 0.0, -1.0, nan, 2.0};
  figure.series[1].y = {infinity, nan, 0.0, -2.0, 3.0};  // one point: no staircase
  EXPECT_TRUE(prepare(figure));
  ASSERT_EQ(figure.series.size(), 4U);
  EXPECT_EQ(figure.series[0].y, (std::vector{1.0, 2.0}));
  EXPECT_EQ(figure.series[0].x, (std::vector{0.0, 4.0 / 3.0}));

  Figure empty = curves();
  for (Series& series : empty.series)
    series.y.assign(series.y.size(), nan);
  EXPECT_FALSE(prepare(empty));
  Figure nothing;
  EXPECT_FALSE(prepare(nothing));
  nothing.map = HeatMap();
  EXPECT_FALSE(prepare(nothing));
}

/// 4 bytes, the largest first.
unsigned big_endian(const std::string& bytes, std::size_t at) {
  unsigned value = 0;
  for (std::size_t k = 0; k < 4; ++k)
    value = 256 * value + static_cast<unsigned char>(bytes[at + k]);
  return value;
}

TEST(FigureTest, GnuplotDrawsThemInAnyFolder) {
  const TemporaryDirectory place;
  const std::string folder = place.file("a 'b' \"c\" $HOME `touch oops` \\ %d");
  fs::create_directory(folder);
  std::vector<Figure> figures = {curves(), map(false), map(true)};
  figures.push_back(curves());
  figures.back().name = "bare";  // no key
  figures.back().references.clear();
  figures.back().is_wide = true;
  figures.back().series.resize(1);
  figures.back().series[0].title = "";
  for (Figure& figure : figures)
    ASSERT_TRUE(prepare(figure));
  draw(figures, folder);
  // Four files each and nothing else: no title was run as a command.
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 16);
  EXPECT_EQ(place.size(), 1);
  for (const Figure& figure : figures) {
    const std::string svg = contents(fs::path(folder) / (figure.name + ".svg"));
    const Markup picture = read_markup(svg);
    EXPECT_EQ(picture.complaint, "") << figure.name;
    EXPECT_EQ(picture.elements.at(0).name, "svg");
    EXPECT_NE(svg.find("sans-serif"), std::string::npos);
    const std::string png = contents(fs::path(folder) / (figure.name + ".png"));
    ASSERT_GT(png.size(), 1000U);
    EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
    EXPECT_EQ(big_endian(png, 16), figure.is_wide ? 1960U : figure.map ? 740U : 960U);
    // The script has no other path than those of its folder.
    const std::string script = contents(fs::path(folder) / (figure.name + ".gp"));
    EXPECT_EQ(script.find("oops\\ %d"), std::string::npos);
    EXPECT_EQ(script, figure_script(figure));
  }
  const std::string curve = read_markup(contents(fs::path(folder) / "curves.svg")).text;
  for (const char* part :
       {"it's 100 % \"loss\" `touch oops` $HOME", "series '2'", "epoch", "bound"})
    EXPECT_NE(curve.find(part), std::string::npos) << part << "\n" << curve;
}

TEST(FigureTest, SeveralPicturesShareAPage) {
  const std::string svg =
      "<?xml version=\"1.0\"?>\n<svg \n viewBox=\"0 0 1 1\" xmlns=\"http://www.w3.org/2000/svg\">\n"
      "<title>Gnuplot</title>\n<desc>Produced by GNUPLOT</desc>\n<defs><circle id='gpPt1'/></defs>"
      "<g id=\"gnuplot_plot_1\" ><title>gnuplot_plot_1</title><use xlink:href='#gpPt1'/></g>"
      "<g id=\"gnuplot_plot_2\" filter='url(#gpPt1)'><title>loss</title></g></svg>\n";
  const std::string inlined = inline_svg(svg, "loss-", "a \"title\" & more", "loss.svg");
  const Markup picture = read_markup(inlined);
  EXPECT_EQ(picture.complaint, "");
  EXPECT_EQ(picture.values("id"),
            (std::vector<std::string>{"loss-gpPt1", "loss-gnuplot_plot_1", "loss-gnuplot_plot_2"}));
  EXPECT_EQ(picture.values("xlink:href"), std::vector<std::string>{"#loss-gpPt1"});
  EXPECT_EQ(picture.values("filter"), std::vector<std::string>{"url(#loss-gpPt1)"});
  EXPECT_EQ(picture.values("aria-label"),
            std::vector<std::string>{"a &quot;title&quot; &amp; more"});
  EXPECT_EQ(picture.text.find("Gnuplot"), std::string::npos);
  EXPECT_EQ(picture.count("title"), 1);
  expect_failure([&] { inline_svg(svg.substr(0, 200), "a-", "", "loss.svg"); }, ExitCode::io,
                 "loss.svg");
}

/// PATH for as long as this lives.
class PathOf {
 public:
  explicit PathOf(const std::string& path) : before_(std::getenv("PATH")) {
    ::setenv("PATH", path.c_str(), 1);
  }
  ~PathOf() { ::setenv("PATH", before_.c_str(), 1); }
  PathOf(const PathOf&) = delete;
  PathOf& operator=(const PathOf&) = delete;

 private:
  std::string before_;
};

TEST(FigureTest, WhatGnuplotDoesNotDoIsSaid) {
  const TemporaryDirectory place;
  fs::create_directory(place.file("bin"));
  fs::create_directory(place.file("figures"));
  Figure figure = curves();
  ASSERT_TRUE(prepare(figure));
  const auto drawn_by = [&](const std::string& program) {
    const std::string file = place.file("bin/gnuplot");
    std::ofstream(file) << "#!/bin/sh\n" << program << "\n";
    fs::permissions(file, fs::perms::owner_all);
    const PathOf path(place.file("bin"));
    draw({figure}, place.file("figures"));
  };
  {
    const PathOf path(place.file("nowhere"));
    expect_failure([&] { draw({figure}, place.file("figures")); }, ExitCode::usage, "gnuplot-nox");
  }
  expect_failure(
      [&] { drawn_by("echo 'warming up' >&2; echo 'line 7: no such terminal' >&2; exit 1"); },
      ExitCode::io, "line 7: no such terminal");
  expect_failure([&] { drawn_by("kill -9 $$"); }, ExitCode::io, "gnuplot failed");
  expect_failure([&] { drawn_by("exit 0"); }, ExitCode::io, "curves.svg");
}

}  // namespace
}  // namespace widedeq::test
