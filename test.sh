#!/usr/bin/env bash
# test.sh - everything that tells whether Ringshift works: unit tests, then guests that boot.
# Prints one line per test; the last line is "N passed, N failed". Exit status 0 when none failed.
# RINGSHIFT_KERNELS names the kernels to boot, of cloud-amd64, amd64, 686 and 686-pae (default: all).
set -u
cd "$(dirname "$0")" || exit 1
# shellcheck source=tests/boot/guest.sh
. tests/boot/guest.sh

passed=0
failed=0
pass() {
  passed=$((passed + 1))
  printf 'PASS  %s\n' "$*"
}
flunk() {
  failed=$((failed + 1))
  printf 'FAIL  %s\n' "$*"
}

unit_tests() {
  local line before=$((passed + failed))
  while IFS= read -r line; do
    case $line in
      *' Passed '*) pass "unit: $(awk '{ print $4, "(" $(NF - 1), "s)" }' <<<"$line")" ;;
      *) flunk "unit: $line" ;;
    esac
  done < <(ctest --test-dir build -j "$(nproc)" --timeout 900 --output-on-failure \
    --output-log build/ctest.log 2>&1 | grep --line-buffered -E '^ *[0-9]+/[0-9]+ Test ')
  [ $((passed + failed)) -gt "$before" ] || flunk "unit: ctest ran nothing"
}

# What the unit tests that failed have said.
explain_unit_tests() {
  grep -qE '\*\*\*(Failed|Timeout|Exception)' build/ctest.log || return 0
  say "build/ctest.log:"
  grep -vE ' Passed |^ +Start |^\[ +(OK|RUN) ' build/ctest.log | tail -n 80
}

# The programs that tests/run/*.sh are: each prints nothing but its failures.
scripted_tests() {
  local script output
  for script in tests/run/*.sh; do
    if output=$(bash "$script" "$PWD/build/ringshift" 2>&1); then
      pass "${script#tests/}"
    else
      flunk "${script#tests/}: $output"
    fi
  done
}

# boot_all_programs KERNEL: every program of tests/guest/programs, every line of the kernel's log.
boot_all_programs() {
  local output
  if output=$(python3 tests/guest/boot_test.py --cache "$guest_folder" \
    --vmm "$run_command" --time-limit 600 "$1" 2>&1); then
    pass "programs: $(head -n 1 <<<"$output" | tr -s ' ')"
  else
    flunk "programs: $output"
  fi
}

# boot_and_compare KERNEL: a script of BusyBox; on a 64-bit kernel once more as 32-bit programs.
boot_and_compare() {
  local kernel=$1 arch busybox busybox32='' rounds=1 initrd
  arch=$(architecture_of "$kernel")
  busybox=$(busybox_of "$arch")
  if [ "$arch" = amd64 ] && [ -e "$(busybox_of i386)" ]; then
    busybox32=$(busybox_of i386)
    rounds=2
  fi
  initrd=$guest_folder/check-$arch.gz
  make_initramfs "$initrd" "$busybox" "$busybox32" || {
    flunk "boot $kernel: could not make the initramfs"
    return
  }
  if boot_and_check "$kernel" "$(kernel_of "$kernel")" "$initrd" "$busybox" "$rounds"; then
    pass "boot $kernel: shell after $boot_seconds s, $rounds x check equal to the host's"
  else
    flunk "boot $kernel: $boot_problem (log: $boot_log)"
  fi
}

boot_kernel() {
  say "booting $1"
  boot_and_compare "$1"
  case $1 in
    cloud-amd64 | 686-pae) boot_all_programs "$1" ;;
  esac
}

# report_lines: turns the lines "PASS name" and "FAIL name: why" (and more lines of why) into results.
report_lines() {
  local line problem=''
  while IFS= read -r line; do
    case $line in
      'PASS '*)
        [ -z "$problem" ] || flunk "$problem"
        problem=''
        pass "firmware: ${line#PASS }"
        ;;
      'FAIL '*)
        [ -z "$problem" ] || flunk "$problem"
        problem="firmware: ${line#FAIL }"
        ;;
      *) problem+=$'\n'$line ;;
    esac
  done
  [ -z "$problem" ] || flunk "$problem"
}

# Through SeaBIOS and OVMF: media on one processor while the installer runs on the other, then disks.
firmware_tests() {
  local folder=build/firmware vmm=$PWD/build/ringshift
  mkdir -p "$folder"
  python3 tests/firmware/boot_media.py "$vmm" >"$folder/media.log" 2>&1 &
  python3 tests/firmware/installer.py "$vmm" "$folder/pictures" >"$folder/installer.log" 2>&1
  if as_root bash tests/firmware/make_disk.sh "$folder/disk" >"$folder/disk.log" 2>&1; then
    python3 tests/firmware/debian_disk.py "$vmm" "$folder/disk" >"$folder/debian.log" 2>&1
  else
    printf 'FAIL debian_disk: make_disk.sh: %s\n' "$(tail -n 5 "$folder/disk.log")" >"$folder/debian.log"
  fi
  wait
  local before=$((passed + failed))
  report_lines < <(cat "$folder/media.log" "$folder/installer.log" "$folder/debian.log")
  [ $((passed + failed)) -ge $((before + 15)) ] || flunk "firmware: some tests did not run"
}

install_packages "${build_packages[@]}" "${test_packages[@]}" "${guest_packages[@]}"
say "building"
if build release all; then
  pass "build"
  say "unit tests"
  unit_tests
  explain_unit_tests
  say "command line"
  scripted_tests
  read -ra kernels <<<"${RINGSHIFT_KERNELS:-cloud-amd64 amd64 686 686-pae}"
  say "fetching kernels: ${kernels[*]}"
  for kernel in "${kernels[@]}"; do
    fetch_kernel_and_busybox "$kernel" || flunk "boot $kernel: could not fetch it"
  done
  for kernel in "${kernels[@]}"; do
    [ ! -e "$(kernel_of "$kernel")" ] || boot_kernel "$kernel"
  done
  say "firmware, disks, screen, keyboard, network"
  install_packages "${firmware_packages[@]}"
  firmware_tests
else
  flunk "build"
fi
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
