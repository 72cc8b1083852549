// runtime/builtin/guest/tables.h - the guest's own descriptor tables, and the way to ring 3 and
// back.
#pragma once

#include <stdint.h>

// Selectors. The table below ring 3's code has the order that SYSRET would want.
constexpr uint16_t kCode = 0x08, kData = 0x10, kUserData = 0x1b, kUserCode = 0x23, kTask = 0x28,
                   kLocalTable = 0x38;
constexpr uint8_t kRecordVector = 0x81, kReturnVector = 0x82;

struct [[gnu::packed]] TablePointer {
  uint16_t limit;
  uint64_t base;
};

// What an interrupt pushed.
struct Frame {
  uint64_t rip, cs, rflags, rsp, ss;
};
extern "C" volatile Frame recorded_frame;  // of the last INT kRecordVector

void load_tables();
// An interrupt gate that ring 3 may use.
void set_gate(uint8_t vector, void (*entry)());
TablePointer gdt_pointer();
TablePointer idt_pointer();
// The limit of a selector's segment, as LSL should give it.
uint32_t code_limit();

// Calls `function(argument)` in ring 3.
extern "C" void call_in_ring3(void (*function)(void*), void* argument);
