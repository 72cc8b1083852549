#!/usr/bin/env python3
"""tests/run/profile/check.py FILE EXPRESSION... - checks a profile: each expression must be true.

`p` is the profile, `share(name)` a function's part of the samples, `finding(text)` the count of the
summary's finding whose title has the text, `runs(name)` the runs of the code at each
address of a function.
"""

import collections
import json
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        p = json.load(file)

    def share(name):
        return sum(f["self"] for f in p["functions"] if f["name"] == name) / max(p["run"]["samples"], 1)

    def finding(text):
        return max((f["count"] for f in p["summary"] if text in f["title"]), default=0)

    def runs(name):
        of_address = collections.Counter()  # cold and hot
        for b in p["blocks"]:
            if b["function"] == name:
                of_address[b["rip"]] += b["runs"]
        return list(of_address.values())

    def counter(name):
        return sum(c["value"] for c in p["counters"] if c["name"] == name)

    names = {"p": p, "share": share, "finding": finding, "runs": runs, "counter": counter}
    wrong = [e for e in sys.argv[2:] if not eval(e, names)]  # the test's own words
    for expression in wrong:
        print(f"{sys.argv[1]}: not so: {expression}")
        print("  ", [(f["name"], round(share(f["name"]), 3)) for f in p["functions"][:5]],
              [(f["title"], f["count"]) for f in p["summary"]])
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
