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
# A version that is none, in an image that says it is qcow2.
printf 'QFI\373\361\362\363\364' >"$folder/bad.qcow2"
head -c 4096 /dev/zero >>"$folder/bad.qcow2"
head -c 2048 /dev/zero >"$folder/text"
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
refuses '-blockdev: not supported yet' -blockdev x
refuses 'No such file' -bios /nonexistent/x
refuses 'larger than any firmware' -bios "$ringshift"
refuses 'No such file' -hda /nonexistent/x
refuses 'neither a file' -hda /dev/null
refuses 'is empty' -hda "$folder/empty"
refuses 'not a qcow2' -drive "file=$folder/text,format=qcow2"
refuses 'version 4059231220' -drive "file=$folder/bad.qcow2"
refuses 'no -device uses it' -netdev user,id=n
refuses 'taken' -hda "$folder/text" -drive "file=$folder/text,index=0"
refuses 'needs an argument' -kernel
refuses 'one processor' -smp 2
refuses '-cpu' -cpu nonsense
refuses '-serial' -serial file:/nonexistent/x
refuses '-D' -D /nonexistent/x -d int
refuses 'needs -kernel' -append x
refuses 'memory size' -m -1
refuses 'memory size' -m 99999999999G
refuses 'missing' -smp ''
refuses 'one processor' -smp 0
refuses 'unknown feature' -cpu max,+nonsense
refuses 'block=' -accel bt,block=0
refuses 'cache=' -accel bt,cache=1K
refuses 'cache=' -accel bt,cache=1000G
refuses 'guest memory' -device "loader,file=$folder/random,addr=0x7ffff00"
refuses 'guest memory' -device "loader,file=$folder/random,addr=0xfffffffffffff000"
refuses 'has a device already' -device isa-debug-exit,iobase=0x3f8
refuses 'too long, or' -fw_cfg "name=$(printf 'x%.0s' {1..56}),string=a"
refuses 'too long, or' -fw_cfg name=etc/e820,string=a

# ends STATUS SHELL-COMMAND: a whole command, with redirections.
ends() {
  timeout -s KILL 20 bash -c "\"\$0\" $2" "$ringshift" >"$folder/output" 2>&1 </dev/null
  local status=$?
  if [ "$status" != "$1" ]; then
    printf '%s: status %s, said: %s\n' "$2" "$status" "$(head -n 3 "$folder/output")"
    problems=$((problems + 1))
  fi
}

# Where nobody hears it, what the guest, the log or the program itself says is lost; no more.
ends 0 'run >&-'
ends 0 'run <&- >&- 2>&-'
ends 0 'run >/dev/full'
ends 0 'run -serial file:/dev/full'
ends 0 'run -v -d int,stats 2>/dev/full'
ends 0 'run -d in_asm,mmu -D /dev/full'
ends 1 'run -frobnicate 2>/dev/full'
ends 1 '--help >/dev/full'
ends 1 'probe >/dev/full'
# No file of the program's own takes the place of a closed standard output.
ends 0 "run -d int -D '$folder/log' >&-"
if grep -q 'built-in guest' "$folder/log"; then
  echo 'the guest printed into the log'
  problems=$((problems + 1))
fi
[ "$problems" = 0 ]
