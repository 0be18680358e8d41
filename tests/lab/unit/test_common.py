# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What the tests in the guest have in common."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

from tests.common import machine, tap

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when
   0: 0100007F:4853 00000000:0000 0A 00000000:00000000 00:00000000
   1: 0100007F:4854 0100007F:4853 01 00000000:00000000 00:00000000
"""


def skipped():
    raise tap.Skip("no such thing")


def failed():
    raise tap.Failure("one\ntwo")


class Common(unittest.TestCase):
    def test_listens(self):
        self.assertTrue(machine.listens(TABLE * 2, 18515))
        self.assertFalse(machine.listens(TABLE, 18516))

    def test_put(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "file")
            with self.assertRaises(tap.Failure):
                machine.put(path, 1)
            path.write_text("before")
            machine.put(path, "an", cut=False)
            self.assertEqual(path.read_text(), "anfore")
            machine.put(path, 7)
            self.assertEqual(path.read_text(), "7")

    def test_wait_for(self):
        found = iter((None, 0, 5))
        self.assertEqual(machine.wait_for("5", lambda: next(found)), 5)
        with self.assertRaisesRegex(tap.Failure, "never"):
            machine.wait_for("never", lambda: False, 0)

    def test_tap(self):
        cases = [("good", lambda: "note"), ("odd", skipped), ("bad", failed)]
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(tap.Tap(cases).run(), 1)
            tap.bail_out("one\ntwo")
        lines = said.getvalue().splitlines()
        self.assertEqual(
            [x for x in lines if not x.endswith(" s")],
            ["1..3", "ok 1 - good", "# note"]
            + ["ok 2 - odd # SKIP no such thing"]
            + ["# one", "# two", "not ok 3 - bad"]
            + ["Bail out! one | two"],
        )
