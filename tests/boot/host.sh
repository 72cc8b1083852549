# tests/boot/host.sh - installs what a build needs, and builds; sourced by scripts.
# shellcheck shell=bash disable=SC2034  # what it sets is for the scripts that source it

build_packages=(g++ cmake ninja-build pkg-config libfmt-dev libspdlog-dev libcli11-dev
  nlohmann-json3-dev libexpected-dev libzydis-dev libasmjit-dev libboost-container-dev
  libgtest-dev libgmock-dev libbenchmark-dev libslirp-dev libpng-dev zlib1g-dev)
guest_packages=(cpio gzip)
# chromium shows the reports, bsdutils has script(1), a terminal; guest programs have 64 and 32 bits.
test_packages=(gcc-multilib binutils python3 bsdutils chromium gdb)
# Boot loaders, testers and an installer to boot, and what makes disks of them.
firmware_packages=(seabios ovmf grub-rescue-pc memtest86+ ipxe isolinux syslinux-common xorriso
  debian-installer-12-netboot-amd64 debian-installer-12-netboot-i386 debootstrap fdisk dosfstools
  mtools e2fsprogs grub-common qemu-utils)

say() { printf '== %s\n' "$*"; }
fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# Runs a command as root, or says what the user has to run.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "root is needed, and there is no sudo: please run as root: $*"
  fi
}

# A mirror that is being synchronized, or an index of another architecture that is missing, is no
# reason to stop: whether the packages can be had is what counts, and the caller sees that.
update_package_lists() {
  local try
  for try in 1 2 3; do
    if as_root apt-get update -qq -o Acquire::Retries=3; then
      return 0
    fi
    say "apt-get update had errors (try $try of 3)"
    sleep $((try * 2))
  done
  return 0
}

missing_packages() {
  local package
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed' ||
      printf '%s\n' "$package"
  done
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0
  command -v apt-get >/dev/null ||
    fail "these packages are needed, and there is no apt-get here: ${missing[*]}"
  say "installing ${missing[*]}"
  local try
  for try in 1 2 3; do
    if as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
      return 0
    fi
    update_package_lists
  done
  fail "could not install ${missing[*]}"
}

# build PRESET TARGET...: configures and builds, with a compiler cache where there is one.
build() {
  local preset=$1 launcher=()
  shift
  command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  local said
  said=$(cmake --preset "$preset" "${launcher[@]}" 2>&1) || {
    printf '%s\n' "$said" >&2
    fail "cmake failed"
  }
  cmake --build --preset "$preset" --target "$@"
}
