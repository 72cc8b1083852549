#!/usr/bin/env bash
# test.sh - everything that tells whether Ringshift works: unit tests, then guests that boot.
# Prints one line per test; the last line is "N passed, N failed". Exit status 0 when none failed.
# RINGSHIFT_KERNELS names the kernel packages to boot (default: four of Debian's).
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
  local line
  while IFS= read -r line; do
    case $line in
      *' Passed '*) pass "unit: $(awk '{ print $4 }' <<<"$line")" ;;
      *'***'*) flunk "unit: $line" ;;
    esac
  done < <(ctest --test-dir build --output-on-failure --output-log build/ctest.log 2>&1 |
    grep -E '^ *[0-9]+/[0-9]+ Test')
}

# The programs that tests/run/*.sh are: each prints nothing but its failures.
scripted_tests() {
  local script output
  for script in tests/run/*.sh; do
    [ -e "$script" ] || continue
    if output=$(bash "$script" "$PWD/build/ringshift" 2>&1); then
      pass "${script#tests/}"
    else
      flunk "${script#tests/}: $output"
    fi
  done
}

# boot_kernel META ARCH
boot_kernel() {
  local meta=$1 arch=$2 kernel busybox busybox32='' rounds=1 initrd
  enable_architecture "$arch"
  if ! kernel=$(kernel_of "$meta") || ! busybox=$(busybox_of "$arch"); then
    flunk "boot $meta: could not fetch it"
    return
  fi
  if [ "$arch" = amd64 ] && enable_architecture i386 && busybox32=$(busybox_of i386); then
    rounds=2
  fi
  initrd=$guest_folder/test-$arch.gz
  make_initramfs "$initrd" "$busybox" "$busybox32" || {
    flunk "boot $meta: could not make the initramfs"
    return
  }
  if boot_and_check "$meta" "$kernel" "$initrd" "$busybox" "$rounds"; then
    pass "boot $meta: shell after $boot_seconds s, $rounds x check equal to the host's"
  else
    flunk "boot $meta: $boot_problem (log: $boot_log)"
  fi
}

install_packages "${build_packages[@]}" "${guest_packages[@]}"
say "building"
if build release all; then
  pass "build"
  say "unit tests"
  unit_tests
  say "command line"
  scripted_tests
  say "guests"
  for meta in ${RINGSHIFT_KERNELS:-linux-image-cloud-amd64 linux-image-amd64 \
    linux-image-686:i386 linux-image-686-pae:i386}; do
    case $meta in
      *:i386) boot_kernel "$meta" i386 ;;
      *) boot_kernel "$meta" amd64 ;;
    esac
  done
else
  flunk "build"
fi
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
