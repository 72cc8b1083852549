"""tests/guest/serial_run.py - runs a virtual machine with its serial port on a pipe and keeps the log."""

import dataclasses
import os
import re
import selectors
import shlex
import signal
import subprocess
import time


@dataclasses.dataclass
class SerialLog:
    """Lines with the seconds since the machine was started; `status` is None after a time-out."""

    lines: list
    status: int | None
    seconds: float

    def text(self):
        return "\n".join(line for _, line in self.lines)

    def time_of(self, pattern):
        return next((when for when, line in self.lines if re.search(pattern, line)), None)


def machine_command(vmm, kernel, initrd, append, memory=512):
    """`vmm` is the command with its own options; the rest is spelled the same for every machine."""
    return [*shlex.split(vmm), "-m", str(memory), "-kernel", str(kernel), "-initrd", str(initrd),
            "-append", append, "-nographic", "-no-reboot"]


def run(command, time_limit, stop_at=r"Kernel panic|end Kernel panic", log_file=None):
    """Feeds nothing; ends at power-off, at a line that matches `stop_at`, or after `time_limit`."""
    start = time.monotonic()
    lines, pending, stopping = [], b"", None
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    log = open(log_file, "wb") if log_file else None
    os.set_blocking(process.stdout.fileno(), False)
    stop = re.compile(stop_at)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            deadline = stopping if stopping is not None else start + time_limit
            left = deadline - time.monotonic()
            if left <= 0:
                break
            if not selector.select(left):
                continue
            data = process.stdout.read()
            if not data:
                break
            if log:
                log.write(data)
                log.flush()
            now = time.monotonic() - start
            *whole, pending = (pending + data).split(b"\n")
            for raw in whole:
                line = raw.decode("utf-8", "replace").rstrip("\r")
                lines.append((now, line))
                if stopping is None and stop.search(line):
                    stopping = time.monotonic() + 2  # the rest of the message
    if pending:
        lines.append((time.monotonic() - start, pending.decode("utf-8", "replace")))
    if log:
        log.close()
    status = _end(process)
    return SerialLog(lines, status, time.monotonic() - start)


def _end(process):
    """Exit status of a machine that ended by itself; None when it had to be killed."""
    try:
        return process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None
