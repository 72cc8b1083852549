// runtime/builtin/guest/entry.S - the built-in guest's way from the 32-bit PVH entry to 64-bit C++.

  .section .note.Xen, "a", @note
  .long 4, 8, 18               // name bytes, description bytes, XEN_ELFNOTE_PHYS32_ENTRY
  .asciz "Xen"
  .quad pvh_entry

  .section .text.entry, "ax"
  .code32
  .globl pvh_entry
pvh_entry:                     // EBX: hvm_start_info
  mov $stack_top, %esp
  mov %ebx, %edi
  mov $0x80000001, %eax
  cpuid
  test $(1 << 29), %edx
  jz no_long_mode

  // Identity map of the first GiB in 2 MiB pages that ring 3 may use too.
  movl $(page_directories + 7), page_pointers
  movl $(page_pointers + 7), page_map
  xor %ecx, %ecx
1:
  mov %ecx, %eax
  shl $21, %eax
  or $0x87, %eax               // present, writable, user, 2 MiB
  mov %eax, page_directories(, %ecx, 8)
  inc %ecx
  cmp $512, %ecx
  jb 1b

  mov $page_map, %eax
  mov %eax, %cr3
  mov %cr4, %eax
  or $0x20, %eax               // PAE
  mov %eax, %cr4
  mov $0xc0000080, %ecx        // EFER
  rdmsr
  or $0x100, %eax              // LME
  wrmsr
  mov %cr0, %eax
  or $0x80000000, %eax         // PG
  mov %eax, %cr0
  lgdt boot_gdt_pointer
  ljmp $8, $long_mode

no_long_mode:
  mov $message, %esi
  mov $0x3f8, %edx
2:
  lodsb
  test %al, %al
  jz 3f
  outb %al, %dx
  jmp 2b
3:
  mov $0x604, %edx             // PM1a control: SLP_EN
  mov $0x2000, %eax
  outw %ax, %dx
4:
  hlt
  jmp 4b

  .code64
long_mode:
  mov $16, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  mov $stack_top, %rsp
  mov %edi, %edi
  call guest_main
5:
  hlt
  jmp 5b

  .section .rodata
message:
  .asciz "Ringshift's built-in guest: this processor model has no long mode, nothing to show.\r\n"
  .balign 8
boot_gdt:
  .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdt_pointer:
  .word . - boot_gdt - 1
  .long boot_gdt

  .bss
  .balign 4096
page_map:
  .skip 4096
page_pointers:
  .skip 4096
page_directories:
  .skip 4096
  .skip 16384
stack_top:
