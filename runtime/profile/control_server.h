// runtime/profile/control_server.h - the VM's side of the profile socket.
#pragma once

#include <memory>
#include <string>

#include "runtime/run_guest.h"

namespace ringshift::runtime::profile {

std::unique_ptr<RunWatcher> serve_profiles(const std::string& path);

}  // namespace ringshift::runtime::profile
