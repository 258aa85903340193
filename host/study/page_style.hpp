// How reports look, on a screen and on paper. No colour says anything that no word or sign says.
#pragma once

namespace widedeq {

inline constexpr const char* page_style = R"css(
:root { --ink: #1c2026; --quiet: #5a626e; --line: #d9dde3; --accent: #12355b; --wash: #f5f6f8; }
* { box-sizing: border-box; }
html { font-size: 106.25%; -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 3.5rem 1.5rem 4rem; max-width: 62rem; color: var(--ink);
  background: #fff; line-height: 1.5; font-family: Charter, 'Bitstream Charter', 'Sitka Text',
  Cambria, 'DejaVu Serif', Georgia, serif; font-variant-numeric: lining-nums; }
header { margin-bottom: 2rem; }
h1, h2, th, thead td, figcaption, .headline, .subtitle, .marks b, summary, nav, footer, td.number,
.files { font-family: system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; letter-spacing: -0.012em; margin: 0 0 .35rem;
  overflow-wrap: anywhere; }
.subtitle { color: var(--quiet); margin: 0; font-size: .95rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 3rem 0 .9rem; padding-top: .7rem;
  border-top: 2px solid var(--accent); color: var(--accent); break-after: avoid; }
p { max-width: 44rem; margin: 0 0 1rem; }
sub, sup { font-size: .72em; line-height: 0; }
a { color: var(--accent); text-underline-offset: .15em; text-decoration-thickness: 1px; }
code { font-family: ui-monospace, 'Cascadia Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace;
  font-size: .82em; overflow-wrap: anywhere; }

.headline { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr));
  gap: 1px; padding: 1px; margin: 1.8rem 0; }
.headline div { box-shadow: 0 0 0 1px var(--line); padding: .8rem 1rem .75rem; display: flex;
  flex-direction: column-reverse; justify-content: flex-end; }
.headline dd { margin: 0; font-size: 1.45rem; line-height: 1.3; font-weight: 600;
  letter-spacing: -0.01em; font-variant-numeric: tabular-nums; white-space: nowrap; }
.headline dt { font-size: .8rem; color: var(--quiet); line-height: 1.35; }

.scroll { overflow-x: auto; margin: 0 0 1.3rem; }
.beside { display: grid; gap: 0 2.8rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.formula { white-space: nowrap; }
table { border-collapse: collapse; font-size: .88rem; line-height: 1.4; width: 100%; }
th, td { text-align: left; padding: .32rem .9rem .32rem 0; border-bottom: 1px solid var(--line);
  vertical-align: baseline; }
th:last-child, td:last-child { padding-right: 0; }
thead th { font-size: .78rem; font-weight: 600; color: var(--quiet);
  border-bottom: 1px solid var(--quiet); vertical-align: bottom; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap;
  font-size: .84rem; }
tr.emphasised td { background: #fff5dc; font-weight: 600; }
tr.emphasised td:first-child { box-shadow: -.35rem 0 0 #fff5dc, -.5rem 0 0 #c07800; }
tr { break-inside: avoid; }

.marks { list-style: none; margin: 0 0 1.3rem; padding: 0; max-width: 52rem; }
.marks li { display: grid; grid-template-columns: 4.9rem 1fr; gap: 0 .8rem; padding: .5rem 0;
  border-bottom: 1px solid var(--line); break-inside: avoid; }
.marks b { font-size: .76rem; font-weight: 600; line-height: 1.3rem; height: 1.35rem;
  border: 1px solid; border-radius: .2rem; padding: 0 .4rem; white-space: nowrap;
  margin-top: .08rem; }
.marks .holds { color: #14603f; } .marks .open { color: #5a626e; border-style: dashed; }
.marks .fails { color: #fff; background: #a11d16; border-color: #a11d16; }
.marks span { display: block; } .marks .evidence { color: var(--quiet); font-size: .88rem; }

.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 1.8rem 2.4rem; margin: 0 0 1.8rem; }
.figures.maps { grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr));
  gap: 1.6rem 1.2rem; }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figure.wide { grid-column: 1 / -1; }
figure svg { display: block; width: 100%; height: auto; }
figure svg image { image-rendering: pixelated; }
figcaption { font-size: .82rem; line-height: 1.45; color: var(--quiet); margin-top: .35rem;
  max-width: 44rem; }
.files { font-size: .74rem; white-space: nowrap; } .files a { margin-left: .45em; }
details { margin: 0 0 1rem; } details table { width: auto; }
details td:first-child { padding-right: 2rem; white-space: nowrap; }
summary { cursor: pointer; font-size: .88rem; margin-bottom: .6rem;
  color: var(--accent); }
footer { margin-top: 3.5rem; padding-top: .8rem; border-top: 1px solid var(--line);
  font-size: .78rem; color: var(--quiet); }

@media (max-width: 40rem) {
  body { padding: 1.5rem 1rem 2rem; } h1 { font-size: 1.5rem; }
  .scroll td:last-child:not(.number) { min-width: 14rem; }
  .marks li { grid-template-columns: 1fr; } .marks b { justify-self: start; }
  .headline { grid-template-columns: 1fr 1fr; } .headline dd { font-size: 1.2rem; }
  figure.wide { overflow-x: auto; } figure.wide svg { min-width: 38rem; }
}
@page { size: A4; margin: 17mm 15mm; }
@media print {
  html { font-size: 9.5pt; } body { padding: 0; max-width: none; }
  h2 { margin-top: 1.8rem; } a { color: inherit; text-decoration: none; } .files { display: none; }
  .figures { grid-template-columns: 1fr 1fr; gap: 1rem 1.4rem; }
  .figures.maps { grid-template-columns: repeat(3, 1fr); gap: 1rem .6rem; }
  .figures.maps.pair { grid-template-columns: 1fr 1fr; }
  .headline { grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); }
  footer { margin-top: 1.5rem; }
  .scroll { overflow: visible; } p, li, table { orphans: 3; widows: 3; }
  details:not([open]) > *:not(summary) { display: block; }
  details::details-content { content-visibility: visible; block-size: auto; }
  tr.emphasised td, .marks .fails { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
)css";

}  // namespace widedeq
