#!/usr/bin/env python3
"""boot_media.py VMM [TEST...] - boot loaders and testers of Debian's packages, from their media, through
SeaBIOS: what the screen shows and what the keyboard does. One line per test; status 0 if none failed."""
import http.server
import os
import subprocess
import sys
import tempfile
import threading

from session import Failure, Guest

GRUB = '/usr/lib/grub-rescue/'
MEMTEST = '/usr/lib/memtest86+/'
MENU = r'GNU GRUB +version'


def grub(vmm, *medium):
    """The menu shows, and the command line obeys the keyboard."""
    with Guest(vmm, ['-m', '128', *medium], serial=False) as guest:
        guest.wait_screen(MENU, 60)
        guest.type('c')
        guest.wait_screen('grub>', 20)
        guest.type('echo 6*7 is not $((6)) but "Answers: 42"\n')
        guest.wait_screen('Answers: 42', 20)


def grub_cd(vmm):
    grub(vmm, '-cdrom', GRUB + 'grub-rescue-cdrom.iso')


def grub_floppy(vmm):
    grub(vmm, '-fda', GRUB + 'grub-rescue-floppy.img', '-snapshot')


def memtest(vmm, *options):
    """A whole pass over 16 MiB without an error."""
    with Guest(vmm, ['-m', '16', *options], serial=False) as guest:
        guest.wait_screen(r'Memtest86\+', 60)
        # The last test waits for its memory to fade, minutes long: the configuration skips it.
        guest.wait_screen(r'Test #(?!0)\d', 120)
        match = guest.wait_screen(r'Errors: +(\d+)', 60)
        if match.group(1) != '0':
            raise Failure(f'memtest86+ found {match.group(1)} errors')
        guest.wait_screen(r'Test #10', 240)
        match = guest.wait_screen(r'Errors: +(\d+)', 60)
        if match.group(1) != '0':
            raise Failure(f'memtest86+ found {match.group(1)} errors')
        guest.wait_screen(r'Pass: +1 ', 400)


def memtest_cd(vmm):
    memtest(vmm, '-cdrom', MEMTEST + 'memtest86+x64.iso')


def memtest_kernel(vmm):
    """The tester as a Linux kernel, which -kernel starts without firmware: to its first tests."""
    with Guest(vmm, ['-m', '64', '-vga', 'std', '-kernel', '/boot/memtest86+ia32.bin', '-append',
                     'console=ttyS0,115200']) as guest:
        guest.serial.wait(r'Memtest86\+', 60)
        guest.serial.wait(r'Test', 60)


class Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        body = b'#!ipxe\necho The script of ${net0/ip} runs\nshell\n'
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def ipxe_http(vmm):
    """iPXE gets an address, and a script from a server on the host; its shell obeys the keyboard."""
    server = http.server.HTTPServer(('127.0.0.1', 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    with Guest(vmm, ['-m', '128', '-cdrom', '/usr/lib/ipxe/ipxe.iso', '-nic', 'user'],
               serial=False) as guest:
        guest.wait_screen('Ctrl-B', 60)
        guest.press('ctrl-b')
        guest.wait_screen('iPXE>', 30)
        guest.type('dhcp\n')
        guest.wait_screen(r'ok\n+iPXE>', 40)
        guest.type(f'chain http://10.0.2.2:{port}/boot\n')
        guest.wait_screen(r'The script of 10\.0\.2\.15 runs', 40)
    server.shutdown()


def isolinux_menu(vmm):
    """A menu of isolinux, whose second entry the keyboard chooses."""
    config = ('UI menu.c32\nMENU TITLE Ringshift test menu\nLABEL one\n MENU LABEL First entry\n'
              ' LOCALBOOT -1\nLABEL two\n MENU LABEL Second entry\n COM32 pwd.c32\n')
    with tempfile.TemporaryDirectory() as folder:
        tree = os.path.join(folder, 'tree')
        os.makedirs(os.path.join(tree, 'isolinux'))
        modules = '/usr/lib/syslinux/modules/bios/'
        for name in ('ldlinux.c32', 'menu.c32', 'libutil.c32', 'pwd.c32', 'libcom32.c32'):
            subprocess.run(['cp', modules + name, tree + '/isolinux/'], check=True)
        subprocess.run(['cp', '/usr/lib/ISOLINUX/isolinux.bin', tree + '/isolinux/'], check=True)
        with open(tree + '/isolinux/isolinux.cfg', 'w', encoding='ascii') as file:
            file.write(config)
        image = os.path.join(folder, 'menu.iso')
        subprocess.run(['xorriso', '-as', 'mkisofs', '-quiet', '-o', image, '-b',
                        'isolinux/isolinux.bin', '-c', 'isolinux/boot.cat', '-no-emul-boot',
                        '-boot-load-size', '4', '-boot-info-table', tree], check=True,
                       stderr=subprocess.DEVNULL)
        with Guest(vmm, ['-m', '64', '-cdrom', image], serial=False) as guest:
            guest.wait_screen('Ringshift test menu', 60)
            guest.wait_screen('Second entry', 5)
            guest.press('down', 'ret')
            guest.wait_screen('/isolinux', 30)


TESTS = {'grub_cd': grub_cd, 'grub_floppy': grub_floppy, 'memtest_cd': memtest_cd,
         'memtest_kernel': memtest_kernel, 'ipxe_http': ipxe_http, 'isolinux_menu': isolinux_menu}


def main():
    vmm, *names = sys.argv[1:]
    failed = 0
    for name in names or TESTS:
        try:
            TESTS[name](vmm)
            print(f'PASS {name}', flush=True)
        except (Failure, subprocess.CalledProcessError, OSError) as problem:
            failed += 1
            print(f'FAIL {name}: {problem}', flush=True)
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
