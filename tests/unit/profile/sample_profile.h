// tests/unit/profile/sample_profile.h - a small profile that has something of everything.
#pragma once

#include "runtime/profile/profile.h"

namespace ringshift::runtime::profile {

inline Profile sample_profile() {
  Profile p;
  p.run = {.program = "ringshift", .kernel = "Linux", .began = 1, .wall_seconds = 2, .cpu_seconds = 1,
           .idle_seconds = 0.5, .hz = 1000, .sample_ns = 1'000'000, .samples = 100};
  p.activities = {{"hot code", "", 80}, {"call-out", "mov to cr", 20}};
  p.functions = {{"spin", "kernel", false, 70, 60, 100}, {"main", "prog", true, 30, 20, 30}};
  p.processes = {{"init", {0x1000}, 100, 30}};
  p.names = {"init", "spin", "main"};
  p.stacks = {{{0, 1}, 70}, {{0, 2}, 30}};
  BlockShare block;
  block.rip = {0xffffffff81000123};
  block.function = "spin";
  block.tier = "hot";
  block.guest_code = "4883c00175fa";  // add rax, 1; jnz
  block.host_code = "4883c00175fa";
  block.guest_bytes = block.host_bytes = 6;
  block.samples = 70;
  block.guest = {{0, 4, "add rax, 1", "register", 70, 0}};
  block.host = {{0, 4, 0, "add rax, 1", 70}};
  block.edges = {{0, {0xffffffff81000123}, "branch"}};
  p.blocks = {block};
  p.blocks_seen = 1;
  p.counters = {{"blocks translated", 10}, {"address space changes", 5}};
  p.timeline = {{100, 200}, {{"blocks translated", {4, 6}}}};
  p.cache = {{100, 10, 20, {{1, 2, 3, 4}}}};
  p.mix = {{"register", 70}};
  p.sensitive = {{"mov to cr", 5, 0, 0}};
  p.ports = {{0x61, "system control port", 1, 2}};
  p.devices = {{{0xfee00000}, "local APIC", 3}};
  p.written_pages = {{{0x1000}, "a", "b", 2}};
  p.exceptions = {{"#PF", 3}};
  p.interrupts = {{"0x20", 4}};
  return p;
}

}  // namespace ringshift::runtime::profile
