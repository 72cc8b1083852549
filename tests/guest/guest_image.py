"""tests/guest/guest_image.py - builds the guest's programs and packs them into an initramfs."""

import gzip
import os
import pathlib
import stat
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wno-array-bounds", "-mno-red-zone",
         "-fno-pie", "-no-pie", "-static", "-s"]
# A 32-bit compiler default of plain i686 would leave the SSE intrinsics out; scalar code stays x87.
BITS_FLAGS = {64: ["-m64"], 32: ["-m32", "-msse2"]}


class BuildError(Exception):
    """One line for the user."""


def build_programs(folder, output, bits, extra_flags=()):
    """Compiles every C file of `folder` into one static program; skips it when it is up to date."""
    folder, output = pathlib.Path(folder), pathlib.Path(output)
    sources = sorted(folder.glob("*.c"))
    newest = max(f.stat().st_mtime for f in [*sources, *folder.glob("*.h"), HERE / "guest_image.py"])
    if output.exists() and output.stat().st_mtime > newest:
        return output
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [os.environ.get("CC", "gcc"), "-O2", *FLAGS, *BITS_FLAGS[bits], *extra_flags,
               "-o", str(output), *map(str, sources), "-lpthread", "-lm"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        hint = " (Debian: apt-get install gcc-multilib)" if bits == 32 else ""
        raise BuildError(f"cannot build the {bits}-bit programs of {folder}{hint}:\n{result.stderr}")
    return output


class Cpio:
    """Writes the kernel's "newc" archive format; needs no root, also for device nodes."""

    def __init__(self):
        self._parts = []
        self._inode = 0

    def add(self, name, mode, data=b"", device=(0, 0), mtime=0):
        self._inode += 1
        encoded = name.encode() + b"\0"
        fields = [self._inode, mode, 0, 0, 1, mtime, len(data), 0, 0, *device, len(encoded), 0]
        header = b"070701" + b"".join(b"%08x" % f for f in fields) + encoded
        self._parts += [_padded(header), _padded(data)]

    def folder(self, name):
        self.add(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o755, mtime=0):
        self.add(name, stat.S_IFREG | mode, data, mtime=mtime)

    def symlink(self, name, target):
        self.add(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, name, major, minor):
        self.add(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def bytes(self):
        self.add("TRAILER!!!", 0)
        return b"".join(self._parts)


def _padded(data):
    return data + b"\0" * (-len(data) % 4)


def make_initramfs(output, busybox, tests=None, bench=None, script=None, extra=()):
    """`tests` and `bench` map bits to programs; `extra` is pairs of guest path and host file."""
    cpio = Cpio()
    for name in ("bin", "dev", "proc", "sys", "tmp", "root"):
        cpio.folder(name)
    cpio.character_device("dev/console", 5, 1)
    cpio.character_device("dev/null", 1, 3)
    cpio.file("init", (HERE / "init").read_bytes())
    cpio.file("shell_checks.sh", (HERE / "shell_checks.sh").read_bytes())
    cpio.file("bin/busybox", pathlib.Path(busybox).read_bytes())
    cpio.symlink("bin/sh", "busybox")
    for folder, programs in (("tests", tests), ("bench", bench)):
        cpio.folder(folder)
        for bits, program in sorted((programs or {}).items()):
            cpio.file(f"{folder}/{bits}", pathlib.Path(program).read_bytes())
    if script:
        cpio.file("script.sh", pathlib.Path(script).read_bytes())
    for name, source in extra:
        cpio.file(name.lstrip("/"), pathlib.Path(source).read_bytes())
    output = pathlib.Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    # Level and time stamp fixed, so that the same inputs give the same image.
    output.write_bytes(gzip.compress(cpio.bytes(), compresslevel=6, mtime=0))
    return output
