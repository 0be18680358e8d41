# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What the fault model of sodpctl does to faults, and how it is watched."""

import json
import subprocess
import time
import unittest

from odp_base import PAGE, OdpTestCase, pattern
from tests.sodpctl.tool import LINK, NETDEV, TOOL, run, sodpctl


class Effect(OdpTestCase):
    """On $SODP_DEV: faults that are slow, and counters that are watched."""

    FIXED = 0.005
    ROUNDS = 8

    def setUp(self):
        super().setUp()
        if not self.dev_name.startswith("sodp"):
            self.skipTest("not a sodp device")
        self.addCleanup(sodpctl, "fault-model", self.dev_name, "off")

    def model(self, *words):
        done = sodpctl("fault-model", self.dev_name, *words)
        self.assertEqual(done.returncode, 0, done.stderr)

    def faults(self):
        """Of the device, up to now."""
        port = f"{self.dev_name}/1"
        done = run("rdma", "-j", "statistic", "show", "link", port)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)[0]["page_faults"]

    def cold_writes(self):
        """Seconds of each write to memory never touched; faults of all."""
        times = []
        faults = self.faults()
        data = pattern(PAGE)
        self.pinned(PAGE)
        for _ in range(self.ROUNDS):
            memory = self.memory(16 * PAGE)
            mr = self.reg(memory)
            begin = time.monotonic()
            self.put(mr, memory.addr + 3 * PAGE, data)
            times.append(time.monotonic() - begin)
            self.assertBytes(memory.read(PAGE, 3 * PAGE), data, "written")
            mr.close()
        return times, self.faults() - faults

    def test_fixed(self):
        self.model("fixed", "5ms")
        slow, faults = self.cold_writes()
        self.assertGreaterEqual(faults, self.ROUNDS)
        self.assertGreaterEqual(min(slow), self.FIXED)
        self.assertGreaterEqual(sum(slow), self.FIXED * faults)
        self.model("off")
        fast, faults = self.cold_writes()
        self.assertGreaterEqual(faults, self.ROUNDS)
        # The quickest: others may have had the CPU
        self.assertLess(min(fast), self.FIXED)

    def test_warm_writes_are_not_slowed(self):
        memory = self.memory(PAGE)
        mr = self.reg(memory)
        data = pattern(PAGE)
        self.put(mr, memory.addr, data)
        self.model("fixed", "500ms")
        begin = time.monotonic()
        self.put(mr, memory.addr, data)
        self.assertLess(time.monotonic() - begin, 0.4)
        mr.close()

    def test_page_and_jitter(self):
        """64 pages at 1 ms each, and jitter that adds 0 at the least."""
        self.model("page", "1ms", "jitter", "1ms")
        memory = self.memory(64 * PAGE, thp=False)
        mr = self.reg(memory)
        data = pattern(memory.length)
        self.pinned(memory.length)
        begin = time.monotonic()
        self.put(mr, memory.addr, data)
        self.assertGreaterEqual(time.monotonic() - begin, 0.064)
        self.assertBytes(memory.read(), data, "written")
        mr.close()

    def watch(self, *words):
        return subprocess.Popen(
            [TOOL, "watch", *words], stdout=subprocess.PIPE, text=True
        )

    def test_watch(self):
        watch = self.watch(self.dev_name, "-i", "0.2", "-n", "10")
        with watch:
            heading = watch.stdout.readline().split()
            first = watch.stdout.readline().split()
            memory = self.memory(16 * PAGE, thp=False)
            mr = self.reg(memory)
            self.put(mr, memory.addr, pattern(memory.length))
            mr.close()
            lines = [x.split() for x in watch.stdout]
        self.assertEqual(watch.returncode, 0)
        self.assertEqual(heading[0], "DEVICE")
        self.assertEqual(len(lines), 9)
        # Of the first interval and of those behind the write
        for line in (first, lines[-1]):
            self.assertEqual(line[0], self.dev_name)
            self.assertEqual(set(line[1:]), {"0"}, line)
        sums = {
            name: sum(int(line[i]) for line in lines)
            for i, name in enumerate(heading)
            if i
        }
        self.assertGreaterEqual(sums["FAULTS"], 1)
        self.assertEqual(sums["PAGES"], 16)
        self.assertEqual(sums["REQUESTS"], 1)
        self.assertEqual(sums["BYTES"], 16 * PAGE)

    def test_watch_ends_with_the_link(self):
        for command in (
            ["ip", "link", "add", NETDEV, "type", "dummy"],
            ["rdma", "link", "add", LINK, "type", "sodp", "netdev", NETDEV],
        ):
            self.assertEqual(run(*command).returncode, 0, command)
            self.addCleanup(run, "ip", "link", "delete", NETDEV)
        with self.watch(LINK, "-i", "0.1") as one:
            with self.watch("-i", "0.1", "-n", "12") as every:
                one.stdout.readline()
                every.stdout.readline()
                self.assertEqual(
                    run("rdma", "link", "delete", LINK).returncode, 0
                )
                self.assertEqual(one.wait(20), 1)
                last = every.stdout.read().split("\n")[-2]
                self.assertEqual(every.wait(20), 0)
        self.assertEqual(last.split()[0], self.dev_name)


if __name__ == "__main__":
    unittest.main()
