#!/usr/bin/env bash
# tests/nested/nested_svm.sh - Ringshift on KVM with hardware, on a host that has none: QEMU's TCG
# runs Debian's kernel on a processor with SVM and nested paging, that kernel loads kvm-amd, and
# Ringshift runs its probe, its built-in guest, the engine's tests and a Debian kernel there.
# From the top folder, after a build. Takes a few minutes, so test.sh leaves it out. Prints what each
# step said where it went wrong; exit status 0 when all went well.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/guest.sh
. tests/boot/guest.sh
sources=$PWD/tests/nested
emulator=${QEMU:-qemu-system-x86_64}
command -v "$emulator" >/dev/null || fail "$emulator is not installed (package qemu-system-x86)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The modules of the kernel that fetch_kernels.sh has chosen.
fetch_modules() {
  local package
  package=$(cat "$guest_folder/amd64/package")
  (cd "$work" && apt-get download -q "${package%%_*}" >/dev/null 2>&1) || return 1
  dpkg-deb -x "$work/${package%%_*}"_*.deb "$work/package" || return 1
  mkdir -p "$root/modules"
  find "$work/package/lib/modules" \( -name rng-core.ko -o -name ccp.ko -o -name irqbypass.ko \
    -o -name kvm.ko -o -name kvm-amd.ko \) -exec cp {} "$root/modules" \;
  [ -e "$root/modules/kvm-amd.ko" ]
}

# PROGRAM and the libraries that it needs, where it looks for them.
add_program() {
  local library
  cp "$1" "$root/"
  ldd "$1" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
}

# Of the engine's tests those that ask of a processor what QEMU's does under SVM: its segments have no
# limits, virtual-8086 mode and shadows of MOV SS are not a processor's, and one test's shutdown ends it.
tests='Kvm/BoardAccess.*:Kvm/DeviceMemory.*'

root=$work/root
mkdir -p "$root"/{bin,dev,proc,sys,guest}
say "fetching the kernels"
fetch_kernel_and_busybox amd64 || fail "no kernel for the machine"
fetch_kernel_and_busybox cloud-amd64 || fail "no kernel for the guest"
fetch_modules || fail "no modules of KVM"
cp "$(busybox_of amd64)" "$root/bin/busybox"
cp "$(kernel_of cloud-amd64)" "$root/guest/vmlinuz"
make_initramfs "$root/guest/initrd.gz" "$(busybox_of amd64)" || fail "no initramfs"
add_program build/ringshift
add_program build/test_engine
cp "$sources/init" "$root/init"
chmod 755 "$root/init" "$root/bin/busybox"
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) | gzip -n -1 >"$work/initrd.gz"

say "booting a machine with nested SVM"
log=${RINGSHIFT_NESTED_LOG:-$work/log}
timeout -k 5 "${RINGSHIFT_NESTED_TIMEOUT:-1200}" "$emulator" -accel tcg -cpu max -m 2048 -nographic \
  -no-reboot -kernel "$(kernel_of amd64)" -initrd "$work/initrd.gz" \
  -append "console=ttyS0 quiet panic=-1 nested.tests=${RINGSHIFT_NESTED_TESTS-$tests}" </dev/null 2>"$work/errors" | tr -d '\r' >"$log"

failed=0
# expect STEP STATUS TEXT: it ended so, and said that.
expect() {
  local said
  said=$(sed -n "/^nested: begin $1\$/,/^nested: end $1 /p" "$log")
  if grep -qx "nested: end $1 $2" <<<"$said" && grep -q -- "$3" <<<"$said"; then
    say "ok    $1: $(grep -m 1 -- "$3" <<<"$said")"
  else
    failed=1
    say "FAIL  $1, which said:"
    printf '%s\n' "${said:-nothing; the machine said: $(tail -n 20 "$log" "$work/errors")}" >&2
  fi
}
expect probe 0 'takes kvm'
expect builtin 0 'Each shows what this guest loaded itself'
expect builtin-auto 0 'Each shows what this guest loaded itself'
expect engine 0 'PASSED'
expect boot 0 'rs: end 1 nested'
exit $failed
