# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What the second of two machines runs: programs that the first one asks for.

Orders are lines of JSON from one TCP connection; "bye" ends it well.
"""

import json
import os
import socket
import sys

from tests.common.tap import Failure
from tests.wire import ends


def _order(here, programs, order):
    kind = order["op"]
    if kind == "env":
        names = [k for k in os.environ if k.startswith("SODP_")]
        return {"env": {k: os.environ[k] for k in names}}
    if kind == "start":
        programs.append(here.start(order["cmd"], **order["env"]))
        return {"id": len(programs) - 1}
    if kind == "listening":
        return {"answer": here.listening(order["port"])}
    if kind == "bye":
        return {}
    program = programs[order["id"]]
    if kind == "kill":
        program.kill(order["signal"])
    status = program.poll()
    if status is not None:
        program.wait(0)
    return {"status": status, "output": program.output()}


def serve(stream, programs):
    here = ends.LocalEnd("peer", {})
    for line in stream:
        order = json.loads(line)
        try:
            reply = _order(here, programs, order)
        except (Failure, OSError) as err:
            reply = {"error": str(err)}
        stream.write(json.dumps(reply) + "\n")
        stream.flush()
        if order["op"] == "bye":
            return 0
    print("the first machine went without a word")
    return 1


def main():
    programs = []
    with socket.create_server(("", ends.AGENT_PORT)) as listener:
        peer, _ = listener.accept()
        try:
            return serve(peer.makefile("rw"), programs)
        finally:
            for program in programs:
                program.kill()
                print(program.output(), end="")


if __name__ == "__main__":
    sys.exit(main())
