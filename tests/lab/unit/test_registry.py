# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Test lists and the choice of tests."""

import tempfile
import types
import unittest
from pathlib import Path

from tests.lab import registry
from tests.lab.host import LabError


def listed(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tests.list"
        path.write_text(text)
        return list(registry._listed(path, "verbs.", "/bin"))


def options(**given):
    keys = "names all suite kernel icount smp mem rxe no_sodp seconds".split()
    layer = {"groups": [], "packages": []}
    return types.SimpleNamespace(**{**dict.fromkeys(keys), **layer, **given})


class List(unittest.TestCase):
    def test_entry(self):
        text = "# c\n\nfoo program=bar timeout=7 in=6.1,7.2 smp=4 all -- -x 1"
        (test,) = listed(text)
        self.assertEqual(test.name, "verbs.foo")
        self.assertEqual(test.cmd, ["/bin/bar", "-x", "1"])
        self.assertEqual(test.timeout, 7)
        self.assertEqual(test.kernels, ("6.1", "7.2"))
        self.assertEqual(test.machine, {"smp": 4})
        self.assertTrue(test.only_all)

    def test_mistakes_name_the_line(self):
        for line in ("foo colour=red", "foo in=5.4", "foo timeout=x", "a b"):
            with self.assertRaisesRegex(LabError, "tests.list:1"):
                listed(line)


class Choice(unittest.TestCase):
    def test_names_are_unique(self):
        names = [t.name for t in registry.all_tests()]
        self.assertEqual(len(names), len(set(names)))

    def test_group_short_name_and_pattern(self):
        every = registry.select(["rdma-core"])
        self.assertEqual(len(every), len(registry.RDMA_CORE))
        names = [t.name for t in registry.select(["rdma-core.*"])]
        self.assertEqual(names, [t.name for t in every])
        (one,) = registry.select(["smoke"])
        self.assertEqual(one.name, "smoke")

    def test_a_test_of_one_suite(self):
        def places(**given):
            planned = registry.plan(options(names=["compare"], **given))
            return [(p.config.suite, p.config.kernel) for p in planned]

        self.assertEqual(places(), [("forky", "7.2")])
        self.assertEqual(places(kernel="7.2"), [("forky", "7.2")])
        self.assertEqual(places(suite="forky"), [("forky", "7.2")])
        self.assertEqual(places(kernel="6.12"), [])
        self.assertEqual(places(suite="trixie", kernel="7.2"), [])

    def test_seconds(self):
        given = options(names=["torture-long"], seconds=7)
        (*_, last) = registry.plan(given)
        self.assertEqual(last.test.commands[0][-2:], ["--seconds", "7"])
        self.assertEqual(last.test.timeout, 307)
        (*_, last) = registry.plan(options(names=["torture-long"]))
        self.assertEqual(last.test.commands[0][-2:], ["--seconds", "600"])
        given = options(names=["torture"], seconds=7)
        with self.assertRaisesRegex(LabError, "--seconds.* torture"):
            registry.plan(given)

    def test_debug_only_with_all(self):
        def kernels(**given):
            planned = registry.plan(options(names=["smoke"], **given))
            return [p.config.kernel for p in planned]

        self.assertEqual(kernels(), ["6.12", "6.1", "7.2", "backports"])
        self.assertEqual(
            kernels(all=True),
            ["6.12", "6.1", "7.2", "backports", "debug", "kcsan", "uml"],
        )
        self.assertEqual(kernels(kernel="6.1"), ["6.1"])

    def test_what_user_mode_linux_lacks(self):
        def lacks(name, kernel):
            given = options(names=[name], kernel=kernel)
            (planned,) = registry.plan(given)
            return planned.lacks

        self.assertIsNone(lacks("smoke", "uml"))
        self.assertIn("DMA", lacks("odp.edu.direct", "uml"))
        self.assertIn("second machine", lacks("wire.vm", "uml"))
        self.assertIsNone(lacks("wire.vm", "6.12"))

    def test_a_test_of_the_debug_kernel_alone(self):
        planned = registry.plan(options(names=["verbs.waits-debug"]))
        self.assertEqual([p.config.kernel for p in planned], ["debug"])
        self.assertFalse(
            [p for p in registry.plan(options(names=[])) if "debug" in p.name]
        )
