# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The Debian packages build, and lintian has nothing against them.

On the host, in the lab's root folder below an overlay that takes what apt
installs, for which it needs the network.  TAP on stdout.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.common.tap import plan, quote, result, skip_all
from tests.lab import build, host, rootfs, suites

REPO = Path(__file__).resolve().parents[2]

# In the root folder, which is read-only and has a tmpfs at /tmp
SCRIPT = """
set -e
mkdir /tmp/upper /tmp/work /tmp/root
mount -t overlay overlay /tmp/root \\
    -o lowerdir=/,upperdir=/tmp/upper,workdir=/tmp/work
cd /tmp/root
for path in proc dev build etc/resolv.conf; do
    mount --rbind /$path $path
done
mount -t tmpfs -o mode=1777 tmpfs tmp
export DEBIAN_FRONTEND=noninteractive
exec chroot . sh -ec '
    apt-get -qq update
    apt-get -qq -y install --no-install-recommends \\
        build-essential debhelper dh-dkms lintian
    cd /build/sodp
    dpkg-buildpackage -us -uc -b
    cd ..
    lintian --allow-root -I --fail-on error,warning,info *.changes'
"""


def copy_tree(target):
    """What git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-zco", "--exclude-standard"],
        cwd=REPO,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in listed.split("\0"):
        if (REPO / name).is_file():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, path)


def main():
    if not host.is_root():
        return skip_all("apt and dpkg need root's user ids")
    root = rootfs.ensure(suites.DEFAULT_SUITE)
    plan(1)
    with tempfile.TemporaryDirectory(prefix="sodp-packages.") as temp:
        folder = Path(temp)
        copy_tree(folder / "sodp")
        log = folder / "log"
        status = build.in_root(root, folder, SCRIPT, log)
        if status:
            quote(host.tail(log, 40))
        result(not status, 1, "packages build")
    return 1 if status else 0


if __name__ == "__main__":
    sys.exit(main())
