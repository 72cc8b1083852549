#!/usr/bin/env bash
# tests/run/terminal.sh RINGSHIFT - on a real terminal: Ctrl-A x quits, the settings come back, always.
set -u
ringshift=$1
command -v script >/dev/null || exit 0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
problems=0

# on_terminal NAME INPUT COMMAND: types INPUT, then compares the terminal's settings.
on_terminal() {
  local name=$1 input=$2 command=$3
  rm -f "$folder"/{before,after,status}
  { sleep 1.5; printf '%b' "$input"; sleep 1.5; } |
    timeout 30 script -qec "stty -g >$folder/before; $command; echo \$? >$folder/status; stty -g >$folder/after" \
      /dev/null >"$folder/output" 2>&1
  cmp -s "$folder/before" "$folder/after" || {
    echo "$name: the terminal's settings changed"
    problems=$((problems + 1))
  }
}

on_terminal quit '\001x' "$ringshift run -S"
[ "$(cat "$folder/status")" = 0 ] || {
  echo "Ctrl-A x: status $(cat "$folder/status")"
  problems=$((problems + 1))
}
on_terminal help '\001h\001x' "$ringshift run -S"
grep -q 'Ctrl-A x' "$folder/output" || {
  echo "Ctrl-A h printed no help"
  problems=$((problems + 1))
}
on_terminal alarm '' "timeout -k 3 -s ALRM --foreground 1 $ringshift run -S"
on_terminal terminate '' "timeout -k 3 -s TERM --foreground 1 $ringshift run -S"
on_terminal crash '' "timeout -k 3 -s SEGV --foreground 1 $ringshift run -S"
[ "$problems" = 0 ]
