# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""From a configuration to a booted machine that runs steps."""

import contextlib
import shutil
import sys
import time
from pathlib import Path

from . import build, gate, host, kernels, layers, qemu, rootfs, uml, vm
from .host import LabError

BOOT_SECONDS = 240
KILL_SECONDS = 15
PARTNER_SECONDS = 20
QUOTED_LINES = 40
# The agent says it before it loads anything of ours
AGENT_BEGINS = "sodp-lab: agent begins"

# What a kernel runs in, by its name for it
MACHINES = {"qemu": qemu.Qemu, "uml": uml.Uml}


class GuestFailed(host.TestsFailed):
    """The guest did not come up, or went away between two steps.

    ours: once our code was in it.  Before that it is QEMU or the kernel,
    and tried again without a word.
    """

    def __init__(self, why, log="", ours=True):
        super().__init__(why)
        self.splat = log.splitlines()[-QUOTED_LINES:]
        self.ours = ours


class Step:
    """One thing that the guest is to run, and what came of it."""

    def __init__(self, name, cmd=None, timeout=None, **extra):
        self.name = name
        self.timeout = timeout
        self.spec = dict(extra, name=name, cmd=cmd)
        self.status = None
        self.seconds = 0.0
        self.splat = []
        self.tail = []
        self.why = None
        self.timeout_why = None
        self.log = ""
        self.output = ""

    def finish(self, status, seconds, log, lab):
        """lab: the folder that the guest wrote to."""
        self.status = status
        self.log = log
        if self.spec.get("output"):
            self.output = _read(lab / Path(self.spec["output"]).name)
        self.seconds = seconds
        self.splat = gate.complaints(log)
        if status == "timeout":
            self.why = self.timeout_why or f"no end after {self.timeout} s"


class Machine:
    """Everything ready to boot one configuration."""

    def __init__(
        self, config, parts=("kernel", "user"), verbose=False, made=None
    ):
        """made: what stands for a build of the checkout's."""
        host.need_tools("unshare", "mount")
        self.config = config
        root = self.root = rootfs.ensure(config.suite, verbose)
        if config.contents:
            self.root = layers.ensure(root, config.contents, verbose)
        self.kernel = kernels.find(root, config.kernel, verbose)
        host.need_tools(*MACHINES[self.kernel.MACHINE].TOOLS)
        self.build = made or build.Build(root, config.kernel, self.kernel)
        if not made:
            self.build.make_once(parts, verbose)
        self.apps = None
        if config.contents:
            self.apps = build.AppsBuild(self.root)
            self.apps.make_once(verbose)
        self.cable = None

    @contextlib.contextmanager
    def boot(self, steps, out=None, shell=False, **spec):
        """A running Vm with the steps in it."""
        config = self.config
        with host.temp_dir("run") as temp:
            folders = {k: temp / k for k in ("build", "lab", "out")}
            for folder in folders.values():
                folder.mkdir()
            self.build.stage(folders["build"])
            if self.apps:
                self.apps.stage(folders["build"])
            self.kernel.add_modules(folders["build"])
            folders["src"] = self.build.source
            if out:
                folders["out"] = Path(out).resolve()
            spec.update(
                suite=config.suite,
                kernel=config.kernel,
                sodp=config.sodp,
                rxe=config.rxe,
                net=config.net,
                slowness=config.slowness,
                kmemleak=config.kmemleak,
                steps=[dict(s.spec, n=n) for n, s in enumerate(steps)],
                loads=any(s.spec.get("builtin") == "load" for s in steps),
            )
            where = (self.root, self.kernel)
            kind = MACHINES[self.kernel.MACHINE]
            with kind(config, where, spec, folders, shell, self.cable) as run:
                yield run


class Runner:
    """Follows the events of one machine."""

    def __init__(self, machine, steps, out=None):
        self.machine = machine
        self.steps = steps
        self.out = out
        self.current = None
        self.deadline = None
        self.killed = False
        self.interrupted = False
        self.on_end = lambda step: None
        # Does what a step has printed so far settle it?
        self.settled = lambda step, text: False
        # Of two joined machines: the other one's steps that have ended, by
        # number, and whether it is over for both.
        self.partner_ended = set()
        self.stopped = False

    def run(self, sinks=None, stdin=None, shell=False, keep=None):
        """Boot, run the steps; those without status were not reached."""
        sinks = sinks or STREAMS
        self.deadline = time.monotonic() + BOOT_SECONDS * self._slowness()
        with self.machine.boot(self.steps, self.out, shell) as run:
            try:
                self._follow(run, sinks, stdin)
            finally:
                if keep:
                    keep_logs(run, keep)

    def _follow(self, run, sinks, stdin):
        done = False
        for event in run.events(sinks, stdin):
            if event is not None:
                done = self._handle(run, event) or done
            elif self.stopped or not self._in_time(run):
                break
        run.check_started()
        if not done and not self.stopped:
            self._died(run)

    def _slowness(self):
        config = self.machine.config
        return config.slowness * (3 if config.icount else 1)

    def _in_time(self, run):
        """False when the machine has to be given up."""
        now = time.monotonic()
        self._follow_partner(now)
        self._follow_output(run, now)
        if self.deadline is None or now < self.deadline:
            return True
        if self.current is None or self.killed:
            return False
        self.killed = True
        self.deadline = now + KILL_SECONDS
        run.send({"kill": self.steps.index(self.current)})
        return True

    def _follow_partner(self, now):
        """A step does not go on for long when its partner has ended."""
        if self.current is None or self.killed:
            return
        number = self.steps.index(self.current)
        if number in self.partner_ended:
            self.partner_ended.discard(number)
            limit = now + PARTNER_SECONDS * self._slowness()
            self.deadline = min(self.deadline or limit, limit)
            self.current.timeout_why = "no end though the other side ended"

    def _follow_output(self, run, now):
        step = self.current
        output = step and step.spec.get("output")
        if not output or self.killed or self.interrupted:
            return
        if self.settled(step, _read(run.folders["lab"] / Path(output).name)):
            self.interrupted = True
            self.deadline = now + KILL_SECONDS * self._slowness()
            run.send({"interrupt": self.steps.index(step)})

    def _handle(self, run, event):
        """Returns True when the last step has ended."""
        kind = event["ev"]
        lab = run.folders["lab"]
        self.deadline = None
        if kind == "ready":
            log = _read(lab / "setup.dmesg")
            if event["error"]:
                _setup_failed(event["error"], log)
            bad = gate.complaints(log)
            if bad:
                _setup_failed("the kernel complained", "\n".join(bad))
            self.deadline = time.monotonic() + BOOT_SECONDS
        elif kind == "begin":
            self.current = self.steps[event["n"]]
            self.killed = self.interrupted = False
            if self.current.timeout:
                limit = self.current.timeout
                self.deadline = time.monotonic() + limit
        elif kind == "end":
            step, self.current = self.steps[event["n"]], None
            log = _read(lab / f"{event['n']}.dmesg")
            step.finish(event["status"], event["seconds"], log, lab)
            self.on_end(step)
            self.deadline = time.monotonic() + BOOT_SECONDS
        elif kind == "done":
            self.deadline = time.monotonic() + KILL_SECONDS
            return True
        return False

    def _died(self, run):
        """The machine is gone before its steps were done."""
        console = run.console_text()
        step = self.current
        if step is None:
            began = [s for s in self.steps if s.status is not None]
            _setup_failed(
                "the guest died or hung "
                + ("between two steps" if began else "while booting"),
                console,
                AGENT_BEGINS in console,
            )
        log = console.split(f"sodp-lab: begin {step.name}")[-1]
        hung = run.process.poll() is None
        status = "hang" if hung else "died"
        step.finish(status, step.timeout or 0, log, run.folders["lab"])
        step.why = "the guest hung" if hung else "the guest died"
        step.tail = log.splitlines()[-30:]
        self.on_end(step)


def _setup_failed(why, log, ours=True):
    for line in log.splitlines()[-QUOTED_LINES:]:
        print(line, file=sys.stderr)
    raise GuestFailed(f"setting the guest up failed: {why}", log, ours)


def _read(path):
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def keep_logs(run, folder):
    """Leave the machine's logs where the user finds them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for path in run.folders["lab"].glob("*"):
        if path.suffix == ".dmesg" or path.name in ("console", vm.LOG):
            shutil.copy(path, folder)


def _to(stream):
    def write(data):
        stream.buffer.write(data)
        stream.buffer.flush()

    return write


STREAMS = {
    "out": _to(sys.stdout),
    "err": _to(sys.stderr),
    "tty": _to(sys.stdout),
}


def check_out(path):
    """The user's --out folder: made when it is not there."""
    if path is None:
        return None
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise LabError(f"cannot make {path}: {err.strerror}")
    return path
