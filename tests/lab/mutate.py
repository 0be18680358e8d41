# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""./lab mutate: do the tests see small faults?

Mutants are built in a copy of the checkout (workshop.py), a batch at a time
while the one before is in a guest, which loads, tests and unloads them one
by one (trials.py).  A mutant is killed by the first of its tests that fails,
by a splat, by a guest that dies or hangs, or by modules that cannot be
unloaded.  The tests have to pass without it first.
"""

import concurrent.futures
import json
import subprocess
import sys
import time

from . import cli, host, mutants, registry, suites, testing, trials, workshop
from .host import TestsFailed

RESULT = mutants.FOLDER / "RESULT"
KILLED, SURVIVED, EQUIVALENT = "killed", "survived", "equivalent"
ERROR = "error"
BATCH = 12


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


class Times:
    """How long each test takes without a mutant, from run to run."""

    def __init__(self, tree, kernel):
        self.path = host.cache_dir() / f"{tree.name}.{kernel}.json"
        try:
            self.seconds = json.loads(self.path.read_text())
        except (OSError, ValueError):
            self.seconds = {}

    def save(self):
        self.path.write_text(json.dumps(self.seconds, indent=1))


class Plan:
    """The tests that ./lab test would run on a kernel."""

    def __init__(self, kernel):
        words = ["test", "--kernel", kernel]
        self.args = cli.make_parser().parse_args(words)

    def items(self, names):
        self.args.names = list(names)
        return [
            item
            for item in registry.plan(self.args)
            if item.config and item.test.name in names
        ]

    def trial(self, mutant):
        items = self.items(mutant.tests)
        if {item.test.name for item in items} != set(mutant.tests):
            mutant.fail("has a test that runs in no guest of that kernel")
        trial = trials.Trial(mutant.name, items)
        trial.mutant = mutant
        return trial


def _key(item):
    return tuple(config.key() for config in item.configs)


def _batches(found):
    """Those with the same machines together, else as they were."""
    places = {}
    for trial in found:
        place = tuple(sorted({_key(item) for item in trial.items}))
        places.setdefault(place, []).append(trial)
    for several in places.values():
        for first in range(0, len(several), BATCH):
            yield several[first : first + BATCH]


class Run:
    """Builds and guests of one ./lab mutate."""

    def __init__(self, shop, plan, times, logs, on_end):
        self.shop = shop
        self.plan = plan
        self.times = times
        self.logs = logs
        self.on_end = on_end
        self.stopped = False
        # test -> what is wrong with it without a mutant
        self.broken = {}

    def baseline(self, names):
        """What fails without a mutant says nothing of one."""
        host.say(f"without a mutant: {len(names)} tests")
        trial = trials.Trial("baseline", self.plan.items(names), None, True)
        self._guests([trial])
        self.times.save()
        for test, what in trial.failures:
            self.broken.setdefault(test, what)
        for test, what in self.broken.items():
            host.say(f"fails without a mutant: {what}")
            if test not in names:
                raise TestsFailed("the devices do without a mutant")
        if trial.error:
            raise TestsFailed(trial.error)

    def _guests(self, batch):
        places = {}
        for trial in batch:
            for item in trial.items:
                places.setdefault(_key(item), []).append(item)
        stock = self.shop.stock([t.folder for t in batch if t.folder])
        logs = self.logs / batch[0].name
        logs.mkdir()
        for items in places.values():
            items = [i for i in items if i.trial.going]
            if not items:
                continue
            with open(logs / "log", "a") as out:
                report = testing.Report(logs, out)
                guest = trials.Guest(
                    items[0].configs,
                    items,
                    self.plan.args,
                    report,
                    stock,
                    self.times.seconds,
                )
                guest.on_over = self.on_end
                guest.prepare()
                guest.run()

    def _build(self, batch):
        for trial in batch:
            if self.stopped:
                return
            began = time.monotonic()
            log = self.logs / f"{trial.name}.build"
            trial.folder, trial.error = self.shop.make(trial.mutant, log)
            trial.seconds += time.monotonic() - began

    def _one_batch(self, batch):
        for trial in batch:
            bad = [self.broken.get(test) for test in trial.mutant.tests]
            if any(bad):
                bad = next(filter(None, bad))
                trial.error = f"fails without a mutant: {bad}"
            if trial.error:
                self.on_end(trial)
        ready = [trial for trial in batch if trial.going]
        if ready:
            self._guests(ready)
        for trial in batch:
            if trial.folder:
                host.remove_tree(trial.folder)

    def all(self, found, trust):
        """found: a trial for each mutant."""
        self.shop.make_base()
        batches = list(_batches(found))
        with concurrent.futures.ThreadPoolExecutor(1) as builder:
            try:
                built = [builder.submit(self._build, x) for x in batches[:1]]
                if not trust:
                    names = {n for t in found for n in t.mutant.tests}
                    self.baseline(sorted(names))
                for number, batch in enumerate(batches):
                    built[number].result()
                    for later in batches[number + 1 : number + 2]:
                        built.append(builder.submit(self._build, later))
                    self._one_batch(batch)
            finally:
                self.stopped = True


class Outcomes:
    """Shows and notes what becomes of the mutants."""

    def __init__(self, record):
        self.record = record
        self.all = []

    def add(self, mutant, outcome, seconds, seen):
        self.all.append(outcome)
        print(f"{outcome:10}  {mutant.name} ({seconds:.0f} s)  {seen}")
        sys.stdout.flush()
        if self.record and outcome != ERROR:
            self.record.add(mutant, outcome, seen)

    def of_trial(self, trial):
        if trial.thorough:
            return
        outcome, seen = SURVIVED, ""
        if trial.error:
            outcome, seen = ERROR, trial.error
        elif trial.failures:
            outcome, seen = KILLED, trial.failures[0][1]
        self.add(trial.mutant, outcome, trial.seconds, seen)

    def closing(self):
        words = [
            f"{self.all.count(word)} {word}"
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
    for mutant in set(chosen) - set(mutants.of_kernel(chosen, kernel)):
        host.say(f"{mutant.name}: only with --kernel {mutant.kernel}")
    chosen = mutants.of_kernel(chosen, kernel)
    mutants.check_tests(chosen)
    for mutant in chosen:
        mutant.mutated()
    plan = Plan(kernel)
    found = [plan.trial(m) for m in chosen if not m.equivalent]
    outcomes = Outcomes(Record(known, kernel) if args.record else None)
    for mutant in chosen:
        if mutant.equivalent:
            outcomes.add(mutant, EQUIVALENT, 0, mutant.equivalent)
    tree = workshop.Tree()
    with host.lock(tree.name), host.temp_dir("mutate") as folder:
        tree.sync()
        logs = host.log_folder("mutate")
        times = Times(tree, kernel)
        if found:
            shop = workshop.Workshop(tree, kernel, folder, args.verbose)
            run = Run(shop, plan, times, logs, outcomes.of_trial)
            run.all(found, args.trust)
    host.say(f"logs: {logs}")
    print(outcomes.closing())
    bad = {SURVIVED, ERROR} & set(outcomes.all)
    return 1 if bad else 0
