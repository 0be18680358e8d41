#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Two ends as two hosts of a job: what a launcher takes for ssh.

hosts.py serve               at the far end: runs what the other side sends
hosts.py HOST CMD…           at the near end: as `ssh HOST CMD…`
hosts.py as NAME CMD…        runs CMD on a host of that name
hosts.py device A B CMD…     runs CMD for UCX's device A on host1, B on host2
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading

PORT = 7720
NAMES = ("host1", "host2")
SELF = os.path.abspath(__file__)


def answer(peer):
    with peer, peer.makefile("rw") as stream:
        done = subprocess.run(
            ["sh", "-c", json.loads(stream.readline())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        reply = json.dumps([done.returncode, done.stdout])
        stream.write(reply + "\n")


def serve():
    with socket.create_server(("", PORT)) as listener:
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=answer, args=(peer,)).start()


def ask(host, words):
    with socket.create_connection((host, PORT)) as peer:
        with peer.makefile("rw") as stream:
            stream.write(json.dumps(" ".join(words)) + "\n")
            stream.flush()
            status, text = json.loads(stream.readline())
    print(text, end="")
    return status


def named(name, words):
    """Words that run a command on a host of that name."""
    return ["unshare", "--uts", SELF, "as", name] + words


def run_as(name, words):
    socket.sethostname(name)
    os.execvp(words[0], words)


def run_on_device(devices, words):
    number = NAMES.index(socket.gethostname())
    os.environ["UCX_NET_DEVICES"] = devices[number] + ":1"
    os.execvp(words[0], words)


@contextlib.contextmanager
def joined(near, far):
    """The ends are host1 and host2 in the block, and host2 takes commands."""
    from tests.wire.ends import wait_listening

    lines = "".join(
        f"{end.control} {name}\n" for name, end in zip(NAMES, (near, far))
    )
    script = "cp /etc/hosts /etc/hosts.before; "
    script += f"printf '{lines}' >> /etc/hosts"
    ends = [near] if far.name != "peer" else [near, far]
    for end in ends:
        end.run(["sh", "-c", script])
    server = far.start(named(NAMES[1], [SELF, "serve"]))
    try:
        wait_listening(far, server, PORT)
        yield
    finally:
        server.kill()
        for end in ends:
            end.run(["mv", "/etc/hosts.before", "/etc/hosts"])


def main(argv):
    if argv[0] == "serve":
        serve()
    if argv[0] == "as":
        run_as(argv[1], argv[2:])
    if argv[0] == "device":
        run_on_device(argv[1:3], argv[3:])
    # Options of ssh that launchers give
    words = [w for w in argv if not w.startswith("-")]
    return ask(words[0], argv[argv.index(words[0]) + 1 :])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
