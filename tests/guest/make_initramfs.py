#!/usr/bin/env python3
"""tests/guest/make_initramfs.py - makes the guest's initramfs: BusyBox, test programs, benchmarks, /init.

    make_initramfs.py -o image.gz [--busybox FILE] [--bits 64,32] [--no-tests] [--bench] [--script FILE]

The kernel's command line chooses what the guest does: see tests/guest/init.
"""

import argparse
import pathlib
import sys

sys.dont_write_bytecode = True  # leave no files beside the sources
import guest_image  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--busybox", default="/bin/busybox", help="a statically linked BusyBox")
    parser.add_argument("--bits", default="64,32", help="which builds of the programs to include")
    parser.add_argument("--no-tests", action="store_true")
    parser.add_argument("--bench", action="store_true", help="include bench/programs")
    parser.add_argument("--script", help="becomes /script.sh, run by rs.mode=script")
    parser.add_argument("--add", action="append", default=[], metavar="GUEST=HOST")
    parser.add_argument("--work", help="where programs are built (default: beside the output)")
    parser.add_argument("--programs-only", action="store_true", help="build the programs, no image")
    options = parser.parse_args()

    work = pathlib.Path(options.work or pathlib.Path(options.output).parent / "guest-programs")
    folders = {}
    if not options.no_tests:
        folders["tests"] = guest_image.HERE / "programs"
    if options.bench:
        folders["bench"] = guest_image.HERE.parent.parent / "bench" / "programs"
    try:
        built = {name: {int(b): guest_image.build_programs(folder, work / f"{name}-{b}", int(b))
                        for b in options.bits.split(",")}
                 for name, folder in folders.items()}
        if options.programs_only:
            return 0
        guest_image.make_initramfs(options.output, options.busybox, script=options.script,
                                   extra=[a.split("=", 1) for a in options.add], **built)
    except (guest_image.BuildError, OSError, ValueError) as error:
        print(f"make_initramfs: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
