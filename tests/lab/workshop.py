# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""A copy of the checkout in the cache, where mutants are built.

The copy keeps its builds, so that only what a mutant changes is compiled.
Of each mutant those products are kept that differ from the unchanged ones.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess

from . import build, host, kernels, rootfs, suites
from .host import LabError, TestsFailed

PARTS = ("kernel", "user")


class Tree:
    """The copy, for one mutant at a time."""

    def __init__(self):
        name = hashlib.sha256(str(host.REPO).encode()).hexdigest()[:8]
        self.name = f"mutate-{name}"
        self.path = host.cache_dir() / self.name

    def sync(self):
        """What git knows or would add; only what differs is written."""
        command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
        done = subprocess.run(command, cwd=host.REPO, capture_output=True)
        if done.returncode:
            raise LabError("mutate needs git, and a checkout of it")
        names = {
            name
            for name in done.stdout.decode().split("\0")
            if name and (host.REPO / name).is_file()
        }
        for path in self.path.rglob("*"):
            name = str(path.relative_to(self.path))
            if not path.is_dir() and name not in names:
                path.unlink()
        for name in names:
            self._copy(name)

    def _copy(self, name):
        source, target = host.REPO / name, self.path / name
        data = source.read_bytes()
        if not target.is_file() or target.read_bytes() != data:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        target.chmod(source.stat().st_mode)

    @contextlib.contextmanager
    def mutated(self, mutant):
        path = self.path / mutant.path
        before = path.read_bytes()
        path.write_text(mutant.mutated(self.path))
        try:
            yield
        finally:
            path.write_bytes(before)


def parts_of(path):
    """Which parts of the build a file belongs to."""
    top = path.split("/")[0]
    if top == "kernel":
        return ("kernel",)
    return PARTS if top == "include" else ("user",)


def user_folder_of(path):
    """Whose makefile has all that is made of a file; None: the first one."""
    return "providers/sodp" if path.startswith("providers/sodp/") else None


class Workshop:
    """Builds for one kernel; what they made is in `folder`."""

    def __init__(self, tree, kernel, folder, verbose):
        suite = suites.pick(None, kernel)[0]
        root = rootfs.ensure(suite, verbose)
        found = kernels.find(root, kernel, verbose)
        self.build = build.Build(root, kernel, found, tree.path)
        # What a mutant leaves unused does not make it less of a fault
        self.build.modules.strict = False
        self.tree = tree
        self.folder = folder
        self.verbose = verbose
        self.sums = {}

    def make_base(self):
        """Without a mutant."""
        self.build.make(PARTS, self.verbose)
        self.build.stage(self.folder / "base")
        self.sums = {
            name: _sum(path) for name, path in self.build.products(PARTS)
        }
        self.build.tell(lambda text: None)

    def make(self, mutant, log):
        """Return the folder of what differs, and why there is none."""
        parts = parts_of(mutant.path)
        with open(log, "w") as out, self.tree.mutated(mutant):
            self.build.tell(lambda text: print(text, file=out))
            self.build.user.folder = user_folder_of(mutant.path)
            try:
                self.build.make(parts, self.verbose)
            except TestsFailed:
                return None, "does not compile"
            folder = self.folder / mutant.name
            if not self._keep(parts, folder):
                return None, "is compiled to the same"
        return folder, ""

    def _keep(self, parts, folder):
        kept = 0
        for name, path in self.build.products(parts):
            if _sum(path) != self.sums.get(name):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
                kept += 1
        return kept

    def stock(self, folders):
        """What a guest gets: the unchanged build and some mutants'."""
        return Stock(self.tree.path, self.folder / "base", folders)


class Stock:
    """Stands for a build.Build that was made before."""

    def __init__(self, source, base, folders):
        self.source = source
        self.base = base
        self.folders = folders

    def stage(self, target):
        _link(self.base, target)
        for folder in self.folders:
            _link(folder, target / "trials" / folder.name)


def _link(folder, target):
    shutil.copytree(
        folder,
        target,
        symlinks=True,
        copy_function=os.link,
        dirs_exist_ok=True,
    )


def _sum(path):
    return hashlib.sha256(path.read_bytes()).digest()
