// runtime/profile/profile.h - a profile with its names: all that reports and the page show. Plain
// data, one to one with the JSON of docs/profile.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ringshift::runtime::profile {

inline constexpr int kProfileVersion = 1;

// Of 64 bits: in JSON a text, "0xffffffff81000000", since many readers' numbers have 53.
struct Address {
  std::uint64_t value = 0;
};

// Samples are counted; one stands for `sample_ns` of time.
struct Run {
  std::string program;     // and its version
  std::string kernel;      // the guest's banner, if it has one
  std::int64_t began = 0;  // seconds since 1970
  double wall_seconds = 0, cpu_seconds = 0, idle_seconds = 0;
  unsigned hz = 0;
  std::uint64_t sample_ns = 0;
  std::uint64_t samples = 0, lost = 0;
  bool exact = false;  // blocks have counts of their runs
  bool ended = false;  // the guest ended before the recording did
  std::string syntax = "intel";
};

// What the vCPU's thread was at: "hot code", "translation", "call-out" of "mov to cr", ...
struct Share {
  std::string kind, detail;
  std::uint64_t samples = 0;
};

struct FunctionShare {
  std::string name, module;  // module: "kernel", a program, or empty
  bool user = false;
  std::uint64_t self = 0;   // samples in it, work for it included
  std::uint64_t guest = 0;  // those of them in translated code
  std::uint64_t total = 0;  // samples with it on the stack
};

struct ProcessShare {
  std::string comm;
  Address cr3;
  std::uint64_t samples = 0;
  std::uint64_t user = 0;  // those of them at CPL 3
};

// Outermost first; numbers of Profile::names.
struct Stack {
  std::vector<std::uint32_t> frames;
  std::uint64_t samples = 0;
};

struct GuestLine {
  std::uint32_t offset = 0, length = 0;
  std::string text, category;
  std::uint64_t samples = 0;  // in its own host code
  std::uint64_t called = 0;   // in what it called
};
struct HostLine {
  std::uint32_t offset = 0, length = 0;
  std::int32_t line = -1;  // of Block::guest; -1: serves none alone
  std::string text;
  std::uint64_t samples = 0;
};
struct Edge {
  std::int64_t block = -1;  // number; -1: a place whose block is not in the list
  Address rip;
  std::string kind;  // "jump", "branch", "next", "call"
};
struct BlockShare {
  Address rip, physical;
  std::string function, module, mode;
  std::uint64_t function_offset = 0;
  std::string tier;  // "cold", "hot"
  unsigned code_bytes = 8;
  bool removed = false;
  std::uint64_t samples = 0, called = 0, runs = 0;
  std::uint64_t guest_bytes = 0, host_bytes = 0;
  std::string guest_code, host_code;  // hexadecimal
  Address host_address;
  std::vector<GuestLine> guest;
  std::vector<HostLine> host;
  std::vector<Edge> edges;
};

struct Count {
  std::string name;
  std::uint64_t value = 0;
};
struct Series {
  std::string name;
  std::vector<std::uint64_t> values;  // since the time before
};
struct Timeline {
  std::vector<double> ms;  // ends of the intervals
  std::vector<Series> series;
};
struct CacheCell {
  std::uint64_t cold = 0, hot = 0, dead = 0;  // bytes
  std::uint64_t age_ms = 0;
};
struct CacheMap {
  double ms = 0;
  std::uint64_t used_bytes = 0, capacity_bytes = 0;
  std::vector<CacheCell> cells;
};

struct PortCount {
  std::uint64_t port = 0;
  std::string device;
  std::uint64_t reads = 0, writes = 0;
};
struct DeviceCount {
  Address address;
  std::string device;
  std::uint64_t accesses = 0;
};
struct WrittenPage {
  Address page;
  std::string code, writer;  // what was hit, and by what
  std::uint64_t blocks = 0;
};
// How often an instruction left translated code, in its quick form or not; with exact counts, how
// often it ran.
struct Sensitive {
  std::string name;
  std::uint64_t call_outs = 0, quick = 0, executed = 0;
};

struct Finding {
  std::string title, text, advice;
  std::uint64_t count = 0;
  double share = 0;  // of the samples, where that is what it is about
};

struct Profile {
  Run run;
  std::vector<Finding> summary;
  std::vector<Share> activities;
  std::vector<FunctionShare> functions;
  std::vector<ProcessShare> processes;
  std::vector<std::string> names;
  std::vector<Stack> stacks;
  std::vector<BlockShare> blocks;
  std::uint64_t blocks_seen = 0;  // those that are not listed included
  std::vector<Count> counters;
  Timeline timeline;
  std::vector<CacheMap> cache;
  std::vector<Count> mix;  // by category: executed instructions, or else samples
  std::vector<Sensitive> sensitive;
  std::vector<PortCount> ports;
  std::vector<DeviceCount> devices;
  std::vector<WrittenPage> written_pages;
  std::vector<Count> exceptions, interrupts;
};

}  // namespace ringshift::runtime::profile
