# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Tests of two machines: what is run where, and what counts as failure."""

import contextlib
import io
import types
import unittest

from tests.lab import registry, testing
from tests.lab.vm import VmConfig

CONFIGS = [VmConfig("trixie", "6.12", net=n) for n in (1, 2)]


class Runner:
    def __init__(self):
        self.partner_ended = set()
        self.stopped = False


class Pair(unittest.TestCase):
    def setUp(self):
        peer = {"cmd": ["serve"]}
        self.item = registry.Planned(
            registry.Test("t", ["ask"], style="exit", peer=peer), *CONFIGS
        )
        args = types.SimpleNamespace(timeout=None, out=None, verbose=False)
        self.report = testing.Report(None)
        self.batch = testing.Batch(CONFIGS, [self.item], args, self.report)
        for index in (0, 1):
            steps = self.batch._steps([self.item], index)
            side = types.SimpleNamespace(steps=steps, runner=Runner())
            self.batch.sides.append(side)

    def end(self, index, status=0, **more):
        step = self.batch.sides[index].steps[0]
        step.status = status
        for key, value in more.items():
            setattr(step, key, value)
        with contextlib.redirect_stdout(io.StringIO()):
            self.batch._ended(index, step)

    def failures(self):
        return [c.why for c in self.report.cases if c.result == "failed"]

    def test_each_has_its_command(self):
        commands = [s.steps[0].spec["cmd"] for s in self.batch.sides]
        self.assertEqual(commands, [["ask"], ["serve"]])

    def test_both_must_end(self):
        self.end(0)
        self.assertEqual(self.report.cases, [])
        self.assertEqual(self.batch.sides[1].runner.partner_ended, {0})
        self.end(1)
        self.assertEqual(self.failures(), [])
        self.assertEqual(len(self.report.cases), 1)

    def test_status_of_the_second_counts(self):
        self.end(0)
        self.end(1, status=3)
        self.assertEqual(self.failures(), ["machine 2: status 3"])

    def test_kernel_log_of_the_second_counts(self):
        self.end(0)
        self.end(1, splat=["WARNING: at x"])
        self.assertEqual(
            self.failures(), ["machine 2: kernel log: WARNING: at x"]
        )

    def test_a_machine_that_goes(self):
        self.end(1, status="died", why="the guest died")
        with contextlib.redirect_stdout(io.StringIO()):
            self.batch._conclude(self.item)
        self.assertIn("the other machine went away", self.failures())

    def test_one_device_each_on_the_cable(self):
        args = types.SimpleNamespace(
            icount=False,
            smp=None,
            mem=None,
            rxe=True,
            no_sodp=False,
            groups=[],
            packages=[],
        )
        test = registry.Test("t", [], peer={"cmd": [], "rxe": True})
        first, second = registry._configs(test, "trixie", "6.12", args)
        self.assertEqual((first.sodp, first.rxe), (True, False))
        self.assertEqual((second.sodp, second.rxe), (False, True))
        self.assertNotEqual(first.key(), second.key())


if __name__ == "__main__":
    unittest.main()
