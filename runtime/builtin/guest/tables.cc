// runtime/builtin/guest/tables.cc - the guest's own descriptor tables, and the way to ring 3 and
// back.
#include "tables.h"

extern "C" {
volatile Frame recorded_frame;
uint64_t ring0_stack;  // where the way back from ring 3 finds the caller's frame
void record_entry();
void return_entry();
}

// INT kRecordVector copies its frame; INT kReturnVector goes back to the caller of call_in_ring3.
asm(R"(
  .globl record_entry, return_entry, call_in_ring3
record_entry:
  push %rax
  push %rcx
  xor %ecx, %ecx
1:
  mov 16(%rsp,%rcx,8), %rax
  mov %rax, recorded_frame(,%rcx,8)
  inc %ecx
  cmp $5, %ecx
  jb 1b
  pop %rcx
  pop %rax
  iretq

call_in_ring3:
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, ring0_stack
  mov %rdi, %rax
  mov %rsi, %rdi
  push $0x1b
  push $ring3_stack_top
  pushf
  push $0x23
  push $ring3_start
  iretq
ring3_start:
  call *%rax
  int $0x82

return_entry:
  mov ring0_stack, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  ret

  .bss
  .balign 16
  .skip 8192
ring3_stack_top:
  .skip 8192
  .globl interrupt_stack_top
interrupt_stack_top:
  .text
)");
extern "C" char interrupt_stack_top[];

namespace {

struct [[gnu::packed]] TaskState {
  uint32_t reserved0;
  uint64_t rsp0;
  uint8_t rest[92];
};

struct [[gnu::packed]] Gate {
  uint16_t offset_low, selector;
  uint8_t stack, attributes;
  uint16_t offset_middle;
  uint32_t offset_high, reserved;
};

TaskState task_state;
Gate idt[256];
uint64_t ldt[2];
// null, code, data, user data, user code, TSS (2), LDT (2)
uint64_t gdt[9] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cff3000000ffff,
                   0x00affb000000ffff};

// SDM Vol. 3 "TSS Descriptor in 64-bit mode".
void set_system_descriptor(unsigned index, const void* base, uint32_t limit, uint64_t type) {
  const auto address = reinterpret_cast<uint64_t>(base);
  gdt[index] = limit | (address & 0xffffff) << 16 | type << 40 | (address >> 24 & 0xff) << 56;
  gdt[index + 1] = address >> 32;
}

}  // namespace

void set_gate(uint8_t vector, void (*entry)()) {
  const auto address = reinterpret_cast<uint64_t>(entry);
  constexpr uint8_t kUserInterruptGate = 0xee;
  idt[vector] = {static_cast<uint16_t>(address),
                 kCode,
                 0,
                 kUserInterruptGate,
                 static_cast<uint16_t>(address >> 16),
                 static_cast<uint32_t>(address >> 32),
                 0};
}

TablePointer gdt_pointer() { return {sizeof gdt - 1, reinterpret_cast<uint64_t>(gdt)}; }
TablePointer idt_pointer() { return {sizeof idt - 1, reinterpret_cast<uint64_t>(idt)}; }
uint32_t code_limit() { return 0xffffffff; }

void load_tables() {
  constexpr uint64_t kAvailableTask = 0x89, kLdt = 0x82;
  task_state.rsp0 = reinterpret_cast<uint64_t>(interrupt_stack_top);
  set_system_descriptor(kTask / 8, &task_state, sizeof task_state - 1, kAvailableTask);
  set_system_descriptor(kLocalTable / 8, ldt, sizeof ldt - 1, kLdt);
  set_gate(kRecordVector, record_entry);
  set_gate(kReturnVector, return_entry);
  const auto gdtr = gdt_pointer();
  const auto idtr = idt_pointer();
  asm volatile("lgdt %0\n lidt %1\n lldt %w2\n ltr %w3" ::"m"(gdtr), "m"(idtr), "r"(kLocalTable),
               "r"(kTask)
               : "memory");
}
