# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Mutants that share a guest: what becomes of each, and of the next one."""

import contextlib
import io
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

from tests.lab import mutate, registry, session, testing, trials
from tests.lab.host import LabError
from tests.lab.vm import VmConfig

CONFIG = VmConfig("trixie", "6.12")
ARGS = types.SimpleNamespace(timeout=None, out=None, verbose=False)
BAD = "not ok 1 - it\n1..1\n"
GOOD = "ok 1 - it\n1..1\n"


def planned(*names):
    return [registry.Planned(registry.Test(n, []), CONFIG) for n in names]


def trial(name, *tests, **options):
    return trials.Trial(name, planned(*tests), **options)


class Shared(unittest.TestCase):
    """Guest.run() with guests that do what a test says."""

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(mock.patch.object(session, "Machine"))
        self.report = testing.Report(Path(folder), io.StringIO())
        self.over = []
        self.boots = []

    def run_guest(self, found, *plans, known=()):
        """Each plan: of a boot, (trial, step) -> status, output, log; or
        an error that the step ends with."""
        plans = iter(plans)

        def run_side(guest, index):
            plan, side = next(plans), guest.sides[index]
            failed = set()
            self.boots.append([])
            for step in side.steps:
                trial = getattr(step, "trial", None) or step.planned.trial
                if step.spec.get("unless") in failed or side.error:
                    continue
                if side.runner.stopped:
                    return
                self.boots[-1].append(f"{trial.name} {step.name}")
                does = plan.get((trial.name, step.name), (0, GOOD, ""))
                if isinstance(does, Exception):
                    side.error = does
                    continue
                step.finish(does[0], 1, does[2], Path("/nowhere"))
                step.output = does[1]
                if does[0]:
                    failed.add(trial.name)
                guest._ended(index, step)

        items = [item for one in found for item in one.items]
        with mock.patch.object(testing.Batch, "_run_side", run_side):
            guest = trials.Guest(
                [CONFIG], items, ARGS, self.report, None, dict(known)
            )
            guest.on_over = self.over.append
            guest.prepare()
            guest.run()

    def test_each_is_loaded_and_unloaded(self):
        both = trial("a", "one", "two"), trial("b", "one")
        self.run_guest(both, {})
        want = ["a load", "a one", "a two", "a unload"]
        want += ["b load", "b one", "b unload"]
        self.assertEqual(self.boots, [want])
        self.assertEqual(self.over, list(both))
        self.assertEqual([t.failures for t in both], [[], []])

    def test_the_first_failure_is_enough(self):
        both = trial("a", "one", "two"), trial("b", "one")
        self.run_guest(both, {("a", "one"): (1, BAD, "")})
        want = ["a load", "a one", "a unload", "b load", "b one", "b unload"]
        self.assertEqual(self.boots, [want])
        self.assertEqual([t.going for t in both], [False, True])
        self.assertEqual(both[0].failures[0][0], "one")
        self.assertIn("one it", both[0].failures[0][1])

    def test_a_damaged_guest_is_left(self):
        for does in (
            (0, GOOD, "[ 1.0] WARNING: x"),
            ("timeout", "", ""),
            ("died", "", ""),
        ):
            with self.subTest(does):
                self.boots, self.over = [], []
                both = trial("a", "one", "two"), trial("b", "one")
                self.run_guest(both, {("a", "one"): does}, {})
                self.assertEqual(
                    self.boots,
                    [["a load", "a one"], ["b load", "b one", "b unload"]],
                )
                self.assertEqual([t.going for t in both], [False, True])
                self.assertEqual(self.over, list(both))

    def test_modules_that_stay(self):
        both = trial("a", "one"), trial("b", "one")
        self.run_guest(both, {("a", "unload"): (1, "", "in use")}, {})
        self.assertEqual(len(self.boots), 2)
        self.assertEqual([t.going for t in both], [False, True])
        self.assertIn("unload: in use", both[0].failures[0][1])

    def test_modules_that_do_not_load(self):
        both = trial("a", "one"), trial("b", "one")
        self.run_guest(both, {("a", "load"): (1, "", "no")}, {})
        self.assertEqual(self.boots[0], ["a load"])
        self.assertEqual([t.going for t in both], [False, True])

    def test_death_between_steps_is_of_whose_turn_it_was(self):
        error = session.GuestFailed("the guest died between two steps")
        both = trial("a", "one"), trial("b", "one")
        self.run_guest(both, {("b", "load"): error})
        self.assertEqual([t.going for t in both], [True, False])
        self.boots, self.over = [], []
        both = trial("a", "one"), trial("b", "one")
        self.run_guest(both, {("a", "unload"): error}, {})
        self.assertEqual([t.going for t in both], [False, True])
        self.assertEqual(self.over, list(both))

    def test_no_boot_at_all(self):
        error = session.GuestFailed("the guest died", ours=False)
        one = trial("a", "one")
        plan = {("a", "load"): error}
        self.run_guest([one], plan, plan)
        self.assertIn("not reached", one.error)
        self.assertEqual(one.failures, [])
        self.assertEqual(self.over, [one])

    def test_without_a_mutant_all_tests_run(self):
        base = trial("baseline", "one", "two", "three", thorough=True)
        plan = {("baseline", "one"): (1, BAD, "")}
        plan["baseline", "two"] = "timeout", "", ""
        self.run_guest([base], plan, {})
        self.assertEqual(
            self.boots[1],
            ["baseline load", "baseline three", "baseline unload"],
        )
        self.assertEqual({test for test, _ in base.failures}, {"one", "two"})

    def test_limits(self):
        one, base = trial("a", "one"), trial("b", "one", thorough=True)
        guest = trials.Guest([CONFIG], [], ARGS, None, None, {"one": 30})
        self.assertEqual(guest._seconds(one.items[0], CONFIG), 90)
        self.assertEqual(guest._seconds(base.items[0], CONFIG), 120)
        guest.known = {"one": 1}
        self.assertEqual(guest._seconds(one.items[0], CONFIG), 60)
        guest.known = {}
        self.assertEqual(guest._seconds(one.items[0], CONFIG), 120)

    def test_a_long_test_ends_when_it_has_failed(self):
        one = trial("a", "one")
        guest = trials.Guest([CONFIG], [], ARGS, None, None, {"one": 90})
        step = types.SimpleNamespace(planned=one.items[0])
        self.assertTrue(guest._settled(step, GOOD + BAD))
        self.assertFalse(guest._settled(step, GOOD))
        guest.known = {"one": 2}
        self.assertFalse(guest._settled(step, BAD))


class Choice(unittest.TestCase):
    def test_tests_are_those_named(self):
        plan = mutate.Plan("6.12")
        (item,) = plan.items(["verbs.mw"])
        self.assertEqual(item.test.name, "verbs.mw")
        self.assertEqual(item.config.kernel, "6.12")
        self.assertEqual(plan.items(["lab"]), [])

    def test_a_test_of_the_host(self):
        mutant = mock.Mock(tests=["lab"], fail=LabError)
        mutant.fail = mock.Mock(side_effect=LabError)
        with self.assertRaises(LabError):
            mutate.Plan("6.12").trial(mutant)

    def test_batches(self):
        many = [trial(str(n), "one") for n in range(mutate.BATCH)]
        other = trial("other", "one")
        other.items[0].configs = (VmConfig("trixie", "6.12", smp=4),)
        last = trial("last", "one")
        sizes = [len(x) for x in mutate._batches([*many, other, last])]
        self.assertEqual(sizes, [mutate.BATCH, 1, 1])
