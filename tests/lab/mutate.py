# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""./lab mutate: do the tests see small faults?

Each mutant is put into a copy of the checkout, which keeps its builds, so
that only what it changes is compiled.  It is killed by the first of its
tests that fails, by a splat, or by a guest that hangs.  The tests have to
pass without it first.
"""

import contextlib
import hashlib
import re
import subprocess
import sys
import time

from . import host, mutants, suites
from .host import LabError

RESULT = mutants.FOLDER / "RESULT"
KILLED, SURVIVED, EQUIVALENT = "killed", "survived", "equivalent"
ERROR = "error"
STOP_SECONDS = 20


class Tree:
    """A copy of the checkout in the cache, for one mutant at a time."""

    def __init__(self):
        name = hashlib.sha256(str(host.REPO).encode()).hexdigest()[:8]
        self.name = f"mutate-{name}"
        self.path = host.cache_dir() / self.name

    def sync(self):
        """What git knows or would add; only what differs is written."""
        command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
        done = subprocess.run(command, cwd=host.REPO, capture_output=True)
        if done.returncode:
            raise LabError("mutate needs git, and a checkout of it")
        names = {
            name
            for name in done.stdout.decode().split("\0")
            if name and (host.REPO / name).is_file()
        }
        for path in self.path.rglob("*"):
            name = str(path.relative_to(self.path))
            if not path.is_dir() and name not in names:
                path.unlink()
        for name in names:
            self._copy(name)

    def _copy(self, name):
        source, target = host.REPO / name, self.path / name
        data = source.read_bytes()
        if not target.is_file() or target.read_bytes() != data:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        target.chmod(source.stat().st_mode)

    @contextlib.contextmanager
    def mutated(self, mutant):
        path = self.path / mutant.path
        before = path.read_bytes()
        path.write_text(mutant.mutated(self.path))
        try:
            yield
        finally:
            path.write_bytes(before)


class Lab:
    """./lab of the copy, for one kernel."""

    def __init__(self, tree, kernel, logs, verbose):
        self.tree = tree
        self.kernel = kernel
        self.logs = logs
        self.verbose = verbose

    def _spawn(self, log, command, *words):
        args = [sys.executable, self.tree.path / "lab", command]
        args += ["--kernel", self.kernel, *words]
        return host.spawn(
            args,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if self.verbose else log,
            text=True,
            errors="replace",
        )

    def build(self, name):
        """Return whether it compiles."""
        with open(self.logs / f"{name}.log", "a") as log:
            process = self._spawn(log, "build")
            try:
                log.write(process.communicate()[0])
            finally:
                host.reap(process)
        return process.returncode == 0

    def test(self, name, tests):
        """Run tests until one fails: (status, what failed and why)."""
        seen = ""
        with open(self.logs / f"{name}.log", "a") as log:
            process = self._spawn(log, "test", *tests)
            try:
                for line in process.stdout:
                    log.write(line)
                    log.flush()
                    failed = re.match(r"FAIL  (?:\S+/\S+ )?(.+?): \d", line)
                    seen = failed.group(1) if failed else seen
                    reason = re.match(r" +not ok: (.*)", line)
                    if seen and reason:
                        # The name of a case begins with that of its test
                        return 1, reason.group(1).split(" ", 1)[-1].strip()
                return process.wait(), seen
            finally:
                host.reap(process, STOP_SECONDS)


class Record:
    """The last outcome of each mutant, in the repository."""

    def __init__(self, known, kernel):
        self.known = known
        self.kernel = kernel
        self.lines = {}
        if RESULT.exists():
            for line in RESULT.read_text().splitlines():
                if line and not line.startswith("#"):
                    self.lines[line.split()[0]] = line

    def add(self, mutant, outcome, seen):
        line = f"{mutant.name} {outcome} {self.kernel} {_commit()} {seen}"
        self.lines[mutant.name] = line.rstrip()
        head = "# The last ./lab mutate --record: mutant, outcome, kernel, "
        head += "commit, what saw it\n"
        lines = [
            self.lines[m.name] for m in self.known if m.name in self.lines
        ]
        RESULT.write_text(head + "".join(f"{x}\n" for x in lines))


def _commit():
    git = ["git", "describe", "--always", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(git, cwd=host.REPO, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def _run(mutant, tree, lab):
    """Return (outcome, what saw it or why not)."""
    if mutant.equivalent:
        return EQUIVALENT, mutant.equivalent
    with tree.mutated(mutant):
        if not lab.build(mutant.name):
            return ERROR, "does not compile"
        status, seen = lab.test(mutant.name, mutant.tests)
    if status not in (0, 1):
        return ERROR, f"./lab test ended with status {status}"
    return (KILLED, seen) if status else (SURVIVED, "")


def _baseline(chosen, lab):
    """What fails without a mutant says nothing of one."""
    tests = sorted({test for mutant in chosen for test in mutant.tests})
    if not tests:
        return
    host.say(f"without a mutant: {len(tests)} tests")
    if not lab.build("baseline"):
        raise LabError(f"the copy does not compile, see {lab.logs}")
    status, seen = lab.test("baseline", tests)
    if status:
        raise LabError(f"fails without a mutant: {seen} (see {lab.logs})")


def _closing(outcomes):
    words = [
        f"{outcomes.count(word)} {word}"
        for word in (KILLED, SURVIVED, EQUIVALENT)
    ]
    return ", ".join(words)


def _list(chosen):
    for mutant in chosen:
        what = mutant.equivalent or mutant.why
        print(f"{mutant.name}  {mutant.kind}  {what}")
    return 0


def main(args):
    known = mutants.load()
    chosen = mutants.pick(known, args.names)
    if args.list:
        return _list(chosen)
    kernel = args.kernel or suites.pick(None, None)[1]
    mutants.check_tests(chosen)
    for mutant in chosen:
        mutant.mutated()
    tree = Tree()
    record = Record(known, kernel) if args.record else None
    outcomes = []
    with host.lock(tree.name):
        tree.sync()
        logs = host.log_folder("mutate")
        lab = Lab(tree, kernel, logs, args.verbose)
        if not args.trust:
            _baseline(chosen, lab)
        for mutant in chosen:
            began = time.monotonic()
            outcome, seen = _run(mutant, tree, lab)
            outcomes.append(outcome)
            seconds = time.monotonic() - began
            print(f"{outcome:10}  {mutant.name} ({seconds:.0f} s)  {seen}")
            sys.stdout.flush()
            if record and outcome != ERROR:
                record.add(mutant, outcome, seen)
    host.say(f"logs: {logs}")
    print(_closing(outcomes))
    return 1 if SURVIVED in outcomes or ERROR in outcomes else 0
