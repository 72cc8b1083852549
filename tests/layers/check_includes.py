#!/usr/bin/env python3
"""tests/layers/check_includes.py SOURCES - who may include whom, and where two libraries may be named.

The table is docs/architecture.md's, "Folders". --self-test shows that a wrong include is found.
"""

import pathlib
import re
import sys
import tempfile

MAY_INCLUDE = {
    "guest": [],
    "softmmu": ["guest"],
    "shadowpt": ["guest", "softmmu"],
    "codecache": ["guest"],
    "translator": ["guest", "softmmu", "shadowpt", "codecache"],
    "devices": ["guest"],
    "runtime": ["guest", "softmmu", "shadowpt", "codecache", "translator", "devices"],
}
# Nothing includes these, so they may include all.
TOPS = ["bench", "tests"]
# A program of its own, which runs in the guest.
FREESTANDING = "runtime/builtin/guest/"
# A library, and the places that may name it.
NAMED_ONLY_IN = {
    r"Zydis|Zyan|ZYDIS_|ZYAN_": ("translator/",),
    r"asmjit": ("translator/", "codecache/arena."),
}


def sources_of(root, folder):
    return sorted(p for p in (root / folder).rglob("*") if p.suffix in (".cc", ".h", ".S", ".inc"))


def problems_of(root):
    for folder, allowed in MAY_INCLUDE.items():
        for path in sources_of(root, folder):
            name = path.relative_to(root).as_posix()
            for number, line in enumerate(path.read_text().splitlines(), 1):
                where = f"{name}:{number}"
                if match := re.match(r'\s*#\s*include\s*"([^"/]*)(/?)', line):
                    if not match[2] and not name.startswith(FREESTANDING):
                        yield f"{where}: an include is named from the top folder on: {line.strip()}"
                    elif match[2] and match[1] != folder and match[1] not in allowed:
                        yield f"{where}: {folder}/ may not include {match[1]}/"
                for library, places in NAMED_ONLY_IN.items():
                    if re.search(library, line) and not name.startswith(places):
                        yield f"{where}: only {', '.join(places)} may name this library: {line.strip()}"
    # A folder that the table forgot would be free to include anything.
    for path in root.iterdir():
        known = path.name in MAY_INCLUDE or path.name in TOPS
        if path.is_dir() and not known and not path.name.startswith((".", "build")):
            if sources_of(root, path.name):
                yield f"{path.name}/ is not in the table of layers"


def self_test():
    wrong = {
        "guest/a.h": '#include "softmmu/mmu.h"\n',
        "devices/b.cc": '  # include "translator/core.h"\n',
        "runtime/c.cc": "#include <Zydis/Zydis.h>\n",
        "codecache/cache.cc": "asmjit::CodeHolder holder;\n",
        "softmmu/d.cc": '#include "view.h"\n',
        "extra/e.cc": "\n",
    }
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {**wrong, "translator/f.cc": '#include "guest/fault.h"\n'}.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
        found = list(problems_of(root))
    missed = [name for name in wrong
              if not any(p.startswith(name + ":") or p.startswith(name.split("/")[0] + "/ ") for p in found)]
    if missed or len(found) != len(wrong):
        sys.exit(f"self-test: missed {missed}, found {found}")


def main():
    self_test()
    found = list(problems_of(pathlib.Path(sys.argv[1])))
    print("\n".join(found) or "the layers hold")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
