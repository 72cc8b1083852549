#!/usr/bin/env bash
# tests/run/bad_input.sh RINGSHIFT - bad files and options: one line, status 1, never a crash or a hang.
set -u
ringshift=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
problems=0

# refuses TEXT OPTION...: the error must contain TEXT.
refuses() {
  local text=$1 output status
  shift
  output=$(timeout 20 "$ringshift" run "$@" 2>&1 </dev/null)
  status=$?
  if [ "$status" != 1 ] || [ "$(wc -l <<<"$output")" != 1 ] || [[ $output != *"$text"* ]]; then
    printf 'run %s: status %s, said: %s\n' "$*" "$status" "$output"
    problems=$((problems + 1))
  fi
}

head -c 3000000 /dev/urandom >"$folder/random"
printf 'MZ' >"$folder/two-bytes"
: >"$folder/empty"
printf '\177ELF' >"$folder/elf-magic"
truncate -s 200M "$folder/large"
# The shortest thing that looks like a bzImage: its header, and nothing after its setup code.
{
  head -c 513 /dev/zero
  printf '\152HdrS\17\2'
  head -c 2000 /dev/zero
} >"$folder/header-only"

refuses 'not a Linux bzImage' -kernel "$folder/random"
refuses 'not a Linux bzImage' -kernel "$folder/two-bytes"
refuses 'empty' -kernel "$folder/empty"
refuses 'ELF' -kernel "$folder/elf-magic"
refuses 'truncated' -kernel "$folder/header-only"
refuses 'larger than guest memory' -kernel "$folder/large" -m 128
refuses 'larger than guest memory' -kernel /dev/zero -m 16
refuses 'No such file' -kernel "$folder/absent"
refuses 'directory' -kernel "$folder"
refuses 'PVH' -kernel "$ringshift"
refuses 'at least 1M' -m 0
refuses 'at most' -m 100T
refuses 'memory size' -m lots
refuses '-frobnicate: unknown option' -frobnicate
refuses '-bios: not supported yet' -bios x
refuses 'needs an argument' -kernel
refuses 'one processor' -smp 2
refuses '-cpu' -cpu nonsense
refuses '-serial' -serial file:/nonexistent/x
refuses '-D' -D /nonexistent/x -d int
refuses 'needs -kernel' -append x
[ "$problems" = 0 ]
