# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""A test of ./lab test, and a test with its machines."""

from .host import LabError

MAIN = "6.12"
QEMU = ("6.12", "6.1", "7.2", "backports", "debug", "kcsan")
SMALL = QEMU + ("uml",)

WIRE = "/src/tests/wire"
GUEST = "/src/tests/lab/guest"
PYTHON = ["python3", "-B"]
AGENT = {"cmd": PYTHON + [f"{WIRE}/agent.py"]}
MACHINE = ("icount", "smp", "mem", "rxe", "sodp", "pmem", "numa", "edu")
MACHINE += ("groups",)


class Test:
    """One program that runs in a guest (or on the host)."""

    def __init__(self, name, cmd, **options):
        self.name = name
        self.cmd = cmd
        self.style = options.pop("style", "tap")
        self.timeout = options.pop("timeout", 120)
        self.kernels = options.pop("kernels", (MAIN,))
        # The only one that it is meant for
        self.suite = options.pop("suite", None)
        # It has an option --seconds: how long it runs unless told
        self.seconds = options.pop("seconds", None)
        self.only_all = options.pop("only_all", False)
        self.on_host = options.pop("on_host", False)
        # It needs no device
        self.bare = options.pop("bare", False)
        self.cwd = options.pop("cwd", "/src")
        # What the second of two joined machines is like and does: a dict
        # of machine options and "cmd".  None: there is one machine only.
        self.peer = options.pop("peer", None)
        # May the modules be unloaded after it?  Why not, if not.
        self.keeps = options.pop("keeps", None)
        self.machine = {k: options.pop(k) for k in MACHINE if k in options}
        if options:
            raise LabError(f"test {name}: unknown option {sorted(options)}")

    def run_for(self, seconds):
        """What --seconds of the command line asks for."""
        self.timeout += seconds - self.seconds
        self.seconds = seconds

    @property
    def commands(self):
        """One for each machine."""
        cmd = self.cmd
        if self.seconds:
            cmd = cmd + ["--seconds", str(self.seconds)]
        return [cmd] + ([self.peer["cmd"]] if self.peer else [])


class Planned:
    """A test together with the machine that it is to run on."""

    def __init__(self, test, *configs):
        self.test = test
        self.configs = configs
        self.ended = []

    @property
    def config(self):
        return self.configs[0] if self.configs else None

    @property
    def lacks(self):
        """Why its machine cannot be had; None when it can."""
        reasons = [c.lacks() for c in self.configs]
        return next((reason for reason in reasons if reason), None)

    @property
    def name(self):
        if self.config is None:
            return self.test.name
        where = f"{self.config.suite}/{self.config.kernel}"
        return f"{where} {self.test.name}"
