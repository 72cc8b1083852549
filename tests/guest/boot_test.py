#!/usr/bin/env python3
"""tests/guest/boot_test.py - boots unmodified kernels and checks everything that the guest says.

    boot_test.py --cache DIR [KERNEL...] [--vmm "build/ringshift run"] [--repeat N] [--json FILE]

KERNEL is cloud-amd64, amd64, 686 or 686-pae from the cache that fetch_kernels.sh filled (default: all
four), or a path to any bzImage. Passed means: the guest powered off, exit status 0, every program
PASS, every sum equal to a native run's, and no complaint in the kernel's log.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # leave no files beside the sources
import guest_image  # noqa: E402
import serial_run  # noqa: E402

KERNELS = {"cloud-amd64": "amd64", "amd64": "amd64", "686": "i386", "686-pae": "i386"}

COMPLAINTS = re.compile(
    r"unknown NMI|Unstable clock|clocksource:.*unstable|APIC error|spurious|BUG:|WARNING:|Call Trace"
    r"|Oops|soft lockup|hard LOCKUP|rcu.*(stall|self-detected)|Kernel panic|hung_task|blocked for more"
    r"|general protection fault|double fault|stack-protector|Uhhuh|timer doesn't work|TSC.*unstable"
    r"|IO-APIC.*failed|lost .*interrupt|nobody cared|invalid opcode|segfault at|calibration failed"
    r"|NMI received|machine check|hrtimer: interrupt took", re.IGNORECASE)
# Notices that describe the processor sold to the guest, not a fault of the machine.
HARMLESS = re.compile(
    r"Spectre V2|RETBleed: WARNING: Spectre|MDS: |TAA: |MMIO Stale|Speculative|ITS: "
    r"|spurious-interrupt vector|_OSI")
# Shown, but no failure: the kernel reads the PIT for 15 ms and gives up when one read is late by 200
# microseconds, as on a busy host; then it measures again, against the HPET. A clock that really is
# wrong is caught by the complaints above.
NOTES = re.compile(r"Fast TSC calibration failed")


def native_results(programs, busybox, folder):
    """What the same files print on this machine: {(bits, name): value} of the SUM lines."""
    sums = {}
    for bits, program in programs.items():
        for name in subprocess.run([program], capture_output=True, text=True).stdout.split():
            output = subprocess.run([program, name], capture_output=True, text=True, errors="replace")
            sums.update({(bits, n): v for n, v in parse_sums(output.stdout)})
    # The same folder listing as in the guest, so that the checks print the same names.
    with tempfile.TemporaryDirectory() as tests:
        copy = pathlib.Path(tests)
        for bits, program in programs.items():
            (copy / str(bits)).write_bytes(pathlib.Path(program).read_bytes())
        (copy / "busybox").write_bytes(pathlib.Path(busybox).read_bytes())
        (copy / "busybox").chmod(0o755)
        (copy / "tests").mkdir()
        for bits in programs:
            (copy / str(bits)).rename(copy / "tests" / str(bits))
        output = subprocess.run([copy / "busybox", "sh", folder / "shell_checks.sh",
                                 copy / "busybox", copy / "tests"], capture_output=True, text=True)
        sums.update({(0, n): v for n, v in parse_sums(output.stdout)})
    return sums


def parse_sums(text):
    return [(m[1], m[2]) for m in re.finditer(r"^SUM (\S+) (.+?)\s*$", text, re.MULTILINE)]


def sum_is_wrong(value, native, same_silicon):
    return value != native and (same_silicon or not value.endswith(" silicon"))


def check(log, expected, same_silicon):
    """The list of everything that is wrong with one boot, and the number of checks that passed."""
    problems, passed, current, ended, in_log = [], 0, None, 0, False
    skipped, summed = set(), set()
    for _, line in log.lines:
        if (COMPLAINTS.search(line) and not HARMLESS.search(line) and not NOTES.search(line)
                and not line.startswith(("PASS", "FAIL", "SUM"))):
            # The log at the end repeats what the console showed, with a level in front.
            problems.append("log: " + re.sub(r"^<\d>", "", line.strip()))
        if match := re.match(r"RS-RUN (\d+) (\S+)", line):
            current = (int(match[1]), match[2])
        elif match := re.match(r"RS-END (\d+) (\S+) (\d+)", line):
            ended += 1
            passed += match[3] == "0"
            if match[3] != "0":
                problems.append(f"{match[2]} ({match[1]}): exit status {match[3]}")
            current = None
        elif line.startswith("PASS "):
            passed += 1
        elif line.startswith("FAIL "):
            problems.append(f"{line} ({current[0] if current else '?'})")
        elif match := re.match(r"SKIP ([^:]+):", line):
            skipped.add((current[0] if current else 0, match[1]))
        elif match := re.match(r"SUM (\S+) (.+?)\s*$", line):
            key = (current[0] if current else 0, match[1])
            summed.add(key)
            if key not in expected:
                problems.append(f"SUM {match[1]} ({key[0]}) has no native value")
            elif sum_is_wrong(match[2], expected[key], same_silicon):
                problems.append(f"SUM {match[1]} ({key[0]}): {match[2]}, native {expected[key]}")
            else:
                passed += 1
        elif line.startswith("RS-LOG-BEGIN"):
            in_log = True
        elif in_log and (match := re.match(r"<([0-3])>(.*)", line)) and not HARMLESS.search(line):
            problems.append("kernel error: " + match[2].strip())
    if log.status is None:
        problems.append("time limit reached" if "RS-DONE" not in log.text() else "no power-off")
    elif log.status != 0:
        problems.append(f"exit status {log.status}")
    if current is not None:
        problems.append(f"ended inside {current[1]} ({current[0]})")
    if "RS-DONE" not in log.text():
        problems.append("the guest did not finish")
    if ended == 0:
        problems.append("no program ran")
    bits_run = {bits for bits, _ in summed}
    selected = {name.split(".")[0] for _, name in summed}
    for bits, name in sorted(expected):
        family = name.split(".")[0]
        if bits in bits_run and family in selected and (bits, name) not in summed | skipped:
            problems.append(f"SUM {name} ({bits}) is missing")
    return list(dict.fromkeys(problems)), passed


def notes(log):
    return list(dict.fromkeys(m[0] for _, line in log.lines if (m := NOTES.search(line))))


def kernel_warnings(log):
    return [line for _, line in log.lines if re.match(r"<4>", line)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kernels", nargs="*", help="names in the cache, or files")
    parser.add_argument("--cache", default="build/kernels", help="what fetch_kernels.sh filled")
    parser.add_argument("--busybox", help="for kernels given as files (default: the cache's)")
    parser.add_argument("--vmm", default="build/ringshift run")
    parser.add_argument("--work", help="for programs, images and logs (default: CACHE/boot-test)")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--time-limit", type=float, default=600, help="seconds for one boot")
    parser.add_argument("--memory", type=int, default=512)
    parser.add_argument("--only", help="programs, comma-separated (and 'shell')")
    parser.add_argument("--append", default="", help="more words for the kernel's command line")
    parser.add_argument("--other-silicon", action="store_true",
                        help="do not compare what only the same processor repeats")
    parser.add_argument("--json", help="write the results here ('-': standard output)")
    options = parser.parse_args()

    cache = pathlib.Path(options.cache)
    work = pathlib.Path(options.work or cache / "boot-test")
    same_silicon = not (options.other_silicon or
                        ("qemu" in options.vmm and not re.search(r"kvm|host", options.vmm)))
    try:
        programs = {b: guest_image.build_programs(guest_image.HERE / "programs", work / f"tests-{b}", b)
                    for b in (64, 32)}
    except guest_image.BuildError as error:
        sys.exit(f"boot_test: {error}")

    results, images, expected = [], {}, {}
    for kernel in options.kernels or KERNELS:
        flavour = KERNELS.get(kernel, "i386")
        path = cache / kernel / "vmlinuz" if kernel in KERNELS else pathlib.Path(kernel)
        busybox = pathlib.Path(options.busybox or cache / "busybox" / flavour)
        for needed in (path, busybox):
            if not needed.exists():
                sys.exit(f"boot_test: {needed}: no such file (tests/guest/fetch_kernels.sh gets it)")
        if busybox not in images:
            images[busybox] = guest_image.make_initramfs(
                work / f"{busybox.name}.gz", busybox, tests=programs)
            expected[busybox] = native_results(programs, busybox, guest_image.HERE)
        append = f"console=ttyS0 panic=-1 rs.mode=test {options.append}".strip()
        if options.only:
            append += f" rs.only={options.only}"
        for number in range(1, options.repeat + 1):
            command = serial_run.machine_command(options.vmm, path, images[busybox], append,
                                                 options.memory)
            log = serial_run.run(command, options.time_limit,
                                 log_file=work / f"{path.parent.name}-{number}.log")
            problems, passed = check(log, expected[busybox], same_silicon)
            results.append({"kernel": kernel, "run": number, "passed": passed, "problems": problems,
                            "warnings": kernel_warnings(log), "notes": notes(log), "status": log.status,
                            "boot_seconds": log.time_of(r"RS-BOOTED"), "seconds": log.seconds})
            report(results[-1])
    failed = sum(bool(r["problems"]) for r in results)
    if options.json:
        text = json.dumps({"vmm": options.vmm, "date": time.strftime("%F %T"), "results": results}, indent=1)
        sys.stdout.write(text + "\n") if options.json == "-" else pathlib.Path(options.json).write_text(text)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


def report(r):
    boot = f"{r['boot_seconds']:.2f}" if r["boot_seconds"] is not None else "never"
    print(f"{r['kernel']:<12} run {r['run']}: {'ok' if not r['problems'] else 'FAILED':<6} "
          f"{r['passed']:>4} checks, shell after {boot} s, ended after {r['seconds']:.1f} s", flush=True)
    for problem in r["problems"]:
        print(f"    {problem[:200]}", flush=True)
    for note in r["notes"]:
        print(f"    note: {note}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
