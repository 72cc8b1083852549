#!/usr/bin/env bash
# tests/run/gdb.sh RINGSHIFT - real gdb on a real-mode program: breakpoint, step, registers, memory,
# watchpoint, the monitor's commands, and a guest that goes on after it.
set -u
ringshift=$1
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$folder"' EXIT

# At 7C00H: mov ax,1234h; mov [0500h],ax; inc word [0500h]; jmp back to the inc.
printf '\270\064\022\243\000\005\377\006\000\005\353\372' >"$folder/program"
"$ringshift" run -m 16 -display none -serial none -S -gdb "unix:$folder/gdb,server,nowait" \
  -device "loader,file=$folder/program,addr=0x7c00,mode=real16" </dev/null 2>"$folder/errors" &
for _ in $(seq 100); do [ -S "$folder/gdb" ] && break; sleep 0.05; done

cat >"$folder/script" <<END
set pagination off
set confirm off
target remote $folder/gdb
print "start", \$rip
break *0x7c06
continue
print "stored", *(unsigned short*)0x500
stepi
print "stepped", \$rip, *(unsigned short*)0x500
set var *(unsigned short*)0x500 = 0x100
delete
watch *(unsigned short*)0x500
continue
print "watched", *(unsigned short*)0x500
delete
set var \$rax = 0x42
print "written", \$rax
monitor info status
detach
END
output=$(timeout 60 gdb -q -nx -batch -x "$folder/script" 2>&1)
problems=0
expect() {
  grep -qF -- "$1" <<<"$output" && return
  printf 'gdb did not say: %s\n' "$1"
  problems=1
}
expect 'Breakpoint 1, 0x0000000000007c06'
expect '= 4660'  # 1234h
expect '= 4661'
expect 'Hardware watchpoint 2'
expect '= 257'
expect '= 66'
expect 'VM status: paused'
[ "$problems" = 0 ] || printf '%s\n' "$output"
exit "$problems"
