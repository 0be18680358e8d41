# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The two ends of a wire: network namespaces here, or another machine.

An end has a device with addresses (its environment says which) and runs
programs.  Tests are written for two ends and do not know what is between.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time

from tests.common.machine import SLOW, TCP_TABLES, call, listens, wait_for
from tests.common.tap import Failure, Tap, skip_all
from tests.lab.guest import devices

AGENT_PORT = 7701


class Program:
    """A program that runs at an end in this machine."""

    def __init__(self, args, env):
        self.process = subprocess.Popen(
            args,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        self.text = b""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return
            self.text += data

    def output(self):
        return self.text.decode(errors="replace")

    def poll(self):
        return self.process.poll()

    def wait(self, seconds):
        """Exit status; None when it has not ended in time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
            # Its children may hold the pipe, but not for ever.
            self.reader.join(2)
        return self.process.poll()

    def kill(self, sig=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, sig)
        if sig == signal.SIGKILL:
            self.wait(10)


class End:
    """What tests know of an end: its environment (without SODP_)."""

    def __getitem__(self, key):
        return self.env[f"SODP_{key}"]

    @property
    def control(self):
        """Address for all but RDMA: programs meet there by TCP."""
        return self.env.get("SODP_CTL") or self["ADDR"]


class LocalEnd(End):
    """An end in this machine, in a network namespace or in none."""

    def __init__(self, name, env, netns=None):
        self.name = name
        self.env = {k: v for k, v in os.environ.items() if k[:5] == "SODP_"}
        self.env.update(env)
        self.prefix = ["ip", "netns", "exec", netns] if netns else []

    def start(self, args, **env):
        whole = dict(os.environ, **self.env, **env)
        return Program(self.prefix + list(args), whole)

    def listening(self, port):
        """Is somebody listening on this TCP port?"""
        return listens(self.run(["cat", *TCP_TABLES]), port)

    def run(self, args, seconds=60, **env):
        """Output of a program that must end well."""
        return run(self, args, seconds, **env)


def run(end, args, seconds=60, **env):
    return finish(end, end.start(args, **env), " ".join(args), seconds)


def finish(end, program, what, seconds):
    """Output of a program that is running and must end well."""
    status = program.wait(seconds * SLOW)
    text = program.output()
    if status is None:
        program.kill()
        raise Failure(f"{end.name}: no end of {what}:\n{text}")
    if status:
        raise Failure(f"{end.name}: {what}: {status}:\n{text}")
    return text


class RemoteProgram:
    """A program that an agent runs for us."""

    def __init__(self, end, number):
        self.end = end
        self.number = number
        self.status = None
        self.text = ""

    def _ask(self, **order):
        reply = self.end.ask(id=self.number, **order)
        self.status = reply["status"]
        self.text = reply["output"]

    def output(self):
        if self.status is None:
            self._ask(op="poll")
        return self.text

    def poll(self):
        if self.status is None:
            self._ask(op="poll")
        return self.status

    def wait(self, seconds):
        deadline = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.status

    def kill(self, sig=signal.SIGKILL):
        self._ask(op="kill", signal=int(sig))


class RemoteEnd(End):
    """The other machine, by way of the agent that runs there."""

    def __init__(self, address, seconds=240):
        self.name = "peer"
        self.address = address
        deadline = time.monotonic() + seconds * SLOW
        while True:
            try:
                self.socket = socket.create_connection(
                    (address, AGENT_PORT), timeout=30
                )
                break
            except OSError as err:
                if time.monotonic() > deadline:
                    raise Failure(f"no agent at {address}: {err}")
                time.sleep(0.2)
        self.socket.settimeout(60 * SLOW)
        self.stream = self.socket.makefile("rw")
        self.env = self.ask(op="env")["env"]

    def ask(self, **order):
        try:
            self.stream.write(json.dumps(order) + "\n")
            self.stream.flush()
            reply = json.loads(self.stream.readline())
        except (OSError, ValueError) as err:
            raise Failure(f"the agent is gone: {err}")
        if "error" in reply:
            raise Failure(f"{self.name}: {reply['error']}")
        return reply

    def start(self, args, **env):
        reply = self.ask(op="start", cmd=list(args), env=env)
        return RemoteProgram(self, reply["id"])

    def listening(self, port):
        return self.ask(op="listening", port=port)["answer"]

    def run(self, args, seconds=60, **env):
        return run(self, args, seconds, **env)

    def close(self):
        self.ask(op="bye")
        self.socket.close()


def _gid_index(device, address, prefix):
    """A namespace may be the only one that sees its devices."""
    if not prefix or os.path.exists(f"/sys/class/infiniband/{device}"):
        return devices.gid_index(device, address)
    code = "import sys; from tests.lab.guest import devices; "
    code += "print(devices.gid_index(*sys.argv[1:]))"
    text = call(*prefix, "python3", "-B", "-c", code, device, address)
    return int(text)


def environment(device, addresses, prefix=()):
    """What programs at an end are told; `prefix` enters its namespace."""
    env = {"SODP_DEV": device}
    for suffix, address in zip(("", "6"), addresses):
        env[f"SODP_ADDR{suffix}"] = address
        key = "SODP_GID6_INDEX" if suffix else "SODP_GID_INDEX"
        env[key] = str(_gid_index(device, address, prefix))
    return env


def settle(end):
    """Wait for the link-local address of the end's network device.

    Neighbour discovery asks from it: until duplicate address detection is
    over, a second or two after the device is up, no IPv6 GID resolves.
    """
    name = end.env.get("SODP_NETDEV", devices.CABLE)
    args = ["ip", "-6", "-o", "addr", "show", "dev", name]
    args += ["scope", "link", "-tentative"]
    what = f"{end.name}: a link-local address on {name}"
    wait_for(what, lambda: end.run(args).strip(), 15)


def wait_serving(program, what, test, seconds=60):
    """Until test() is true of a program; it must not end before."""

    def looked():
        found = test()
        if not found and program.poll() is not None:
            raise Failure(f"{what}: it ended: {program.output()}")
        return found

    return wait_for(what, looked, seconds)


def wait_listening(end, program, port, seconds=60):
    what = f"{end.name}: the server listens"
    wait_serving(program, what, lambda: end.listening(port), seconds)


def served(far, near, server, client, ready, seconds=90):
    """Server and client; returns what they printed, server first.

    server, client: arguments and environment of a program.
    ready: function that waits until the server takes connections.
    """
    programs = []
    try:
        programs.append(far.start(server[0], **server[1]))
        ready(far, programs[0])
        programs.append(near.start(client[0], **client[1]))
        ended = [(programs[1].wait(seconds * SLOW), "client")]
        ended.append((programs[0].wait(20 * SLOW), "server"))
        said = [program.output() for program in programs]
    finally:
        for program in programs:
            program.kill()
    for status, who in ended:
        if status != 0:
            what = "no end" if status is None else f"status {status}"
            both = f"--- client:\n{said[1]}\n--- server:\n{said[0]}"
            raise Failure(f"{who}: {what}\n{both}")
    return said


def cm_listens(end, *words):
    """Does somebody listen by rdma_cm, whose line has all of this?"""
    text = end.run(["rdma", "resource", "show", "cm_id"])
    for line in text.splitlines():
        if all(word in f"{line} " for word in ("LISTEN", *words)):
            return True
    return False


def run_cases(cases, names):
    """The cases of those names, or all: functions that need sodp loaded."""
    if not os.environ.get("SODP_DEV", "").startswith("sodp"):
        return skip_all("sodp is not loaded")
    return Tap([(name, cases[name]) for name in names or cases]).run()
