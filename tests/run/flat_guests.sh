#!/usr/bin/env bash
# tests/run/flat_guests.sh RINGSHIFT - a few bytes of guest: exit statuses, triple faults, idle, jumps to nowhere.
set -u
ringshift=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
problems=0

# expects STATUS BYTES OPTION...: runs real-mode BYTES (as printf escapes) at 7C00h.
expects() {
  local wanted=$1 bytes=$2 status output
  shift 2
  # shellcheck disable=SC2059  # the bytes are escapes
  printf "$bytes" >"$folder/guest"
  output=$(timeout 20 "$ringshift" run -m 16 -serial none -no-reboot \
    -device "loader,file=$folder/guest,addr=0x7c00,mode=real16" "$@" 2>&1 </dev/null)
  status=$?
  [ "$status" = "$wanted" ] && return
  printf '%s: status %s instead of %s, said: %s\n' "$bytes" "$status" "$wanted" "$output"
  problems=$((problems + 1))
}

# mov al,21; out 0f4h,al: (21 << 1) | 1
expects 43 '\xb0\x15\xe6\xf4\xf4' -device isa-debug-exit,iobase=0xf4,iosize=4
# mov dx,604h; mov ax,2000h; out dx,ax: ACPI power-off
expects 0 '\xba\x04\x06\xb8\x00\x20\xef\xf4'
# mov al,0feh; out 64h,al: reset by the keyboard controller
expects 0 '\xb0\xfe\xe6\x64\xf4'
# lidt with limit 0, then int3: triple fault
expects 0 '\x2e\x0f\x01\x1e\x07\x7c\xcc\x00\x00\x00\x00\x00\x00'
# cli; hlt: idle for ever, ended from outside; 124 is timeout's
# shellcheck disable=SC2059
printf '\xfa\xf4\xeb\xfd' >"$folder/guest"
before=$(awk '{ print $16 + $17 }' /proc/$$/stat)
timeout -s TERM 2 "$ringshift" run -m 16 -serial none \
  -device "loader,file=$folder/guest,addr=0x7c00,mode=real16" >/dev/null 2>&1 </dev/null
after=$(awk '{ print $16 + $17 }' /proc/$$/stat)
if [ $((after - before)) -gt 50 ]; then
  echo "an idle guest cost $((after - before)) hundredths of a second of processor time in 2 s"
  problems=$((problems + 1))
fi
[ "$problems" = 0 ]
