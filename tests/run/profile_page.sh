#!/usr/bin/env bash
# tests/run/profile_page.sh RINGSHIFT - the profile's page in a real browser: renders, filters, a click shows both listings.
set -u
ringshift=$1
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -z "$browser" ]; then
  echo "skipped: no chromium is installed" >&2
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# shellcheck source=tests/run/profile/guests.sh
. "$(dirname "$0")/profile/guests.sh"

make_guest hot HOT=1 TURNS=100000 || exit 1
guest_options hot
timeout 100 "$ringshift" profile --html "$folder/page.html" --symbols "$folder/hot.elf" -- "${options[@]}" \
  >"$folder/text" 2>&1 </dev/null || complain "profile: $(head -n 3 "$folder/text")"
grep -qE 'https?://[^w]|src=' "$folder/page.html" && complain "the page asks for something else"

# The page as it is, and behind it what a user would do to it.
{
  cat "$folder/page.html"
  echo '<script>'
  cat "$sources/page_test.js"
  echo '</script>'
} >"$folder/tested.html"
timeout 90 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$folder/browser" --window-size=1400,900 \
  --virtual-time-budget=5000 --dump-dom "file://$folder/tested.html" >"$folder/dom" 2>"$folder/errors"
said=$(grep -o 'data-test-[a-z]*="[^"]*"' "$folder/dom")
[[ $said == *'data-test-passed='* ]] || complain "the page: ${said:-no answer: $(tail -n 3 "$folder/errors")}"
[ "$problems" = 0 ]
