// runtime/profile/control_protocol.h - what a running VM and `ringshift profile` say to each other:
// one JSON object a line, in QMP's shapes, so that a monitor can take these commands over.
//
//   VM      {"ringshift-profile": {"version": 1}}                          greeting
//   client  {"execute": "profile-start", "arguments": {"hz": 1000, "exact": false}}
//   VM      {"return": {}}
//   client  {"execute": "profile-read", "arguments": {"listings": true, "stop": true}}
//   VM      {"return": PROFILE}                                            docs/profile.md
//   VM      {"error": {"class": "GenericError", "desc": TEXT}}
//   VM      {"event": "PROFILE_ENDED", "data": PROFILE}                    the guest has ended
//
// A client that goes ends its recording.
#pragma once

#include <string_view>

namespace ringshift::runtime::profile {

inline constexpr int kProtocolVersion = 1;
inline constexpr std::string_view kGreeting = "ringshift-profile", kStartCommand = "profile-start",
                                  kReadCommand = "profile-read", kEndedEvent = "PROFILE_ENDED";
// Of a command; profiles are longer.
inline constexpr std::size_t kMostCommandBytes = 64 * 1024;

}  // namespace ringshift::runtime::profile
