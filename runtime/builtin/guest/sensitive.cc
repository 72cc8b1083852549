// runtime/builtin/guest/sensitive.cc - the x86 instructions that tell a program what runs it.
// Robin and Irvine, "Analysis of the Intel Pentium's Ability to Support a Secure Virtual Machine
// Monitor": 17 of them read or change machine state without a trap; IRET belongs with them.
#include "sensitive.h"

#include "console.h"
#include "tables.h"

namespace {

struct Reading {
  const char* name;
  uint64_t seen, expected;
};
constexpr unsigned kMostReadings = 24;

// Filled in either ring.
struct Readings {
  unsigned ring;
  unsigned count;
  Reading list[kMostReadings];

  void add(const char* name, uint64_t seen, uint64_t expected) {
    list[count++] = {name, seen, expected};
  }
};

constexpr uint64_t kInterruptFlag = 1 << 9, kCarry = 1, kSign = 1 << 7, kShownFlags = 0x3300;

uint64_t read_flags() {
  uint64_t flags;
  asm volatile("pushfq\n pop %0" : "=r"(flags));
  return flags;
}

void read_tables(Readings& out) {
  TablePointer gdt{}, idt{};
  uint64_t ldt = 0, task = 0, status = 0;
  asm volatile("sgdt %0\n sidt %1" : "=m"(gdt), "=m"(idt));
  asm volatile("sldt %0\n str %1\n smsw %2" : "=r"(ldt), "=r"(task), "=r"(status));
  out.add("SGDT", gdt.base, gdt_pointer().base);
  out.add("SIDT", idt.base, idt_pointer().base);
  out.add("SLDT", ldt, kLocalTable);
  out.add("STR", task, kTask);
  // PE, ET and PG are what this guest set; MP, EM and TS it left clear.
  out.add("SMSW", status & 0x8000001f, 0x80000011);
}

void read_flag_instructions(Readings& out) {
  const auto before = read_flags();
  out.add("PUSHF", before & kShownFlags, 0);
  // In ring 3 with IOPL 0 the interrupt flag must stay as it is, silently; in ring 0 it must
  // change.
  asm volatile("push %0\n popfq" ::"r"(before | kInterruptFlag | kCarry | kSign) : "cc", "memory");
  const auto after = read_flags();
  asm volatile("push %0\n popfq" ::"r"(before) : "cc", "memory");
  const auto interrupt = out.ring == 0 ? kInterruptFlag : 0;
  out.add("POPF", after & (kInterruptFlag | kCarry | kSign), interrupt | kCarry | kSign);
}

void read_segments(Readings& out, uint16_t code, uint16_t data) {
  uint64_t rights = 0, limit = 0, pushed = 0, moved = 0, popped = 0;
  uint8_t readable = 0, writable = 0;
  asm volatile("lar %1, %0" : "+r"(rights) : "r"(uint64_t{code}) : "cc");
  asm volatile("lsl %1, %0" : "+r"(limit) : "r"(uint64_t{code}) : "cc");
  asm volatile("verr %w1\n setz %0" : "=r"(readable) : "r"(code) : "cc");
  asm volatile("verw %w1\n setz %0" : "=r"(writable) : "r"(code) : "cc");
  // The limit nibble of the result is undefined.
  out.add("LAR", rights & 0xf0ff00, out.ring == 0 ? 0xa09b00 : 0xa0fb00);
  out.add("LSL", limit, code_limit());
  out.add("VERR", readable, 1);
  out.add("VERW", writable, 0);
  asm volatile("mov %%cs, %0" : "=r"(moved));
  out.add("MOV r, CS", moved & 0xffff, code);
  // 64-bit mode has PUSH and POP of FS and GS only.
  asm volatile("push %2\n pop %%fs\n push %%fs\n pop %0\n mov %%fs, %1\n push $0\n pop %%fs"
               : "=&r"(pushed), "=&r"(popped)
               : "r"(uint64_t{data})
               : "memory");
  out.add("PUSH FS", pushed & 0xffff, data);
  out.add("POP FS", popped & 0xffff, data);
}

struct [[gnu::packed]] FarPointer {
  uint32_t offset;
  uint16_t selector;
};

void read_transfers(Readings& out, uint16_t code) {
  uint64_t pushed_cs = 0, after_jump = 0, after_return = 0;
  FarPointer target{0, code};
  asm volatile(
      "lea 2f(%%rip), %%eax\n mov %%eax, %1\n lcall *%1\n jmp 3f\n"
      "2: mov 4(%%rsp), %k0\n lretl\n"
      "3:"
      : "=&r"(pushed_cs), "+m"(target)
      :
      : "rax", "memory");
  out.add("CALL far", pushed_cs & 0xffff, code);
  asm volatile("lea 2f(%%rip), %%eax\n mov %%eax, %1\n ljmp *%1\n 2: mov %%cs, %0"
               : "=&r"(after_jump), "+m"(target)
               :
               : "rax", "memory");
  out.add("JMP far", after_jump & 0xffff, code);
  asm volatile("push %1\n lea 2f(%%rip), %%rax\n push %%rax\n lretq\n 2: mov %%cs, %0"
               : "=&r"(after_return)
               : "r"(uint64_t{code})
               : "rax", "memory");
  out.add("RET far", after_return & 0xffff, code);
  asm volatile("int %0" ::"i"(kRecordVector) : "memory");
  out.add("INT n: CS", recorded_frame.cs, code);
  out.add("INT n: flags", recorded_frame.rflags & kShownFlags, 0);
}

void read_iret(Readings& out, uint16_t code, uint16_t stack) {
  uint64_t selector = 0;
  asm volatile(
      "mov %%rsp, %%rax\n push %2\n push %%rax\n pushfq\n push %1\n lea 2f(%%rip), %%rax\n"
      "push %%rax\n iretq\n 2: mov %%cs, %0"
      : "=&r"(selector)
      : "r"(uint64_t{code}), "r"(uint64_t{stack})
      : "rax", "memory");
  out.add("IRET: CS", selector & 0xffff, code);
  asm volatile("mov %%ss, %0" : "=r"(selector));
  out.add("IRET: SS", selector & 0xffff, stack);
}

void read_all(void* argument) {
  auto& out = *static_cast<Readings*>(argument);
  const bool user = out.ring == 3;
  const uint16_t code = user ? kUserCode : kCode, data = user ? kUserData : kData;
  read_tables(out);
  read_flag_instructions(out);
  read_segments(out, code, data);
  read_transfers(out, code);
  read_iret(out, code, data);
}

unsigned print_cell(const Reading& reading) {
  const bool right = reading.seen == reading.expected;
  unsigned digits = 1;
  for (auto rest = reading.seen; rest >= 16; rest /= 16) ++digits;
  print("0x");
  print_hex(reading.seen);
  while (digits++ < 10) print_character(' ');
  print(right ? "ok    " : "BAD   ");
  return right ? 0 : 1;
}

Readings ring0, ring3;

}  // namespace

unsigned print_sensitive_instructions() {
  ring0.ring = 0;
  ring3.ring = 3;
  read_all(&ring0);
  call_in_ring3(read_all, &ring3);
  unsigned wrong = 0;
  print("sensitive instruction   ring 0            ring 3\n");
  for (unsigned i = 0; i < ring0.count; ++i) {
    print("  ");
    print_padded(ring0.list[i].name, 22);
    wrong += print_cell(ring0.list[i]);
    wrong += print_cell(ring3.list[i]);
    print("\n");
  }
  return wrong;
}
