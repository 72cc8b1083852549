#!/usr/bin/env bash
# make_disk.sh FOLDER - as root: a Debian 12 root file system in a disk image that boots by BIOS and by UEFI:
# FOLDER/disk.img, with an ESP, an ext4 root, GRUB for both, and the password "ringshift" for root.
# The root file system is fetched once and kept in FOLDER/root.
set -eu
folder=$1
root=$folder/root image=$folder/disk.img
# Where this host's own packages come from, and by which way.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' \
  'Codename: bookworm' 'Component: main' 2>/dev/null | head -n 1)
mirror=${mirror:-http://deb.debian.org/debian}
if [ -z "${http_proxy:-}" ]; then
  eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
  export http_proxy
fi
packages=linux-image-amd64,systemd-sysv,udev,dbus,gcc,libc6-dev,iproute2,ifupdown,isc-dhcp-client
packages+=,wget,busybox,grub-pc-bin,grub-efi-amd64-bin,grub2-common,e2fsprogs,login,passwd,kmod
packages+=,initramfs-tools,zstd
root_start=133120 esp_start=2048 bytes=$((2 << 30))

mkdir -p "$folder"
if [ ! -e "$folder/root.complete" ]; then
  rm -rf "$root"
  debootstrap --variant=minbase --include="$packages" bookworm "$root" "$mirror" >"$folder/debootstrap.log"
  touch "$folder/root.complete"
fi

echo root:ringshift | chroot "$root" chpasswd
echo ringshift >"$root/etc/hostname"
echo 'LABEL=rsroot / ext4 defaults 0 1' >"$root/etc/fstab"
printf 'auto eth0\niface eth0 inet dhcp\n' >"$root/etc/network/interfaces"
version=$(basename "$root"/boot/vmlinuz-*)
version=${version#vmlinuz-}
mkdir -p "$root/boot/grub"
cat >"$root/boot/grub/grub.cfg" <<END
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=1
menuentry "Debian" {
  search --set=root --label rsroot
  linux /boot/vmlinuz-$version root=LABEL=rsroot console=tty0 console=ttyS0 net.ifnames=0
  initrd /boot/initrd.img-$version
}
END

rm -f "$image"
truncate -s "$bytes" "$image"
sfdisk -q "$image" <<END
label: dos
start=$esp_start, size=$((root_start - esp_start)), type=ef
start=$root_start, type=83, bootable
END
mkfs.ext4 -q -F -L rsroot -d "$root" -E "offset=$((root_start * 512))" "$image" \
  "$(((bytes - root_start * 512) / 1024))k"

# BIOS: GRUB's boot sector, and its core in the gap behind it.
modules="part_msdos ext2 search search_label serial terminal normal linux echo configfile boot ls"
# shellcheck disable=SC2086
grub-mkimage -d "$root/usr/lib/grub/i386-pc" -O i386-pc -p '(hd0,msdos2)/boot/grub' \
  -o "$folder/core.img" biosdisk $modules
dd if="$root/usr/lib/grub/i386-pc/boot.img" of="$image" bs=440 count=1 conv=notrunc status=none
dd if="$folder/core.img" of="$image" bs=512 seek=1 conv=notrunc status=none

# UEFI: GRUB where firmware looks on any disk.
cat >"$folder/early.cfg" <<END
search --set=root --label rsroot
set prefix=(\$root)/boot/grub
configfile \$prefix/grub.cfg
END
# shellcheck disable=SC2086
grub-mkimage -d "$root/usr/lib/grub/x86_64-efi" -O x86_64-efi -c "$folder/early.cfg" -p /boot/grub \
  -o "$folder/bootx64.efi" fat $modules
truncate -s $(((root_start - esp_start) * 512)) "$folder/esp.img"
mkfs.vfat -F 16 "$folder/esp.img" >/dev/null
mmd -i "$folder/esp.img" ::/EFI ::/EFI/BOOT
mcopy -i "$folder/esp.img" "$folder/bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI
dd if="$folder/esp.img" of="$image" bs=512 seek=$esp_start conv=notrunc status=none
if [ -n "${SUDO_UID:-}" ]; then chown "$SUDO_UID" "$folder" "$image"; fi
