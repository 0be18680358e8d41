# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Layers of applications: what makes two of them one, and bad ones."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from tests.lab import build, host, layers
from tests.lab.host import LabError


class FakeRoot:
    suite = "trixie"
    rdma_core_src = ""
    overlay = ""

    def __init__(self, path):
        self.path = path
        self.name = path.name


class LayerContents(unittest.TestCase):
    def test_order_does_not_matter(self):
        one = layers.Contents(["ucx", "mpi"], ["b", "a", "b"])
        other = layers.Contents(["mpi", "ucx"], ["a", "b"])
        self.assertEqual(one, other)
        self.assertEqual(one.recipe_hash(), other.recipe_hash())

    def test_contents_matter(self):
        hashes = {
            layers.Contents(groups, packages).recipe_hash()
            for groups in ((), ("mpi",), ("mpi", "ucx"))
            for packages in ((), ("fio",))
        }
        self.assertEqual(len(hashes), 6)

    def test_nothing(self):
        self.assertFalse(layers.NOTHING)
        self.assertTrue(layers.Contents(["mpi"]))


class Overlay(unittest.TestCase):
    def test_odd_paths(self):
        with mock.patch.object(host, "is_root", return_value=True):
            words = build.overlay_options((Path("/a:b"), Path("/c,d")))
        self.assertEqual(words, "lowerdir=/a\\:b:/c\\,d")


class Making(unittest.TestCase):
    """What went wrong is said in one line, and nothing is left."""

    def make(self, in_root):
        with tempfile.TemporaryDirectory() as cache:
            root = FakeRoot(Path(cache) / "trixie-0")
            root.path.mkdir()
            with (
                mock.patch.object(host, "cache_dir", lambda: Path(cache)),
                mock.patch.object(host, "say"),
                mock.patch.object(build, "in_root", in_root),
            ):
                contents = layers.Contents((), ["fio"])
                path = layers.folder(root, contents)
                try:
                    layers.ensure(root, contents)
                finally:
                    self.left = [p for p in Path(cache).iterdir()]
                    self.made = path.is_dir()

    def test_no_package(self):
        def in_root(root, folder, script, log, *_, **__):
            log.write_text("Get:1 x\nE: there is no package fio\nmore\n")
            return 1

        with self.assertRaisesRegex(LabError, "there is no package fio"):
            self.make(in_root)
        self.assertFalse(self.made)
        self.assertFalse([p for p in self.left if p.name.startswith("tmp")])

    def test_no_room(self):
        def full(*_):
            raise LabError("needs 3 GiB")

        with mock.patch.object(host, "need_disk", full):
            with self.assertRaisesRegex(LabError, "3 GiB"):
                self.make(None)
        self.assertFalse(self.made)

    def test_made(self):
        self.make(lambda *_, **__: 0)
        self.assertTrue(self.made)


if __name__ == "__main__":
    unittest.main()
