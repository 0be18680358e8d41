# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Kernels of our own, made of Debian's linux-source.

Built on demand inside the root folder and cached.  The result keeps what
a module build needs and loses the objects and the C files: some 300 MB.
"""

import hashlib
import os
import shutil

from . import build, host
from .host import LabError

# Parts of a recipe's script: /lab/src, and what is kept of it and /lab/out
FETCH = """
set -e
cd /lab
exec 2>&1
opt="-o Dir::State::lists=/lab/apt -o Dir::Cache=/lab/apt
    -o APT::Sandbox::User=root"
mkdir -p apt/partial apt/archives/partial
apt-get -q $opt update
apt-get -q $opt download linux-source-{version}
dpkg-deb --fsys-tarfile linux-source-*.deb |
    tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | tar -xJ
rm -rf apt linux-source-*.deb
mv linux-source-{version} src
mkdir out
"""

STRIP = """
cp out/include/config/kernel.release release
find out '(' -name '*.o' -o -name '*.a' -o -name 'vmlinux*' \\
    -o -name '*.ko' -o -name '*.cmd' ')' \\
    -not -path 'out/scripts/*' -not -path 'out/tools/*' -delete
cd src
rm -rf Documentation samples sound drivers/gpu
find . -name '*.c' -not -path './scripts/*' -not -path './tools/*' -delete
"""


def flags(flag, names):
    """Words of scripts/config."""
    return [word for name in names for word in (flag, name)]


class Recipe:
    """How a kernel is made, and where it is kept."""

    def __init__(self, name, script, parts):
        """script: makes it in /lab; parts: what it depends on."""
        self.name = name
        self.script = script
        text = hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
        self.path = host.cache_dir() / f"{name}-{text}"

    def ensure(self, root, verbose=False):
        """The folder of the finished kernel."""
        if not self.path.is_dir():
            with host.lock(f"make-{self.name}"):
                if not self.path.is_dir():
                    self._make(root, verbose)
                    self._drop_stale()
        return self.path

    def _make(self, root, verbose):
        host.need_disk(8, f"the {self.name} kernel")
        host.say(f"building the {self.name} kernel (10 to 20 minutes)")
        log = host.cache_dir() / f"make-{self.name}.log"
        log.unlink(missing_ok=True)
        with host.temp_dir(self.name) as temp:
            work = temp / "work"
            work.mkdir()
            status = build.in_root(
                root, temp, self.script, log, verbose, mounted=work
            )
            if status:
                raise LabError(
                    f"cannot build the {self.name} kernel (log: {log})"
                )
            os.rename(work, self.path)

    def _drop_stale(self):
        for path in host.cache_dir().glob(f"{self.name}-*"):
            if path != self.path and path.is_dir():
                host.remove_tree(path)


class Built:
    """A finished kernel.  The same face as kernels.Stock."""

    MACHINE = "qemu"
    # For make, wherever it builds modules
    make_words = ""

    def __init__(self, path, image):
        self.path = path
        self.release = (path / "release").read_text().strip()
        self.image = path / image
        self.modules = path / "inst/lib/modules" / self.release
        self.headers = "/lab/out"
        self.mounted = path

    def add_modules(self, folder):
        """The guest finds its modules in /build/modules."""
        shutil.copytree(
            self.modules,
            folder / "modules" / self.release,
            ignore=lambda _, names: {"build", "source"} & set(names),
        )
