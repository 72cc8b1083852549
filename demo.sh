#!/usr/bin/env bash
# demo.sh - builds Ringshift, fetches an unmodified Debian kernel and BusyBox, and boots to a shell.
# On a terminal the shell is yours; otherwise a script runs in the guest and its answers are checked
# against this host's. Exit status 0 only when they are right.
set -u
cd "$(dirname "$0")" || exit 1
# shellcheck source=tests/boot/guest.sh
. tests/boot/guest.sh

install_packages "${build_packages[@]}" "${guest_packages[@]}"
say "building (build/ringshift)"
build release ringshift || fail "the build failed"

say "fetching linux-image-cloud-amd64 and busybox-static"
fetch_kernel_and_busybox cloud-amd64 || fail "could not fetch linux-image-cloud-amd64"
kernel=$(kernel_of cloud-amd64)
busybox=$(busybox_of amd64)
initrd=$guest_folder/demo-initramfs.gz
make_initramfs "$initrd" "$busybox" || fail "could not make the initramfs"

if [ -t 0 ] && [ -t 1 ]; then
  say "booting the kernel; Ctrl-A x quits, exit powers off"
  # shellcheck disable=SC2086
  exec $run_command -m 512 -kernel "$kernel" -initrd "$initrd" -append "console=ttyS0" \
    -nographic -no-reboot
fi

say "booting the kernel with a check"
if RINGSHIFT_SHOW_LOG=1 boot_and_check demo "$kernel" "$initrd" "$busybox" 1; then
  say "boot to shell in $boot_seconds s; the guest's answers equal the host's"
else
  cat "$boot_log.err" >&2
  fail "$boot_problem"
fi
