# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Mutants: small faults, each with the tests that have to see it.

tests/mutants/AREA.txt has those of an area, one after the other:

    [name] kind path/of/the/file
    tests: verbs.mw wire-mw
    why: what is wrong now
    -lines that go
    +lines that come
     lines that stay

The lines are whole ones; those that go and stay, as they follow each other,
are in the file once.  `@@` begins another place in the same file.  A mutant
that cannot be seen has `equivalent: reason` in the place of tests; one in code
that only one kernel runs has `kernel: KERNEL`, and is left out on others.
"""

import fnmatch
import re

from . import host, registry
from .host import LabError

FOLDER = host.REPO / "tests/mutants"
AREAS = ("odp", "verbs", "keys", "wire", "provider")
# The rules that hold between threads, users and processes, then the rest
RULES = ("ordering", "lifetime", "accounting", "permission")
KINDS = RULES + ("value", "progress")
FIELDS = ("tests", "why", "equivalent", "kernel")

_HEAD = re.compile(r"\[([\w-]+)\] (\w+) (\S+)$")
_FIELD = re.compile(r"(\w+): (\S.*)$")


class Mutant:
    """One small change to one file."""

    def __init__(self, name, kind, path, where):
        self.name = name
        self.kind = kind
        self.path = path
        self.where = where
        self.tests = ""
        self.why = ""
        self.equivalent = ""
        self.kernel = ""
        self.hunks = [[]]

    def check(self):
        """What a reader of the file can get wrong."""
        if self.kind not in KINDS:
            self.fail(f"unknown kind {self.kind}")
        if not self.why and not self.equivalent:
            self.fail("no why")
        if bool(self.tests) == bool(self.equivalent):
            self.fail("needs either tests or equivalent")
        for hunk in self.hunks:
            if not {"-", "+"} & {line[0] for line in hunk}:
                self.fail("changes nothing")
        self.tests = self.tests.split()

    def fail(self, why):
        raise LabError(f"{self.where}: mutant {self.name}: {why}")

    def apply(self, text):
        """The file's text with the fault in it."""
        for hunk in self.hunks:
            old = "\n" + _lines(hunk, " -")
            text = "\n" + text
            # Two that touch share a line's end
            found = len(re.findall(f"(?={re.escape(old)})", text))
            if found != 1:
                often = f"{found} times" if found else "no more"
                self.fail(f"does not apply: {self.path} has it {often}")
            new = "\n" + _lines(hunk, " +")
            text = text.replace(old, new)[1:]
        return text

    def mutated(self, tree=host.REPO):
        try:
            return self.apply((tree / self.path).read_text())
        except OSError as err:
            self.fail(f"does not apply: {self.path}: {err.strerror}")


def _lines(hunk, marks):
    return "".join(f"{x[1:]}\n" for x in hunk if x[0] in marks)


def _read(path, area):
    mutant = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"{path.name}:{number}"
        head = _HEAD.match(line)
        field = _FIELD.match(line)
        if head:
            if mutant:
                yield mutant
            name, kind, target = head.groups()
            mutant = Mutant(f"{area}.{name}", kind, target, where)
        elif not line or line.startswith("#"):
            continue
        elif not mutant:
            raise LabError(f"{where}: before the first mutant: {line}")
        elif line == "@@":
            mutant.hunks.append([])
        elif line[0] in "+- ":
            mutant.hunks[-1].append(line)
        elif field and field.group(1) in FIELDS:
            setattr(mutant, field.group(1), field.group(2))
        else:
            raise LabError(f"{where}: cannot read: {line}")
    if mutant:
        yield mutant


def load(folder=FOLDER):
    """All mutants, checked but not against the files that they change."""
    found, names = [], set()
    for area in AREAS:
        path = folder / f"{area}.txt"
        if not path.exists():
            continue
        for mutant in _read(path, area):
            mutant.check()
            if mutant.name in names:
                mutant.fail("there are two of this name")
            names.add(mutant.name)
            found.append(mutant)
    return found


def of_kernel(mutants, kernel):
    """Those that code which the kernel runs can have."""
    return [mutant for mutant in mutants if mutant.kernel in ("", kernel)]


def pick(mutants, names):
    """By name, area, or pattern; all when there is none."""

    def match(mutant, name):
        return (
            mutant.name == name
            or mutant.name.split(".")[0] == name
            or mutant.name.split(".")[1] == name
            or fnmatch.fnmatchcase(mutant.name, name)
        )

    for name in names:
        if not any(match(m, name) for m in mutants):
            raise LabError(f"unknown mutant {name} (see ./lab mutate --list)")
    return [m for m in mutants if not names or any(match(m, n) for n in names)]


def check_tests(mutants):
    """Every test that is named exists, and is one of the default ones."""
    default = {t.name for t in registry.all_tests() if not t.only_all}
    for mutant in mutants:
        for test in mutant.tests:
            if test not in default:
                mutant.fail(f"{test} is no test that runs by default")
