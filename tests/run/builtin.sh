#!/usr/bin/env bash
# tests/run/builtin.sh RINGSHIFT - the built-in guest sees what it loaded itself, and powers off.
set -u
ringshift=$1
problems=0

# runs OPTION...: the built-in guest must find everything right.
runs() {
  local output status
  output=$(timeout 60 "$ringshift" run -no-reboot "$@" 2>&1 </dev/null)
  status=$?
  if [ "$status" != 0 ] || [[ $output == *BAD* ]] ||
    [[ $output != *"Each shows what this guest loaded itself"* ]]; then
    printf 'run %s: status %s, said: %s\n' "$*" "$status" "$output"
    problems=$((problems + 1))
  fi
}

runs
runs -accel bt,block=1
runs -accel bt,chain=off
# With hardware behind KVM, the same; without, ring 3 sees the host there, but all of it runs. Where
# there is no KVM, it has to say why not, in one line.
host=$("$ringshift" probe --json)
if [[ $host == *'"kvm_is_hardware": true'* ]]; then
  runs -accel kvm
elif [[ $host == *'"kvm_opens": true'* ]]; then
  output=$(timeout 60 "$ringshift" run -no-reboot -accel kvm 2>&1 </dev/null)
  [[ $output == *"-accel kvm will be slow"* && $output == *"IRET: SS "* ]] || {
    printf 'run -accel kvm said: %s\n' "$output"
    problems=$((problems + 1))
  }
else
  output=$("$ringshift" run -accel kvm 2>&1 </dev/null)
  [[ $output == *"ringshift: -accel kvm: "* && $(wc -l <<<"$output") == 1 ]] || {
    printf 'run -accel kvm said: %s\n' "$output"
    problems=$((problems + 1))
  }
fi
runs -m 1G -cpu host
runs -m 5G
output=$(timeout 60 "$ringshift" run -no-reboot -cpu qemu32 2>&1 </dev/null)
[[ $output == *"no long mode"* ]] || {
  printf 'run -cpu qemu32 said: %s\n' "$output"
  problems=$((problems + 1))
}
[ "$problems" = 0 ]
