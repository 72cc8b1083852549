#!/usr/bin/env python3
"""tests/guest/compare_programs.py - runs any programs here and in a guest, and compares what they say.

    compare_programs.py --kernel FILE [--busybox FILE] [--cases FILE] [--root DIR] FOLDER

A case is one shell command, run in a copy of FOLDER; standard output, standard error and the exit status
must be the same natively and in the guest. Without --cases, each ELF program of FOLDER is a case without
arguments. A file of cases has a line `name: command` each; lines with # are comments.

With --root, FOLDER is copied into that root file system (debootstrap makes one) and cases run there:
natively by chroot, which needs root, and in the guest as its initramfs (give it memory: --memory 3072).
Without, the shared libraries that the programs of FOLDER name are copied along.

Cases that differ between two native runs say nothing and are skipped, as are those that take longer than
--native-limit. A guest that dies or hangs is started again for the cases that are left. Two examples:

    compare_programs.py --kernel build/kernels/cloud-amd64/vmlinuz ~/my-tests
    compare_programs.py --kernel build/kernels/amd64/vmlinuz --root ~/bookworm --memory 3072 \\
        --cases python.cases --vmm "build/ringshift run -cpu qemu64" ~/empty
"""

import argparse
import dataclasses
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # leave no files beside the sources
import boot_test  # noqa: E402
import guest_image  # noqa: E402
import serial_run  # noqa: E402

# What runs one case, in both places: CASE OUTPUT-FOLDER BUSYBOX SECONDS.
RUN_CASE = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C TERM=dumb
$3 timeout -s KILL $4 $3 sh $1 >$2/out 2>$2/err </dev/null
echo $? >$2/status
"""

# Works without any program but BusyBox. The folder of results is a file system of its own, so that
# a root file system that is full or odd does not matter.
INIT = """\
#!/rs/busybox sh
b=/rs/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
$b mkdir -p /dev/shm /dev/pts
$b mount -t devpts devpts /dev/pts
$b mount -t tmpfs tmp /dev/shm
$b mount -t tmpfs tmp /tmp
$b mount -t tmpfs tmp /rs/result
$b ip link set lo up
$b dmesg -n 1
echo 0 >/proc/sys/debug/exception-trace
ulimit -c 0
while read -r number seconds; do
  echo "RS-CASE $number"
  cd /
  $b rm -rf /rs/work
  $b cp -a /rs/folder /rs/work
  cd /rs/work
  start=$($b cut -d' ' -f1 /proc/uptime)
  $b sh /rs/run_case.sh /rs/cases/$number /rs/result /rs/busybox $seconds
  echo "RS-TIME $start $($b cut -d' ' -f1 /proc/uptime)"
  same=1
  for part in out err status; do
    $b cmp -s /rs/expected/$number.$part /rs/result/$part && continue
    same=0
    echo "RS-PART $part"
    $b diff -a -U1 /rs/expected/$number.$part /rs/result/$part | $b head -n 40 | $b cut -c-400
  done
  echo "RS-RESULT $number $same"
done </rs/list
echo RS-LOG-BEGIN
$b dmesg -r
echo RS-LOG-END
echo RS-DONE
$b poweroff -f
"""


@dataclasses.dataclass
class Case:
    name: str
    command: str
    expected: dict = dataclasses.field(default_factory=dict)
    native_seconds: float = 0


class Error(Exception):
    """One line for the user."""


def is_elf(path):
    try:
        with open(path, "rb") as f:
            return os.access(path, os.X_OK) and f.read(4) == b"\x7fELF"
    except OSError:
        return False


def read_cases(options):
    if not options.cases:
        programs = sorted(p.name for p in options.folder.iterdir() if p.is_file() and is_elf(p))
        return [Case(name, f"./{name}") for name in programs]
    cases = []
    for line in options.cases.read_text().splitlines():
        name, colon, command = line.partition(":")
        if not line.strip() or line.startswith("#"):
            continue
        if not colon:
            raise Error(f"{options.cases}: no 'name: command' in '{line}'")
        cases.append(Case(name.strip(), command.strip()))
    return cases


class Native:
    """Runs cases on this machine, in a scratch copy of the folder or in the root file system."""

    def __init__(self, options, scratch):
        self.options, self.root, self.mounts = options, options.root, []
        self.base = (self.root or scratch) / "rs"
        for name in ("cases", "result"):
            (self.base / name).mkdir(parents=True)
        shutil.copy2(options.busybox, self.base / "busybox")
        (self.base / "busybox").chmod(0o755)
        (self.base / "run_case.sh").write_text(RUN_CASE)
        if self.root:
            for kind in ("proc", "sysfs", "devtmpfs", "tmpfs"):
                where = self.root / {"sysfs": "sys", "devtmpfs": "dev", "tmpfs": "tmp"}.get(kind, kind)
                subprocess.run(["mount", "-t", kind, kind, where], check=True)
                self.mounts.append(where)

    def close(self):
        for where in reversed(self.mounts):
            subprocess.run(["umount", "-l", where], check=False)
        if self.root:
            shutil.rmtree(self.base)

    def run(self, case):
        work = self.base / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(self.options.folder, work, symlinks=True)
        (self.base / "cases" / "0").write_text(case.command + "\n")
        inside = "/rs" if self.root else str(self.base)
        command = [f"{inside}/busybox", "sh", f"{inside}/run_case.sh", f"{inside}/cases/0",
                   f"{inside}/result", f"{inside}/busybox", str(self.options.native_limit)]
        before = os.times()
        subprocess.run((["chroot", str(self.root), f"{inside}/busybox", "sh", "-c",
                         "cd /rs/work && exec \"$@\"", "sh"] if self.root else []) + command,
                       cwd=None if self.root else work, env={"PATH": os.environ["PATH"]},
                       check=False)
        case.native_seconds = os.times().elapsed - before.elapsed
        return {p: (self.base / "result" / p).read_bytes() for p in ("out", "err", "status")}


def native_results(cases, options):
    """The cases that can be compared, and a list of name and reason for the others."""
    kept, skipped = [], []
    with tempfile.TemporaryDirectory() as scratch:
        native = Native(options, pathlib.Path(scratch))
        try:
            for case in cases:
                case.expected = native.run(case)
                if case.native_seconds >= options.native_limit:
                    skipped.append((case.name, "takes too long natively"))
                elif case.expected != native.run(case):
                    skipped.append((case.name, "differs between two native runs"))
                else:
                    kept.append(case)
        finally:
            native.close()
    return kept, skipped


def libraries(folder):
    """Shared libraries and interpreters that the folder's programs name, by their paths."""
    found = set()
    for path in folder.rglob("*"):
        if path.is_file() and is_elf(path):
            text = subprocess.run(["ldd", str(path)], capture_output=True, text=True).stdout
            found.update(re.findall(r"(/\S+) \(0x", text))
    return sorted(f for f in found if not f.startswith(str(folder)))


def add_tree(cpio, source, prefix):
    for path in sorted(source.rglob("*")):
        name, info = f"{prefix}{path.relative_to(source)}", path.lstat()
        if stat.S_ISLNK(info.st_mode):
            cpio.symlink(name, os.readlink(path))
        elif stat.S_ISDIR(info.st_mode):
            cpio.folder(name)
        elif stat.S_ISREG(info.st_mode):
            cpio.file(name, path.read_bytes(), info.st_mode & 0o7777, int(info.st_mtime))


def make_image(output, cases, options):
    cpio = guest_image.Cpio()
    if options.root:
        add_tree(cpio, options.root, "")
    for name in ("bin", "dev", "proc", "sys", "tmp", "etc", "rs", "rs/cases", "rs/expected", "rs/result", "rs/folder"):
        if not options.root or name.startswith("rs"):
            cpio.folder(name)
    cpio.file("rs/busybox", options.busybox.read_bytes())
    if not options.root:
        cpio.character_device("dev/console", 5, 1)
        cpio.symlink("bin/sh", "/rs/busybox")
        made = set()
        for library in libraries(options.folder):
            for parent in reversed(pathlib.PurePath(library).parents):
                if str(parent) not in made | {"/"}:
                    made.add(str(parent))
                    cpio.folder(str(parent).lstrip("/"))
            cpio.file(library.lstrip("/"), pathlib.Path(library).read_bytes())
    cpio.file("rs/init", INIT.encode())
    cpio.file("rs/run_case.sh", RUN_CASE.encode())
    add_tree(cpio, options.folder, "rs/folder/")
    seconds = lambda case: int(options.slow * case.native_seconds) + options.guest_limit  # noqa: E731
    cpio.file("rs/list", "".join(f"{i} {seconds(c)}\n" for i, c in enumerate(cases)).encode())
    for number, case in enumerate(cases):
        cpio.file(f"rs/cases/{number}", case.command.encode() + b"\n")
        for part, data in case.expected.items():
            cpio.file(f"rs/expected/{number}.{part}", data)
    output.write_bytes(cpio.bytes())


def read_log(log, cases):
    """Results of the cases that ended, the number of the one that did not, and kernel complaints."""
    results, current, details, times, complaints, in_log = {}, None, [], None, [], False
    for _, line in log.lines:
        if match := re.match(r"RS-CASE (\d+)", line):
            current, details, times = int(match[1]), [], None
        elif match := re.match(r"RS-TIME (\S+) (\S+)", line):
            times = float(match[2]) - float(match[1])
        elif match := re.match(r"RS-RESULT (\d+) ([01])", line):
            case = cases[int(match[1])]
            results[case.name] = {"same": match[2] == "1", "seconds": times,
                                  "native_seconds": round(case.native_seconds, 2), "details": details}
            current = None
        elif line.startswith("RS-LOG-"):
            in_log = line.startswith("RS-LOG-BEGIN")
        elif current is not None:
            details.append(line)
        elif ((boot_test.COMPLAINTS.search(line) or (in_log and re.match("<[0-3]>", line)))
              and not boot_test.HARMLESS.search(line) and not boot_test.NOTES.search(line)):
            complaints.append(line)
    return results, current, details, complaints


def run_guest(cases, options):
    results, complaints = {}, []
    while cases:
        image = options.work / "compare.cpio"
        make_image(image, cases, options)
        limit = 120 + sum(options.slow * c.native_seconds + options.guest_limit for c in cases)
        log = serial_run.run(
            serial_run.machine_command(options.vmm, options.kernel, image,
                                       f"console=ttyS0 panic=-1 rdinit=/rs/init {options.append}",
                                       options.memory),
            limit, log_file=options.work / "compare.log")
        more, current, details, complained = read_log(log, cases)
        results.update(more)
        complaints += complained
        if "RS-DONE" in log.text() and log.status == 0:
            break
        if current is None:
            raise Error(f"the guest ended with {log.status} outside any case: {options.work}/compare.log")
        results[cases[current].name] = {"same": False, "details": [*details, f"the guest ended: {log.status}"]}
        cases = cases[current + 1:]
    return results, complaints


def report(results, skipped, complaints, options):
    for name, result in results.items():
        if options.verbose and result["same"]:
            print(f"same    {name}: {result['seconds']:.1f} s, native {result['native_seconds']} s")
        if not result["same"]:
            print(f"DIFFERS {name}")
            print("".join(f"    {line}\n" for line in result["details"][:options.lines]), end="")
    for name, why in skipped:
        print(f"skipped {name}: {why}")
    for line in complaints:
        print(f"kernel: {line}")
    wrong = sum(not r["same"] for r in results.values())
    print(f"{len(results) - wrong} same, {wrong} differ, {len(skipped)} skipped")
    if options.json:
        options.json.write_text(json.dumps({"results": results, "skipped": skipped,
                                            "complaints": complaints}, indent=1))
    return 1 if wrong or complaints else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--kernel", type=pathlib.Path, required=True)
    parser.add_argument("--busybox", type=pathlib.Path, default=pathlib.Path("/bin/busybox"),
                        help="a static BusyBox that runs here and on the kernel")
    parser.add_argument("--vmm", default="build/ringshift run")
    parser.add_argument("--cases", type=pathlib.Path)
    parser.add_argument("--only", help="a regular expression for names of cases")
    parser.add_argument("--root", type=pathlib.Path, help="a root file system to run in")
    parser.add_argument("--memory", type=int, default=1024)
    parser.add_argument("--append", default="", help="more words for the kernel's command line")
    parser.add_argument("--native-limit", type=int, default=60, help="seconds for one case, natively")
    parser.add_argument("--guest-limit", type=int, default=60, help="seconds for one case in the guest,")
    parser.add_argument("--slow", type=float, default=30, help="plus this many for each native second")
    parser.add_argument("--work", type=pathlib.Path, help="for image and log (default: a temporary folder)")
    parser.add_argument("--lines", type=int, default=12, help="of each difference to show")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    try:
        cases = [c for c in read_cases(options) if not options.only or re.search(options.only, c.name)]
        with tempfile.TemporaryDirectory() as scratch:
            options.work = options.work or pathlib.Path(scratch)
            options.work.mkdir(parents=True, exist_ok=True)
            cases, skipped = native_results(cases, options)
            results, complaints = run_guest(cases, options)
    except (Error, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"compare_programs: {error}")
    return report(results, skipped, complaints, options)


if __name__ == "__main__":
    sys.exit(main())
