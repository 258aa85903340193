// Formulas and numbers for people, and texts of others made harmless.
#include "host/study/notation.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace widedeq {
namespace {

TEST(NotationTest, FormulasBecomeSigns) {
  const auto expect = [](const std::string& notation, const std::string& html) {
    EXPECT_EQ(notation_to_html(notation), html);
  };
  expect("lambda_min(H) >= 1.5e-06", "λ<sub>min</sub>(H) ≥ 1.5×10<sup>−6</sup>");
  expect("gamma ||A||_2/sqrt(m) < 1", "γ ‖A‖<sub>2</sub>/√m &lt; 1");
  expect("||H(k) - H(0)||_F / ||H(0)||_F", "‖H(k) − H(0)‖<sub>F</sub> / ‖H(0)‖<sub>F</sub>");
  expect("m^-1/2", "m<sup>−1/2</sup>");
  expect("m^{-0.52}", "m<sup>−0.52</sup>");
  expect("m^-0.52 of 3", "m<sup>−0.52</sup> of 3");
  expect("r <- (I - eta H(0)) r", "r ← (I − η H(0)) r");
  expect("Z'Z, L'L/m, Phi'Phi", "Z′Z, L′L/m, Φ′Φ");
  expect("c I - A A'", "c I − A A′");
  expect("(-0.6 to -0.4), -2", "(−0.6 to −0.4), −2");
  expect("1/2 sum r^2", "½ Σ r<sup>2</sup>");
  expect("-log x / (-2 y)", "−log x / (−2 y)");
  expect("a != b", "a ≠ b");
  expect("1e-06", "10<sup>−6</sup>");
  expect("2.5e+12 +- 1e3", "2.5×10<sup>12</sup> ± 10<sup>3</sup>");
  expect("||H - H_inf||", "‖H − H<sub>∞</sub>‖");
  expect("measured x 2.033, 40 x 30", "measured × 2.033, 40 × 30");
  expect("gamma x lambda", "γ x λ");
}

TEST(NotationTest, WordsStayWords) {
  for (const char* text : {"the run's epochs", "well-posed", "commit 1e5b03", "beta", "etas",
                           "gammas", "1-2", "a_", "sum of squares", "^", "x^{", "don't", "2e", "e5",
                           "3 e-5", "relu", "", "lower --learning-rate or --gamma"})
    EXPECT_EQ(notation_to_text(text), text);
  EXPECT_EQ(notation_to_html("the run's"), "the run&#39;s");
}

TEST(NotationTest, GnuplotSeesItsMarkupAndNothingElse) {
  EXPECT_EQ(notation_to_gnuplot("lambda_min^2"), "λ_{min}^{2}");
  EXPECT_EQ(notation_to_gnuplot("a {b} @c ~d &e \\f"), "a \\{b\\} \\@c \\~d \\&e \\\\f");
  EXPECT_EQ(gnuplot_escaped("x_1^2{}@&~\\"), "x\\_1\\^2\\{\\}\\@\\&\\~\\\\");
  EXPECT_EQ(gnuplot_quoted("it's `id` $(x) \"y\"\n\tz"), "'it''s `id` $(x) \"y\"  z'");
  EXPECT_EQ(gnuplot_quoted("\xff"), "'\uFFFD'");
}

TEST(NotationTest, AnyTextIsHarmlessInHtml) {
  EXPECT_EQ(html_escaped("<a href=\"x\">&'</a>"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;");
  EXPECT_EQ(html_escaped("a\x01 b\x7f"), "a\uFFFD b\uFFFD");
  EXPECT_EQ(html_escaped("\xff\xfe"), "\uFFFD\uFFFD");
  EXPECT_EQ(html_escaped("naïve Ψ"), "naïve Ψ");
  EXPECT_EQ(notation_to_html("<b>_&"), "&lt;b&gt;_&amp;");
}

TEST(NotationTest, NumbersHaveFourDigits) {
  const auto expect = [](double value, const std::string& text) {
    EXPECT_EQ(people_number(value), text);
  };
  expect(0.0, "0");
  expect(1.0, "1");
  expect(0.0162581, "0.01626");
  expect(626.534, "626.5");
  expect(12345.6, "12346");
  expect(0.1 + 0.2, "0.3");
  expect(-2.5, "-2.5");
  expect(1e-6, "1e-06");
  expect(-1.23456e-7, "-1.235e-07");
  expect(99999.0, "1e+05");
  expect(123456789.0, "1.235e+08");
  expect(0.00099999, "1e-03");
  expect(9.99996, "10");
  expect(std::numeric_limits<double>::infinity(), "infinite");
  expect(std::numeric_limits<double>::quiet_NaN(), "none");
  // Whatever the size, what is written is within half a unit of the fourth digit.
  for (double value = 1.2345678e-12; value < 1e13; value *= 1.37)
    EXPECT_NEAR(std::stod(people_number(value)), value, 5.001e-4 * value);

  EXPECT_EQ(people_count(1024), "1024");
  EXPECT_EQ(people_count(16384), "16\u202F384");
  EXPECT_EQ(people_count(-1234567), "-1\u202F234\u202F567");
  EXPECT_EQ(people_percent(0.125), "12.5 %");
  EXPECT_EQ(people_seconds(0.0451), "45.1 ms");
  EXPECT_EQ(people_seconds(12.34), "12.3 s");
  EXPECT_EQ(people_seconds(600.0), "10 min");
  EXPECT_EQ(people_seconds(5.0 * 3600.0), "5 h");
}

}  // namespace
}  // namespace widedeq
