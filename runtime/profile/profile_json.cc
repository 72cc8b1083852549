// runtime/profile/profile_json.cc - profiles as JSON.
#include "runtime/profile/profile_json.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

namespace ringshift::runtime::profile {

void to_json(nlohmann::json& json, const Address& address) {
  json = fmt::format("{:#x}", address.value);
}
void from_json(const nlohmann::json& json, Address& address) {
  const auto& text = json.get_ref<const std::string&>();
  const char* const end = text.data() + text.size();
  const bool prefixed = text.starts_with("0x");
  if (!prefixed || std::from_chars(text.data() + 2, end, address.value, 16).ptr != end)
    throw nlohmann::json::other_error::create(501, "not an address: " + text, &json);
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Run, program, kernel, began, wall_seconds, cpu_seconds,
                                   idle_seconds, hz, sample_ns, samples, lost, exact, ended, syntax)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Share, kind, detail, samples)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(FunctionShare, name, module, user, self, guest, total)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ProcessShare, comm, cr3, samples, user)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Stack, frames, samples)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GuestLine, offset, length, text, category, samples, called)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(HostLine, offset, length, line, text, samples)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Edge, block, rip, kind)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(BlockShare, rip, physical, function, module, mode,
                                   function_offset, tier, code_bytes, removed, samples, called,
                                   runs, guest_bytes, host_bytes, guest_code, host_code,
                                   host_address, guest, host, edges)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Count, name, value)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Series, name, values)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Timeline, ms, series)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(CacheCell, cold, hot, dead, age_ms)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(CacheMap, ms, used_bytes, capacity_bytes, cells)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PortCount, port, device, reads, writes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DeviceCount, address, device, accesses)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(WrittenPage, page, code, writer, blocks)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Sensitive, name, call_outs, quick, executed)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Finding, title, text, advice, count, share)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Profile, run, summary, activities, functions, processes, names,
                                   stacks, blocks, blocks_seen, counters, timeline, cache, mix,
                                   sensitive, ports, devices, written_pages, exceptions, interrupts)

namespace {

using Json = nlohmann::json;
constexpr const char* kFormat = "ringshift-profile";

// Numbers that name other entries: reports follow them without looking again.
std::string wrong_reference(const Profile& p) {
  for (const Stack& stack : p.stacks)
    for (const auto frame : stack.frames)
      if (frame >= p.names.size()) return "a stack names no function";
  const auto blocks = static_cast<std::int64_t>(p.blocks.size());
  for (const BlockShare& block : p.blocks) {
    for (const Edge& edge : block.edges)
      if (edge.block < -1 || edge.block >= blocks) return "an edge leads to no block";
    for (const HostLine& line : block.host)
      if (line.line < -1 || line.line >= static_cast<std::int64_t>(block.guest.size()))
        return "a line of host code serves no line of the guest's";
  }
  for (const Series& series : p.timeline.series)
    if (series.values.size() != p.timeline.ms.size()) return "a series is longer than the timeline";
  return "";
}

}  // namespace

std::string to_json(const Profile& profile) {
  Json json = profile;
  json["format"] = kFormat;
  json["version"] = kProfileVersion;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

tl::expected<Profile, std::string> from_json(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return tl::unexpected(std::string("not JSON, or cut off"));
  if (!json.is_object() || json.value("format", Json()) != kFormat)
    return tl::unexpected(std::string("not a profile of Ringshift's"));
  const Json version = json.value("version", Json());
  if (!version.is_number_integer())
    return tl::unexpected(std::string("damaged: no version number"));
  if (version.get<std::int64_t>() > kProfileVersion)
    return tl::unexpected(fmt::format("version {} of the format is newer than this program's, {}",
                                      version.get<std::int64_t>(), kProfileVersion));
  try {
    auto profile = json.get<Profile>();
    if (const auto wrong = wrong_reference(profile); !wrong.empty())
      return tl::unexpected("damaged: " + wrong);
    return profile;
  } catch (const Json::exception& problem) {
    return tl::unexpected(fmt::format("damaged: {}", problem.what()));
  }
}

}  // namespace ringshift::runtime::profile
