#!/usr/bin/env python3
"""compare_disk_network.py VMM DISK [--repeats N] [--json FILE] - what a Debian guest reads from and
writes to a virtio disk, and downloads through user networking, here and under QEMU's TCG in the same
run. DISK is the image that tests/firmware/make_disk.sh makes; nothing in it changes. Best of N."""
import argparse
import http.server
import json
import os
import re
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'tests', 'firmware'))
from session import Guest  # noqa: E402

RANDOM_READS = r'''
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int main(void) {
  int f = open("/dev/vda", O_RDONLY | O_DIRECT), count = 4000;
  void *page;
  struct timespec a, b;
  posix_memalign(&page, 4096, 4096);
  clock_gettime(CLOCK_MONOTONIC, &a);
  for (int i = 0; i < count; ++i) pread(f, page, 4096, (random() % 200000) * 4096L);
  clock_gettime(CLOCK_MONOTONIC, &b);
  printf("rate %.0f\n", count / (b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9));
}
'''
MIB = 1 << 20
DOWNLOAD = bytes(64 * MIB)


class Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        self.send_response(200)
        self.send_header('Content-Length', str(len(DOWNLOAD)))
        self.end_headers()
        self.wfile.write(DOWNLOAD)

    def log_message(self, *_):
        pass


def rate_of_dd(output):
    """MiB/s from dd's last line: "... copied, 0.5 s, 1.0 GB/s"."""
    copied, seconds = re.search(r'(\d+) bytes.*copied, ([0-9.e+-]+) s', output).groups()
    return int(copied) / MIB / float(seconds)


def measure(vmm, disk, port, repeats):
    options = ['-m', '512', '-drive', f'file={disk},format=raw,if=virtio,snapshot=on', '-nic',
               'user,model=virtio', '-display', 'none']
    with Guest(vmm, options) as guest:
        guest.log_in(400)
        guest.shell("cat > r.c <<'END'\n" + RANDOM_READS.strip() + '\nEND\ngcc -w -O1 -o r r.c', 200)

        def best(work):
            return max(work() for _ in range(repeats))

        def download():
            seconds = guest.shell(
                'a=$(date +%s%N); wget -q -O /dev/null '
                f'http://10.0.2.2:{port}/ && b=$(date +%s%N); echo took $((b - a))', 200)
            return len(DOWNLOAD) / MIB / (int(re.search(r'took (\d+)', seconds).group(1)) / 1e9)

        def dd(arguments):
            return best(lambda: rate_of_dd(guest.shell(f'dd {arguments} 2>&1', 200)))

        return {
            'sequential read, MiB/s': dd('if=/dev/vda of=/dev/null bs=1M count=512 iflag=direct'),
            'sequential write, MiB/s': dd('if=/dev/zero of=f bs=1M count=128 oflag=direct conv=fsync'),
            'random reads of 4 KiB, 1/s': best(
                lambda: float(re.search(r'rate (\d+)', guest.shell('./r', 200)).group(1))),
            'TCP download, MiB/s': best(download),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('vmm')
    parser.add_argument('disk')
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--json')
    arguments = parser.parse_args()
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    engines = {'ringshift': arguments.vmm,
               'qemu-tcg': ['qemu-system-x86_64', '-machine', 'pc,accel=tcg', '-cpu', 'max']}
    results = {name: measure(vmm, arguments.disk, port, arguments.repeats)
               for name, vmm in engines.items()}
    print(f'{"":<28}{"ringshift":>12}{"qemu-tcg":>12}{"ratio":>8}')
    for what, here in results['ringshift'].items():
        there = results['qemu-tcg'][what]
        print(f'{what:<28}{here:>12.0f}{there:>12.0f}{here / there:>8.2f}')
    if arguments.json:
        with open(arguments.json, 'w', encoding='utf-8') as file:
            json.dump(results, file, indent=1)


if __name__ == '__main__':
    main()
