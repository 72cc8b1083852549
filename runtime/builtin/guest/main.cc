// runtime/builtin/guest/main.cc - the built-in guest: says what it runs on, then powers off.
#include "console.h"
#include "measure.h"
#include "sensitive.h"
#include "tables.h"

namespace {

struct Registers {
  uint32_t eax, ebx, ecx, edx;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  Registers r;
  asm volatile("cpuid"
               : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
               : "a"(leaf), "c"(subleaf));
  return r;
}

// The start of Xen's hvm_start_info and of its memory map's entries.
struct StartInfo {
  uint32_t magic, version, flags, module_count;
  uint64_t modules, command_line, rsdp, memory_map;
  uint32_t memory_map_entries;
};
struct MapEntry {
  uint64_t start, bytes;
  uint32_t type, reserved;
};

void print_register_text(uint32_t value) {
  for (unsigned i = 0; i < 4; ++i) {
    const auto c = static_cast<char>(value >> (8 * i));
    if (c) print_character(c);
  }
}

void print_processor() {
  const auto id = cpuid(0);
  print("processor   ");
  print_register_text(id.ebx);
  print_register_text(id.edx);
  print_register_text(id.ecx);
  if (cpuid(0x80000000).eax >= 0x80000004) {
    print(", ");
    for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
      const auto part = cpuid(leaf);
      const uint32_t words[] = {part.eax, part.ebx, part.ecx, part.edx};
      for (const auto word : words) print_register_text(word);
    }
  }
  print("\n");
}

struct FeatureRow {
  const char* name;
  uint32_t leaf;
  uint32_t Registers::*reg;
  unsigned bit;
};
constexpr FeatureRow kFeatures[] = {
    {"sse2", 1, &Registers::edx, 26},        {"sse3", 1, &Registers::ecx, 0},
    {"ssse3", 1, &Registers::ecx, 9},        {"sse4.1", 1, &Registers::ecx, 19},
    {"sse4.2", 1, &Registers::ecx, 20},      {"popcnt", 1, &Registers::ecx, 23},
    {"aes", 1, &Registers::ecx, 25},         {"xsave", 1, &Registers::ecx, 26},
    {"avx", 1, &Registers::ecx, 28},         {"fma", 1, &Registers::ecx, 12},
    {"bmi1", 7, &Registers::ebx, 3},         {"avx2", 7, &Registers::ebx, 5},
    {"bmi2", 7, &Registers::ebx, 8},         {"sha", 7, &Registers::ebx, 29},
    {"avx512f", 7, &Registers::ebx, 16},     {"fsgsbase", 7, &Registers::ebx, 0},
    {"smep", 7, &Registers::ebx, 7},         {"smap", 7, &Registers::ebx, 20},
    {"umip", 7, &Registers::ecx, 2},         {"pcid", 1, &Registers::ecx, 17},
    {"x2apic", 1, &Registers::ecx, 21},      {"hypervisor", 1, &Registers::ecx, 31},
    {"nx", 0x80000001, &Registers::edx, 20}, {"1gb-pages", 0x80000001, &Registers::edx, 26},
};

void print_features() {
  print("features   ");
  const auto basic = cpuid(0).eax;
  for (const auto& row : kFeatures) {
    if (row.leaf < 0x80000000 && row.leaf > basic) continue;
    if (!(cpuid(row.leaf).*row.reg >> row.bit & 1)) continue;
    print(" ");
    print(row.name);
  }
  print("\n");
}

void print_memory(const StartInfo& info) {
  uint64_t usable = 0;
  const auto* map = reinterpret_cast<const MapEntry*>(info.memory_map);
  for (uint32_t i = 0; i < info.memory_map_entries; ++i)
    if (map[i].type == 1) usable += map[i].bytes;
  print("memory      ");
  print_decimal(usable >> 10);
  print(" KiB usable in ");
  print_decimal(info.memory_map_entries);
  print(" ranges\n");
}

void print_mode() {
  uint64_t cr0, cr4;
  uint32_t efer_low, efer_high;
  uint16_t cs;
  asm volatile("mov %%cr0, %0\n mov %%cr4, %1\n mov %%cs, %2" : "=r"(cr0), "=r"(cr4), "=r"(cs));
  asm volatile("rdmsr" : "=a"(efer_low), "=d"(efer_high) : "c"(0xc0000080));
  print("mode        ");
  print(efer_low >> 10 & 1 ? "64-bit" : "not 64-bit");
  print(", ring ");
  print_decimal(cs & 3);
  print(", CR0 0x");
  print_hex(cr0);
  print(", CR4 0x");
  print_hex(cr4);
  print(", EFER 0x");
  print_hex(efer_low);
  print("\n");
}

// The command line is this word.
bool is_asked_for(const StartInfo& info, const char* word) {
  const auto* line = reinterpret_cast<const char*>(info.command_line);
  if (!line) return false;
  while (*word && *line == *word) ++line, ++word;
  return *word == 0 && (*line == 0 || *line == ' ');
}

[[noreturn]] void power_off() {
  constexpr uint16_t kPm1aControl = 0x604, kSleepEnable = 1 << 13;
  out16(kPm1aControl, kSleepEnable);
  for (;;) asm volatile("hlt");
}

}  // namespace

extern "C" void guest_main(const StartInfo* info) {
  load_tables();
  if (is_asked_for(*info, "measure")) measure_operations();
  if (is_asked_for(*info, "measure") || is_asked_for(*info, "exit")) power_off();
  print("\nRingshift's built-in guest\n\n");
  print_processor();
  print_features();
  print_memory(*info);
  print_mode();
  print("\n");
  const auto wrong = print_sensitive_instructions();
  print("\n");
  if (wrong == 0) {
    print("Each shows what this guest loaded itself.");
  } else {
    print_decimal(wrong);
    print(" of them are wrong.");
  }
  print(" Name a guest of your own with -kernel.\n");
  power_off();
}
