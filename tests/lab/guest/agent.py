# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The lab's hand inside the guest.

Reads /lab/spec.json, sets the devices up, runs the steps one by one and
reports on the control port.  After each step the kernel log of that step
is left in /lab/<n>.dmesg.  The host keeps the time and may send a kill.
"""

import fcntl
import glob
import json
import os
import resource
import select
import signal
import subprocess
import termios
import threading
import time
import traceback
import tty

from tests.common.tap import Failure
from tests.lab.guest import devices
from tests.lab.guest.kmsg import KernelLog

DRAIN_SECONDS = 2
EXIT_SKIP = 4


def find_port(name):
    """A port of the machine by its own name."""
    for path in glob.glob("/sys/class/virtio-ports/*/name"):
        with open(path) as handle:
            if handle.read().strip() == f"sodp.{name}":
                return "/dev/" + path.split("/")[-2]
    raise OSError(f"no virtio port {name}")


class Agent:
    def __init__(self, spec):
        self.spec = spec
        self.ctl = self._open_port("ctl", os.O_RDWR)
        self.out = self._open_port("out", os.O_WRONLY)
        self.err = self._open_port("err", os.O_WRONLY)
        self.log = KernelLog()
        self.env = dict(os.environ)
        self.current = None
        self.killed = None
        self.guard = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def _open_port(self, name, flags):
        """By its name, or the device that the lab says it is."""
        path = self.spec["ports"].get(name) or find_port(name)
        port = os.open(path, flags | os.O_NOCTTY)
        if os.isatty(port):
            tty.setraw(port)
        return port

    def tell(self, **message):
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self.ctl, data) :]

    def _listen(self):
        """Host's orders: {"kill": n} ends step n, {"interrupt": n} asks."""
        pending = b""
        while True:
            data = os.read(self.ctl, 4096)
            if not data:
                time.sleep(0.2)
                continue
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                self._order(json.loads(line))

    def _order(self, order):
        (word, number), *_ = order.items()
        with self.guard:
            if not self.current or self.current[0] != number:
                return
            sent = signal.SIGINT
            if word == "kill":
                sent = signal.SIGKILL
                self.killed = self.current[0]
                self._show_tasks()
            try:
                os.killpg(self.current[1].pid, sent)
            except ProcessLookupError:
                pass

    @staticmethod
    def _show_tasks():
        """Put the stacks of blocked tasks into the kernel log."""
        with open("/proc/sysrq-trigger", "w") as handle:
            handle.write("w")

    def set_up(self):
        """Devices and the environment of the steps; False without."""
        self.log.mark("agent begins")
        try:
            self.env.update(devices.set_up(self.spec))
            error = None
        except Exception as err:
            error = str(err)
            if not isinstance(err, Failure):
                error = traceback.format_exc()
        self.log.save("/lab/setup.dmesg")
        if self.spec.get("kmemleak"):
            self.log.clear_leaks()
        self.tell(ev="ready", error=error)
        return not error

    def run(self):
        if not self.set_up():
            return
        failed = set()
        for step in self.spec["steps"]:
            if step.get("unless") in failed:
                continue
            number = step["n"]
            self.log.mark(f"begin {step['name']}")
            self.tell(ev="begin", n=number)
            began = time.monotonic()
            status = self._step(step, dict(self.env, **step.get("env", {})))
            if status not in (0, EXIT_SKIP) and "unless" in step:
                failed.add(step["unless"])
            seconds = time.monotonic() - began
            devices.reset()
            if step.get("kmemleak"):
                time.sleep(step.get("settle", 0))
                self.log.add_leaks()
            # Also completes a message that still lacks its newline.
            self.log.mark(f"end {step['name']}")
            self.log.save(f"/lab/{number}.dmesg")
            self.tell(ev="end", n=number, status=status, seconds=seconds)
        self.tell(ev="done")

    def _step(self, step, env):
        if step.get("builtin"):
            return self._builtin(step)
        if step.get("tty"):
            return self._shell(step, env)
        if step.get("output"):
            with open(step["output"], "wb") as sink:
                return self._program(step, env, sink.fileno(), sink.fileno())
        return self._streamed(step, env)

    def _builtin(self, step):
        """Devices made or taken away, and what later steps know of them."""
        try:
            env = devices.BUILTINS[step["builtin"]](self.spec, step)
        except Failure as err:
            self.log.mark(f"{step['name']} failed: {err}", "<3>")
            return 1
        self.env.update(env or {})
        return 0

    def _program(self, step, env, out, err):
        """Start a program and wait for it."""
        try:
            process = subprocess.Popen(
                step["cmd"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=step.get("cwd", "/src"),
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            os.write(err, f"{step['cmd'][0]}: {error.strerror}\n".encode())
            return 127 if isinstance(error, FileNotFoundError) else 126
        with self.guard:
            self.current = (step["n"], process)
        status = process.wait()
        with self.guard:
            self.current = None
        self._end_group(process.pid)
        if self.killed == step["n"]:
            return "timeout"
        return status if status >= 0 else 128 - status

    @staticmethod
    def _end_group(pid):
        """No step leaves processes behind for the next one."""
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.05)

    def _streamed(self, step, env):
        pipes = [os.pipe(), os.pipe()]
        pumps = []
        for (source, _), port in zip(pipes, (self.out, self.err)):
            args = (source, port)
            pump = threading.Thread(target=self._pump, args=args, daemon=True)
            pump.start()
            pumps.append(pump)
        status = self._program(step, env, pipes[0][1], pipes[1][1])
        for _, sink in pipes:
            os.close(sink)
        for pump in pumps:
            pump.join(DRAIN_SECONDS)
        return status

    @staticmethod
    def _pump(source, port):
        while True:
            data = os.read(source, 65536)
            if not data:
                os.close(source)
                return
            while data:
                try:
                    data = data[os.write(port, data) :]
                except BlockingIOError:
                    select.select([], [port], [], 1)

    def _shell(self, step, env):
        """An interactive program on a terminal of the machine."""

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        rows, columns = step["tty"]
        path = self.spec["ports"]["tty"]
        with open(path, "r+b", buffering=0) as terminal:
            subprocess.call(
                ["stty", "sane", "rows", str(rows), "cols", str(columns)],
                stdin=terminal,
            )
            process = subprocess.Popen(
                step["cmd"],
                stdin=terminal,
                stdout=terminal,
                stderr=terminal,
                cwd=step.get("cwd", "/src"),
                env=env,
                preexec_fn=own_terminal,
            )
            return process.wait()


def main():
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, unlimited)
    resource.setrlimit(resource.RLIMIT_NOFILE, (65536, 65536))
    with open("/lab/spec.json") as handle:
        Agent(json.load(handle)).run()


if __name__ == "__main__":
    main()
