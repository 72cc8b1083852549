// runtime/net_options.cc - the network on the command line.
#include "runtime/net_options.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "runtime/options.h"

namespace ringshift::runtime {
namespace {

using Status = tl::expected<void, std::string>;

tl::unexpected<std::string> failed(std::string why) { return tl::unexpected(std::move(why)); }

std::optional<std::uint32_t> parse_ip(const std::string& text) {
  in_addr address{};
  if (::inet_pton(AF_INET, text.c_str(), &address) != 1) return std::nullopt;
  return ntohl(address.s_addr);
}

std::optional<std::uint16_t> parse_port(const std::string& text) {
  const auto port = parse_number(text);
  if (!port || *port == 0 || *port > 0xffff) return std::nullopt;
  return static_cast<std::uint16_t>(*port);
}

// [tcp|udp]:[host address]:host port-[guest address]:guest port
std::optional<UserNetOptions::Forward> parse_forward(const std::string& text) {
  UserNetOptions::Forward forward;
  const auto first = text.find(':'), dash = text.find('-');
  if (first == text.npos || dash == text.npos || dash < first) return std::nullopt;
  const std::string protocol = text.substr(0, first);
  if (!protocol.empty() && protocol != "tcp" && protocol != "udp") return std::nullopt;
  forward.udp = protocol == "udp";
  const std::string host = text.substr(first + 1, dash - first - 1), guest = text.substr(dash + 1);
  const auto host_colon = host.rfind(':'), guest_colon = guest.rfind(':');
  if (host_colon == host.npos || guest_colon == guest.npos) return std::nullopt;
  const auto take = [](const std::string& address, std::uint32_t& to) {
    if (address.empty()) return true;
    const auto ip = parse_ip(address);
    if (ip) to = *ip;
    return ip.has_value();
  };
  const auto host_port = parse_port(host.substr(host_colon + 1));
  const auto guest_port = parse_port(guest.substr(guest_colon + 1));
  if (!take(host.substr(0, host_colon), forward.host_address) ||
      !take(guest.substr(0, guest_colon), forward.guest_address) || !host_port || !guest_port)
    return std::nullopt;
  forward.host_port = *host_port;
  forward.guest_port = *guest_port;
  return forward;
}

// 10.0.2.0/24 or with a mask after the slash; the other addresses follow it.
Status take_network(KeyValues& words, UserNetOptions& user) {
  if (const auto net = words.take("net")) {
    const auto slash = net->find('/');
    const auto network = parse_ip(net->substr(0, slash));
    const auto bits = slash == net->npos ? std::optional<std::uint64_t>(24)
                                         : parse_number(net->substr(slash + 1));
    if (!network || !bits || *bits < 8 || *bits > 28)
      return failed("net= is an address and 8 to 28 bits, as in 10.0.2.0/24");
    user.mask = ~std::uint32_t{0} << (32 - *bits);
    user.network = *network & user.mask;
    user.host = user.network + 2;
    user.dns = user.network + 3;
    user.dhcp_start = user.network + 15;
  }
  for (const auto& [key, member] : {std::pair{"host", &UserNetOptions::host},
                                    {"dns", &UserNetOptions::dns},
                                    {"dhcpstart", &UserNetOptions::dhcp_start}}) {
    const auto text = words.take(key);
    if (!text) continue;
    const auto ip = parse_ip(*text);
    if (!ip || (*ip & user.mask) != user.network)
      return failed(fmt::format("{}= is not an address of the network", key));
    user.*member = *ip;
  }
  return {};
}

Status take_user(KeyValues& words, UserNetOptions& user) {
  if (auto taken = take_network(words, user); !taken) return taken;
  while (const auto text = words.take("hostfwd")) {
    const auto forward = parse_forward(*text);
    if (!forward)
      return failed(fmt::format("hostfwd={}: not tcp:[ADDRESS]:PORT-[ADDRESS]:PORT", *text));
    user.forwards.push_back(*forward);
  }
  user.hostname = words.take("hostname").value_or("");
  user.tftp_folder = words.take("tftp").value_or("");
  user.boot_file = words.take("bootfile").value_or("");
  const auto restricted = words.take("restrict").value_or("off");
  if (restricted != "on" && restricted != "off") return failed("restrict= is on or off");
  user.restricted = restricted == "on";
  const auto ipv6 = words.take("ipv6").value_or("off");
  if (ipv6 != "off") return failed("ipv6= is not supported");
  return {};
}

Status take_tap(KeyValues& words, NetdevOptions& net) {
  net.tap = true;
  net.interface_name = words.take("ifname").value_or("");
  for (const auto* script : {"script", "downscript"})
    if (const auto name = words.take(script); name && *name != "no")
      return failed(fmt::format("{}= is always 'no': set the interface up yourself", script));
  return {};
}

Status take_kind(KeyValues& words, NetdevOptions& net) {
  if (words.name() == "user") return take_user(words, net.user);
  if (words.name() == "tap") return take_tap(words, net);
  return failed("networks are user and tap");
}

// QEMU's: 52:54:00:12:34:56 and up.
std::array<std::uint8_t, 6> default_address(std::size_t index) {
  return {0x52, 0x54, 0x00, 0x12, 0x34, static_cast<std::uint8_t>(0x56 + index)};
}

Status take_address(KeyValues& words, NicOptions& nic) {
  const auto text = words.take("mac");
  if (!text) return {};
  std::array<unsigned, 6> parts{};
  int used = 0;
  const int count = std::sscanf(text->c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &parts[0], &parts[1],
                                &parts[2], &parts[3], &parts[4], &parts[5], &used);
  if (count != 6 || static_cast<std::size_t>(used) != text->size() || (parts[0] & 1))
    return failed("mac= is an address like 52:54:00:12:34:56, not of a group");
  for (std::size_t i = 0; i < 6; ++i) nic.address[i] = static_cast<std::uint8_t>(parts[i]);
  return {};
}

}  // namespace

Status add_netdev(RunOptions& options, const std::string& text) {
  KeyValues words(text, true);
  NetdevOptions net;
  net.id = words.take("id").value_or("");
  if (net.id.empty()) return failed("id= is missing");
  for (const auto& other : options.netdevs)
    if (other.id == net.id) return failed(fmt::format("there is a network '{}' already", net.id));
  if (auto taken = take_kind(words, net); !taken) return taken;
  options.netdevs.push_back(std::move(net));
  return words.finish();
}

Status add_nic_device(RunOptions& options, KeyValues& words, NicModel model) {
  NicOptions nic;
  nic.model = model;
  nic.netdev = words.take("netdev").value_or("");
  nic.address = default_address(options.nics.size());
  words.take("romfile");
  words.take("bootindex");
  if (auto taken = take_address(words, nic); !taken) return taken;
  if (nic.netdev.empty()) return failed("netdev= is missing");
  options.nics.push_back(nic);
  return {};
}

Status add_nic(RunOptions& options, const std::string& text) {
  if (text == "none") return {};
  KeyValues words(text, true);
  NetdevOptions net;
  NicOptions nic;
  net.id = nic.netdev = words.take("id").value_or(fmt::format("nic{}", options.nics.size()));
  nic.address = default_address(options.nics.size());
  const auto model = words.take("model").value_or("virtio");
  if (model == "e1000")
    nic.model = NicModel::kE1000;
  else if (model != "virtio" && model != "virtio-net-pci")
    return failed("model= is virtio or e1000");
  if (auto taken = take_address(words, nic); !taken) return taken;
  if (auto taken = take_kind(words, net); !taken) return taken;
  options.netdevs.push_back(std::move(net));
  options.nics.push_back(nic);
  return words.finish();
}

Status check_nics(const RunOptions& options) {
  for (const auto& nic : options.nics) {
    const auto uses = [&](const NicOptions& other) { return other.netdev == nic.netdev; };
    if (std::ranges::none_of(options.netdevs,
                             [&](const NetdevOptions& net) { return net.id == nic.netdev; }))
      return failed(fmt::format("-device: there is no -netdev id={}", nic.netdev));
    if (std::ranges::count_if(options.nics, uses) > 1)
      return failed(fmt::format("-netdev id={}: two cards use it", nic.netdev));
  }
  for (const auto& net : options.netdevs)
    if (std::ranges::none_of(options.nics,
                             [&](const NicOptions& nic) { return nic.netdev == net.id; }))
      return failed(fmt::format("-netdev id={}: no -device uses it", net.id));
  return {};
}

}  // namespace ringshift::runtime
