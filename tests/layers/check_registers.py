#!/usr/bin/env python3
"""tests/layers/check_registers.py OBJDUMP SOURCES ARCHIVE... - no SIMD register between blocks.

What runs between two translated blocks finds the guest's SIMD state still in the host's registers
(docs/architecture.md, "SIMD state"). So its objects may not use those registers, nor call a C
library routine that does.
"""

import collections
import pathlib
import re
import subprocess
import sys

# Archive -> object files; None: all of them.
BETWEEN_BLOCKS = {
    "rs_guest": None,
    "rs_softmmu": None,
    "rs_shadowpt": None,
    "rs_codecache": None,
    "rs_translator": {"mode_key", "simd_state"},  # and callouts/, from the sources
    "rs_runtime": {"dispatch", "hooks", "board_access", "quick_transfers", "quick_segments",
                   "window_faults"},
}
# Works with SIMD operands, after its rows' kUsesSimd has put the guest's away.
PUTS_AWAY_FIRST = {"vector_operands"}
# XSAVE and XRSTOR name no register; these do.
SIMD = re.compile(r"%[xyz]mm\d|%st\b|%mm\d")
LIBRARY = re.compile(r"R_X86_64_\S+\s+(memcpy|memmove|memset|memcmp|strlen|memchr)\b")
# Their library calls are made at construction, for text, or after CacheListener::before_change().
MAY_CALL_LIBRARY = {"rs_guest", "rs_softmmu", "rs_shadowpt", "rs_codecache"}


def functions_that_touch_simd(objdump, archive, wanted, library_too):
    uses, seen, member, function = collections.Counter(), set(), "", ""
    lines = subprocess.run([objdump, "-dr", "-C", "--no-show-raw-insn", archive], text=True,
                           capture_output=True, check=True).stdout.splitlines()
    for line in lines:
        if match := re.match(r"(\S+)\.cc\.o:\s+file format", line):
            member = match[1]
        elif match := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            function = match[1]
        elif wanted is None or member in wanted:
            seen.add(member)
            if SIMD.search(line) or (library_too and LIBRARY.search(line)):
                uses[f"{member}.cc: {function}"] += 1
    missing = (wanted or set()) - seen
    return uses, missing, seen


def main():
    objdump, sources, *archives = sys.argv[1:]
    callouts = {p.stem for p in (pathlib.Path(sources) / "translator/callouts").glob("*.cc")}
    found, checked = [], 0
    for archive in archives:
        name = pathlib.Path(archive).stem.removeprefix("lib")
        wanted = BETWEEN_BLOCKS[name]
        if name == "rs_translator":
            wanted = (wanted | callouts) - PUTS_AWAY_FIRST
        uses, missing, seen = functions_that_touch_simd(objdump, archive, wanted,
                                                        name not in MAY_CALL_LIBRARY)
        checked += len(seen)
        found += [f"{name}/{where}: {count} uses" for where, count in sorted(uses.items())]
        found += [f"{name}: no object {m}" for m in sorted(missing)]
    print("\n".join(found) or f"{checked} objects keep to the general registers")
    return bool(found) or not checked


if __name__ == "__main__":
    sys.exit(main())
