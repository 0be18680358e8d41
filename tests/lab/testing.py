# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""./lab test: one boot per configuration, many tests per boot."""

import concurrent.futures
import functools
import re
import socket
import subprocess
import sys
import threading
import time

from . import gate, host, registry, results, session
from .host import LabError, TestsFailed
from .results import FAIL, PASS, SKIP, Case

QUOTED_LINES = 40
BOOT_RETRIES = 1
# How much later one of two machines may have booted
BOOT_APART = 120
# Of objects that kmemleak reports, in seconds, and a little more
LEAK_AGE = 6


class Report:
    """Collects cases and shows them as they come."""

    def __init__(self, logs, out=None):
        self.cases = []
        self.logs = logs
        self.out = out
        self.allowed = results.AllowedSkips(registry.ALLOWED_SKIPS)

    def judge_skips(self, planned, cases):
        """Only a machine without sodp may lack what a test needs."""
        config = planned.config
        if config is None:
            self.allowed.apply(planned.test.name, None, cases)
        elif config.sodp:
            self.allowed.apply(planned.test.name, config.kernel, cases)

    def add(self, name, cases, seconds, output="", splat=()):
        for case in cases:
            case.name = f"{name} {case.name}".strip()
        self.cases += cases
        passed, failed, skipped = results.count(cases)
        word = "FAIL" if failed else "skip" if not passed else "ok"
        counts = f"{passed} passed"
        counts += f", {failed} failed" if failed else ""
        counts += f", {skipped} skipped" if skipped else ""
        self._say(f"{word:4}  {name}: {counts} ({seconds:.1f} s)")
        for case in cases:
            if case.result == FAIL:
                self._say(f"      not ok: {case.name}: {case.why}")
        if failed:
            self._quote(output.splitlines()[-QUOTED_LINES:], "|")
        self._quote(splat, "kernel|")
        if self.logs:
            stem = re.sub(r"[^\w.-]+", "_", name)
            (self.logs / f"{stem}.out").write_text(output)

    def _say(self, text):
        print(text, file=self.out or sys.stdout, flush=True)

    def _quote(self, lines, mark):
        for line in lines:
            self._say(f"      {mark} {line}")

    def close(self):
        """Reasons of the skips, the failures again, the closing line."""
        reasons = {}
        for case in self.cases:
            if case.result == SKIP:
                reasons.setdefault(case.why, []).append(case.name)
        if reasons:
            print("\nskipped:")
        for why, names in reasons.items():
            print(f"  {why}: {len(names)}")
            for name in names:
                print(f"    {name}")
        failures = [c for c in self.cases if c.result == FAIL]
        if failures:
            print("\nfailed:")
        for case in failures:
            print(f"  {case.name}: {case.why}")
        print()
        print(results.closing(self.cases), flush=True)
        return 1 if failures or not self.cases else 0


def _host_run(planned, report):
    test = planned.test
    began = time.monotonic()
    try:
        done = subprocess.run(
            test.cmd,
            cwd=host.REPO,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=test.timeout,
        )
        status, text = done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as late:
        status, text = "timeout", (late.stdout or b"").decode()
    cases = results.judge(test.style, status, text)
    report.judge_skips(planned, cases)
    report.add(planned.name, cases, time.monotonic() - began, text)


class Side:
    """One machine of a batch while it runs."""

    def __init__(self, machine, steps, out):
        self.steps = steps
        self.runner = session.Runner(machine, steps, out)
        self.error = None


class Batch:
    """The tests of one configuration: one machine, or two joined ones."""

    def __init__(self, configs, planned, args, report, first=False):
        self.configs = configs
        self.first = first
        self.planned = planned
        self.args = args
        self.report = report
        self.machines = []
        self.missing = None
        self.sides = []
        self.guard = threading.RLock()

    def prepare(self):
        """Root folders and builds, as far as there are none yet."""
        try:
            for config in self.configs:
                self.machines.append(self._machine(config))
        except (TestsFailed, LabError, OSError) as err:
            self.missing = err

    def run(self):
        """After prepare()."""
        host.say(f"{self._name()}: {len(self.planned)} tests")
        if self.missing:
            # What the very first batch lacks the user has to mend
            if isinstance(self.missing, LabError) and self.first:
                raise self.missing
            self._give_up(self.planned, str(self.missing))
            return
        left, idle = list(self.planned), 0
        while left:
            before = len(left)
            left, why = self._boot(left)
            idle = idle + 1 if len(left) == before else 0
            if idle > BOOT_RETRIES:
                self._give_up(left, why)
                return

    def _machine(self, config):
        parts = ("kernel", "user") if config.sodp else ("user",)
        return session.Machine(config, parts, self.args.verbose)

    def _name(self):
        return " + ".join(str(c) for c in self.configs)

    def _give_up(self, planned, why):
        for item in planned:
            self.report.add(item.name, [Case("", FAIL, why)], 0)

    def _steps(self, planned, index):
        """What machine number `index` is to do."""
        steps = [
            self._test_step(item, index, number)
            for number, item in enumerate(planned)
        ]
        # Something of the kernel's would complain, not of ours
        if not any(item.test.keeps for item in planned):
            steps.append(self._devices_step("unload", "tear_down", index))
        return steps

    def _test_step(self, item, index, number):
        config = self.configs[index]
        step = session.Step(
            item.test.name,
            item.test.commands[index],
            # The second machine's time is up with the first one's.
            self._seconds(item, config) + (BOOT_APART if index else 0),
            output=f"/lab/{number}.out",
            cwd=item.test.cwd,
            kmemleak=config.kmemleak,
        )
        step.planned = item
        item.ended = []
        return step

    def _seconds(self, item, config):
        return self.args.timeout or item.test.timeout * config.slowness

    def _devices_step(self, name, builtin, index, **extra):
        config = self.configs[index]
        return session.Step(
            name,
            None,
            120 * config.slowness,
            builtin=builtin,
            kmemleak=config.kmemleak,
            settle=LEAK_AGE,
            **extra,
        )

    def _boot(self, planned):
        """Boot once; returns the tests that were not got to."""
        self.sides = []
        for index, machine in enumerate(self.machines):
            side = Side(machine, self._steps(planned, index), self.args.out)
            side.runner.on_end = functools.partial(self._ended, index)
            self.sides.append(side)
        cables = socket.socketpair() if len(self.sides) == 2 else [None]
        for machine, cable in zip(self.machines, cables):
            machine.cable = cable
        try:
            self._run_sides()
        finally:
            for cable in cables:
                if cable:
                    cable.close()
        errors = [s.error for s in self.sides if s.error]
        for error in errors:
            if getattr(error, "ours", True):
                self._boot_failed(error)
        left = self._left(planned)
        return left, str(errors[0]) if errors else "not reached"

    def _boot_failed(self, error):
        case = Case("boot", FAIL, str(error))
        splat = getattr(error, "splat", ())
        self.report.add(self._name(), [case], 0, splat=splat)

    def _left(self, planned):
        """What was not got to; what one machine has not ended is over."""
        left = []
        for item in planned:
            if not item.ended:
                left.append(item)
            elif len(item.ended) < len(self.sides):
                self._conclude(item)
        return left

    def _run_sides(self):
        threads = [
            threading.Thread(target=self._run_side, args=(index,))
            for index in range(1, len(self.sides))
        ]
        for thread in threads:
            thread.start()
        try:
            self._run_side(0)
        except BaseException:
            self._stop()
            raise
        finally:
            for thread in threads:
                thread.join()

    def _run_side(self, index):
        side = self.sides[index]
        try:
            side.runner.run(keep=self._log_folder(index))
        except Exception as err:
            side.error = err
        if side.error or any(s.status is None for s in side.steps):
            self._stop()

    def _stop(self):
        for side in self.sides:
            side.runner.stopped = True

    def _log_folder(self, index):
        if not self.report.logs:
            return None
        name = re.sub(r"\W+", "-", str(self.configs[index]))
        return self.report.logs / name

    def _ended(self, index, step):
        with self.guard:
            number = self.sides[index].steps.index(step)
            for side in self.sides:
                if side is not self.sides[index]:
                    side.runner.partner_ended.add(number)
            item = getattr(step, "planned", None)
            if item is None:
                self._devices_ended(self.configs[index], step)
                return
            item.ended.append((index, step))
            if len(item.ended) == len(self.sides):
                self._conclude(item)

    def _devices_cases(self, step):
        good = step.status == 0
        log = step.log.splitlines()[-3:]
        cases = [Case("", PASS if good else FAIL, " ".join(log))]
        self._troubles(step, cases, "")
        return cases

    def _devices_ended(self, config, step):
        cases = self._devices_cases(step)
        name = f"{config.suite}/{config.kernel} unload"
        if config.net:
            name += f" of machine {config.net}"
        self.report.add(name, cases, step.seconds, "", step.splat or step.tail)

    def _conclude(self, item):
        """All machines have done their part of a test, or never will."""
        cases, text, splat, seconds = [], "", [], 0
        for index, step in sorted(item.ended, key=lambda pair: pair[0]):
            where = f"machine {index + 1}: " if len(self.sides) > 1 else ""
            if index:
                text += "\n--- the second machine:\n"
                if step.status:
                    why = f"{where}status {step.status}"
                    cases.append(Case("", FAIL, why))
            else:
                cases += results.judge(
                    item.test.style, step.status, step.output
                )
                seconds = step.seconds
            text += step.output
            self._troubles(step, cases, where)
            splat += step.splat or step.tail
        if len(item.ended) < len(self.sides):
            cases.append(Case("", FAIL, "the other machine went away"))
        self._judged(item, cases, seconds, text, splat)

    def _judged(self, item, cases, seconds, text, splat):
        self.report.judge_skips(item, cases)
        self.report.add(item.name, cases, seconds, text, splat)

    @staticmethod
    def _troubles(step, cases, where):
        if step.why:
            cases.append(Case("", FAIL, where + step.why))
        if step.splat:
            text = "; ".join(gate.headlines(step.splat))
            cases.append(Case("", FAIL, f"{where}kernel log: {text}"))


def _show(planned):
    for item in planned:
        long = "  (--all)" if item.test.only_all else ""
        print(f"{item.name}{long}")
    return 0


def run_batches(batches):
    """While a machine runs, what the next one needs is made."""
    with concurrent.futures.ThreadPoolExecutor(1) as ahead:
        ready = ahead.submit(batches[0].prepare)
        for batch, following in zip(batches, batches[1:] + [None]):
            ready.result()
            if following:
                ready = ahead.submit(following.prepare)
            batch.run()


def main(args):
    if args.list:
        args.all = True
        return _show(registry.plan(args))
    planned = registry.plan(args)
    if not planned:
        raise LabError("no test is left to run")
    args.out = session.check_out(args.out)
    logs = host.log_folder("test")
    report = Report(logs)
    batches = {}
    for item in planned:
        if item.config is None:
            _host_run(item, report)
        elif item.lacks:
            report.add(item.name, [Case("", SKIP, item.lacks)], 0)
        else:
            key = tuple(c.key() for c in item.configs)
            batches.setdefault(key, []).append(item)
    batches = [
        Batch(items[0].configs, items, args, report, not number)
        for number, items in enumerate(batches.values())
    ]
    if batches:
        run_batches(batches)
    host.say(f"logs: {logs}")
    return report.close()
