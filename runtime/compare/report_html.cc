// runtime/compare/report_html.cc - the comparison as one page: a bar chart for each measurement, on
// a logarithmic scale, because engines lie a thousandfold apart.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "runtime/compare/measurements.h"

namespace ringshift::runtime {
namespace {

constexpr double kChartPixels = 460;
constexpr int kRowPixels = 22;

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string number(double value) {
  return value < 100 ? fmt::format("{:.1f}", value) : fmt::format("{:.0f}", value);
}

struct Bar {
  const EngineResult* engine;
  double median;
  std::optional<double> spread;
};

std::string bar_text(const Bar& bar, double least, double greatest, int row) {
  constexpr double kShortest = 4;
  const double decades = std::max(std::log10(greatest / least), 1e-9);
  const double part = std::log10(bar.median / least) / decades;
  const double width = kShortest + part * (kChartPixels - kShortest);
  const int y = row * kRowPixels;
  const std::string spread =
      bar.spread ? fmt::format(" \u00b1{:.0f}%", *bar.spread * 50) : std::string();
  return fmt::format(
      "<g><title>{}</title><text x=\"0\" y=\"{}\">{}</text><rect x=\"130\" y=\"{}\" "
      "width=\"{:.1f}\" "
      "height=\"{}\"/><text x=\"{:.1f}\" y=\"{}\">{}{}</text></g>",
      escaped(bar.engine->description), y + 15, escaped(bar.engine->name), y + 3, width,
      kRowPixels - 6, 136 + width, y + 15, number(bar.median), spread);
}

std::string chart(const Comparison& c, std::size_t index) {
  const Measurement& m = measurements()[index];
  std::vector<Bar> bars;
  for (const auto& e : c.engines)
    if (const auto median = e.values[index].median(); median && *median > 0)
      bars.push_back({&e, *median, e.values[index].spread()});
  if (bars.empty()) return "";
  const auto [least, greatest] = std::ranges::minmax(bars, {}, &Bar::median);
  std::string text = fmt::format(
      "<section id=\"{}\"><h2>{}</h2><p>{}; {}</p><svg width=\"720\" height=\"{}\" role=\"img\">",
      m.name, escaped(m.title), escaped(m.unit), escaped(m.method),
      static_cast<int>(bars.size()) * kRowPixels);
  for (std::size_t i = 0; i < bars.size(); ++i)
    text += bar_text(bars[i], least.median, greatest.median, static_cast<int>(i));
  return text + "</svg></section>\n";
}

}  // namespace

std::string to_html(const Comparison& c) {
  std::string page = fmt::format(
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Ringshift: what each "
      "way to run a guest costs</title><style>body{{font:15px "
      "sans-serif;max-width:760px;margin:2em "
      "auto;color:#222}}h2{{font-size:16px;margin:1.6em 0 0}}p{{margin:.2em 0 .6em;color:#555}}"
      "rect{{fill:#3b6ea5}}text{{font-size:13px}}td{{padding:.1em 1em .1em 0;vertical-align:top}}"
      "</style></head><body><h1>What each way to run a guest costs here</h1>"
      "<p>{}, Linux {}, {}. Time-stamp counter at {:.0f} MHz. Medians of {} runs; half of the "
      "distance between the least and the greatest behind \u00b1. Bars are logarithmic; shorter is "
      "better.</p>\n",
      escaped(c.processor), escaped(c.kernel), escaped(c.host), c.counter_mhz, c.repeats);
  for (std::size_t i = 0; i < measurements().size(); ++i) page += chart(c, i);
  page += "<h2>Engines</h2><table>";
  for (const auto& e : c.engines)
    page += fmt::format("<tr><td>{}</td><td>{}{}</td></tr>", escaped(e.name),
                        escaped(e.description), e.problem.empty() ? "" : "; " + escaped(e.problem));
  return page + "</table></body></html>\n";
}

}  // namespace ringshift::runtime
