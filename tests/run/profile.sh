#!/usr/bin/env bash
# tests/run/profile.sh RINGSHIFT - profiles guests that do one known thing: the profile says it, with the count.
set -u
ringshift=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# shellcheck source=tests/run/profile/guests.sh
. "$(dirname "$0")/profile/guests.sh"

# profiles NAME OPTION... -- EXPRESSION...: runs the guest and checks its profile.
profiles() {
  local name=$1 profile_options=() status
  shift
  while [ "$1" != -- ]; do
    profile_options+=("$1")
    shift
  done
  shift
  guest_options "$name"
  timeout 100 "$ringshift" profile --json "$folder/$name.json" --symbols "$folder/$name.elf" \
    "${profile_options[@]}" -- "${options[@]}" >"$folder/$name.text" 2>&1 </dev/null
  status=$?
  [ "$status" = 0 ] || complain "$name: status $status: $(head -n 5 "$folder/$name.text")"
  python3 "$sources/check.py" "$folder/$name.json" "$@" || problems=$((problems + 1))
}

make_guest hot HOT=1 TURNS=200000 || exit 1
profiles hot -- '0.68 < share("hot") < 0.82' '0.18 < share("warm") < 0.32' \
  'p["functions"][0]["name"] == "hot" and finding("hot")' 'p["run"]["samples"] > 100' \
  'all(b["guest"] and b["host"] for b in p["blocks"])' 'len(p["cache"]) > 0'
grep -q 'hot is where most time goes' "$folder/hot.text" || complain "the text does not name hot"

# Exactly: each turn of a loop is one run of its block.
make_guest counted HOT=1 TURNS=1000 || exit 1
profiles counted --exact --hz 100 -- 'max(runs("hot")) == 1000 * 2999' \
  'max(runs("warm")) == 1000 * 999' 'p["run"]["exact"]' \
  'dict((c["name"], c["value"]) for c in p["mix"])["return"] == 2000'

make_guest patching PATCH=1 TURNS=20000 || exit 1
profiles patching -- 'finding("patches its own code") >= 19000' \
  'p["written_pages"][0]["writer"].startswith("patch")' \
  'p["written_pages"][0]["code"].startswith("patched")'

make_guest spaces SPACES=1 TURNS=50000 || exit 1
profiles spaces -- 'finding("switches address spaces") >= 100000' 'len(p["processes"]) >= 2'

make_guest port PORT=1 TURNS=200000 || exit 1
profiles port -- 'finding("hammers port 0x61") == 200000' 'p["ports"][0]["reads"] == 200000' \
  'share("ask_port") > 0.5'

# The other forms of the same: stacks that end in the function, and AT&T's syntax.
guest_options hot
timeout 100 "$ringshift" profile --symbols "$folder/hot.elf" --folded "$folder/folded" \
  --json "$folder/att.json" --syntax att -- "${options[@]}" >/dev/null 2>&1 </dev/null
grep -qE '^guest;hot [0-9]+$' "$folder/folded" || complain "no stack of hot in: $(head -n 3 "$folder/folded")"
python3 "$sources/check.py" "$folder/att.json" 'any("%ecx" in g["text"] for g in p["blocks"][0]["guest"])' ||
  problems=$((problems + 1))

# The host's perf: names of guest code by address.
make_guest short HOT=1 TURNS=10 || exit 1
guest_options short
"$ringshift" run "${options[@]}" -perfmap </dev/null &
perf_map=/tmp/perf-$!.map
wait $!
grep -qE '^[0-9a-f]+ [0-9a-f]+ guest:kernel:0x100000$' "$perf_map" || complain "-perfmap names no code in $perf_map"
rm -f "$perf_map"
(cd "$folder" && "$OLDPWD/$ringshift" run "${options[@]}" -jitdump </dev/null 2>/dev/null ||
  "$ringshift" run "${options[@]}" -jitdump </dev/null)
[ "$(head -c 4 "$folder"/jit-*.dump | tr -d '\0')" = DTiJ ] || complain "-jitdump: no such file begins with JiTD"
[ "$problems" = 0 ]
