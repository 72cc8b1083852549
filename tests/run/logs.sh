#!/usr/bin/env bash
# tests/run/logs.sh RINGSHIFT - every item of -d writes what it is named for, to the file that -D names.
set -u
ringshift=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
problems=0

# in al,0f3h (nobody answers); mov word [18h],7c20h; ud2: the handler at 7c20h powers off with
# mov dx,604h; mov ax,2000h; out dx,ax
{
  printf '\xe4\xf3\xc7\x06\x18\x00\x20\x7c\x0f\x0b'
  head -c 22 /dev/zero
  printf '\xba\x04\x06\xb8\x00\x20\xef\xf4'
} >"$folder/guest"

# logs ITEM PATTERN
logs() {
  timeout 20 "$ringshift" run -m 16 -serial none -no-reboot -d "$1" -D "$folder/log" \
    -device "loader,file=$folder/guest,addr=0x7c00,mode=real16" >"$folder/output" 2>&1 </dev/null
  local status=$?
  if [ "$status" != 0 ] || ! grep -q -E "$2" "$folder/log"; then
    printf -- '-d %s: status %s, no %s in:\n' "$1" "$status" "$2"
    head "$folder/output" "$folder/log"
    problems=$((problems + 1))
  fi
}

logs in_asm '7c08: .*ud2'
logs out_asm '^OUT: '
logs exec '^exec 7c20 '
logs mmu '^TLB miss: write of 2 bytes at 18,'
logs int '^exception 6 '
logs guest_errors 'read of port 0xf3'
logs stats '^blocks translated'
logs in_asm,stats '^blocks translated'

# A full disk is said once and ends nothing.
timeout 20 "$ringshift" run -d in_asm,mmu -D /dev/full >"$folder/output" 2>"$folder/errors" </dev/null
status=$?
if [ "$status" != 0 ] || [ "$(grep -c 'No space left' "$folder/errors")" != 1 ] ||
  ! grep -q 'built-in guest' "$folder/output"; then
  printf -- '-D /dev/full: status %s, said: ' "$status"
  cat "$folder/errors"
  problems=$((problems + 1))
fi
[ "$problems" = 0 ]
