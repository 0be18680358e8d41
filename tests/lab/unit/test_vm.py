# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What a machine of the lab is told to be."""

import unittest

from tests.lab import qemu, vm


class Machine(unittest.TestCase):
    def words(self, **options):
        config = vm.VmConfig("trixie", "6.12", **options)
        return " ".join(qemu._machine(config, False))

    def test_one_node(self):
        self.assertNotIn("numa", self.words())

    def test_two_nodes(self):
        words = self.words(numa=True, mem="3G")
        self.assertIn("-smp 2,sockets=2", words)
        self.assertEqual(words.count("size=1536M"), 2)
        self.assertIn("node,nodeid=0,cpus=0-0,memdev=node0", words)
        self.assertIn("node,nodeid=1,cpus=1-1,memdev=node1", words)

    def test_one_cpu_has_one_node(self):
        self.assertNotIn("numa", self.words(numa=True, icount=True))

    def test_nodes_need_a_boot_of_their_own(self):
        one, two = (
            vm.VmConfig("trixie", "6.12", numa=numa) for numa in (False, True)
        )
        self.assertNotEqual(one.key(), two.key())
