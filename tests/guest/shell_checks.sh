# tests/guest/shell_checks.sh - pipelines of BusyBox tools whose results must equal a native run's.
# Usage: sh shell_checks.sh BUSYBOX FOLDER, where FOLDER holds files that are the same on both sides.
bb=$1
folder=$2
work=$($bb mktemp -d /tmp/shell.XXXXXX)

report() { echo "SUM shell.$1 $(echo "$2" | $bb md5sum | $bb cut -c1-16)"; }

for file in "$bb" "$folder"/*; do
  name=$($bb basename "$file")
  report "sha256.$name" "$($bb sha256sum <"$file")"
  report "cksum.$name" "$($bb cksum <"$file")"
done
$bb seq 1 20000 >"$work/numbers"
report seq_sum "$($bb awk '{ s += $1 * $1 } END { printf "%.0f", s }' "$work/numbers")"
report float "$($bb awk '{ s += sqrt($1) / 3 } END { printf "%.12f", s }' "$work/numbers")"
report sort "$($bb sort -r "$work/numbers" | $bb sha1sum)"
report grep_wc "$($bb grep -c 7 "$work/numbers") $($bb wc "$work/numbers" | $bb awk '{ print $1, $2, $3 }')"
report sed "$($bb sed 's/\([0-9]\)\([0-9]\)/\2\1/g' "$work/numbers" | $bb md5sum)"
report gzip "$($bb gzip -c "$work/numbers" | $bb gunzip -c | $bb sha256sum)"
report bzip2 "$($bb bzip2 -c "$work/numbers" | $bb md5sum) $($bb bzip2 -c "$work/numbers" | $bb bunzip2 -c | $bb md5sum)"
report tar "$(cd "$work" && $bb tar cf - numbers | $bb tar xOf - | $bb sha512sum)"
report dd "$($bb dd if="$bb" bs=777 skip=3 count=500 2>/dev/null | $bb od -An -tx1 | $bb md5sum)"
report pipeline "$($bb cat "$bb" | $bb tr 'a-y' 'b-z' | $bb cut -c1-40 | $bb sort | $bb uniq -c | $bb md5sum)"
i=0 total=0
while [ $i -lt 3000 ]; do
  total=$(((total * 31 + i) % 1000003))
  i=$((i + 1))
done
report arithmetic "$total"
i=0
while [ $i -lt 50 ]; do
  $bb true || report fork_failed "$i"
  i=$((i + 1))
done
report subshells "$(for n in 1 2 3 4 5; do (echo "$n" | $bb rev | $bb tac); done)"
$bb rm -rf "$work"
