// runtime/net_options.h - network cards and what they are connected to: -netdev, -nic, -device.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "runtime/net/net_link.h"
#include "runtime/option_values.h"

namespace ringshift::runtime {

struct RunOptions;

struct NetdevOptions {
  std::string id;
  bool tap = false;
  UserNetOptions user;
  std::string interface_name;
};

enum class NicModel { kVirtio, kE1000 };

struct NicOptions {
  std::string netdev;  // an id
  NicModel model = NicModel::kVirtio;
  std::array<std::uint8_t, 6> address{};
};

tl::expected<void, std::string> add_netdev(RunOptions& options, const std::string& text);
tl::expected<void, std::string> add_nic(RunOptions& options, const std::string& text);
// virtio-net-pci and e1000; the name is taken already.
tl::expected<void, std::string> add_nic_device(RunOptions& options, KeyValues& words,
                                               NicModel model);
// Every card has a -netdev, and every -netdev a card.
tl::expected<void, std::string> check_nics(const RunOptions& options);

}  // namespace ringshift::runtime
