"""A guest that a test talks to: through the monitor's prompt, the keyboard, the screen and a serial
port."""
import os
import re
import select
import socket
import subprocess
import tempfile
import time

KEYS = {' ': 'spc', '\n': 'ret', '-': 'minus', '=': 'equal', '/': 'slash', '.': 'dot', ',': 'comma',
        ';': 'semicolon', "'": 'apostrophe', '\\': 'backslash', '_': 'shift-minus',
        ':': 'shift-semicolon', '"': 'shift-apostrophe', '(': 'shift-9', ')': 'shift-0',
        '$': 'shift-4', '&': 'shift-7', '|': 'shift-backslash', '>': 'shift-dot',
        '<': 'shift-comma', '*': 'shift-8', '+': 'shift-equal', '{': 'shift-bracket_left',
        '}': 'shift-bracket_right', '[': 'bracket_left', ']': 'bracket_right'}


class Failure(Exception):
    """What went wrong, in one line or with the screen."""


class Socket:
    """One of the guest's Unix sockets, with what has come from it and was not looked at yet."""

    def __init__(self, path, deadline):
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > deadline:
                    raise Failure(f'nobody listens on {path}') from None
                time.sleep(0.02)
        self.text = ''

    def read(self, seconds):
        if not select.select([self.socket], [], [], seconds)[0]:
            return True
        data = self.socket.recv(65536)
        self.text += data.decode(errors='replace')
        return bool(data)

    def wait(self, pattern, seconds):
        """Takes everything up to the end of the first match; returns the match."""
        deadline = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.text)
            if match:
                self.text = self.text[match.end():]
                return match
            if time.monotonic() > deadline or not self.read(0.2):
                raise Failure(f'"{pattern}" did not come; last came: {self.text[-600:]!r}')

    def send(self, text):
        self.socket.sendall(text.encode())


class Guest:
    """`vmm`: Ringshift's program, or a whole command of QEMU's, which has the same options and another
    prompt."""

    def __init__(self, vmm, options, serial=True):
        self.folder = tempfile.TemporaryDirectory()
        self.monitor_path = os.path.join(self.folder.name, 'monitor')
        start = [vmm, 'run'] if isinstance(vmm, str) else vmm
        command = [*start, *options, '-monitor', f'unix:{self.monitor_path},server,nowait']
        serial_path = os.path.join(self.folder.name, 'serial')
        command += ['-serial', f'unix:{serial_path},server,nowait' if serial else 'null']
        self.errors = open(os.path.join(self.folder.name, 'errors'), 'w+', encoding='utf-8')
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.errors,
                                        stderr=self.errors)
        deadline = time.monotonic() + 10
        self.serial = Socket(serial_path, deadline) if serial else None
        self.monitor = Socket(self.monitor_path, deadline)
        if isinstance(vmm, str):
            self.monitor.wait(r'\(ringshift\) ', 10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.errors.close()
        self.folder.cleanup()

    def command(self, line, seconds=20):
        self.monitor.send(line + '\n')
        # The prompt shows what is typed, so the answer comes after it.
        self.monitor.wait(re.escape(line) + r'\r\n', seconds)
        start = self.monitor.text
        self.monitor.text = start
        deadline = time.monotonic() + seconds
        while '(ringshift) ' not in self.monitor.text:
            if time.monotonic() > deadline or not self.monitor.read(0.2):
                raise Failure(f'the monitor does not answer to {line}')
        answer, self.monitor.text = self.monitor.text.split('(ringshift) ', 1)
        return answer.replace('\r', '')

    def screen(self):
        return self.command('screen')

    def wait_screen(self, pattern, seconds):
        deadline = time.monotonic() + seconds
        while True:
            text = self.screen()
            match = re.search(pattern, text)
            if match:
                return match
            if time.monotonic() > deadline:
                raise Failure(f'"{pattern}" did not show; the screen:\n{text}')
            time.sleep(0.2)

    def press(self, *keys):
        for key in keys:
            self.command(f'sendkey {key}')

    def type(self, text):
        for char in text:
            key = KEYS.get(char, f'shift-{char.lower()}' if char.isupper() else char)
            self.command(f'sendkey {key}')

    def log_in(self, seconds=180):
        self.serial.wait('login: ', seconds)
        self.serial.send('root\n')
        self.serial.wait('assword: ', 20)
        self.serial.send('ringshift\n')
        self.serial.wait('# ', 20)
        # A shell that edits no lines, on a terminal that shows nothing of what is typed.
        self.serial.send('exec sh\n')
        self.serial.wait('# ', 20)
        self.serial.send('stty -echo; echo quiet-"now"\n')
        self.serial.wait('quiet-now', 20)
        self.serial.wait('# ', 20)

    def shell(self, line, seconds=60):
        """Runs a line in the guest's shell; returns its output."""
        self.serial.send(f'{line}; echo "end"-of-$?\n')
        deadline = time.monotonic() + seconds
        while not (match := re.search(r'end-of-(\d+)', self.serial.text)):
            if time.monotonic() > deadline or not self.serial.read(0.2):
                raise Failure(f'{line}: no end; last came: {self.serial.text[-400:]!r}')
        output = self.serial.text[:match.start()]
        self.serial.text = self.serial.text[match.end():]
        if match.group(1) != '0':
            raise Failure(f'{line}: status {match.group(1)}: {output}')
        self.serial.wait('# ', 20)
        return output.replace('\r', '')

    def end(self, seconds=40):
        """Waits for the end and returns the exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure('the guest did not power off') from None
