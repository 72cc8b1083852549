#!/usr/bin/env python3
"""debian_disk.py VMM FOLDER [--kills N] [TEST...] - a Debian root file system on a disk image
(make_disk.sh makes FOLDER/disk.img): boots through GRUB over BIOS and UEFI from each kind of disk,
logs in, compiles and runs a program, talks to the host's network both ways, and loses nothing that was
acknowledged when the VMM is killed."""
import argparse
import hashlib
import http.server
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import urllib.request

from session import Failure, Guest

OVMF = '/usr/share/OVMF/'
PAYLOAD = bytes(range(256)) * 4096  # 1 MiB


class Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        self.send_response(200)
        self.send_header('Content-Length', str(len(PAYLOAD)))
        self.end_headers()
        self.wfile.write(PAYLOAD)

    def log_message(self, *_):
        pass


def check_system(guest):
    """What a user would try first."""
    guest.log_in()
    program = 'int puts(const char*); int main(void) { return puts("it runs") < 0; }'
    output = guest.shell(f"echo '{program}' > /tmp/a.c && gcc -o /tmp/a /tmp/a.c && /tmp/a")
    if 'it runs' not in output:
        raise Failure(f'the compiled program said {output!r}')


def power_off(guest):
    guest.serial.send('poweroff\n')
    status = guest.end()
    if status != 0:
        raise Failure(f'exit status {status} after power-off')


def boot(vmm, folder, *disk, efi=False):
    options = ['-m', '512', '-nic', 'none', *disk]
    if efi:
        variables = os.path.join(folder, 'vars.fd')
        shutil.copy(OVMF + 'OVMF_VARS_4M.fd', variables)
        options += ['-drive', f'if=pflash,format=raw,readonly=on,file={OVMF}OVMF_CODE_4M.fd',
                    '-drive', f'if=pflash,format=raw,file={variables}']
    with Guest(vmm, options) as guest:
        check_system(guest)
        is_efi = 'yes' in guest.shell('[ -d /sys/firmware/efi ] && echo yes || echo no')
        if is_efi != efi:
            raise Failure(f'booted by {"UEFI" if is_efi else "BIOS"}')
        power_off(guest)


def raw(folder, interface):
    return ['-drive', f'file={folder}/disk.img,format=raw,if={interface},snapshot=on']


def bios_ide(vmm, folder):
    boot(vmm, folder, *raw(folder, 'ide'))


def bios_virtio(vmm, folder):
    boot(vmm, folder, *raw(folder, 'virtio'))


def uefi_ide(vmm, folder):
    boot(vmm, folder, *raw(folder, 'ide'), efi=True)


def uefi_virtio(vmm, folder):
    boot(vmm, folder, *raw(folder, 'virtio'), efi=True)


def overlay(folder, name):
    """A qcow2 image over the disk."""
    path = os.path.join(folder, name)
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'disk.img', '-F', 'raw', path],
                   check=True)
    return path


def check_image(path):
    done = subprocess.run(['qemu-img', 'check', '-q', '-U', path], capture_output=True, text=True,
                          check=False)
    # 3: only leaked clusters, which is what a kill may leave.
    if done.returncode not in (0, 3):
        raise Failure(f'qemu-img check {path}: {done.stdout} {done.stderr}')


def qcow2(vmm, folder):
    """Boots from a qcow2 image, writes, boots again and finds it; QEMU's tool finds no fault."""
    image = overlay(folder, 'overlay.qcow2')
    disk = ['-drive', f'file={image},format=qcow2,if=virtio']
    with Guest(vmm, ['-m', '512', '-nic', 'none', *disk]) as guest:
        guest.log_in()
        guest.shell('dd if=/dev/urandom of=blob bs=1M count=40 status=none && sync')
        digest = guest.shell('md5sum < blob').split()[0]
        power_off(guest)
    check_image(image)
    with Guest(vmm, ['-m', '512', '-nic', 'none', *disk]) as guest:
        guest.log_in()
        if digest not in guest.shell('md5sum < blob'):
            raise Failure('what was written is not what is read after a restart')
        power_off(guest)


def network(vmm, folder, card):
    """DHCP, a download from the host, a page served to the host."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host_port = random.randint(20000, 40000)
    with Guest(vmm, ['-m', '512', *raw(folder, 'virtio'), '-nic',
                     f'user,model={card},hostfwd=tcp:127.0.0.1:{host_port}-:80']) as guest:
        guest.log_in()
        output = guest.shell(f'wget -q -O - http://10.0.2.2:{server.server_address[1]}/ | md5sum')
        if hashlib.md5(PAYLOAD).hexdigest() not in output:
            raise Failure(f'the download differs: {output}')
        guest.shell('mkdir -p /var/www && echo served-by-the-guest > /var/www/index.html && '
                    'busybox httpd -p 80 -h /var/www')
        with urllib.request.urlopen(f'http://127.0.0.1:{host_port}/', timeout=20) as page:
            if b'served-by-the-guest' not in page.read():
                raise Failure('the guest served something else')
        power_off(guest)
    server.shutdown()


# Numbers, one at a time, each in the file and on stable storage before it is said.
WRITER = r'''
#include <stdio.h>
#include <fcntl.h>
#include <unistd.h>
int main(void) {
  int f = open("numbers", O_RDWR | O_CREAT, 0600);
  unsigned n = 0;
  lseek(f, 0, SEEK_END) > 0 && pread(f, &n, 4, lseek(f, 0, SEEK_END) - 4);
  for (;;) { ++n; write(f, &n, 4); fsync(f); printf("kept %u\n", n); fflush(stdout); }
}
'''


def survive_kills(vmm, folder, kills):
    """kill -9 in the middle of fsync()ed writes: every number that the guest was told is kept, is."""
    image = overlay(folder, 'killed.qcow2')
    options = ['-m', '512', '-nic', 'none', '-drive', f'file={image},format=qcow2,if=virtio']
    told = 0
    for _ in range(kills):
        with Guest(vmm, options) as guest:
            guest.log_in()
            guest.shell("cat > w.c <<'END'\n" + WRITER.strip() + "\nEND\ngcc -w -o w w.c")
            last = guest.shell('[ ! -e numbers ] || tail -c 4 numbers | od -An -tu4').split()
            found = int(last[-1]) if last and last[-1].isdigit() else 0
            if found < told:
                raise Failure(f'{told} was acknowledged, {found} is the last on the disk')
            guest.serial.send('./w\n')
            end = time.monotonic() + random.uniform(0.3, 1.5)
            while time.monotonic() < end:
                guest.serial.read(0.02)
            guest.process.kill()
            numbers = [int(word.split()[1]) for word in guest.serial.text.split('\n')[:-1]
                       if word.strip().startswith('kept ')]
            told = max([told, *numbers])
        check_image(image)
    if told == 0:
        raise Failure('nothing was ever written')


TESTS = {'bios_ide': bios_ide, 'bios_virtio': bios_virtio, 'uefi_ide': uefi_ide,
         'uefi_virtio': uefi_virtio, 'qcow2': qcow2,
         'network_virtio': lambda vmm, folder: network(vmm, folder, 'virtio'),
         'network_e1000': lambda vmm, folder: network(vmm, folder, 'e1000')}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('vmm')
    parser.add_argument('folder')
    parser.add_argument('--kills', type=int, default=5)
    parser.add_argument('tests', nargs='*')
    arguments = parser.parse_intermixed_args()
    tests = dict(TESTS)
    tests['kills'] = lambda vmm, folder: survive_kills(vmm, folder, arguments.kills)
    failed = 0
    for name in arguments.tests or tests:
        try:
            tests[name](arguments.vmm, arguments.folder)
            print(f'PASS debian_disk {name}', flush=True)
        except (Failure, subprocess.CalledProcessError, OSError) as problem:
            failed += 1
            print(f'FAIL debian_disk {name}: {problem}', flush=True)
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
