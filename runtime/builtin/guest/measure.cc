// runtime/builtin/guest/measure.cc - the nanobenchmarks of `ringshift compare`.
#include "measure.h"

#include "console.h"
#include "tables.h"
#include "user_work.h"

extern "C" {
void divide_error_entry();
void page_fault_entry();
void interrupt_entry();
void plain_entry();
void system_call_entry();
void system_call_loop(uint64_t turns);
void software_interrupt_loop(uint64_t turns);
}

// The handlers of faults go on behind the instruction, whose length is known. An interrupt is
// acknowledged through the APIC in x2APIC mode. SYSCALL comes in with RCX = RIP and R11 = RFLAGS.
asm(R"(
  .globl divide_error_entry, page_fault_entry, interrupt_entry, plain_entry, system_call_entry
  .globl system_call_loop, software_interrupt_loop
divide_error_entry:
  addq $2, (%rsp)
  iretq
page_fault_entry:
  addq $8, %rsp
  addq $3, (%rsp)
  iretq
interrupt_entry:
  push %rax
  push %rcx
  push %rdx
  mov $0x80b, %ecx
  xor %eax, %eax
  xor %edx, %edx
  wrmsr
  pop %rdx
  pop %rcx
  pop %rax
  iretq
plain_entry:
  iretq
system_call_entry:
  sysretq
system_call_loop:
  syscall
  dec %rdi
  jnz system_call_loop
  ret
software_interrupt_loop:
  int $0x83
  dec %rdi
  jnz software_interrupt_loop
  ret
)");

namespace {

constexpr uint8_t kDivideError = 0, kPageFault = 14, kPlainVector = 0x83, kInterruptVector = 0x84;
constexpr unsigned kBatches = 9;
constexpr uint64_t kBatchCycles = 1'000'000, kMostTurns = uint64_t{1} << 22;

uint64_t time_stamp() {
  uint32_t low, high;
  asm volatile("lfence\n rdtsc" : "=a"(low), "=d"(high) : : "memory");
  return uint64_t{high} << 32 | low;
}

uint64_t read_msr(uint32_t index) {
  uint32_t low, high;
  asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
  return uint64_t{high} << 32 | low;
}
void write_msr(uint32_t index, uint64_t value) {
  asm volatile("wrmsr" ::"c"(index), "a"(static_cast<uint32_t>(value)),
               "d"(static_cast<uint32_t>(value >> 32))
               : "memory");
}

struct Work {
  void (*run)(uint64_t turns);
  uint64_t turns;
  uint64_t cycles;
};

// In the ring that it is about.
void time_work(void* argument) {
  auto& work = *static_cast<Work*>(argument);
  const uint64_t before = time_stamp();
  work.run(work.turns);
  work.cycles = time_stamp() - before;
}

uint64_t batch(Work& work, bool user) {
  if (user)
    call_in_ring3(time_work, &work);
  else
    time_work(&work);
  return work.cycles;
}

void print_name(const char* name) {
  print("measure ");
  print(name);
  print_character(' ');
}

// `per_turn`: operations in a turn.
void measure(const char* name, void (*run)(uint64_t), bool user = false, uint64_t per_turn = 1) {
  Work work{run, 1, 0};
  while (batch(work, user) < kBatchCycles && work.turns < kMostTurns) work.turns *= 2;
  uint64_t sorted[kBatches];
  for (unsigned i = 0; i < kBatches; ++i) {
    const uint64_t cycles = batch(work, user);
    unsigned at = i;
    for (; at > 0 && sorted[at - 1] > cycles; --at) sorted[at] = sorted[at - 1];
    sorted[at] = cycles;
  }
  print_name(name);
  print_decimal(sorted[kBatches / 2] * 100 / (work.turns * per_turn));
  print("\n");
}

void divide_by_zero(uint64_t turns) {
  for (; turns; --turns) asm volatile("div %%ecx" ::"a"(1), "d"(0), "c"(0) : "cc");
}

// A page of its own, in a region that nothing else uses.
constexpr uint64_t kRegion = uint64_t{512} << 20, kPresent = 7;
alignas(4096) uint64_t page_table[512];
alignas(4096) uint8_t page[4096];

void map_region() {
  uint64_t cr3;
  asm volatile("mov %%cr3, %0" : "=r"(cr3));
  const auto table = [](uint64_t entry) { return reinterpret_cast<uint64_t*>(entry & ~0xfffull); };
  uint64_t* directory = table(table(table(cr3)[0])[0]);
  directory[kRegion >> 21 & 511] = reinterpret_cast<uint64_t>(page_table) | kPresent;
  page_table[0] = reinterpret_cast<uint64_t>(page) | kPresent;
  asm volatile("mov %0, %%cr3" ::"r"(cr3) : "memory");
}

void fault_on_page(uint64_t turns) {
  for (; turns; --turns) asm volatile("movb (%%rdx), %%al\n nop" ::"d"(kRegion + 4096) : "rax");
}

// Not present, present again, and an access that walks the tables.
void modify_page_table(uint64_t turns) {
  for (; turns; --turns) {
    const uint64_t entry = page_table[0];
    asm volatile("movq $0, %0\n invlpg (%2)\n movq %1, %0\n invlpg (%2)\n movb (%2), %%al"
                 : "+m"(page_table[0])
                 : "r"(entry), "r"(kRegion)
                 : "rax", "memory");
  }
}

void load_cr3(uint64_t turns) {
  for (; turns; --turns) asm volatile("mov %%cr3, %%rax\n mov %%rax, %%cr3" : : : "rax", "memory");
}
void write_cr8(uint64_t turns) {
  for (; turns; --turns) asm volatile("mov %0, %%cr8" ::"r"(uint64_t{0}));
}
void read_port(uint64_t turns) {
  constexpr uint16_t kLineStatus = 0x3fd;
  for (; turns; --turns) in8(kLineStatus);
}
void ask_processor(uint64_t turns) {
  for (; turns; --turns) asm volatile("cpuid" : : "a"(0), "c"(0) : "rbx", "rdx");
}
void read_counter(uint64_t turns) {
  for (; turns; --turns) asm volatile("rdtsc" : : : "rax", "rdx");
}

constexpr uint32_t kApicBase = 0x1b, kSelfIpi = 0x83f, kSpurious = 0x80f;
bool enable_x2apic() {
  uint32_t eax = 1, ebx, ecx = 0, edx;
  asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  if (!(ecx >> 21 & 1)) return false;
  write_msr(kApicBase, read_msr(kApicBase) | 0xc00);
  write_msr(kSpurious, 0x1ff);
  return true;
}
void interrupt_itself(uint64_t turns) {
  asm volatile("sti");
  for (; turns; --turns) write_msr(kSelfIpi, kInterruptVector);
  asm volatile("cli");
}

void enable_system_calls() {
  constexpr uint32_t kEfer = 0xc0000080, kStar = 0xc0000081, kLstar = 0xc0000082,
                     kSfmask = 0xc0000084;
  write_msr(kEfer, read_msr(kEfer) | 1);
  // SYSRET takes SS at + 8 and CS at + 16 of the upper selector.
  write_msr(kStar, uint64_t{kUserData - 8} << 48 | uint64_t{kCode} << 32);
  write_msr(kLstar, reinterpret_cast<uint64_t>(system_call_entry));
  write_msr(kSfmask, 0);
}

uint32_t words[user_work::kWords];
user_work::Cell cells[user_work::kCells];

}  // namespace

void measure_operations() {
  set_gate(kDivideError, divide_error_entry);
  set_gate(kPageFault, page_fault_entry);
  set_gate(kPlainVector, plain_entry);
  set_gate(kInterruptVector, interrupt_entry);
  map_region();
  enable_system_calls();
  user_work::link_cells(cells);

  measure("registers", user_work::add_registers, true);
  measure("call", user_work::call_and_return, true);
  measure(
      "array", [](uint64_t turns) { user_work::walk_array(words, turns); }, true,
      user_work::kWords);
  measure(
      "pointers", [](uint64_t turns) { user_work::chase_pointers(&cells[0].next, turns); }, true);
  measure("system-call", system_call_loop, true);
  measure("software-interrupt", software_interrupt_loop, true);
  measure("page-fault", fault_on_page);
  measure("divide-error", divide_by_zero);
  measure("page-table", modify_page_table);
  measure("cr3", load_cr3);
  measure("cr8", write_cr8);
  measure("port-read", read_port);
  measure("cpuid", ask_processor);
  measure("time-stamp", read_counter);
  if (enable_x2apic()) {
    measure("interrupt", interrupt_itself);
  } else {
    print_name("interrupt");
    print("none\n");
  }
}
