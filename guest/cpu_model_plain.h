// guest/cpu_model_plain.h - models that are not the host's: fixed identity, fixed feature list.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace ringshift::guest {

struct PlainModel {
  std::string_view name;
  bool intel;
  std::uint32_t family, model, stepping;
  std::uint32_t highest_basic, highest_extended;
  std::string_view features;  // names, separated by spaces
  std::string_view brand;
};

std::span<const PlainModel> plain_models();
const PlainModel* find_plain_model(std::string_view name);

}  // namespace ringshift::guest
