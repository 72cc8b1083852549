#!/bin/bash
# tests/guest/fetch_kernels.sh - downloads Debian's unmodified kernels and BusyBox into a cache folder.
#
#   fetch_kernels.sh CACHE [NAME...]     NAME: cloud-amd64 amd64 686 686-pae (default: all four)
#
# What is there already is kept, so that a second run needs no network. Exit status 1 when something is missing.
set -u

cache=${1:?usage: fetch_kernels.sh CACHE [NAME...]}
shift
names=("$@")
[ ${#names[@]} -gt 0 ] || names=(cloud-amd64 amd64 686 686-pae)
mkdir -p "$cache" || exit 1
cache=$(cd "$cache" && pwd)
updated=no

say() { printf '%s\n' "$*" >&2; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# An index of another suite or architecture that is broken right now must not stop a download whose
# own index is fine, so the result of the update itself is not looked at.
refresh_index() {
  [ "$updated" = no ] || return 0
  updated=yes
  say "refreshing the package index"
  as_root apt-get update -q >/dev/null 2>&1
}

need_architecture() {
  [ "$(dpkg --print-architecture)" = "$1" ] && return 0
  dpkg --print-foreign-architectures | grep -qx "$1" && return 0
  say "adding architecture $1"
  as_root dpkg --add-architecture "$1" && updated=no && refresh_index
}

# Every package that can stand for a kernel flavour, best first: what the metapackage depends on,
# then every versioned image of that flavour in any index, newest first.
candidates() {
  local flavour=$1 arch=$2
  {
    apt-cache depends "linux-image-$flavour:$arch" 2>/dev/null |
      sed -n 's/^ *Depends: \(linux-image-[0-9][^: ]*\).*/\1/p'
    apt-cache pkgnames linux-image- | grep -E "^linux-image-[0-9.]+-[0-9]+-$flavour(:$arch)?\$" |
      sed 's/:.*//' | sort -rV
  } | awk '!seen[$0]++'
}

# Downloads the first version of a package that its index really has; prints the file's name.
download() {
  local package=$1 arch=$2 folder=$3 version
  while read -r version; do
    (cd "$folder" && apt-get download -q "$package:$arch=$version" >/dev/null 2>&1)
    find "$folder" -name "${package}_*_$arch.deb" | grep . && return 0
  done < <(apt-cache madison "$package:$arch" 2>/dev/null | awk -F'|' '{gsub(/ /, "", $2); print $2}')
  return 1
}

unpack() {  # FILE FOLDER
  dpkg-deb -x "$1" "$2"
}

fetch_kernel() {
  local flavour=$1 arch=$2 work package file attempt
  [ -s "$cache/$flavour/vmlinuz" ] && return 0
  need_architecture "$arch" || return 1
  work=$(mktemp -d "$cache/.download.XXXXXX") || return 1
  chmod 755 "$work"
  for attempt in 1 2; do
    for package in $(candidates "$flavour" "$arch"); do
      file=$(download "$package" "$arch" "$work" | head -n 1)
      [ -n "$file" ] || { say "  $package:$arch cannot be downloaded, trying the next"; continue; }
      unpack "$file" "$work/root" || continue
      mkdir -p "$cache/$flavour"
      cp "$work"/root/boot/config-* "$cache/$flavour/config" 2>/dev/null
      basename "$file" >"$cache/$flavour/package"
      cp "$work"/root/boot/vmlinuz-* "$cache/$flavour/vmlinuz" && {
        rm -rf "$work"
        return 0
      }
    done
    [ "$attempt" = 2 ] || refresh_index
  done
  rm -rf "$work"
  return 1
}

fetch_busybox() {
  local arch=$1 work file attempt
  [ -s "$cache/busybox/$arch" ] && return 0
  need_architecture "$arch" || return 1
  work=$(mktemp -d "$cache/.download.XXXXXX") || return 1
  chmod 755 "$work"
  for attempt in 1 2; do
    file=$(download busybox-static "$arch" "$work" | head -n 1)
    [ -n "$file" ] && break
    [ "$attempt" = 2 ] || refresh_index
  done
  if [ -n "$file" ] && unpack "$file" "$work/root"; then
    mkdir -p "$cache/busybox"
    cp "$(find "$work/root" -path '*bin/busybox' -type f | head -n 1)" "$cache/busybox/$arch"
  fi
  rm -rf "$work"
  [ -s "$cache/busybox/$arch" ]
}

failed=0
for name in "${names[@]}"; do
  case $name in
    cloud-amd64 | amd64) arch=amd64 ;;
    686 | 686-pae) arch=i386 ;;
    *)
      say "unknown kernel '$name' (cloud-amd64, amd64, 686, 686-pae)"
      exit 1
      ;;
  esac
  for part in fetch_kernel fetch_busybox; do
    argument=$name
    [ "$part" = fetch_busybox ] && argument=
    if ! $part $argument "$arch"; then
      say "${part#fetch_} ${argument:-} for $arch: not available"
      failed=1
    fi
  done
  [ -s "$cache/$name/vmlinuz" ] && echo "$name: $(cat "$cache/$name/package")"
done
exit $failed
