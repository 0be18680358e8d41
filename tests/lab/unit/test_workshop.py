# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What of a mutant's build a guest gets."""

import tempfile
import types
import unittest
from pathlib import Path

from tests.lab import workshop


class Products(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.made = self.folder / "made"
        self.made.mkdir()
        self.shop = workshop.Workshop.__new__(workshop.Workshop)
        self.shop.build = types.SimpleNamespace(products=self.products)
        self.shop.tree = types.SimpleNamespace(path=self.folder / "tree")
        self.shop.folder = self.folder
        self.shop.sums = {}

    def products(self, parts):
        for path in sorted(self.made.iterdir()):
            yield f"kernel/{path.name}", path

    def test_parts(self):
        for path, parts in (
            ("kernel/sodp/mem/mr.c", ("kernel",)),
            ("include/uapi/rdma/sodp-abi.h", ("kernel", "user")),
            ("providers/sodp/cq.c", ("user",)),
        ):
            self.assertEqual(workshop.parts_of(path), parts)

    def test_only_what_differs(self):
        for name in ("a.ko", "b.ko"):
            (self.made / name).write_text(name)
            sum_of = workshop._sum(self.made / name)
            self.shop.sums[f"kernel/{name}"] = sum_of
        target = self.folder / "odp.lost"
        self.assertEqual(self.shop._keep(("kernel",), target), 0)
        self.assertFalse(target.exists())
        (self.made / "b.ko").write_text("other")
        self.assertEqual(self.shop._keep(("kernel",), target), 1)
        found = [x for x in target.rglob("*") if x.is_file()]
        self.assertEqual(found, [target / "kernel/b.ko"])

    def test_staged(self):
        for name in ("base/kernel/a.ko", "odp.lost/kernel/a.ko"):
            path = self.folder / name
            path.parent.mkdir(parents=True)
            path.write_text(name)
        staged = self.folder / "staged"
        staged.mkdir()
        stock = self.shop.stock([self.folder / "odp.lost"])
        stock.stage(staged)
        self.assertEqual(
            (staged / "trials/odp.lost/kernel/a.ko").read_text(),
            "odp.lost/kernel/a.ko",
        )
        self.assertEqual(
            (staged / "kernel/a.ko").read_text(), "base/kernel/a.ko"
        )
