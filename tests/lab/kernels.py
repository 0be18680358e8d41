# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The kernels a machine can boot: Debian's own and those that we build."""

from . import debugkernel, suites, umlkernel


class Stock:
    """A kernel that a Debian package put into the root folder."""

    MACHINE = "qemu"
    mounted = None
    # For make, wherever it builds modules
    make_words = ""

    def __init__(self, root, line):
        self.release = root.release(line)
        self.image = root.path / f"boot/vmlinuz-{self.release}"
        self.modules = root.path / "lib/modules" / self.release
        self.headers = f"/lib/modules/{self.release}/build"

    def add_modules(self, folder):
        """Its modules are in the root folder already."""


def find(root, kernel, verbose=False):
    if kernel == suites.UML:
        return umlkernel.ensure(root, verbose)
    if kernel in suites.OWN:
        return debugkernel.ensure(root, kernel, verbose)
    return Stock(root, kernel)
