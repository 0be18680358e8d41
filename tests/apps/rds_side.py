# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""One side of RDMA by RDS sockets.

rds_side.py serve ADDRESS [FILE]
rds_side.py ask ADDRESS SERVER [FILE]

The asking side sends the key of a piece of its memory, the server writes
the same piece of its own memory into it or reads it.  Both then print a
digest of the piece; they have to be equal.  FILE: what to map, instead of
memory of the process.
"""

import ctypes
import hashlib
import mmap
import os
import socket
import struct
import sys

PORT = 7900
SIZE = 2 << 20
# verb, where, length: less than a page, over the edge of pages, the most
# that RDS takes in one message
PIECES = (
    ("write", 0, 4096),
    ("read", 4096, 4096),
    ("write", 8193, 1),
    ("read", 12287, 8194),
    ("write", 100001, 65543),
    ("read", 200003, 131071),
    ("write", 1 << 20, 1 << 20),
    ("read", 0, 1 << 20),
)

# linux/rds.h
SOL_RDS = 276
SO_RDS_TRANSPORT, RDS_TRANS_IB = 8, 0
RDMA_ARGS, RDMA_DEST, RDMA_MAP, RDMA_STATUS = 1, 2, 3, 4
READWRITE, FENCE, USE_ONCE, NOTIFY_ME = 1, 2, 8, 32


class Memory:
    """Random bytes that RDS can be given the address of."""

    def __init__(self, path=None):
        if path:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(fd, SIZE)
            self.bytes = mmap.mmap(fd, SIZE)
        else:
            self.bytes = mmap.mmap(-1, SIZE)
        self.bytes[:] = os.urandom(SIZE)
        first = ctypes.c_char.from_buffer(self.bytes)
        self.address = ctypes.addressof(first)

    def piece(self, at, length):
        return struct.pack("QQ", self.address + at, length)

    def digest(self, at, length):
        return hashlib.sha256(self.bytes[at : at + length]).hexdigest()


def rds_socket(address, port):
    """By RDMA or not at all."""
    sock = socket.socket(socket.AF_RDS, socket.SOCK_SEQPACKET)
    kind = struct.pack("i", RDS_TRANS_IB)
    sock.setsockopt(SOL_RDS, SO_RDS_TRANSPORT, kind)
    sock.bind((address, port))
    sock.settimeout(120)
    return sock


def receive(sock, wanted):
    """Text, what the control message of that kind says, sender."""
    text, control, _, sender = sock.recvmsg(256, 1024)
    for level, kind, data in control:
        if (level, kind) == (SOL_RDS, wanted):
            return text.decode(), data, sender
    return text.decode(), None, sender


def transfer(sock, memory, text, key, asker):
    """What was asked for; the reply comes after the data."""
    verb, at, length = text.split()
    here = ctypes.create_string_buffer(memory.piece(int(at), int(length)))
    flags = NOTIFY_ME | (READWRITE if verb == "write" else FENCE)
    args = key + struct.pack("QQ", 0, int(length))
    args += struct.pack("QQQQ", ctypes.addressof(here), 1, flags, 1)
    sock.sendmsg([b"done"], [(SOL_RDS, RDMA_ARGS, args)], 0, asker)
    status = None
    while status is None:
        _, status, _ = receive(sock, RDMA_STATUS)
    if struct.unpack_from("Qi", status) != (1, 0):
        sys.exit(f"{text}: status {status.hex()}")
    print(text, memory.digest(int(at), int(length)), flush=True)


def serve(memory, address):
    with rds_socket(address, PORT) as sock:
        print("listening", flush=True)
        while True:
            text, key, asker = receive(sock, RDMA_DEST)
            if key:
                transfer(sock, memory, text, key, asker)
            else:
                sock.sendto(text.encode(), asker)
            if text == "bye":
                # The reply is on its way: closing drops only what waits
                return


def ask(memory, address, server):
    to = (server, PORT)
    with rds_socket(address, 0) as sock:
        # There are no keys before there is a connection
        sock.sendto(b"hello", to)
        receive(sock, None)
        for verb, at, length in PIECES:
            before = memory.bytes[:]
            args = memory.piece(at, length)
            args += struct.pack("QQ", 0, READWRITE | USE_ONCE)
            text = f"{verb} {at} {length}"
            control = [(SOL_RDS, RDMA_MAP, args)]
            sock.sendmsg([text.encode()], control, 0, to)
            receive(sock, None)
            print(text, memory.digest(at, length), flush=True)
            wrong = before[:at] != memory.bytes[:at]
            if wrong or before[at + length :] != memory.bytes[at + length :]:
                sys.exit(f"{text}: bytes beside the piece have changed")
        sock.sendto(b"bye", to)
        receive(sock, None)


def main(argv):
    if argv[0] == "serve":
        serve(Memory(*argv[2:]), argv[1])
    else:
        ask(Memory(*argv[3:]), *argv[1:3])


if __name__ == "__main__":
    main(sys.argv[1:])
