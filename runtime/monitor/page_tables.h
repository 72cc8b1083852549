// runtime/monitor/page_tables.h - the guest's page tables as text.
#pragma once

#include "runtime/monitor/commands.h"

namespace ringshift::runtime::monitor {

// `each_page`: a line for each page, with where it lies; else ranges of equal rights.
Answer list_mappings(Machine& machine, bool each_page);

}  // namespace ringshift::runtime::monitor
