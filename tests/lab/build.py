# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Compiling inside a root folder, which stays as mmdebstrap left it.

Each pair of suite and kernel has a folder for modules in the cache, and each
suite one for user space.  The kernel sources are synchronised into theirs
with their times, so that Kbuild and make stay incremental; user space is an
out-of-tree CMake build.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

from . import host
from .host import TestsFailed

# What the kernel build needs to see of the checkout.
KERNEL_TREES = ("kernel", "include")
# Products of an in-place build, should somebody have made one.
KERNEL_SKIP = {".o", ".ko", ".cmd", ".mod", ".symvers", ".order"}
USER_SKIP = {"CMakeFiles", "CMakeCache.txt", "cmake_install.cmake"}

# Puts a root folder, by $overlay with a layer, where nobody else sees it
MOUNT_ROOT = """
set -e
if [ -n "$overlay" ]; then
    mount -t overlay -o "$overlay" overlay "$root"
else
    mount --bind "$root" "$root"
fi
cd "$root"
mount -t proc proc proc
"""

IN_ROOT = (
    """
root=$1 src=$2 build=$3 overlay=$7
"""
    + MOUNT_ROOT
    + """
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmpfs tmp
[ -z "$6" ] || mount --bind "$6" lab
[ ! -e etc/resolv.conf ] || mount --bind /etc/resolv.conf etc/resolv.conf
mount --bind "$src" src
mount -o remount,bind,ro src 2>/dev/null || :
mount --bind "$build" build
[ -n "$8" ] || mount -o remount,bind,ro "$root" 2>/dev/null || :
exec chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    HOME=/build LANG=C.UTF-8 ${4:+"JOBS=$4"} /bin/sh -c "$5"
"""
)


def overlay_options(lower, upper=None, work=None):
    """Options of an overlayfs; the first of `lower` is the topmost."""

    def quoted(path):
        return re.sub(r"([\\:,])", r"\\\1", str(path))

    words = ["lowerdir=" + ":".join(quoted(path) for path in lower)]
    if upper:
        words += [f"upperdir={quoted(upper)}", f"workdir={quoted(work)}"]
    if not host.is_root():
        words.append("userxattr")
    return ",".join(words)


def apart():
    """The words before a script that mounts things for itself alone."""
    host.need_tools("unshare", "mount", "chroot")
    args = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    return args + ([] if host.is_root() else host.userns()[1:])


def in_root(
    root,
    build,
    script,
    log,
    verbose=False,
    mounted=None,
    overlay=None,
    source=host.REPO,
):
    """Run a shell script in a root folder; returns its exit status.

    `source` is at /src (read-only), `build` at /build and the folder
    `mounted`, when there is one, at /lab.  Everything else is read-only
    too, unless `overlay`, options of overlayfs, puts something writable
    there.  The mounts live in a namespace of their own: they go when the
    script ends, however it ends.
    """
    args = apart()
    jobs = str(os.cpu_count() or 1)
    args += ["sh", "-c", IN_ROOT, "in-root", str(root.path)]
    args += [str(source), str(build), jobs, script]
    args += [str(mounted or ""), overlay or root.overlay]
    args.append("writable" if overlay else "")
    return host.run_logged(args, log, verbose)


class _Folder:
    """What one checkout has built in a root folder, for one purpose."""

    # Names of those that were made in this run
    made = set()

    def __init__(self, root, name, source, mounted=None):
        self.root = root
        self.source = source
        self.mounted = mounted
        self.say = host.say
        checkout = hashlib.sha256(str(source).encode()).hexdigest()[:8]
        self.name = f"build-{root.name}-{name}-{checkout}"
        self.path = host.cache_dir() / self.name

    def make(self, verbose=False):
        """Compile; raises TestsFailed that quotes the compiler."""
        with host.lock(self.name):
            if not self.path.is_dir():
                self._drop_orphans()
                self.path.mkdir()
                (self.path / "checkout").write_text(str(self.source))
            self._make(verbose)

    def make_once(self, verbose=False):
        """Compile, if that was not done in this run."""
        if self.name not in self.made:
            self.make(verbose)
            self.made.add(self.name)

    @staticmethod
    def _drop_orphans():
        """Remove the builds of checkouts that are gone."""
        for note in host.cache_dir().glob("build-*/checkout"):
            if not Path(note.read_text()).is_dir():
                host.remove_unused(note.parent, note.parent.name)

    def _run(self, script, part, verbose):
        log = self.path / f"{part}.log"
        log.unlink(missing_ok=True)
        status = in_root(
            self.root,
            self.path,
            script,
            log,
            verbose,
            self.mounted,
            source=self.source,
        )
        if not status:
            return
        if not verbose:
            for line in _complaints(log):
                self.say(line)
        raise TestsFailed(f"the {part} build failed (log: {log})")


class ModulesBuild(_Folder):
    """The modules, for one kernel."""

    def __init__(self, root, name, kernel, source):
        super().__init__(root, name, source, kernel.mounted)
        self.kernel = kernel
        # A warning is an error
        self.strict = True

    def _make(self, verbose):
        if not (self.source / "kernel/Makefile").exists():
            return
        self.say(f"building the modules for {self.kernel.release}")
        self._sync()
        script = (
            f"make -C /build/tree/kernel KDIR={self.kernel.headers} "
            f"STRICT={'y' if self.strict else 'n'} "
            f"{self.kernel.make_words} -j$JOBS modules"
        )
        self._run(script, "kernel", verbose)

    def _sync(self):
        """Mirror the kernel sources into the build folder.

        A copy is as old as the copying: make compares it with objects that
        may have been made since the source was written.
        """
        tree = self.path / "tree"
        listing = self.path / "tree.json"
        try:
            before = dict(json.loads(listing.read_text()))
        except (OSError, ValueError):
            before = {}
        now = {}
        for top in KERNEL_TREES:
            for path in sorted((self.source / top).rglob("*")):
                if path.is_file() and not _is_product(path):
                    name = str(path.relative_to(self.source))
                    now[name] = _stamp(path)
        for name in before.keys() - now.keys():
            (tree / name).unlink(missing_ok=True)
        for name, stamp in now.items():
            target = tree / name
            if before.get(name) != stamp or not target.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    shutil.copy(self.source / name, target)
        listing.write_text(json.dumps(now))

    def products(self):
        """(path below what stage() fills, file)."""
        for path in (self.path / "tree").rglob("*.ko"):
            yield f"kernel/{path.name}", path

    def stage(self, target):
        (target / "kernel").mkdir(parents=True)
        with host.lock(self.name):
            for name, path in self.products():
                shutil.copy2(path, target / name)


class UserBuild(_Folder):
    """Provider, tools and tests: the same for all kernels of a suite."""

    def __init__(self, root, source):
        super().__init__(root, "user", source)
        # When all was made before: the folder that has changed
        self.folder = None

    def _make(self, verbose):
        self.say(f"building user space for {self.root.suite}")
        source = self.root.rdma_core_src
        script = (
            "set -e; mkdir -p /build/user; cd /build/user; "
            "cmake -S /src -B . "
            f"-DCMAKE_BUILD_TYPE=RelWithDebInfo -DRDMA_CORE_SRC={source}; "
            "make -k -j$JOBS"
        )
        if self.folder:
            script = f"make -C /build/user/{self.folder} -k -j$JOBS"
        self._run(script, "user", verbose)

    def products(self):
        for path in (self.path / "user").rglob("*"):
            skip = USER_SKIP & set(path.parts)
            if path.is_file() and not path.is_symlink() and not skip:
                yield str(path.relative_to(self.path)), path

    def stage(self, target):
        user = self.path / "user"
        if not user.is_dir():
            (target / "user").mkdir(parents=True)
            return
        with host.lock(self.name):
            _copy(user, target / "user")


class Build:
    """Both, of one checkout, for one suite and kernel."""

    def __init__(self, root, name, kernel, source=host.REPO):
        """name: 6.12 and the like; kernel: see kernels.py."""
        self.source = source
        self.modules = ModulesBuild(root, name, kernel, source)
        self.user = UserBuild(root, source)

    def _parts(self, names):
        parts = {"kernel": self.modules, "user": self.user}
        return [part for name, part in parts.items() if name in names]

    def make(self, parts=("kernel", "user"), verbose=False):
        """Compile; raises TestsFailed that quotes the compiler."""
        for part in self._parts(parts):
            part.make(verbose)

    def make_once(self, parts, verbose=False):
        """Likewise, if that was not done in this run."""
        for part in self._parts(parts):
            part.make_once(verbose)

    def paths(self, parts):
        return [part.path for part in self._parts(parts)]

    def tell(self, say):
        """Have a function told what is going on."""
        self.modules.say = self.user.say = say

    def products(self, parts):
        """What stage() copies: (path below its target, file)."""
        for part in self._parts(parts):
            yield from part.products()

    def stage(self, target):
        """Copy what the guest needs to `target`: {kernel,user}/…"""
        self.modules.stage(target)
        self.user.stage(target)


class AppsBuild(_Folder):
    """The programs that test applications, made where these are: in a
    root folder with a layer."""

    def __init__(self, root, source=host.REPO):
        super().__init__(root, "apps", source)

    def _make(self, verbose):
        self.say(f"building tests/apps for {self.root.suite}")
        script = (
            "set -e; mkdir -p /build/apps; cd /build/apps; "
            "cmake -S /src/tests/apps -B .; make -k -j$JOBS"
        )
        self._run(script, "apps", verbose)

    def stage(self, target):
        with host.lock(self.name):
            _copy(self.path / "apps", target / "apps")


def drop_of(name):
    """Remove the builds in a root folder or layer that is gone."""
    for old in host.cache_dir().glob(f"build-{name}-*"):
        if old.is_dir():
            host.remove_unused(old, old.name)


def _copy(folder, target):
    shutil.copytree(
        folder,
        target,
        symlinks=True,
        ignore=lambda _, names: USER_SKIP & set(names),
    )


def _is_product(path):
    return path.suffix in KERNEL_SKIP or path.parent.name == "generated"


def _stamp(path):
    """Changes when the file does."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return [found.st_mtime_ns, found.st_size]


def _complaints(log, limit=25):
    """The lines of a build log that say what is wrong."""
    lines = Path(log).read_text(errors="replace").splitlines()
    words = ("error:", "Error", "undefined", "No rule", "***")
    found = [x for x in lines if any(w in x for w in words)]
    return (found or lines)[:limit]
