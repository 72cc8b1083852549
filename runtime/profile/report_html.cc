// runtime/profile/report_html.cc - the profile as one page: style, script and data go into the
// places that page.html names.
#include <string_view>

#include "runtime/profile/profile_json.h"
#include "runtime/profile/report.h"

extern "C" const char ringshift_page_html[], ringshift_page_css[], ringshift_page_script[],
    ringshift_page_end[];

namespace ringshift::runtime::profile {
namespace {

std::string_view between(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}

// Inside a script element nothing may look like its end. Only strings of JSON hold this character.
std::string without_tags(std::string_view json) {
  std::string text;
  text.reserve(json.size());
  for (const char c : json) {
    if (c == '<')
      text += "\\u003c";
    else
      text += c;
  }
  return text;
}

}  // namespace

std::string html_page(const Profile& profile) {
  std::string_view page = between(ringshift_page_html, ringshift_page_css);
  std::string text;
  const auto fill = [&](std::string_view place, std::string_view with) {
    const std::size_t at = page.find(place);
    text += page.substr(0, at);
    text += with;
    page.remove_prefix(at + place.size());
  };
  fill("@STYLE@", between(ringshift_page_css, ringshift_page_script));
  fill("@PROFILE@", without_tags(to_json(profile)));
  fill("@SCRIPT@", between(ringshift_page_script, ringshift_page_end));
  text += page;
  return text;
}

}  // namespace ringshift::runtime::profile
