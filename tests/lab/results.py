# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""From what a test printed to cases: passed, failed, skipped."""

import fnmatch
import re

from . import suites
from .host import LabError

PASS, FAIL, SKIP = "passed", "failed", "skipped"
EXIT_SKIP = 4

_CASE = re.compile(
    r"^(?P<bad>not )?ok\b\s*(?P<n>\d+)?\s*(?:-\s*)?(?P<name>[^#]*)"
    r"(?:#\s*(?P<note>.*))?$"
)
_PLAN = re.compile(r"^1\.\.(\d+)(?:\s*#\s*(SKIP.*))?", re.IGNORECASE)


class Case:
    def __init__(self, name, result, why=""):
        self.name = name
        self.result = result
        self.why = why


def _skip_reason(note):
    """The reason in a TAP directive, None when it is not a skip."""
    word, _, rest = (note or "").strip().partition(" ")
    if word.upper().rstrip(":") not in ("SKIP", "XFAIL", "TODO"):
        return None
    return rest.strip() or "no reason given"


def from_tap(text):
    """Cases of a TAP stream and what is wrong with the stream itself."""
    cases, planned, trouble = [], None, []
    comment = ""
    for line in text.splitlines():
        if line.startswith("#"):
            comment = line.lstrip("# ") or comment
            # Some say why before the line, others after it
            if cases and cases[-1].result == FAIL and not cases[-1].why:
                cases[-1].why = comment
                comment = ""
        plan = _PLAN.match(line)
        if plan:
            planned = int(plan.group(1))
            if plan.group(2):
                reason = _skip_reason(plan.group(2))
                cases.append(Case("all", SKIP, reason))
            continue
        if line.startswith("Bail out!"):
            trouble.append(line)
            continue
        match = _CASE.match(line)
        if not match:
            continue
        name = match.group("name").strip() or f"case {match.group('n')}"
        reason = _skip_reason(match.group("note"))
        if match.group("bad"):
            why = match.group("note") or comment
            cases.append(Case(name, FAIL, why))
        elif reason is not None:
            cases.append(Case(name, SKIP, reason))
        else:
            cases.append(Case(name, PASS))
        comment = ""
    if planned is None and cases:
        trouble.append("no plan: how many cases there are is not known")
    if planned and len(cases) != planned:
        trouble.append(f"{planned} cases planned, {len(cases)} reported")
    return cases, trouble


def judge(style, status, text):
    """Cases of one program: style is `tap` or `exit`."""
    cases, trouble = from_tap(text) if style == "tap" else ([], [])
    lines = [x for x in text.splitlines() if x.strip()]
    last = lines[-1] if lines else "no output"
    if status == EXIT_SKIP and not cases:
        return [Case("", SKIP, last)]
    if style == "exit":
        good = status == 0
        why = "" if good else f"status {status}: {last}"
        return [Case("", PASS if good else FAIL, why)]
    failed = any(c.result == FAIL for c in cases)
    if status not in (0, EXIT_SKIP) and not (failed and status == 1):
        trouble.append(f"ended with status {status}: {last}")
    if not cases and not trouble:
        trouble.append(f"printed no TAP: {last}")
    cases += [Case("", FAIL, x) for x in trouble]
    return cases


class AllowedSkips:
    """A file of lines `test case [in=kernel,…] reason`.

    Test and case are patterns; skips of none of the lines are failures.
    """

    def __init__(self, path):
        self.entries = []
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                self._read(f"{path}:{number}", line)

    def _read(self, where, line):
        words = line.split()
        test, case, kernels = words[0], "".join(words[1:2]), None
        if words[2:3] and words[2].startswith("in="):
            kernels = words.pop(2)[3:].split(",")
            if not set(kernels) <= set(suites.KERNELS):
                raise LabError(f"{where}: unknown kernel: {line}")
        if not words[2:]:
            raise LabError(f"{where}: no reason: {line}")
        self.entries.append((test, case, kernels, " ".join(words[2:])))

    def apply(self, test, kernel, cases):
        """kernel: None for what runs on the host."""
        for case in cases:
            if case.result != SKIP:
                continue
            reason = self._reason(test, kernel, case.name)
            if reason is None:
                case.result = FAIL
                case.why = f"skip that is not allowed: {case.why}"
            else:
                case.why = reason

    def _reason(self, *skip):
        for test, case, kernels, reason in self.entries:
            if (
                fnmatch.fnmatchcase(skip[0], test)
                and (kernels is None or skip[1] in kernels)
                and fnmatch.fnmatchcase(skip[2], case)
            ):
                return reason
        return None


def count(cases):
    return tuple(
        sum(c.result == kind for c in cases) for kind in (PASS, FAIL, SKIP)
    )


def closing(cases):
    passed, failed, skipped = count(cases)
    return f"{passed} passed, {failed} failed, {skipped} skipped"
