# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Run a server and a client of the usual RDMA programs."""

import subprocess
import time

from tests.common.machine import ADDR, SLOW, wait_listening
from tests.common.tap import Failure


def _start(args):
    return subprocess.Popen(
        args,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_pair(args, port, seconds):
    """Output of server and client; raises Failure unless both end well."""
    deadline = time.monotonic() + seconds * SLOW
    server = _start(args)
    try:
        wait_listening(server, port, seconds)
        client = _start(args + [ADDR])
        try:
            said = client.communicate(timeout=deadline - time.monotonic())[0]
            heard = server.communicate(timeout=10 * SLOW)[0]
        except subprocess.TimeoutExpired:
            raise Failure(f"no end after {seconds * SLOW} s")
        finally:
            client.kill()
            client.wait()
    finally:
        server.kill()
        server.wait()
    if client.returncode:
        raise Failure(f"client: status {client.returncode}: {said}")
    if server.returncode:
        raise Failure(f"server: status {server.returncode}: {heard}")
    return heard, said
