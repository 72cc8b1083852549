# tests/run/profile/guests.sh - makes and runs the guests of tests/run/profile_*.sh; sourced. Needs
# $folder.
# shellcheck shell=bash disable=SC2154

sources=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
problems=0
complain() {
  echo "$*"
  problems=$((problems + 1))
}

# make_guest NAME SYMBOL=VALUE...: an ELF file with symbols, and the bytes alone.
make_guest() {
  local name=$1 definitions=() definition
  shift
  for definition in "$@"; do definitions+=(--defsym "$definition"); done
  as --32 "${definitions[@]}" "$sources/guest.S" -o "$folder/$name.o" &&
    ld -m elf_i386 -Ttext 0x100000 "$folder/$name.o" -o "$folder/$name.elf" &&
    objcopy -O binary "$folder/$name.elf" "$folder/$name.bin"
}

# guest_options NAME: sets `options`.
guest_options() {
  options=(-m 16 -serial none -no-reboot
    -device "loader,file=$folder/$1.bin,addr=0x100000,mode=protected32")
}
