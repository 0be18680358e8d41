# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""A machine: what it is made of, and the channels to it.

Four channels leave the guest, so that nothing a program prints can be
taken for something the lab says: the console (kernel only, into a
file), the program's stdout and stderr, and a control channel of JSON lines.
What runs it is in qemu.py and uml.py.
"""

import json
import os
import selectors
import socket
import subprocess

from . import host, suites
from .layers import NOTHING

# Of the program that runs the machine, in its folder "lab"
LOG = "machine.log"

INIT = """#!/bin/busybox sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root PYTHONPATH=/src LANG=C.UTF-8 TERM={term}
hostname sodp-lab
python3 -B /src/tests/lab/guest/agent.py
echo "<4>sodp-lab: agent ended with status $?" > /dev/kmsg
busybox {halt} -f
"""


# With the option numa
NODES = 2

# What User Mode Linux cannot be, by attributes of a VmConfig
UML_LACKS = {
    "icount": "User Mode Linux has no virtual time",
    "net": "User Mode Linux is not joined to a second machine",
    "pmem": "User Mode Linux has no persistent memory",
    "numa": "User Mode Linux has one node",
    "edu": "User Mode Linux has no devices that do DMA",
}


class VmConfig:
    """What a machine is made of; equal configurations share a boot."""

    def __init__(
        self,
        suite,
        kernel,
        icount=False,
        smp=None,
        mem=None,
        rxe=False,
        sodp=True,
        net=None,
        contents=NOTHING,
        pmem=False,
        numa=False,
        edu=None,
    ):
        """net: which of two joined machines this is, 1 or 2; contents:
        what there is besides the suite (layers.py); pmem: some of the
        memory is /dev/pmem0, which file systems can map (DAX); numa: two
        nodes, each with half of the memory and one of two CPUs; edu: there
        is a device that does DMA, "direct" or behind an "iommu"."""
        self.suite = suite
        self.kernel = kernel
        self.icount = icount
        self.smp = 1 if icount else smp or 2
        self.mem = mem or ("4G" if kernel in suites.OWN else "3G")
        self.rxe = rxe
        self.sodp = sodp
        self.net = net
        self.contents = contents
        self.pmem = pmem
        self.numa = numa and self.smp % NODES == 0
        self.edu = edu

    @property
    def slowness(self):
        """How many times as long as on a stock kernel things may take."""
        return suites.OWN.get(self.kernel, 1)

    @property
    def kmemleak(self):
        """Whether the kernel can be asked what has been leaked."""
        return self.kernel == "debug"

    def lacks(self):
        """What its kernel has no way to be; None when that is nothing."""
        if self.kernel != suites.UML:
            return None
        return next(
            (UML_LACKS[k] for k in UML_LACKS if getattr(self, k)), None
        )

    def key(self):
        return (
            self.suite,
            self.kernel,
            self.icount,
            self.smp,
            self.mem,
            self.rxe,
            self.sodp,
            self.net,
            self.pmem,
            self.numa,
            self.edu,
            self.contents.key(),
        )

    def __str__(self):
        words = [f"{self.suite}/{self.kernel}"]
        words.append("icount" if self.icount else f"smp {self.smp}")
        if self.rxe:
            words.append("rxe")
        if not self.sodp:
            words.append("no sodp")
        if self.pmem:
            words.append("pmem")
        if self.numa:
            words.append("two nodes")
        if self.edu:
            words.append(f"edu {self.edu}")
        if self.contents:
            words.append(f"with {self.contents}")
        if self.net:
            words.append(f"machine {self.net} of 2")
        return ", ".join(words)


class Vm:
    """A running machine.  Use as a context manager: leaving kills it.

    A kind of machine says what to run in `command()`.
    """

    PORTS = ("out", "err", "ctl")
    # Where the guest finds them: those that have no name there
    DEVICES = {}
    # Of the host, besides those that a root folder takes
    TOOLS = ()
    # The order of busybox that ends it
    HALT = "reboot"

    def __init__(self, config, boot, spec, folders, shell=False, cable=None):
        """boot: (root, kernel); folders: src, build, lab, out.

        cable: the socket that leads to the other machine, if there is one.
        """
        self.config = config
        self.folders = folders
        self.console = folders["lab"] / "console"
        self.shell = shell
        self.ends = {}
        self.root, self.kernel = boot
        term = os.environ.get("TERM", "dumb") if shell else "dumb"
        script = INIT.format(term=term, halt=self.HALT)
        (folders["lab"] / "init").write_text(script)
        spec = dict(spec, ports=self.DEVICES)
        (folders["lab"] / "spec.json").write_text(json.dumps(spec))
        names = self.PORTS + (("tty",) if shell else ())
        remote = {}
        for name in names:
            self.ends[name], remote[name] = socket.socketpair()
        fds = [end.fileno() for end in remote.values()]
        fds += [cable.fileno()] if cable is not None else []
        numbers = {name: end.fileno() for name, end in remote.items()}
        args = self.command(numbers, cable)
        self.log = open(folders["lab"] / LOG, "wb")
        self.process = host.spawn(
            args,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            pass_fds=fds,
        )
        for end in remote.values():
            end.close()

    def command(self, ports, cable):
        """The words that start it; ports: {name: file descriptor}."""
        raise NotImplementedError

    def check_started(self):
        """Raise a LabError if it never was a machine."""
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_):
        host.reap(self.process)
        self.log.close()
        for end in self.ends.values():
            end.close()

    def send(self, message):
        try:
            self.ends["ctl"].sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass

    def events(self, sinks, stdin=None):
        """Yield control messages, and None at least once a second.

        Program output goes to sinks[port](bytes) on the way.  Ends when
        the machine does.
        """
        chooser = selectors.DefaultSelector()
        for name, end in self.ends.items():
            chooser.register(end, selectors.EVENT_READ, name)
        if stdin is not None:
            chooser.register(stdin, selectors.EVENT_READ, "stdin")
        pending = b""
        open_ports = set(self.ends)
        while open_ports:
            for key, _ in chooser.select(1.0):
                data = self._read(key)
                if not data:
                    chooser.unregister(key.fileobj)
                    open_ports.discard(key.data)
                elif key.data == "stdin":
                    self.ends["tty"].sendall(data)
                elif key.data == "ctl":
                    *lines, pending = (pending + data).split(b"\n")
                    for line in lines:
                        yield json.loads(line)
                else:
                    sinks[key.data](data)
            yield None
        self.process.wait()

    @staticmethod
    def _read(key):
        try:
            if key.data == "stdin":
                return os.read(key.fd, 65536)
            return key.fileobj.recv(65536)
        except OSError:
            return b""

    def console_text(self):
        try:
            return self.console.read_text(errors="replace")
        except OSError:
            return ""

    def complaint(self):
        """What the program that runs it said last."""
        text = host.tail(self.folders["lab"] / LOG, 3).strip()
        return text.replace("\n", " | ")
