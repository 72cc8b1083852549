# tests/run/profile/guest.S - a 32-bit guest without paging that does one known thing, chosen with
# --defsym, and powers off: HOT, PATCH, SPACES, PORT; FOREVER does not end.
  .code32
  .text
  .globl _start
_start:
  mov $0x80000, %esp
  mov $TURNS, %ebp
again:
.ifdef HOT
  call warm
  call hot
.endif
.ifdef PATCH
  call patch
  call patched
.endif
.ifdef SPACES
  call switch_space
.endif
.ifdef PORT
  call ask_port
.endif
.ifdef FOREVER
  jmp again
.endif
  dec %ebp
  jnz again
  mov $0x604, %dx                       # PIIX4: SLP_EN, soft off
  mov $0x2000, %ax
  out %ax, %dx
  hlt

# Of the same code, three times as often as warm: three quarters of the time.
  .type hot, @function
hot:
  mov $3000, %ecx
1: imul $3, %eax, %eax
  dec %ecx
  jnz 1b
  ret
  .type warm, @function
warm:
  mov $1000, %ecx
1: imul $3, %eax, %eax
  dec %ecx
  jnz 1b
  ret

  .type patch, @function
patch:
  mov %ebp, patched + 1
  ret
  .balign 4096
  .type patched, @function
patched:
  mov $0, %eax
  ret
  .balign 4096

# Two page directories that map the first 4 MiB onto themselves.
  .type switch_space, @function
switch_space:
  cmpl $0, ready
  jne 1f
  movl $0x83, 0x200000
  movl $0x83, 0x201000
  mov %cr4, %eax
  or $0x10, %eax                        # PSE
  mov %eax, %cr4
  mov $0x200000, %eax
  mov %eax, %cr3
  mov %cr0, %eax
  or $0x80000000, %eax
  mov %eax, %cr0
  movl $1, ready
1: mov $0x201000, %eax
  mov %eax, %cr3
  mov $0x200000, %eax
  mov %eax, %cr3
  ret
ready: .long 0

  .type ask_port, @function
ask_port:
  in $0x61, %al
  ret
