# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""TAP, exit codes, allowed skips, the closing line."""

import fnmatch
import tempfile
import unittest
from pathlib import Path


from tests.lab import registry, results, testing
from tests.lab.host import LabError
from tests.lab.results import FAIL, PASS, SKIP
from tests.lab.vm import VmConfig
from tests.rdma_core import compare

GOOD = """TAP version 13
1..3
ok 1 - one
# a comment
ok 2 two # SKIP no such thing
ok 3 - three
"""


def kinds(cases):
    return [c.result for c in cases]


class Tap(unittest.TestCase):
    def test_good(self):
        cases = results.judge("tap", 0, GOOD)
        self.assertEqual(kinds(cases), [PASS, SKIP, PASS])
        self.assertEqual(cases[0].name, "one")
        self.assertEqual(cases[1].why, "no such thing")

    def test_not_ok_quotes_the_comment_before(self):
        text = "1..1\n# byte 7 is wrong\nnot ok 1 - compare\n"
        cases = results.judge("tap", 1, text)
        self.assertEqual(kinds(cases), [FAIL])
        self.assertEqual(cases[0].why, "byte 7 is wrong")

    def test_not_ok_quotes_the_comment_behind(self):
        text = "1..2\nnot ok 1 - a\n# byte 7 is wrong\nnot ok 2 - b\n"
        cases = results.judge("tap", 1, text)
        self.assertEqual([c.why for c in cases], ["byte 7 is wrong", ""])

    def test_no_plan_fails(self):
        cases = results.judge("tap", 0, "ok 1 - a\n")
        self.assertEqual([c.result for c in cases], ["passed", "failed"])

    def test_short_plan_fails(self):
        cases = results.judge("tap", 0, "1..3\nok 1\nok 2\n")
        self.assertEqual(kinds(cases), [PASS, PASS, FAIL])
        self.assertIn("3 cases planned, 2 reported", cases[-1].why)

    def test_bad_status_fails_though_all_cases_passed(self):
        cases = results.judge("tap", 139, GOOD)
        self.assertEqual(kinds(cases)[-1], FAIL)
        self.assertIn("139", cases[-1].why)

    def test_killed_fails(self):
        cases = results.judge("tap", "timeout", GOOD)
        self.assertEqual(kinds(cases)[-1], FAIL)

    def test_silence_fails(self):
        self.assertEqual(kinds(results.judge("tap", 0, "hello\n")), [FAIL])
        self.assertEqual(kinds(results.judge("tap", 0, "")), [FAIL])

    def test_bail_out_fails(self):
        cases = results.judge("tap", 0, "1..1\nBail out! no device\n")
        self.assertIn("no device", cases[0].why)

    def test_skip_all(self):
        cases = results.judge("tap", 0, "1..0 # SKIP no huge pages\n")
        self.assertEqual(kinds(cases), [SKIP])
        self.assertEqual(cases[0].why, "no huge pages")

    def test_exit_4_without_tap_is_a_skip(self):
        cases = results.judge("tap", 4, "no memory cgroup\n")
        self.assertEqual(kinds(cases), [SKIP])
        self.assertEqual(cases[0].why, "no memory cgroup")

    def test_missing_program_fails(self):
        cases = results.judge("tap", 127, "x: No such file or directory\n")
        self.assertEqual(kinds(cases), [FAIL])

    def test_nested_cases_count_once(self):
        text = "1..1\n    1..2\n    ok 1 - a\n    ok 2 - b\nok 1 - both\n"
        self.assertEqual(kinds(results.judge("tap", 0, text)), [PASS])


class ExitStyle(unittest.TestCase):
    def test_codes(self):
        for status, kind in ((0, PASS), (1, FAIL), (4, SKIP), (127, FAIL)):
            cases = results.judge("exit", status, "said\n")
            self.assertEqual(kinds(cases), [kind], status)


def allowed(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list"
        path.write_text(text)
        return results.AllowedSkips(path)


class Skips(unittest.TestCase):
    def judged(self, text, test, kernel, name):
        case = results.Case(name, SKIP, "x")
        allowed(text).apply(test, kernel, [case])
        return case.result

    def test_unlisted_skip_fails_and_listed_one_gets_its_reason(self):
        cases = [
            results.Case("tests.a.One", SKIP, "x"),
            results.Case("tests.b.Two", SKIP, "y"),
            results.Case("tests.b.Three", PASS),
        ]
        text = "# comment\nmine tests.a.* no hardware\n"
        allowed(text).apply("mine", "6.12", cases)
        self.assertEqual(kinds(cases), [SKIP, FAIL, PASS])
        self.assertEqual(cases[0].why, "no hardware")
        self.assertIn("not allowed: y", cases[1].why)

    def test_of_another_test(self):
        text = "verbs.wire-* flush why not"
        for test, kind in (("verbs.wire-x", SKIP), ("verbs.x", FAIL)):
            self.assertEqual(self.judged(text, test, "6.1", "flush"), kind)

    def test_of_another_kernel(self):
        text = "verbs.* flush in=6.1,debug why not"
        for kernel, kind in (
            ("6.1", SKIP),
            ("debug", SKIP),
            ("6.12", FAIL),
            (None, FAIL),
        ):
            result = self.judged(text, "verbs.x", kernel, "flush")
            self.assertEqual(result, kind, kernel)

    def test_whole_program(self):
        """A skip of everything has the name of no case."""
        self.assertEqual(self.judged("a b why", "a", "6.1", "all"), FAIL)
        self.assertEqual(self.judged("a b why", "a", "6.1", ""), FAIL)

    def test_mistakes_name_the_line(self):
        for line in ("a", "a b", "a b in=6.1", "a b in=5.4 why"):
            with self.assertRaisesRegex(LabError, "list:2"):
                allowed(f"# one\n{line}\n")

    def test_the_list_names_tests_that_there_are(self):
        names = [t.name for t in registry.all_tests()]
        names += [f"rdma-core.{name}" for name in compare.RXE]
        entries = results.AllowedSkips(registry.ALLOWED_SKIPS).entries
        for test, *_ in entries:
            self.assertTrue(fnmatch.filter(names, test), test)

    def test_only_without_sodp_may_all_be_lacking(self):
        test = registry.Test("nix", ["x"])
        configs = (
            VmConfig("trixie", "6.12"),
            VmConfig("trixie", "6.12", rxe=True),
            VmConfig("trixie", "6.12", rxe=True, sodp=False),
        )
        report = testing.Report(None)
        for config, kind in zip(configs, (FAIL, FAIL, SKIP)):
            case = results.Case("a", SKIP, "x")
            report.judge_skips(registry.Planned(test, config), [case])
            self.assertEqual(case.result, kind)
        case = results.Case("a", SKIP, "x")
        report.judge_skips(registry.Planned(test), [case])
        self.assertEqual(case.result, FAIL)


class Closing(unittest.TestCase):
    def test_line(self):
        cases = results.judge("tap", 0, GOOD)
        self.assertEqual(
            results.closing(cases), "2 passed, 0 failed, 1 skipped"
        )
