#!/usr/bin/env python3
"""installer.py VMM FOLDER [ARCH...] - Debian's installer (netboot, text) from a CD through SeaBIOS and
isolinux to its first question, the language, answered with the keyboard. Screenshots go to FOLDER."""
import os
import subprocess
import sys
import tempfile

from session import Failure, Guest

IMAGES = '/usr/lib/debian-installer/images/12/{0}/text/debian-installer/{0}/'


def make_cd(arch, folder):
    tree = os.path.join(folder, 'tree')
    os.makedirs(tree + '/isolinux')
    for source in (IMAGES.format(arch) + 'linux', IMAGES.format(arch) + 'initrd.gz',
                   '/usr/lib/ISOLINUX/isolinux.bin',
                   '/usr/lib/syslinux/modules/bios/ldlinux.c32'):
        subprocess.run(['cp', '-L', source, tree + '/isolinux/'], check=True)
    with open(tree + '/isolinux/isolinux.cfg', 'w', encoding='ascii') as file:
        file.write('DEFAULT install\nPROMPT 1\nTIMEOUT 0\nSAY Ringshift installer test\n'
                   'LABEL install\n KERNEL linux\n APPEND initrd=initrd.gz vga=normal nomodeset fb=false\n')
    image = os.path.join(folder, 'installer.iso')
    subprocess.run(['xorriso', '-as', 'mkisofs', '-quiet', '-o', image, '-b',
                    'isolinux/isolinux.bin', '-c', 'isolinux/boot.cat', '-no-emul-boot',
                    '-boot-load-size', '4', '-boot-info-table', tree], check=True,
                   stderr=subprocess.DEVNULL)
    return image


def install(vmm, arch, pictures):
    with tempfile.TemporaryDirectory() as folder:
        image = make_cd(arch, folder)
        with Guest(vmm, ['-m', '1024', '-cdrom', image, '-nic', 'user'], serial=False) as guest:
            guest.wait_screen('boot:', 60)
            guest.type('install\n')
            guest.wait_screen('Select a language', 240)
            guest.command(f'screendump {os.path.abspath(pictures)}/installer-{arch}.png')
            # One up from English is Dutch, and so is the next question.
            guest.press('up')
            guest.press('ret')
            guest.wait_screen('Nederland', 120)


def main():
    vmm, folder, *names = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    failed = 0
    for arch in names or ('amd64', 'i386'):
        try:
            install(vmm, arch, folder)
            print(f'PASS installer_{arch}', flush=True)
        except (Failure, subprocess.CalledProcessError, OSError) as problem:
            failed += 1
            print(f'FAIL installer_{arch}: {problem}', flush=True)
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
