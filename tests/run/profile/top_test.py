#!/usr/bin/env python3
"""tests/run/profile/top_test.py RINGSHIFT SOCKET SYMBOLS - `ringshift top` on a terminal.

It refreshes, names the hot function, ends at q and at a signal, and leaves the terminal as it was.
"""

import os
import pty
import select
import signal
import sys
import termios
import time


def run(command, end):
    """What it wrote, its exit status, and the terminal's settings before and after."""
    main, side = pty.openpty()
    before = termios.tcgetattr(side)
    child = os.fork()
    if child == 0:
        os.setsid()
        for fd in (0, 1, 2):
            os.dup2(side, fd)
        os.execv(command[0], command)
    output, ended, began = b"", None, time.monotonic()
    while ended is None and time.monotonic() - began < 60:
        if select.select([main], [], [], 0.1)[0]:
            output += os.read(main, 65536)
        if end and output.count(b"\x1b[H") >= 3:
            end(main, child)
            end = None
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            ended = os.waitstatus_to_exitcode(status)
    if ended is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    while select.select([main], [], [], 0.2)[0]:
        output += os.read(main, 65536)
    return output, ended, before, termios.tcgetattr(side)


def problems_of(command, name, end):
    output, status, before, after = run(command, end)
    if status != 0:
        yield f"top, {name}: status {status}"
    if before != after:
        yield f"top, {name}: the terminal's settings changed"
    if output.count(b"\x1b[H") < 3 or b" hot" not in output or b"% busy" not in output:
        yield f"top, {name}: drew {output[-300:]!r}"
    if output.count(b"\x1b[?1049h") != 1 or not output.rstrip().endswith(b"\x1b[?1049l"):
        yield f"top, {name}: does not leave the terminal's other screen"


def main():
    ringshift, socket, symbols = sys.argv[1:]
    command = [ringshift, "top", "--socket", socket, "--interval", "0.3", "--symbols", symbols]
    found = list(problems_of(command, "q", lambda fd, _: os.write(fd, b"q")))
    found += problems_of(command, "SIGTERM", lambda _, child: os.kill(child, signal.SIGTERM))
    print("\n".join(found), end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
