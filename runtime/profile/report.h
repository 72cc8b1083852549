// runtime/profile/report.h - profiles as text for people, as folded stacks, as a page, and
// compared.
#pragma once

#include <string>

#include "runtime/profile/profile.h"

namespace ringshift::runtime::profile {

std::string text_report(const Profile& profile);
// "outer;inner samples", one line a stack, as other flame-graph tools read it.
std::string folded_stacks(const Profile& profile);
// One self-contained page of HTML.
std::string html_page(const Profile& profile);
// What takes more or less of the time, by function and by kind of work; counters.
std::string text_difference(const Profile& before, const Profile& after);

}  // namespace ringshift::runtime::profile
