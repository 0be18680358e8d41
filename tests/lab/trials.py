# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Several builds of sodp in one guest, one after the other.

Each is loaded, tested and unloaded, and judged as ./lab test judges.  A
guest that one of them may have damaged is not used for the next.
"""

import re

from . import session, testing
from .results import FAIL

# How long a test may take: so many times what it did without a mutant
TIMES, AT_LEAST = 3, 60
# What is left of a test that has failed is worth saving
LONG = 5


class Trial:
    """One build, the tests that it has to stand, and how that went."""

    def __init__(self, name, items, folder=None, thorough=False):
        """items: registry.Planned; folder: what differs in this build;
        thorough: a test that fails does not end it."""
        self.name = name
        self.items = items
        self.folder = folder
        self.thorough = thorough
        # (test, what failed and why), by time
        self.failures = []
        self.error = ""
        self.seconds = 0.0
        self.closed = False
        for item in items:
            item.trial = self

    @property
    def over(self):
        done = all(item.ended for item in self.items)
        return self.closed and (bool(self.failures) or done)

    @property
    def going(self):
        return not self.error and not self.failures

    def failed(self, test, cases):
        for case in sorted(cases, key=_vague):
            if case.result == FAIL:
                what = " ".join(f"{test} {case.name}".split())
                self.failures.append((test, f"{what}: {case.why}"))

    def spec(self):
        """What the guest has to know to load and unload it."""
        folder = self.folder and f"/build/trials/{self.folder.name}"
        bare = all(item.test.bare for item in self.items)
        return {"folder": folder or "", "modules": not bare}


class Guest(testing.Batch):
    """The trials of one configuration, in as few boots as it takes."""

    def __init__(self, configs, items, args, report, stock, known):
        """known: test -> seconds that it takes."""
        super().__init__(configs, items, args, report)
        self.stock = stock
        self.known = known
        self.boots = 0
        self.stopping = False
        self.on_over = lambda trial: None

    def _machine(self, config):
        return session.Machine(config, made=self.stock)

    def _log_folder(self, index):
        name = f"boot-{self.boots}" + (f"-{index + 1}" if index else "")
        return self.report.logs / name

    def _steps(self, planned, index):
        steps = []
        trial = None
        for item in planned:
            if item.trial is not trial:
                if trial:
                    steps.append(self._exchange("unload", trial, index))
                trial = item.trial
                steps.append(self._exchange("load", trial, index))
            step = self._test_step(item, index, len(steps))
            if not trial.thorough:
                step.spec["unless"] = trial.name
                step.spec["env"] = {"SODP_STOP": "1"}
            steps.append(step)
        steps.append(self._exchange("unload", trial, index))
        return steps

    def _exchange(self, name, trial, index):
        spec = trial.spec()
        if name == "load":
            spec["unless"] = trial.name
        step = self._devices_step(name, name, index, **spec)
        step.trial = trial
        return step

    def _seconds(self, item, config):
        full = super()._seconds(item, config)
        known = self.known.get(item.test.name)
        if known is None or item.trial.thorough:
            return full
        return min(full, max(AT_LEAST, TIMES * known))

    def _settled(self, step, text):
        """Has a long test failed already?"""
        item = getattr(step, "planned", None)
        if not item or item.trial.thorough or item.test.style != "tap":
            return False
        known = self.known.get(item.test.name, LONG)
        return known >= LONG and re.search("^not ok", text, re.MULTILINE)

    def _boot(self, planned):
        self.boots += 1
        self.stopping = False
        for item in planned:
            item.trial.closed = False
        return super()._boot(planned)

    def _run_side(self, index):
        self.sides[index].runner.settled = self._settled
        super()._run_side(index)

    def _judged(self, item, cases, seconds, text, splat):
        trial = item.trial
        self.report.judge_skips(item, cases)
        trial.failed(item.test.name, cases)
        trial.seconds += seconds
        if trial.thorough:
            self.known[item.test.name] = seconds
        name = f"{trial.name} {item.name}"
        self.report.add(name, cases, seconds, text, splat)
        steps = [step for _, step in item.ended]
        if any(_damaging(step) for step in steps):
            self._abandon(trial)

    def _devices_ended(self, config, step):
        trial = step.trial
        cases = self._devices_cases(step)
        trial.failed(step.name, cases)
        trial.seconds += step.seconds
        bad = any(case.result == FAIL for case in cases)
        if bad:
            name = f"{trial.name} {step.name}"
            self.report.add(name, cases, step.seconds, "", step.splat)
            self._abandon(trial)
        elif step.name == "unload" and not config.net == 2:
            self._close(trial)

    def _close(self, trial):
        trial.closed = True
        if trial.over:
            self.on_over(trial)

    def _abandon(self, trial):
        """The guest is not fit for another one."""
        if self.stopping:
            return
        self.stopping = True
        self._stop()
        if not trial.thorough:
            self._close(trial)

    def _boot_failed(self, error):
        """Between two steps: by the build whose turn it was."""
        step = self._last_step()
        if step and not self.stopping:
            trial = getattr(step, "trial", None) or step.planned.trial
            trial.failures.append(("guest", f"guest: {error}"))
            if not trial.thorough:
                self._close(trial)

    def _last_step(self):
        """The last one that ended, or what follows a trial's last one."""
        steps = self.sides[0].steps
        ended = [n for n, s in enumerate(steps) if s.status is not None]
        if not ended:
            return None
        last = ended[-1] + (steps[ended[-1]].name == "unload")
        return steps[min(last, len(steps) - 1)]

    def _left(self, planned):
        left = []
        for item in planned:
            if item.trial.closed:
                continue
            if not item.ended or self.stopping:
                if len(item.ended) < len(self.sides):
                    item.ended = []
                    left.append(item)
            elif len(item.ended) < len(self.sides):
                self._conclude(item)
        return left

    def _give_up(self, planned, why):
        for item in planned:
            if not item.trial.error:
                item.trial.error = f"not reached: {why}"
                self.on_over(item.trial)


def _vague(case):
    """Cases that say most come first."""
    marks = ("kernel log: ", "no end after", "the guest ")
    return not case.name, not any(mark in case.why for mark in marks)


def _damaging(step):
    return bool(step.splat) or step.status in ("timeout", "hang", "died")
