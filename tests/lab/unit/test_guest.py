# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The parts of the guest's programs that need no guest."""

import unittest


from tests.lab.guest import kmsg, selftest
from tests.perftest import sweep

TABLE = """
---------------------------------------------------------------------
 #bytes     #iterations    BW peak[MB/sec]    BW average[MB/sec]   Mpps
 2          10             1.10               1.00               0.5
 4096       10             100.0              90.5               0.02
---------------------------------------------------------------------
"""


class KernelLog(unittest.TestCase):
    def test_record(self):
        record = "4,12,1500000,-;WARNING: x\n SUBSYSTEM=net\n"
        lines = kmsg.KernelLog._format(record)
        self.assertEqual(lines, ["[    1.500000] WARNING: x"])

    def test_escaped_newline(self):
        lines = kmsg.KernelLog._format("4,1,0,-;a\\x0ab")
        self.assertEqual([x.split("] ")[1] for x in lines], ["a", "b"])


class Ktap(unittest.TestCase):
    def test_lines(self):
        for line, tap in (
            ("odp_selftest: ok 1 one", "ok 1 one"),
            ("odp_selftest: not ok 2 two # why", "not ok 2 two # why"),
            ("ok 3 three", "ok 3 three"),
            ("odp_selftest: 1..7", "1..7"),
            ("KTAP version 1", "KTAP version 1"),
        ):
            self.assertEqual(selftest.KTAP.match(line).group(1), tap)

    def test_other_lines(self):
        for line in ("sodp: link is ok 1", "it is not ok", "1.. of"):
            self.assertIsNone(selftest.KTAP.match(line), line)


class Sweep(unittest.TestCase):
    def test_rows(self):
        rows = sweep.rows(TABLE)
        self.assertEqual(sorted(rows), [2, 4096])
        self.assertEqual(rows[4096][2], 90.5)
