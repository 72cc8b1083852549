# tests/boot/host.sh - gets Debian packages onto this machine, or into a folder; sourced by scripts.
# shellcheck shell=bash disable=SC2034  # what it sets is for the scripts that source it

build_packages=(g++ cmake ninja-build pkg-config libfmt-dev libspdlog-dev libcli11-dev
  nlohmann-json3-dev libexpected-dev libzydis-dev libasmjit-dev libboost-container-dev
  libgtest-dev libgmock-dev libbenchmark-dev)
guest_packages=(cpio gzip)

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

# Lets apt find packages of another architecture (i386) beside the host's own.
enable_architecture() {
  [ "$(dpkg --print-architecture)" = "$1" ] && return 0
  dpkg --print-foreign-architectures | grep -qx "$1" && return 0
  say "adding architecture $1"
  as_root dpkg --add-architecture "$1" && update_package_lists
}

# The package that a metapackage such as linux-image-amd64 stands for now; itself when it is real.
real_package() {
  local depends
  depends=$(apt-cache depends --no-recommends --no-suggests "$1" 2>/dev/null |
    awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }')
  if [ -n "$depends" ]; then
    printf '%s\n' "$depends"
  elif apt-cache show "$1" >/dev/null 2>&1; then
    printf '%s\n' "$1"
  fi
}

# fetch_package NAME FOLDER: unpacks NAME (or what it stands for) below FOLDER, once, as a user.
fetch_package() {
  local name=$1 folder=$2 package deb try
  [ -e "$folder/.complete" ] && return 0
  rm -rf "$folder" && mkdir -p "$folder/deb"
  for try in 1 2 3; do
    package=$(real_package "$name")
    if [ -n "$package" ] &&
      (cd "$folder/deb" && apt-get download -qq -o APT::Sandbox::User=root "$package"); then
      break
    fi
    [ "$try" = 3 ] && return 1
    update_package_lists
  done
  for deb in "$folder"/deb/*.deb; do
    dpkg-deb -x "$deb" "$folder" || return 1
  done
  rm -rf "$folder/deb"
  printf '%s\n' "$package" >"$folder/.complete"
}

# build PRESET TARGET...: configures and builds, with a compiler cache where there is one.
build() {
  local preset=$1 launcher=()
  shift
  command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  cmake --preset "$preset" "${launcher[@]}" >"/tmp/ringshift-cmake.$$" 2>&1 || {
    cat "/tmp/ringshift-cmake.$$" >&2
    rm -f "/tmp/ringshift-cmake.$$"
    fail "cmake failed"
  }
  rm -f "/tmp/ringshift-cmake.$$"
  cmake --build --preset "$preset" --target "$@"
}
