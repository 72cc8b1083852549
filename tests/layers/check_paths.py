#!/usr/bin/env python3
"""tests/layers/check_paths.py SOURCES - no source, script or page names a path of one machine.

A path from the root on is allowed when every Linux system has it, or when it lies in the guest.
"""

import pathlib
import re
import sys

# Folders that only one machine has: somebody's home, a checkout, a build folder with a name.
FOREIGN = re.compile(r"(?<![\w.$}\"'*/])/(?:home|root|work|mnt|media|srv|opt|Users|workspace)/[\w.-]+"
                     r"|(?<![\w$}])/tmp/(?:build|finish|work)[\w.-]*")
TEXT = {".cc", ".h", ".S", ".c", ".py", ".sh", ".md", ".txt", ".json", ".cmake", ".ld", ".yml", ""}


def files_of(root):
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        skip = parts[0].startswith("build") or parts[0] == ".git"
        if path.is_file() and not skip and path.suffix in TEXT and path.resolve() != SELF:
            yield path


SELF = pathlib.Path(__file__).resolve()


def problems_of(name, text):
    for number, line in enumerate(text.splitlines(), 1):
        if match := FOREIGN.search(line):
            yield f"{name}:{number}: {match[0]}"


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    here = str(root)  # the checkout itself, wherever it is
    assert list(problems_of("self-test", "cd /home/someone/ringshift"))
    assert not list(problems_of("self-test", "cp $work/root/boot /dev/null; ls build/work/x"))
    found = []
    for path in files_of(root):
        text = path.read_text(errors="replace")
        name = path.relative_to(root).as_posix()
        found += problems_of(name, text)
        if here in text and len(here) > 5:
            found.append(f"{name}: names this checkout")
    print("\n".join(found) or "no path of this machine")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
