# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Applications in a guest: a layer of packages over a root folder.

A layer is the upper folder of an overlayfs: what installing packages
changed in the root folder, which itself stays as it was.  Layers are
cached by what is in them, and like root folders they have their final
name only when they are whole.
"""

import hashlib
import json
import os
import re
import shlex
from pathlib import Path

from . import build, host
from .host import LabError

# What `--with` takes.  packages: Debian's; script: more to do in the root
# folder once they are there, for what Debian has as source only.
GROUPS = {
    "mpi": {
        "packages": "openmpi-bin libopenmpi-dev mpich libmpich-dev",
    },
    "ucx": {
        "packages": "ucx-utils libucx-dev",
    },
    "libfabric": {
        "packages": "libfabric-bin libfabric-dev autoconf automake libtool",
        "script": """
cd /usr/src
apt-get -qq source --tar-only libfabric
mkdir libfabric
tar -C libfabric --strip-components=1 -xf libfabric_*.orig.tar.*
cd libfabric/fabtests
[ -x configure ] || ./autogen.sh
./configure --quiet --prefix=/opt/fabtests --with-libfabric=/usr
make -s -j"$JOBS" install
rm -rf /usr/src/libfabric*
""",
    },
    "storage": {
        "packages": "fio nfs-kernel-server nfs-common targetcli-fb open-iscsi",
    },
    "dax": {
        "packages": "e2fsprogs",
    },
    "sockets": {
        "packages": "netcat-openbsd iperf3",
    },
    "migration": {
        "packages": "qemu-system-x86",
    },
}

# Bump when the same lists give another layer.
RECIPE_VERSION = 1

NO_SERVICES = "/usr/sbin/policy-rc.d"

INSTALL = f"""
set -e
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\\nexit 101\\n' > {NO_SERVICES}
chmod 755 {NO_SERVICES}
apt-get -qq update
for name in {{packages}}; do
    apt-cache show "$name" > /dev/null 2>&1 ||
        {{{{ echo "E: there is no package $name"; exit 1; }}}}
done
apt-get -qq -y --no-install-recommends install {{packages}}
{{scripts}}
rm -rf {NO_SERVICES} /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
rm -rf /var/lib/apt/lists/*
"""

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?")


class Contents:
    """What is to be in a guest besides the suite: equal contents are one
    layer.  False when there is nothing."""

    def __init__(self, groups=(), packages=()):
        self.groups = tuple(sorted(set(groups)))
        self.packages = tuple(sorted(set(packages)))

    def __bool__(self):
        return bool(self.groups or self.packages)

    def __eq__(self, other):
        return self.key() == other.key()

    def __hash__(self):
        return hash(self.key())

    def __str__(self):
        return "+".join(self.groups + self.packages)

    def key(self):
        return (self.groups, self.packages)

    def install(self):
        """Names for apt-get."""
        names = set(self.packages)
        for group in self.groups:
            names.update(GROUPS[group]["packages"].split())
        return sorted(names)

    def scripts(self):
        texts = [GROUPS[group].get("script", "") for group in self.groups]
        return "\n".join(f"({text})" for text in texts if text)

    def recipe_hash(self):
        text = json.dumps([RECIPE_VERSION, self.install(), self.scripts()])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


NOTHING = Contents()


def groups_of(text):
    """The value of --with; raises LabError for a name that is not there."""
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in GROUPS:
            raise LabError(f"--with {name}: there are {', '.join(GROUPS)}")
    return names


def packages_of(text):
    """The value of --install."""
    names = [name for name in text.split(",") if name]
    for name in names:
        if not _PACKAGE.fullmatch(name):
            raise LabError(f"--install {name}: no name of a Debian package")
    return names


class Layered:
    """A root folder with a layer over it: what rootfs.Root is otherwise."""

    def __init__(self, root, path):
        self.base = root
        self.layer = path
        self.suite = root.suite
        self.path = root.path
        self.rdma_core_src = root.rdma_core_src

    def release(self, kernel):
        return self.base.release(kernel)

    @property
    def name(self):
        return self.layer.name

    @property
    def overlay(self):
        return build.overlay_options(lower=(self.layer, self.path))


def folder(root, contents):
    name = f"layer-{root.path.name}-{contents.recipe_hash()}"
    return host.cache_dir() / name


def ensure(root, contents, verbose=False):
    """The layer over a root folder, made when it is not there."""
    path = folder(root, contents)
    host.hold(path.name + ".use")
    if not path.is_dir():
        with host.lock(path.name):
            if not path.is_dir():
                host.need_disk(3, f"the packages of {contents}")
                _make(root, path, contents, verbose)
    return Layered(root, path)


def drop_of(root_name):
    """Remove the layers of a root folder that is gone."""
    for path in host.cache_dir().glob(f"layer-{root_name}-*"):
        if path.is_dir() and host.remove_unused(path, path.name + ".use"):
            build.drop_of(path.name)


def _make(root, path, contents, verbose):
    host.say(f"installing {contents} over {root.suite} (a minute or two)")
    log = host.cache_dir() / f"make-{path.name}.log"
    log.unlink(missing_ok=True)
    script = INSTALL.format(
        packages=shlex.join(contents.install()), scripts=contents.scripts()
    )
    with host.temp_dir("layer") as temp:
        for name in ("upper", "work", "build"):
            (temp / name).mkdir()
        writable = build.overlay_options(
            (root.path,), temp / "upper", temp / "work"
        )
        if build.in_root(
            root, temp / "build", script, log, verbose, overlay=writable
        ):
            raise LabError(
                f"cannot install {contents}: {_reason(log)} (log: {log})"
            )
        _check(temp / "upper", root.path, contents)
        os.rename(temp / "upper", path)
    host.say(f"made {path}")


def _reason(log):
    """The line of the log that says what went wrong."""
    found = "no output"
    for line in Path(log).read_text(errors="replace").splitlines():
        if line.startswith(("E: ", "mount: ", "Err:")):
            return line
        found = line.strip() or found
    return found


def _check(upper, lower, contents):
    """The guest sees no attributes by 9p: a folder that was replaced would
    show what was in the old one."""
    kind = "trusted" if host.is_root() else "user"
    for top, names, _ in os.walk(upper):
        for name in names:
            path = os.path.join(top, name)
            inside = os.path.relpath(path, upper)
            attributes = os.listxattr(path, follow_symlinks=False)
            if f"{kind}.overlay.opaque" in attributes and (
                (lower / inside).is_dir()
            ):
                raise LabError(f"{contents}: replaces the folder /{inside}")
