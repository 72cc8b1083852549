# tests/boot/guest.sh - makes guests of Debian's kernels and BusyBox, and boots them; sourced.
# shellcheck shell=bash disable=SC2034  # what it sets is for the scripts that source it
# shellcheck source=tests/boot/host.sh
. "$(dirname "${BASH_SOURCE[0]}")/host.sh"

boot_sources=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guest_folder=${RINGSHIFT_GUESTS:-$PWD/build/kernels}
# The command that boots a guest, from the top folder; any program with the same options will do,
# to compare.
run_command=${RINGSHIFT_RUN:-build/ringshift run}

# A kernel is cloud-amd64, amd64, 686 or 686-pae, as Debian names its flavours.
fetch_kernel_and_busybox() { bash "$boot_sources/../guest/fetch_kernels.sh" "$guest_folder" "$1"; }
architecture_of() { case $1 in *amd64) echo amd64 ;; *) echo i386 ;; esac }
kernel_of() { printf '%s\n' "$guest_folder/$1/vmlinuz"; }
busybox_of() { printf '%s\n' "$guest_folder/busybox/$1"; }

# make_initramfs OUTPUT BUSYBOX [BUSYBOX32]: BusyBox, our init, the check; a second BusyBox runs the
# check once more, as 32-bit programs.
make_initramfs() {
  local output=$1 busybox=$2 busybox32=${3:-} root
  root=$(mktemp -d) || return 1
  mkdir -p "$root"/{bin,dev,proc,sys,tmp}
  cp "$busybox" "$root/bin/busybox"
  [ -z "$busybox32" ] || cp "$busybox32" "$root/bin/busybox32"
  cp "$boot_sources/init" "$root/init"
  cp "$boot_sources/check" "$root/check"
  chmod 755 "$root/init" "$root/check" "$root"/bin/*
  (cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) | gzip -n -6 >"$output"
  local status=("${PIPESTATUS[@]}")
  rm -rf "$root"
  [ "${status[0]}${status[1]}" = 00 ]
}

# What a healthy kernel never says.
kernel_complaints='WARNING:|calibration failed|BUG:|Oops|Call Trace|unknown NMI|[Uu]nexpected|clocksource.*unstable|Marking TSC unstable|soft lockup|rcu.*stall|hung task|I/O error|invalid opcode|segfault'

# boot_and_check LABEL KERNEL INITRD BUSYBOX ROUNDS [OPTION...]: boots, lets the guest answer, and
# compares with what the same script answers on this host. Leaves boot_seconds and boot_log.
boot_and_check() {
  local label=$1 kernel=$2 initrd=$3 busybox=$4 rounds=$5
  shift 5
  local nonce status start ready='' line folder
  nonce=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
  folder=$guest_folder/log
  mkdir -p "$folder"
  boot_log=$folder/${label//[^a-zA-Z0-9]/-}.log
  : >"$boot_log"
  local show=${RINGSHIFT_SHOW_LOG:-}
  start=$EPOCHREALTIME
  # shellcheck disable=SC2086  # the command is several words
  timeout -k 5 "${RINGSHIFT_BOOT_TIMEOUT:-300}" $run_command -m 512 -nographic -no-reboot \
    -kernel "$kernel" -initrd "$initrd" \
    -append "console=ttyS0 panic=-1 rs.check=$nonce" "$@" </dev/null 2>"$boot_log.err" |
    while IFS= read -r line; do
      line=${line%$'\r'}
      printf '%s\n' "$line" >>"$boot_log"
      [ -z "$show" ] || printf '%s\n' "$line"
      [[ $line == *"rs: shell ready"* ]] && printf '%s\n' "$EPOCHREALTIME" >"$boot_log.ready"
    done
  status=${PIPESTATUS[0]}
  [ -e "$boot_log.ready" ] && ready=$(cat "$boot_log.ready") && rm -f "$boot_log.ready"
  boot_seconds=$(awk -v a="$start" -v b="${ready:-$start}" 'BEGIN { printf "%.2f", b - a }')
  [ -n "$ready" ] || {
    boot_problem="no shell (status $status): $(tail -n 1 "$boot_log.err" "$boot_log" | tr '\n' ' ')"
    return 1
  }
  [ "$status" = 0 ] || {
    boot_problem="exit status $status instead of 0"
    return 1
  }
  check_answers "$busybox" "$nonce" "$rounds" && check_kernel_log
}

# Every round of the check must have given this host's own answers.
check_answers() {
  local busybox=$1 nonce=$2 rounds=$3 expected round actual scratch
  scratch=$(mktemp -d)
  # By another name it would be another applet.
  cp "$busybox" "$scratch/busybox"
  busybox=$scratch/busybox
  expected=$(cd "$scratch" && "$busybox" sh "$boot_sources/check" "$nonce" "$busybox" 2>&1)
  rm -rf "$scratch"
  for ((round = 1; round <= rounds; ++round)); do
    actual=$(sed -n "/^rs: begin $round $nonce\$/,/^rs: end $round $nonce\$/p" "$boot_log" |
      sed '1d;$d')
    [ "$actual" = "$expected" ] && continue
    boot_problem="wrong answers in round $round: $(diff <(printf '%s\n' "$expected") \
      <(printf '%s\n' "$actual") | tr '\n' ' ')"
    return 1
  done
}

check_kernel_log() {
  local found
  found=$(grep -aE "$kernel_complaints" "$boot_log" | head -n 3 | tr '\n' ' ')
  [ -z "$found" ] && return 0
  boot_problem="the kernel complains: $found"
  return 1
}
