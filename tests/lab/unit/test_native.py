# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Figures of true time: what is made of what was measured, and where."""

import json
import types
import unittest
from statistics import median
from unittest import mock

from tests.bench import figures, nativefigures, nativewire
from tests.lab import bench, host, native

LINE = {
    "size": 65536,
    "count": 16,
    "ones": 4,
    "calls": 10,
    # A call takes 8000 ns
    "call_ns": [80000, 80000, 90000],
    "list_ns": [40000, 42000, 50000],
    "memcpy_ns": [24000, 32000, 40000],
    "one_ns": [40000, 42000, 44000],
}


class Lists(unittest.TestCase):
    def setUp(self):
        self.lists = nativefigures.Lists(LINE, 200)

    def test_the_call_is_the_hosts(self):
        self.assertEqual(self.lists.call(median), 8000)
        self.assertEqual(self.lists.write(median), (42000 - 7800) / 16)
        self.assertEqual(self.lists.one(min), 10000 - 7800)
        self.assertEqual(self.lists.alone(min), 2000)

    def test_marginal(self):
        found = self.lists.marginal(median)
        self.assertEqual(found, (42000 - 10500) / 15)

    def test_noise_is_said(self):
        self.assertEqual(self.lists.noise(), (32000 / 24000, " NOISY HOST"))
        self.assertEqual(nativefigures.spread([4, 4, 5]), (1, ""))

    def test_over_memcpy(self):
        peer = {"near": [{"call_ns": [2000], "calls": 10}]}
        other = dict(LINE, memcpy_ns=[16000] * 3)
        with mock.patch.object(
            nativefigures, "primitive", lambda *_, **__: [LINE, other]
        ), mock.patch.object(nativefigures, "Device"):
            value, said = nativefigures.over_memcpy(peer, sizes="64K")
        self.assertEqual(value, (42000 - 7800) / 16000)
        self.assertIn("64 KiB", said)


class Skew(unittest.TestCase):
    def test_worst_and_where(self):
        fast, slow = [1000] * 4096, [1000] * 4096
        slow[1:16] = fast[1:16] = [8000] * 15
        slow[40] = 9999
        lines = [
            {"call_ns": 0, "calls": 1, "skew_ns": x} for x in (fast, slow)
        ]
        with mock.patch.object(
            nativefigures, "primitive", lambda *_, **__: lines
        ), mock.patch.object(nativefigures, "Device"):
            value, said = nativefigures.copy_skew()
        self.assertEqual(value, 8)
        self.assertIn("as slow: 1-15", said)

    def test_ranges(self):
        self.assertEqual(nativefigures.ranges([1, 2, 3, 9]), "1-3, 9")
        self.assertIn("and 2 more", nativefigures.ranges(range(0, 20, 2)))


class Wire(unittest.TestCase):
    def test_worst_case_counts(self):
        def measure(mtu):
            ours = {65536: [20000] * 3, 1 << 20: [300000] * 3}
            slow = 1 if mtu == "9000" else 0.5
            theirs = {k: [v[0] * 2 * slow] * 3 for k, v in ours.items()}
            return ours, theirs

        value, said = nativewire.theirs_over_ours(measure)
        self.assertEqual(value, 1)
        self.assertEqual(said.count("MTU"), 4)


class Choice(unittest.TestCase):
    def args(self, **given):
        keys = "suite kernel icount smp mem no_sodp verbose".split()
        return types.SimpleNamespace(**{**dict.fromkeys(keys), **given})

    def config(self, kvm_works, **given):
        with mock.patch.object(native.rootfs, "ensure"), mock.patch.object(
            native.kvm, "works", lambda _: kvm_works
        ):
            figure = bench.Figure("x", "<= 1", clock="native")
            return native.config(figure, self.args(**given))

    def test_kvm_is_preferred(self):
        self.assertEqual(self.config(True).kernel, "7.2")
        self.assertEqual(self.config(False).kernel, "uml")
        self.assertEqual(self.config(True, kernel="uml").kernel, "uml")
        self.assertIn("User Mode", native.described(self.config(False)))

    def test_no_true_time(self):
        for given in ({"kernel": "6.12"}, {"icount": True}):
            with self.assertRaises(host.LabError):
                self.config(False, **given)

    def test_the_clock_of_a_figure(self):
        entry = figures.FIGURES["copy_64k"]
        self.assertEqual(entry.machine, {"clock": "native"})
        self.assertTrue(bench.Figure("x", "<= 1", **entry.machine).native)
        self.assertFalse(bench.Figure("x", "<= 1").native)

    def test_the_host_is_handed_on(self):
        machine = types.SimpleNamespace(config=self.config(False))
        with mock.patch.object(native, "_peer", lambda _, name: [name]):
            env = native.environment(machine)
        said = {"near": ["near"], "far": ["far"]}
        self.assertEqual(json.loads(env["SODP_HOST"]), said)
        machine.config = self.config(True)
        self.assertEqual(native.environment(machine), {})
