#!/usr/bin/env bash
# tests/run/profile_running.sh RINGSHIFT - record, report, diff and top of a running guest; bad files, full disks, guests that go.
set -u
ringshift=$1
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$folder"' EXIT
# shellcheck source=tests/run/profile/guests.sh
. "$(dirname "$0")/profile/guests.sh"

make_guest forever HOT=1 FOREVER=1 TURNS=1 || exit 1
socket=$folder/socket
start_guest() {
  guest_options forever
  "$ringshift" run "${options[@]}" -profile-socket "$socket" </dev/null 2>/dev/null &
  guest=$!
  for _ in {1..100}; do [ ! -S "$socket" ] || return; sleep 0.1; done
}
# refuses TEXT COMMAND...: status 1, one line with TEXT.
refuses() {
  local text=$1 output status
  shift
  output=$(timeout 60 "$ringshift" "$@" 2>&1 </dev/null)
  status=$?
  if [ "$status" != 1 ] || [ "$(wc -l <<<"$output")" != 1 ] || [[ $output != *"$text"* ]]; then
    complain "$*: status $status, said: $output"
  fi
}

start_guest
timeout 60 "$ringshift" profile record --socket "$socket" --seconds 1 -o "$folder/one" \
  --symbols "$folder/forever.elf" || complain "record: status $?"
python3 "$sources/check.py" "$folder/one" '0.6 < share("hot") < 0.9' '0.5 < p["run"]["wall_seconds"] < 30' ||
  problems=$((problems + 1))
timeout 60 "$ringshift" profile record --socket "$socket" --seconds 0.5 -o "$folder/two" --exact \
  --symbols "$folder/forever.elf" || complain "record --exact: status $?"
"$ringshift" profile report "$folder/one" | grep -q 'hot is where most time goes' || complain "report names no hot"
"$ringshift" profile report "$folder/one" --html "$folder/page" --folded "$folder/folded" --json "$folder/again" \
  --syntax att || complain "report to files: status $?"
grep -q '<title>Ringshift profile' "$folder/page" && grep -q ';hot' "$folder/folded" || complain "report: files are empty"
python3 "$sources/check.py" "$folder/again" 'p["run"]["syntax"] == "att"' || problems=$((problems + 1))
"$ringshift" profile diff "$folder/one" "$folder/two" | grep -q 'Counters a second' || complain "diff says nothing"

refuses 'No space left' profile record --socket "$socket" --seconds 0.1 -o /dev/full
refuses 'not JSON, or cut off' profile report <(head -c 2000 "$folder/one")
refuses 'not a profile' profile report <(echo '{}')
refuses 'newer than this program' profile report <(sed 's/"version":1,/"version":99,/' "$folder/one")
refuses 'damaged' profile report <(sed 's/"samples":/"sample":/g' "$folder/one")
refuses 'No such file' profile report "$folder/absent"
refuses 'No such file' profile record --socket "$folder/absent" -o "$folder/x"
refuses 'hz' profile record --socket "$socket" --hz 0 -o "$folder/x"

# A full disk costs its file, and nothing else.
make_guest short HOT=1 TURNS=1000 || exit 1
guest_options short
"$ringshift" profile --json /dev/full --folded "$folder/kept" -- "${options[@]}" >"$folder/text" 2>"$folder/errors" </dev/null
status=$?
if [ "$status" != 1 ] || ! grep -q 'No space left' "$folder/errors" || ! [ -s "$folder/kept" ] || ! grep -q Summary "$folder/text"; then
  complain "--json /dev/full: status $status, said: $(cat "$folder/errors")"
fi

python3 "$sources/top_test.py" "$ringshift" "$socket" "$folder/forever.elf" || problems=$((problems + 1))

# A client that goes ends its recording, and the next one is served.
{ timeout -s KILL 1 "$ringshift" profile record --socket "$socket" --seconds 60 -o "$folder/x"; } 2>/dev/null
timeout 60 "$ringshift" profile record --socket "$socket" --seconds 0.3 -o "$folder/x" || complain "after a client that went: status $?"

# The guest ends during a recording: what there is, is kept. One that is killed takes it along.
"$ringshift" profile record --socket "$socket" --seconds 60 -o "$folder/ended" >"$folder/said" 2>&1 &
recording=$!
sleep 1
kill -TERM "$guest"
wait "$guest"
wait "$recording"
[ $? = 1 ] && grep -q 'the guest ended' "$folder/said" || complain "a guest that ended: $(cat "$folder/said")"
python3 "$sources/check.py" "$folder/ended" 'p["run"]["ended"]' 'p["run"]["samples"] > 50' || problems=$((problems + 1))
rm -f "$socket"
start_guest
"$ringshift" profile record --socket "$socket" --seconds 60 -o "$folder/killed" >"$folder/said" 2>&1 &
recording=$!
sleep 1
kill -KILL "$guest"
wait "$guest" 2>/dev/null
wait "$recording"
[ $? = 1 ] && grep -q 'has gone' "$folder/said" && [ ! -e "$folder/killed" ] || complain "a guest that was killed: $(cat "$folder/said")"
[ "$problems" = 0 ]
