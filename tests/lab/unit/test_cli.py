# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Bad input: one clear line, exit 2, nothing left behind."""

import unittest
from unittest import mock

from support import lab
from tests.lab import host, suites


class BadInput(unittest.TestCase):
    def check(self, args, *words, **env):
        status, out, err, left = lab(*args, **env)
        self.assertEqual(status, 2, err)
        lines = [x for x in err.splitlines() if x]
        self.assertLessEqual(len(lines), 2, err)
        for word in words:
            self.assertIn(word, lines[-1])
        self.assertNotIn("Traceback", err)
        self.assertEqual(left, [])

    def test_suite(self):
        self.check(["run", "--suite", "sarge", "--", "true"], "sarge")

    def test_kernel(self):
        self.check(["run", "--kernel", "5.4", "--", "true"], "5.4")

    def test_kernel_of_another_suite(self):
        args = ["run", "--suite", "bookworm", "--kernel", "6.12"]
        self.check(args + ["--", "true"], "bookworm", "6.12")

    def test_test_name(self):
        self.check(["test", "nonsense"], "unknown test nonsense")

    def test_seconds(self):
        self.check(["test", "--seconds", "9", "smoke"], "--seconds", "smoke")
        self.check(["test", "--seconds", "x", "torture-long"], "--seconds")

    def test_bench_name(self):
        self.check(["bench", "nonsense"], "unknown figure nonsense")

    def test_no_command(self):
        self.check(["run", "--"], "no command")

    def test_unknown_command(self):
        self.check(["dance"], "dance")

    def test_sizes(self):
        for option in (["--mem", "x"], ["--smp", "0"], ["--timeout", "no"]):
            self.check(["run"] + option + ["--", "true"], option[0])

    def test_icount_with_cpus(self):
        args = ["run", "--icount", "--smp", "2", "--", "true"]
        self.check(args, "--icount")

    def test_shell_without_terminal(self):
        self.check(["shell"], "terminal")

    def test_group(self):
        args = ["run", "--with", "mpi,poetry", "--", "true"]
        self.check(args, "poetry", "libfabric")

    def test_package_name(self):
        args = ["shell", "--install", "no_such"]
        self.check(args, "no_such", "no name of a Debian package")

    def test_build_part(self):
        self.check(["build", "roof"], "roof")

    def test_no_network(self):
        args = ["run", "--", "true"]
        url = "http://127.0.0.1:1/debian"
        self.check(args, "no network", url, SODP_MIRROR=url)


class Host(unittest.TestCase):
    def test_missing_tool(self):
        tools = {"no-such-tool": "no-such-package"}
        with mock.patch.dict(host.TOOLS, tools), mock.patch.object(
            host, "is_root", lambda: False
        ), mock.patch.object(host.shutil, "which", lambda _: None):
            with self.assertRaisesRegex(host.LabError, "no-such-package"):
                host.need_tools("no-such-tool")

    def test_no_disk(self):
        full = mock.Mock(free=2**20)
        with mock.patch.object(host.shutil, "disk_usage", lambda _: full):
            with self.assertRaisesRegex(host.LabError, "needs 5 GiB"):
                host.need_disk(5, "it")

    def test_temp_dir_goes_when_interrupted(self):
        with self.assertRaises(KeyboardInterrupt):
            with host.temp_dir("unit") as path:
                (path / "half").write_text("made")
                raise KeyboardInterrupt
        self.assertFalse(path.exists())

    def test_lock_excludes(self):
        with host.lock("unit-test"):
            with host.lock("unit-test", wait=False) as free:
                self.assertFalse(free)
        with host.lock("unit-test", wait=False) as free:
            self.assertTrue(free)


class Suites(unittest.TestCase):
    def test_defaults(self):
        self.assertEqual(suites.pick(None, None), ("trixie", "6.12"))
        self.assertEqual(suites.pick("bookworm", None), ("bookworm", "6.1"))
        self.assertEqual(suites.pick(None, "6.1"), ("bookworm", "6.1"))
        self.assertEqual(suites.pick(None, "7.2"), ("trixie", "7.2"))
        self.assertIsNone(suites.pick("forky", "6.1"))

    def test_every_kernel_has_a_suite(self):
        for kernel in suites.KERNELS:
            self.assertIsNotNone(suites.pick(None, kernel))

    def test_recipe_hash_follows_the_packages(self):
        before = suites.recipe_hash("trixie")
        with mock.patch.dict(
            suites.SUITES["trixie"], packages=suites.COMMON + ["hello"]
        ):
            self.assertNotEqual(before, suites.recipe_hash("trixie"))
