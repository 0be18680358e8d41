# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""./lab test: one boot per configuration, many tests per boot."""

import re
import subprocess
import sys
import time

from . import host, registry, results, session
from .host import LabError, TestsFailed
from .results import FAIL, PASS, SKIP, Case

QUOTED_LINES = 40
BOOT_RETRIES = 1


class Report:
    """Collects cases and shows them as they come."""

    def __init__(self, logs):
        self.cases = []
        self.logs = logs

    def add(self, name, cases, seconds, output="", splat=()):
        for case in cases:
            case.name = f"{name} {case.name}".strip()
        self.cases += cases
        passed, failed, skipped = results.count(cases)
        word = "FAIL" if failed else "skip" if not passed else "ok"
        counts = f"{passed} passed"
        counts += f", {failed} failed" if failed else ""
        counts += f", {skipped} skipped" if skipped else ""
        print(f"{word:4}  {name}: {counts} ({seconds:.1f} s)")
        for case in cases:
            if case.result == FAIL:
                print(f"      not ok: {case.name}: {case.why}")
        if failed:
            self._quote(output.splitlines()[-QUOTED_LINES:], "|")
        self._quote(splat, "kernel|")
        sys.stdout.flush()
        if self.logs:
            stem = re.sub(r"[^\w.-]+", "_", name)
            (self.logs / f"{stem}.out").write_text(output)

    @staticmethod
    def _quote(lines, mark):
        for line in lines:
            print(f"      {mark} {line}")

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
    report.add(planned.name, cases, time.monotonic() - began, text)


class Batch:
    """The tests of one configuration."""

    def __init__(self, config, planned, args, report):
        self.config = config
        self.planned = planned
        self.args = args
        self.report = report
        self.machine = None

    def run(self):
        host.say(f"{self.config}: {len(self.planned)} tests")
        parts = ("kernel", "user") if self.config.sodp else ("user",)
        try:
            self.machine = session.Machine(
                self.config, parts, self.args.verbose
            )
        except TestsFailed as err:
            self._give_up(self.planned, str(err))
            return
        left, idle = list(self.planned), 0
        while left:
            before = len(left)
            left, why = self._boot(left)
            idle = idle + 1 if len(left) == before else 0
            if idle > BOOT_RETRIES:
                self._give_up(left, why)
                return

    def _give_up(self, planned, why):
        for item in planned:
            self.report.add(item.name, [Case("", FAIL, why)], 0)

    def _boot(self, planned):
        """One machine; returns the tests that it did not get to."""
        slow = 4 if self.config.kernel == "debug" else 1
        steps = []
        for number, item in enumerate(planned):
            seconds = self.args.timeout or item.test.timeout * slow
            step = session.Step(
                item.test.name,
                item.test.cmd,
                seconds,
                output=f"/lab/{number}.out",
                cwd=item.test.cwd,
                kmemleak=self.config.kernel == "debug",
            )
            step.planned = item
            steps.append(step)
        steps.append(
            session.Step("unload", None, 120 * slow, builtin="tear_down")
        )
        runner = session.Runner(self.machine, steps, self.args.out)
        runner.on_end = self._ended
        why = "not reached"
        try:
            runner.run(keep=self._log_folder())
        except TestsFailed as err:
            why = str(err)
        left = [s.planned for s in steps[:-1] if s.status is None]
        return left, why

    def _log_folder(self):
        if not self.report.logs:
            return None
        return self.report.logs / re.sub(r"\W+", "-", str(self.config))

    def _ended(self, step):
        item = getattr(step, "planned", None)
        text = step.output
        if item is None:
            good = step.status == 0
            log = step.log.splitlines()[-3:]
            cases = [Case("", PASS if good else FAIL, " ".join(log))]
            name = f"{self.config.suite}/{self.config.kernel} unload"
        else:
            name = item.name
            cases = results.judge(item.test.style, step.status, text)
            if item.test.allowed_skips:
                allowed = results.AllowedSkips(item.test.allowed_skips)
                allowed.apply(cases)
        if step.why:
            cases.append(Case("", FAIL, step.why))
        if step.splat:
            first = step.splat[0].strip()
            cases.append(Case("", FAIL, f"kernel log: {first}"))
        self.report.add(
            name, cases, step.seconds, text, step.splat or step.tail
        )


def _show(planned):
    for item in planned:
        long = "  (--all)" if item.test.only_all else ""
        print(f"{item.name}{long}")
    return 0


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
        else:
            key = item.config.key()
            batches.setdefault(key, []).append(item)
    for items in batches.values():
        Batch(items[0].config, items, args, report).run()
    host.say(f"logs: {logs}")
    return report.close()
