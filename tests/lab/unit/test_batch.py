# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What becomes of tests whose machine does not come up, or goes away."""

import contextlib
import io
import types
import unittest
from unittest import mock

from tests.lab import registry, session, testing
from tests.lab.host import LabError
from tests.lab.vm import VmConfig

CONFIG = VmConfig("trixie", "6.12")


class Boots(unittest.TestCase):
    """Batch.run() with boots that do what a test says."""

    def setUp(self):
        self.planned = [
            registry.Planned(registry.Test(name, [], style="exit"), CONFIG)
            for name in ("one", "two")
        ]
        self.report = testing.Report(None)
        self.boots = []

    def run_batch(self, *plans, first=False):
        """Each plan: the tests that end in a boot, then what goes wrong."""
        args = types.SimpleNamespace(timeout=None, out=None, verbose=False)
        plans = iter(plans)

        def run_side(batch, index):
            ended, error = next(plans)
            side = batch.sides[index]
            for step in side.steps:
                if step.name in ended:
                    step.status = 0
                    batch._ended(index, step)
            side.error = error

        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            stack.enter_context(mock.patch.object(session, "Machine"))
            stack.enter_context(
                mock.patch.object(testing.Batch, "_run_side", run_side)
            )
            batch = testing.Batch(
                [CONFIG], self.planned, args, self.report, first
            )
            batch.prepare()
            batch.run()

    def results(self):
        return [c.result for c in self.report.cases]

    def test_all_well(self):
        self.run_batch((("one", "two", "unload"), None))
        self.assertEqual(self.results(), ["passed"] * 3)

    def test_a_boot_that_fails_by_us_counts(self):
        error = session.GuestFailed("the kernel complained", "BUG: x")
        self.run_batch(((), error), (("one", "two", "unload"), None))
        self.assertEqual(self.results(), ["failed"] + ["passed"] * 3)

    def test_a_boot_that_fails_before_us_does_not(self):
        error = session.GuestFailed("the guest died", "Oops", ours=False)
        self.run_batch(((), error), (("one", "two", "unload"), None))
        self.assertEqual(self.results(), ["passed"] * 3)

    def test_no_boot_at_all(self):
        error = session.GuestFailed("the guest died", ours=False)
        self.run_batch(((), error), ((), error))
        self.assertEqual(self.results(), ["failed"] * 2)

    def test_death_before_the_unload(self):
        error = session.GuestFailed("the guest died between two steps")
        self.run_batch((("one", "two"), error))
        self.assertEqual(self.results(), ["passed", "passed", "failed"])

    def test_what_the_host_lacks(self):
        with mock.patch.object(session, "Machine", side_effect=LabError("x")):
            args = types.SimpleNamespace(timeout=None, out=None, verbose=False)
            batch = [[CONFIG], self.planned, args, self.report]
            with contextlib.redirect_stdout(io.StringIO()):
                with contextlib.redirect_stderr(io.StringIO()):
                    testing.run_batches([testing.Batch(*batch)])
                    with self.assertRaises(LabError):
                        first = testing.Batch(*batch, True)
                        testing.run_batches([first])
        self.assertEqual(self.results(), ["failed"] * 2)


if __name__ == "__main__":
    unittest.main()
