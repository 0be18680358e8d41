# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The rate of the time stamp counter."""

import unittest

from tests.lab import tsc


class Rate(unittest.TestCase):
    def test_same_again(self):
        rate = tsc.khz()
        if rate is None:
            self.skipTest("no time stamp counter to be read")
        tsc.khz.cache_clear()
        self.assertAlmostEqual(tsc.khz() / rate, 1, places=3)
