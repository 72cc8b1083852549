#!/usr/bin/env python3
"""bench/compare_profile.py PROFILE.json PERF.data - a profile of Ringshift's beside one of the host's perf.

Both of the same guest: `ringshift profile --json PROFILE.json -- OPTIONS`, and `perf record -e cpu-clock
-o PERF.data ringshift run -perfmap OPTIONS`. Prints the share of each function of the guest in the samples
of its translated code, by either; user code by page. Exit status 1: the ten largest differ by more than
--points.
"""

import argparse
import collections
import json
import re
import subprocess
import sys

PAGE = 0xfff


def from_profile(path):
    """Samples in translated code by function, or page of user code whose program is not known."""
    with open(path, encoding="utf-8") as file:
        profile = json.load(file)
    counts = collections.Counter()
    for function in profile["functions"]:
        counts[function["name"]] += function["guest"]
    return counts


def from_perf(path):
    counts = collections.Counter()
    text = subprocess.run(["perf", "script", "-i", path, "-F", "ip,sym"], capture_output=True, text=True,
                          check=True).stdout
    for line in text.splitlines():
        match = re.match(r"\s*[0-9a-f]+ (\S+)", line)
        if not match or line.strip().startswith("ffffffff"):
            continue  # the host's kernel
        name = match[1]
        if user := re.match(r"guest:\w+:0x([0-9a-f]+)", name):
            name = hex(int(user[1], 16) & ~PAGE)
        counts[name] += 1
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("profile")
    parser.add_argument("perf")
    parser.add_argument("--points", type=float, default=5, help="percentage points that may be between them")
    options = parser.parse_args()
    ours, theirs = from_profile(options.profile), from_perf(options.perf)
    # perf names the program and its libraries too: what both know is the guest's.
    common = [name for name in ours if name in theirs]
    sums = [sum(counts[name] for name in common) for counts in (ours, theirs)]
    worst = 0
    print(f"{'function':40} profile    perf")
    for name in sorted(common, key=lambda n: -theirs[n])[:10]:
        shares = [100 * counts[name] / total for counts, total in zip((ours, theirs), sums)]
        worst = max(worst, abs(shares[0] - shares[1]))
        print(f"{name:40} {shares[0]:6.1f}% {shares[1]:6.1f}%")
    print(f"largest difference: {worst:.1f} percentage points")
    return worst > options.points


if __name__ == "__main__":
    sys.exit(main())
