# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""User Mode Linux: its machine, its kernel, what it cannot be."""

import re
import types
import unittest
from unittest import mock

from tests.lab import host, initramfs, uml, umlkernel, vm


def machine(**options):
    made = object.__new__(uml.Uml)
    made.config = vm.VmConfig("trixie", "uml", **options)
    return made


class Machine(unittest.TestCase):
    def test_ports_are_serial_lines(self):
        words = machine()._append({"out": 5, "err": 7, "ctl": 9})
        self.assertIn("ssl0=fd:5", words)
        self.assertIn("ssl2=fd:9", words)
        self.assertNotIn("ssl3", " ".join(words))
        self.assertEqual(uml.Uml.DEVICES["ctl"], "/dev/ttyS2")

    def test_size(self):
        words = machine(mem="2G", smp=1)._append({})
        self.assertIn("mem=2G", words)
        self.assertIn("ncpus=1", words)

    def test_what_it_cannot_be(self):
        for options in ({"icount": True}, {"numa": True}, {"edu": "iommu"}):
            made = machine(**options)
            self.assertIn("User Mode Linux", made.config.lacks())
            with self.assertRaisesRegex(host.LabError, "User Mode Linux"):
                made.command({}, None)
        other = vm.VmConfig("trixie", "6.12", icount=True)
        self.assertIsNone(other.lacks())

    def test_started_or_not(self):
        made = machine()
        made.process = types.SimpleNamespace(poll=lambda: 1)
        made.console_text = lambda: "Linux version 7.2\nKernel panic"
        made.check_started()
        made.console_text = lambda: ""
        made.console = "/nonexistent"
        made.complaint = lambda: "no such file"
        with self.assertRaisesRegex(host.LabError, "no such file"):
            made.check_started()

    def test_folders_of_the_host(self):
        script = initramfs._script(initramfs.HOSTFS)
        self.assertNotIn("@", script)
        self.assertNotIn("9p", script)
        self.assertIn("share src /rw/src.ro ro", script)


class Kernel(unittest.TestCase):
    def patches(self):
        folder = host.REPO / umlkernel.PATCHES
        return sorted(folder.glob("*.patch"))

    def test_every_change_says_why(self):
        self.assertTrue(self.patches())
        for path in self.patches():
            head, _, _ = path.read_text().partition("\n--- ")
            self.assertTrue(head.startswith("SPDX-License-Identifier:"))
            self.assertGreater(len(head.split()), 20, path)

    def test_a_change_makes_another_kernel(self):
        before = umlkernel.recipe().path
        with mock.patch.object(umlkernel, "RECIPE_VERSION", -1):
            self.assertNotEqual(umlkernel.recipe().path, before)
        self.assertTrue(re.fullmatch(r"uml-[0-9a-f]{12}", before.name))
