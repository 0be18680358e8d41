# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""An ordinary TCP program: it knows nothing of RDMA.

streams.py serve FAMILY ADDRESS PORT COUNT
streams.py send FAMILY ADDRESS PORT COUNT BYTES

The server takes COUNT connections and gives back what comes, the client
opens them all, keeps them open, and sends other bytes through each, all at
once.  One thread a connection: rsend() and rrecv() of two threads on one
rsocket may wait for ever, on any device (docs/rsockets.md).  FAMILY is inet or
smc.
"""

import ctypes
import random
import socket
import sys
import threading
import time

AF_SMC = 43
PIECE = 50000


def open_socket(family):
    """Addresses of SMC are those of TCP, but Python does not know it."""
    number = None
    if family == "smc":
        number = ctypes.CDLL(None).socket(AF_SMC, socket.SOCK_STREAM, 0)
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, number)


def echo(link):
    with link:
        while True:
            data = link.recv(PIECE)
            if not data:
                return
            link.sendall(data)


def serve(family, address, port, count):
    with open_socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(count)
        print("listening", flush=True)
        threads = []
        for _ in range(count):
            link, _ = listener.accept()
            threads.append(threading.Thread(target=echo, args=(link,)))
            threads[-1].start()
        for thread in threads:
            thread.join()
    print(f"served {count}")


class Link(threading.Thread):
    """One connection of the client's."""

    def __init__(self, family, where, seed, size):
        super().__init__()
        self.data = random.Random(seed).randbytes(size)
        self.back = bytearray()
        self.socket = open_socket(family)
        self.socket.connect(where)

    def run(self):
        for at in range(0, len(self.data), PIECE):
            piece = self.data[at : at + PIECE]
            self.socket.sendall(piece)
            while len(self.back) < at + len(piece):
                came = self.socket.recv(PIECE)
                if not came:
                    return
                self.back += came

    def finish(self):
        self.join()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        return self.back == self.data


def send(family, address, port, count, size):
    began = time.monotonic()
    links = [Link(family, (address, port), n, size) for n in range(count)]
    print(f"connected in {time.monotonic() - began:.1f} s", flush=True)
    for link in links:
        link.start()
    same = sum([link.finish() for link in links])
    print(f"{same} of {count} the same in {time.monotonic() - began:.1f} s")
    return 0 if same == count else 1


def main(words):
    work, family, address, *numbers = words
    return {"serve": serve, "send": send}[work](
        family, address, *map(int, numbers)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
