# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Guest root folders: made by mmdebstrap, cached, never written again.

A folder is made under a temporary name and renamed when it is complete,
so a folder that has its final name is always whole.
"""

import os
import re
import shlex
import urllib.request
from pathlib import Path

from . import build, host, layers, suites
from .host import LabError

CUSTOMIZE = """
set -e
root=$1
cd "$root"
mkdir -p src build lab out
[ -e etc/resolv.conf ] || : > etc/resolv.conf
printf '%s\\n' {extra} > etc/apt/sources.list.d/sodp.list
in_root() {{ chroot "$root" env DEBIAN_FRONTEND=noninteractive "$@"; }}
in_root apt-get -qq update
if [ -n "{backports}" ]; then
    in_root apt-get -qq -y --no-install-recommends \\
        -t {suite}-backports install {backports}
fi
for line in {lines}; do
    release=$(in_root apt-cache pkgnames "linux-image-$line." |
        sed -n 's/^linux-image-\\([0-9.]*+deb[0-9]*-amd64\\)$/\\1/p' |
        sort -V | tail -n 1)
    [ -z "$release" ] || in_root apt-get -qq -y --no-install-recommends \\
        -t {suite}-backports install \\
        "linux-image-$release" "linux-headers-$release"
done
in_root sh -ec 'cd /usr/src
    apt-get -qq source --tar-only rdma-core/{source_from} ||
        apt-get -qq source --tar-only rdma-core
    mkdir rdma-core
    tar -C rdma-core --strip-components=1 -xf rdma-core_*.orig.tar.*
    rm rdma-core_*'
rm -rf boot/initrd.img* var/cache/apt/*.bin var/lib/apt/lists/*
"""


def folder(suite):
    return host.cache_dir() / f"{suite}-{suites.recipe_hash(suite)}"


def _is_of(release, line):
    return release.startswith(line + ".")


def pick_release(kernel, releases):
    """The newest release of a line; None when there is none."""
    found = [r for r in releases if _is_of(r, kernel)]
    if kernel == suites.BACKPORTS or (not found and kernel in suites.MOVING):
        found = releases
    numbers = [([int(n) for n in re.findall(r"\d+", r)], r) for r in found]
    return max(numbers)[1] if numbers else None


class Root:
    """A finished root folder."""

    # Options of an overlayfs over the folder: see layers.py
    overlay = ""
    layer = None

    def __init__(self, suite):
        self.suite = suite
        self.path = folder(suite)

    def release(self, kernel):
        """The full version string of a kernel line such as 6.12."""
        there = [p.name for p in self.path.glob("boot/vmlinuz-*")]
        release = pick_release(kernel, [n[len("vmlinuz-") :] for n in there])
        if release is None:
            raise LabError(f"{self.path} has no kernel {kernel}")
        if kernel in suites.MOVING and not _is_of(release, kernel):
            host.say(f"{self.suite} has no {kernel} any more: {release}")
        return release

    @property
    def name(self):
        return self.path.name

    @property
    def rdma_core_src(self):
        return "/usr/src/rdma-core"


def ensure(suite, verbose=False):
    """The root folder of a suite, made when it is not there."""
    root = Root(suite)
    host.hold(root.path.name + ".use")
    if root.path.is_dir():
        return root
    with host.lock(f"make-{suite}"):
        if root.path.is_dir():
            return root
        host.need_tools(
            "mmdebstrap", "unshare", "mount", "chroot", host.KEYRING
        )
        if not host.is_root():
            host.need_tools("newuidmap")
        host.need_disk(4, f"the {suite} root folder")
        _probe_network(suite)
        _make(suite, root.path, verbose)
        _drop_stale(suite, root.path)
    return root


def _probe_network(suite):
    url = f"{suites.MIRROR}/dists/{suite}/Release"
    try:
        with urllib.request.urlopen(url, timeout=30) as reply:
            reply.read(64)
    except (OSError, ValueError) as err:
        raise LabError(f"no network: cannot read {url} ({err})")


def _make(suite, path, verbose):
    entry = suites.SUITES[suite]
    host.say(f"making the {suite} root folder (a minute or two)")
    with host.temp_dir(suite) as temp:
        extra = []
        if entry["backports"]:
            extra.append(f"deb {suites.MIRROR} {suite}-backports main")
        extra.append(f"deb-src {suites.MIRROR} {entry['rdma_core_from']} main")
        hook = CUSTOMIZE.format(
            suite=suite,
            extra=" ".join(shlex.quote(x) for x in extra),
            backports=" ".join(entry["backports"]),
            lines=" ".join(entry["lines"]),
            source_from=entry["rdma_core_from"],
        )
        log = host.cache_dir() / f"make-{suite}.log"
        log.unlink(missing_ok=True)
        args = _mmdebstrap(suite, entry, hook, temp / "root")
        env = dict(os.environ, INITRD="No", DEBIAN_FRONTEND="noninteractive")
        if host.run_logged(args, log, verbose, env=env):
            raise LabError(
                f"cannot make the {suite} root folder: "
                f"{_first_error(log)} (log: {log})"
            )
        os.rename(temp / "root", path)
    host.say(f"made {path}")


def _mmdebstrap(suite, entry, hook, target):
    """The command that makes the folder, for root and for others.

    mmdebstrap maps root to a subordinate uid, the lab (which wants QEMU,
    run by the user, to read the files) to the user: hence the tar between.
    """
    options = _options(suite, entry, hook)
    if host.is_root():
        outer = "unshare --mount --pid --fork --kill-child --mount-proc"
        args = outer.split() + ["mmdebstrap", "--mode=root"]
        args += options + [suite, str(target)]
        return args + suites.sources(suite)
    args = ["mmdebstrap", "--mode=unshare", "--format=tar"] + options
    args += [suite, "-"] + suites.sources(suite)
    unpack = host.userns() + ["tar", "-C", str(target), "-x"]
    unpack += ["--exclude=./dev/*", "-f", "-"]
    pipe = f"{shlex.join(args)} | {shlex.join(unpack)}"
    script = f"set -o pipefail; mkdir {shlex.quote(str(target))}; {pipe}"
    return ["bash", "-c", script]


def _options(suite, entry, hook):
    options = [
        "--variant=apt",
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=Acquire::Retries "3"',
        '--aptopt=APT::Install-Recommends "false"',
        f"--include={','.join(entry['packages'])}",
        f"--customize-hook={hook}",
    ]
    if suite in suites.MAY_BE_STALE:
        options.append('--aptopt=Acquire::Check-Valid-Until "false"')
    return options


def _first_error(log):
    """The line of mmdebstrap's log that says what went wrong."""
    before = "mmdebstrap failed"
    for line in Path(log).read_text(errors="replace").splitlines():
        if line.startswith(("E: setup failed", "E: mmdebstrap failed")):
            return before
        if line.startswith("E: ") or "Err:" in line:
            return line
        before = line.strip() or before
    return before


def _drop_stale(suite, keep):
    """Remove folders of the same suite that an older recipe made."""
    for path in host.cache_dir().glob(f"{suite}-*"):
        if path == keep or not path.is_dir():
            continue
        if host.remove_unused(path, path.name + ".use"):
            layers.drop_of(path.name)
            for image in host.cache_dir().glob(f"{path.name}.*.cpio"):
                image.unlink()
            build.drop_of(path.name)
