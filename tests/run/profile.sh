#!/usr/bin/env bash
# tests/run/profile.sh RINGSHIFT - the profiler from outside: guests whose hot spots are known, what its
# summary says of habits, its files, a live VM, bad files. Prints only failures.
set -u
ringshift=${1:?usage: profile.sh RINGSHIFT}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
flunk() {
  failed=1
  echo "$*"
}

# guest NAME: 64-bit code from standard input, after which it powers off.
guest() {
  # shellcheck disable=SC2016  # dollars of the assembler
  { cat && printf '%s\n' 'mov $0x604,%edx' 'mov $0x2000,%eax' 'outw %ax,%dx' 'hlt'; } |
    as -o "$work/$1.o" - && objcopy -O binary "$work/$1.o" "$work/$1.bin"
}
options_of() {
  echo "-m 16 -serial none -no-reboot -device loader,file=$work/$1.bin,addr=0x100000,mode=long64"
}
# profile NAME OPTION...: its JSON is $work/NAME.json, its text $work/NAME.txt.
profile() {
  local name=$1
  shift
  # shellcheck disable=SC2046  # several words
  timeout 60 "$ringshift" profile --json "$work/$name.json" "$@" -- $(options_of "$name") \
    </dev/null >"$work/$name.txt" 2>"$work/$name.err" || flunk "$name: status $?: $(tail -n 1 "$work/$name.err")"
}
# says NAME TITLE: the summary has it, with a count.
says() {
  python3 - "$work/$1.json" "$2" <<'PYTHON' || flunk "$1: the summary does not say '$2': $(grep -m 3 -A 3 -i summary "$work/$1.txt")"
import json, sys
found = [s for s in json.load(open(sys.argv[1]))["summary"] if s["title"].startswith(sys.argv[2])]
sys.exit(not (found and found[0]["count"] > 1000))
PYTHON
}

# Three quarters of the turns in one loop, a quarter in another.
guest loops <<'GUEST'
mov $300000000,%ecx
1: dec %ecx
jnz 1b
mov $100000000,%ecx
2: dec %ecx
jnz 2b
GUEST
profile loops --html "$work/loops.html" --folded "$work/loops.folded" --exact
python3 - "$work/loops.json" <<'PYTHON' || flunk "loops: the samples or the counts are not where the time goes"
import json, sys
profile = json.load(open(sys.argv[1]))
assert profile["version"] == 1
blocks = {int(b["rip"], 16): b for b in profile["blocks"]}
first, second = (sum(b["samples"] for b in profile["blocks"] if int(b["rip"], 16) == rip) for rip in (0x100005, 0x10000e))
total = sum(b["samples"] for b in profile["blocks"])
assert total > 50 and (first + second) / total > 0.9, (first, second, total)
assert 2 < first / second < 4.5, (first, second)
runs = sum(b["runs"] for b in profile["blocks"] if int(b["rip"], 16) == 0x100005)
assert abs(runs - 300000000) < 1000, runs
hot = blocks[0x100005]
assert hot["guest"] and hot["host"], "both listings"
PYTHON
grep -q '[0-9]$' "$work/loops.folded" || flunk "loops: no folded stacks"
browser=$(command -v chromium || command -v chromium-browser || true)
if [ -n "$browser" ]; then
  "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$work/browser" \
    --virtual-time-budget=5000 --dump-dom "file://$work/loops.html" >"$work/dom" 2>/dev/null
  grep -q 'dec ecx' "$work/dom" || flunk "loops: the browser shows no listing of the hottest block"
fi

guest ports <<'GUEST'
mov $100000,%ecx
1: inb $0x61,%al
dec %ecx
jnz 1b
GUEST
profile ports
says ports 'The guest hammers port 0x61'

guest spaces <<'GUEST'
mov %cr3,%rax
mov %rax,%rsi
mov $0x200000,%edi
mov %rdi,%rbx
mov $512,%ecx
rep movsq
mov $100000,%ecx
1: mov %rbx,%cr3
mov %rax,%cr3
dec %ecx
jnz 1b
GUEST
profile spaces
says spaces 'The guest switches address spaces often'

guest patches <<'GUEST'
mov $20000,%ecx
lea 2f(%rip),%rdi
1: mov %cl,1(%rdi)
2: mov $0,%al
dec %ecx
jnz 1b
GUEST
profile patches
says patches 'The guest patches its own code'

# A VM that runs: recorded, shown live in a terminal, compared with itself.
guest forever <<'GUEST'
1: inc %rax
jmp 1b
GUEST
# shellcheck disable=SC2046
"$ringshift" run $(options_of forever) -profile-socket "$work/socket" </dev/null >/dev/null 2>&1 &
machine=$!
for _ in $(seq 50); do [ -S "$work/socket" ] || sleep 0.1; done
timeout 30 "$ringshift" profile record --socket "$work/socket" --seconds 0.5 -o "$work/live.json" \
  </dev/null >/dev/null 2>"$work/error" || flunk "record: $(tail -n 1 "$work/error")"
"$ringshift" profile report "$work/live.json" | grep -q 0x100000 || flunk "report: the loop is not named"
"$ringshift" profile diff "$work/loops.json" "$work/live.json" >/dev/null || flunk "diff: status $?"
timeout 30 script -qec "$ringshift top --socket $work/socket --interval 0.2 -n 3; stty -a" /dev/null \
  </dev/null >"$work/top" 2>&1 || flunk "top: status $?"
grep -q 0x100000 "$work/top" || flunk "top: the loop is not named"
grep -q ' echo ' "$work/top" || flunk "top: the terminal is not as it was"
kill "$machine"
wait "$machine" 2>/dev/null
"$ringshift" profile record --socket "$work/socket" --seconds 1 -o "$work/none.json" 2>"$work/error" &&
  flunk "record: a machine that is gone was recorded"
grep -q "$work/socket" "$work/error" || flunk "record: the error does not name the socket"

# Bad files are one line, and nothing is overwritten.
bad() {
  "$ringshift" profile report "$1" >/dev/null 2>"$work/error" && flunk "report: took $2"
  [ "$(wc -l <"$work/error")" = 1 ] || flunk "report: $2 is not one line: $(head -n 3 "$work/error")"
}
head -c 2000 "$work/loops.json" >"$work/cut.json"
bad "$work/cut.json" "a file that is cut off"
sed 's/"version": *1/"version": 99/' "$work/loops.json" >"$work/new.json"
bad "$work/new.json" "a newer version"
printf '{"version": 1}' >"$work/empty.json"
bad "$work/empty.json" "a profile of nothing"
bad "$work/absent.json" "no file"
# shellcheck disable=SC2046
timeout 60 "$ringshift" profile --json /dev/full -- $(options_of ports) </dev/null >/dev/null 2>"$work/error" &&
  flunk "a full disk went unnoticed"
grep -q /dev/full "$work/error" || flunk "the error does not name the full disk"
exit $failed
