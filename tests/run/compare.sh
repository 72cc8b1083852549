#!/usr/bin/env bash
# tests/run/compare.sh RINGSHIFT - `ringshift compare` from outside: every number it promises, its page
# in a browser, and what it says of bad options. Prints only failures.
set -u
ringshift=${1:?usage: compare.sh RINGSHIFT}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
flunk() {
  failed=1
  echo "$*"
}

"$ringshift" compare --repeat 2 --engines native,translation,emulation --json --html "$work/page.html" \
  >"$work/json" 2>"$work/progress" || flunk "compare: status $?: $(tail -n 1 "$work/progress")"
python3 - "$work/json" <<'PYTHON' || flunk "the JSON is not what docs/compare.md says"
import json, sys
report = json.load(open(sys.argv[1]))
engines = {e["name"]: e for e in report["engines"]}
names = {m["name"] for m in report["measurements"]} - {"boot"}
assert all(m["unit"] and m["method"] for m in report["measurements"])
for name in ("translation", "emulation"):
    assert engines[name]["problem"] == "", engines[name]["problem"]
    assert set(engines[name]["results"]) == names, names - set(engines[name]["results"])
    assert all(len(r["runs"]) == 2 for r in engines[name]["results"].values())
assert set(engines["native"]["results"]) == {"registers", "call", "array", "pointers"}
cost = lambda engine, what: engines[engine]["results"][what]["median"]
assert cost("emulation", "registers") > 10 * cost("translation", "registers")
PYTHON

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -n "$browser" ]; then
  "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" --dump-dom \
    "file://$work/page.html" >"$work/dom" 2>/dev/null
  [ "$(grep -o '<section id=' "$work/dom" | wc -l)" -ge 17 ] || flunk "the browser shows no charts"
  grep -q '<rect ' "$work/dom" || flunk "the browser shows no bars"
else
  grep -q '<rect ' "$work/page.html" || flunk "the page has no bars"
fi

"$ringshift" compare --engines native --repeat 1 --html /nowhere/page.html >/dev/null 2>"$work/error" &&
  flunk "a page that cannot be written went unnoticed"
grep -q '/nowhere/page.html' "$work/error" || flunk "the error does not name the page"
"$ringshift" compare --engines native,bochs >/dev/null 2>"$work/error" && flunk "an unknown engine passed"
grep -q "unknown engine 'bochs'" "$work/error" || flunk "the error does not name the engine"
exit $failed
