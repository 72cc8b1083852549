#!/usr/bin/env python3
"""bench/compare_engines.py - runs the same programs natively, under Ringshift and under QEMU's TCG.

    compare_engines.py --kernel vmlinuz [--busybox FILE] [--engines native,ringshift,tcg] [--bits 64,32]
                       [--only sieve,hash] [--repeat N] [--json FILE] [-- options for ringshift run]

Each virtual machine is booted once a repeat and prints its results on the serial port. The times are
the programs' own (CLOCK_MONOTONIC in the guest); the table shows medians, and ratios to native and to
TCG with their geometric means. A checksum that differs from the native one is an error.
"""

import argparse
import collections
import json
import math
import os
import pathlib
import platform
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True  # leave no files beside the sources
sys.path.insert(0, str(ROOT / "tests" / "guest"))
import guest_image  # noqa: E402
import serial_run  # noqa: E402

QEMU = "qemu-system-x86_64"
RESULT = re.compile(r"BENCH (\d+) (\S+) ([0-9a-f]{16}) ([0-9.]+)")


class Results:
    """Times and checksums of one engine, by (bits, name)."""

    def __init__(self):
        self.times = collections.defaultdict(list)
        self.sums = {}
        self.boots = []      # seconds from the start of the process to the first line of /init
        self.problems = []

    def add(self, text):
        for match in RESULT.finditer(text):
            key = (int(match[1]), match[2])
            if self.sums.setdefault(key, match[3]) != match[3]:
                self.problems.append(f"{match[2]} ({match[1]}): checksum differs between runs")
            self.times[key].append(float(match[4]))

    def median(self, key):
        return statistics.median(self.times[key]) if key in self.times else None


def run_native(programs, only, repeat, results):
    for _ in range(repeat):
        for bits, program in programs.items():
            names = subprocess.run([program], capture_output=True, text=True).stdout.split()
            for name in names:
                if only and name not in only:
                    continue
                output = subprocess.run([program, name], capture_output=True, text=True)
                results.add(output.stdout)
                if output.returncode != 0:
                    results.problems.append(f"{name} ({bits}): exit status {output.returncode}")


def run_guest(vmm, options, image, only, results, log_file):
    append = f"console=ttyS0 quiet panic=-1 rs.mode=bench rs.bits={options.bits}"
    if only:
        append += " rs.only=" + ",".join(only)
    command = serial_run.machine_command(vmm, options.kernel, image, append, options.memory)
    log = serial_run.run(command, options.time_limit, log_file=log_file)
    results.add(log.text())
    booted = log.time_of("RS-BOOTED")
    if booted is not None:
        results.boots.append(booted)
    if "RS-DONE" not in log.text() or log.status != 0:
        last = next((line for _, line in reversed(log.lines) if line.strip()), "nothing")
        results.problems.append(f"did not finish (status {log.status}), last line: {last.strip()[:120]}")


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values))) if values else None


def ratio(a, b):
    return a / b if a and b else None


def table(engines, results, bits_list):
    """Rows of strings, and the figures behind them for --json."""
    others = [e for e in engines if e != "native"]
    ratios = [(e, "native") for e in others if "native" in engines]
    if "ringshift" in engines and "tcg" in engines:
        ratios.append(("tcg", "ringshift"))  # how many times faster than TCG
    title = {("tcg", "ringshift"): "speed vs tcg"}
    rows = [["bits", "program", *[f"{e} s" for e in engines],
             *[title.get(r, f"{r[0]}/{r[1]}") for r in ratios]]]
    keys = sorted({k for r in results.values() for k in r.times},
                  key=lambda k: (bits_list.index(k[0]), list_order(results, k)))
    figures, means = [], collections.defaultdict(list)
    for key in keys:
        medians = {e: results[e].median(key) for e in engines}
        values = {r: ratio(medians[r[0]], medians[r[1]]) for r in ratios}
        rows.append([str(key[0]), key[1], *[number(medians[e], 3) for e in engines],
                     *[number(values[r], 2) for r in ratios]])
        figures.append({"bits": key[0], "program": key[1], "seconds": medians,
                        "runs": {e: results[e].times.get(key, []) for e in engines},
                        "ratios": {"/".join(r): values[r] for r in ratios}})
        for r in ratios:
            if values[r]:
                means[key[0], r].append(values[r])
                means[0, r].append(values[r])
    summary = {}
    for bits in [*bits_list, 0]:
        mean = {r: geometric_mean(means[bits, r]) for r in ratios}
        if any(mean.values()) and (bits or len(bits_list) > 1):
            rows.append([str(bits or "all"), "geometric mean", *[""] * len(engines),
                         *[number(mean[r], 2) for r in ratios]])
            summary[str(bits or "all")] = {"/".join(r): mean[r] for r in ratios}
    boots = {e: statistics.median(results[e].boots) if results[e].boots else None for e in engines}
    if any(boots.values()):
        boot_ratio = {r: ratio(boots[r[0]], boots[r[1]]) for r in ratios}
        rows.append(["", "boot to /init", *[number(boots[e], 2) for e in engines],
                     *[number(boot_ratio[r], 2) for r in ratios]])
    return rows, figures, summary, boots


def list_order(results, key):
    for r in results.values():
        if key in r.times:
            return list(r.times).index(key)
    return 0


def number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def print_table(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for r in rows:
        cells = [c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))]
        print("  ".join(cells).rstrip())


def choose_engines(options):
    available = {"native": True, "ringshift": bool(shutil.which(shlex.split(options.ringshift)[0])),
                 "tcg": bool(shutil.which(QEMU))}
    if not options.engines:
        return [e for e, there in available.items() if there]
    engines = options.engines.split(",")
    for engine in engines:
        if not available.get(engine):
            sys.exit(f"compare_engines: engine '{engine}' is not available")
    return engines


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kernel", help="bzImage (default: the cloud kernel of --cache)")
    parser.add_argument("--cache", default=str(ROOT / "build" / "kernels"))
    parser.add_argument("--busybox", help="static BusyBox (default: of --cache, else /bin/busybox)")
    parser.add_argument("--engines", help="of native,ringshift,tcg (default: what is installed)")
    parser.add_argument("--bits", default="64,32")
    parser.add_argument("--only", help="program names, comma-separated")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--memory", type=int, default=512)
    parser.add_argument("--time-limit", type=float, default=1800, help="seconds for one boot")
    parser.add_argument("--ringshift", default=f"{ROOT}/build/ringshift run")
    parser.add_argument("--tcg", default=f"{QEMU} -accel tcg -cpu max")
    parser.add_argument("--work", help="for programs, image and logs (default: a temporary folder)")
    parser.add_argument("--json", help="write the results here ('-': standard output)")
    parser.add_argument("pass_through", nargs="*", help="after --: more options for ringshift run")
    options = parser.parse_args()
    cache = pathlib.Path(options.cache)
    options.kernel = options.kernel or cache / "cloud-amd64" / "vmlinuz"
    if not options.busybox:
        cached = cache / "busybox" / "amd64"
        options.busybox = cached if cached.exists() else pathlib.Path("/bin/busybox")
    return options


def main():
    options = parse_options()
    engines = choose_engines(options)
    only = options.only.split(",") if options.only else None
    bits_list = [int(b) for b in options.bits.split(",")]
    guests = [e for e in engines if e != "native"]
    for needed in [options.kernel, options.busybox] if guests else []:
        if not os.path.exists(needed):
            sys.exit(f"compare_engines: {needed}: no such file (tests/guest/fetch_kernels.sh gets it)")
    vmm = {"ringshift": shlex.join([*shlex.split(options.ringshift), *options.pass_through]),
           "tcg": options.tcg}
    results = {e: Results() for e in engines}
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(options.work or temporary)
        try:
            programs = {b: guest_image.build_programs(ROOT / "bench" / "programs", work / f"bench-{b}", b)
                        for b in bits_list}
        except guest_image.BuildError as error:
            sys.exit(f"compare_engines: {error}")
        image = guest_image.make_initramfs(work / "bench.gz", options.busybox, bench=programs)
        # Engines take turns, so that a host that slows down does not favour one of them.
        for number_of_run in range(options.repeat):
            for engine in engines:
                print(f"run {number_of_run + 1} of {options.repeat}: {engine}", file=sys.stderr, flush=True)
                if engine == "native":
                    run_native(programs, only, 1, results[engine])
                else:
                    run_guest(vmm[engine], options, image, only, results[engine],
                              work / f"{engine}-{number_of_run + 1}.log")

    problems = [f"{e}: {p}" for e in engines for p in results[e].problems]
    for engine in guests:
        for key, value in results[engine].sums.items():
            if "native" in results and results["native"].sums.get(key, value) != value:
                problems.append(f"{engine}: {key[1]} ({key[0]}): checksum {value}, "
                                f"native {results['native'].sums[key]}")
    rows, figures, summary, boots = table(engines, results, bits_list)
    if options.json == "-":
        json.dump(document(options, engines, figures, summary, boots, problems), sys.stdout, indent=1)
        print()
    else:
        print_table(rows)
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(
                document(options, engines, figures, summary, boots, problems), indent=1))
    for problem in dict.fromkeys(problems):
        print(f"problem: {problem}", file=sys.stderr)
    return 1 if problems else 0


def document(options, engines, figures, summary, boots, problems):
    return {"date": time.strftime("%F %T"), "machine": platform.machine(), "repeat": options.repeat,
            "engines": engines, "programs": figures, "geometric_means": summary,
            "boot_seconds": boots, "problems": problems}


if __name__ == "__main__":
    sys.exit(main())
