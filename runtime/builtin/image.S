// runtime/builtin/image.S - the built-in guest's ELF file as bytes of the program.
  .section .rodata
  .globl ringshift_builtin_guest_start, ringshift_builtin_guest_end
  .balign 16
ringshift_builtin_guest_start:
  .incbin RINGSHIFT_BUILTIN_GUEST
ringshift_builtin_guest_end:
  .section .note.GNU-stack, "", @progbits
