# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Run unittest modules and report each test as a TAP line.

unittest_tap.py [--rdma-core] FOLDER MODULE…

With --rdma-core FOLDER is the tests folder of the rdma-core package: its
files may be gzipped and want to be a package named `tests`, as ours are.
"""

import argparse
import gzip
import importlib
import multiprocessing
import os
import shutil
import sys
import traceback
import unittest

import tests
from tests.common.machine import put
from tests.common.tap import bail_out, plan, quote, result

NR_HUGE, HUGE_PAGES = "/proc/sys/vm/nr_hugepages", 64


class TapResult(unittest.TestResult):
    def __init__(self, total):
        super().__init__()
        self.count = 0
        self.told = None
        plan(total)

    def _line(self, good, test, note=""):
        self.count += 1
        result(good, self.count, test.id(), " ".join(note.split()))

    def startTest(self, test):
        super().startTest(test)
        self.told = None

    def _once(self, good, test, note=""):
        """A test that fails in its clean-up too is still one test."""
        if self.told is not test:
            self.told = test
            self._line(good, test, note)

    def addSuccess(self, test):
        self._once(True, test)

    def addSkip(self, test, reason):
        self._once(True, test, f"SKIP {reason}")

    def _failed(self, test, err):
        quote("".join(traceback.format_exception(*err)))
        self._once(False, test, str(err[1])[:200].replace("#", ""))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._failed(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self._failed(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            print(f"# in {subtest}")
            self._failed(test, err)

    def addExpectedFailure(self, test, err):
        self._once(True, test)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._once(False, test, "expected to fail")


def unpack(folder):
    """rdma-core's tests in a fresh folder, as more of the package `tests`."""
    target = "/tmp/rdma-core-tests"
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        if name.endswith(".gz"):
            with gzip.open(path) as source:
                with open(f"{target}/{name[:-3]}", "wb") as sink:
                    shutil.copyfileobj(source, sink)
        elif name.endswith(".py"):
            shutil.copy(path, target)
    tests.__path__.insert(0, target)
    # They hand open devices to child processes; Python 3.14 does not fork.
    multiprocessing.set_start_method("fork")
    # Some tests want huge pages and skip without.
    put(NR_HUGE, HUGE_PAGES)
    args_parser = importlib.import_module("tests.args_parser")
    # They import this one as if it were in no package
    sys.modules["args_parser"] = args_parser
    args_parser.parser.args = {
        "dev": os.environ["SODP_DEV"],
        "gid": int(os.environ["SODP_GID_INDEX"]),
        "port": 1,
        "pci_dev": None,
        "gpu": 0,
        "gtt": False,
        "verbosity": None,
        "list_tests": False,
    }


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rdma-core", action="store_true")
    parser.add_argument("folder")
    parser.add_argument("modules", nargs="+")
    args = parser.parse_args()
    loader = unittest.TestLoader()
    found = []
    if args.rdma_core:
        unpack(args.folder)
        for module in args.modules:
            found += flatten(loader.loadTestsFromName(f"tests.{module}"))
    else:
        for module in args.modules:
            found += flatten(loader.discover(args.folder, f"{module}.py"))
    if not found:
        return bail_out("no tests found")
    told = TapResult(len(found))
    unittest.TestSuite(found).run(told)
    while told.count < len(found) and told.errors:
        # setUpClass failed: its tests were never started.
        told._line(False, told.errors[-1][0], "not run")
    if args.rdma_core:
        put(NR_HUGE, 0)
    return 0 if told.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
