# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Give the kernel an enterprise ID of SMC-R version 2 (smcr ueid add).

smc_eid.py [ID]

Both sides of a connection need the same.
"""

import contextlib
import socket
import struct
import sys

GENERIC = 16
CTRL, GETFAMILY, FAMILY_ID, FAMILY_NAME = 16, 3, 1, 2
ADD_UEID, ENTRY = 10, 1
REQUEST_ACK = 1 | 4


def attribute(kind, data):
    head = struct.pack("HH", 4 + len(data), kind)
    return head + data + b"\0" * (-len(data) % 4)


def ask(link, family, command, attributes):
    """The first answer's attributes; raises OSError for an error."""
    body = struct.pack("BBH", command, 1, 0) + attributes
    head = struct.pack("IHHII", 16 + len(body), family, REQUEST_ACK, 1, 0)
    link.send(head + body)
    answer = link.recv(65536)
    kind = struct.unpack_from("H", answer, 4)[0]
    if kind == 2:
        error = -struct.unpack_from("i", answer, 16)[0]
        if error:
            raise OSError(error, "netlink")
    else:
        link.recv(65536)
    return answer[20:]


def family_of(link, name):
    data = ask(link, CTRL, GETFAMILY, attribute(FAMILY_NAME, name + b"\0"))
    while data:
        length, kind = struct.unpack_from("HH", data)
        if kind == FAMILY_ID:
            return struct.unpack_from("H", data, 4)[0]
        after = (length + 3) & ~3
        data = data[after:]
    raise OSError("no number of a netlink family")


def main(name="SODP"):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, GENERIC) as link:
        link.bind((0, 0))
        family = family_of(link, b"SMC_GEN_NETLINK")
        entry = attribute(ENTRY, name.ljust(32).encode() + b"\0")
        # It is there already, from the other namespace
        with contextlib.suppress(FileExistsError):
            ask(link, family, ADD_UEID, entry)


if __name__ == "__main__":
    main(*sys.argv[1:])
