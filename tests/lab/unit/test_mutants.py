# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Mutants: their files are read as meant, and they still apply."""

import tempfile
import unittest
from pathlib import Path

from support import REPO, lab
from tests.lab import mutants
from tests.lab.host import LabError

ONE = """
[lost] ordering a.c
tests: smoke
why: a barrier is lost
 before();
-smp_mb();
@@
-if (x)
+if (!x)
"""


def loaded(text):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "odp.txt").write_text(text)
        return mutants.load(Path(folder))


class Format(unittest.TestCase):
    def test_entry(self):
        (one,) = loaded(ONE)
        self.assertEqual(one.name, "odp.lost")
        self.assertEqual((one.kind, one.path), ("ordering", "a.c"))
        self.assertEqual(one.tests, ["smoke"])
        text = "before();\nsmp_mb();\nif (x)\n\treturn;\n"
        self.assertEqual(one.apply(text), "before();\nif (!x)\n\treturn;\n")

    def test_whole_lines_once(self):
        (one,) = loaded(ONE)
        good = "before();\nsmp_mb();\nif (x)\n"
        for text in (good + "if (x)\n", good.replace("if", "\tif"), good[1:]):
            with self.assertRaisesRegex(LabError, "odp.lost: does not apply"):
                one.apply(text)

    def test_mistakes_name_the_line(self):
        for line, words in (
            ("[lost] taste a.c\n", "odp.txt:1.*unknown kind"),
            ("+x\n", "odp.txt:1: before the first"),
            (ONE + "nonsense\n", "odp.txt:10: cannot read"),
            (ONE + ONE, "two of this name"),
            (ONE + "equivalent: it is\n", "either tests or equivalent"),
            (ONE.replace("why", "#"), "no why"),
            (ONE + "@@\n same\n", "changes nothing"),
        ):
            with self.assertRaisesRegex(LabError, words):
                loaded(line)

    def test_kernel(self):
        (one,) = loaded(ONE)
        self.assertEqual(mutants.of_kernel([one], "6.1"), [one])
        (one,) = loaded(ONE.replace("why:", "kernel: 7.2\nwhy:"))
        self.assertEqual(mutants.of_kernel([one], "6.1"), [])
        self.assertEqual(mutants.of_kernel([one], "7.2"), [one])

    def test_choice(self):
        both = loaded(ONE + ONE.replace("lost", "found"))

        def names(*words):
            return [m.name for m in mutants.pick(both, words)]

        self.assertEqual(names(), ["odp.lost", "odp.found"])
        self.assertEqual(names("lost"), ["odp.lost"])
        self.assertEqual(names("odp"), names())
        self.assertEqual(names("*f*"), ["odp.found"])
        with self.assertRaisesRegex(LabError, "unknown mutant wire"):
            names("lost", "wire")


class Ours(unittest.TestCase):
    def test_they_apply(self):
        found = mutants.load()
        mutants.check_tests(found)
        for mutant in found:
            before = (REPO / mutant.path).read_text()
            self.assertNotEqual(mutant.apply(before), before, mutant.name)

    def test_bad_input(self):
        for args, word in (
            (["no-such"], "unknown mutant no-such"),
            (["--kernel", "5.4"], "5.4"),
            (["--colour"], "--colour"),
        ):
            status, _, err, left = lab("mutate", *args)
            self.assertEqual((status, left), (2, []), err)
            self.assertEqual(len(err.splitlines()), 1)
            self.assertIn(word, err)
