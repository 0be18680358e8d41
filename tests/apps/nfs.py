# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""NFS over RDMA: a server at one end, a mount at the other.

What the pages leave to the distribution (starting the server) is here; the
rest are the commands of docs/storage.md.
"""

import contextlib

from tests.apps.apps import (
    BUILT,
    CLOSING,
    ODP,
    PINNED,
    Counted,
    commands,
    filled,
    shell,
)
from tests.common.tap import Failure

FOLDER, MOUNT = "/srv/sodp", "/mnt/sodp"
MODULES = "rpcrdma nfsd nfsv4"

# A grace period is for clients of a server that was here before.  Who those
# were is not recorded in a network namespace, where it has to pass.
START = f"""
modprobe -a {MODULES}
mkdir -p {FOLDER}
mount -t tmpfs -o size=128m none {FOLDER}
mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
echo 10 > /proc/fs/nfsd/nfsv4gracetime
rpc.nfsd --no-nfs-version 3 --no-udp 4
echo Y > /proc/fs/nfsd/v4_end_grace || sleep 10
"""
STOP = f"""
rpc.nfsd 0 || true
exportfs -ua
umount /proc/fs/nfsd
umount {FOLDER}
"""
UNMOUNT = f"umount {MOUNT} || umount -fl {MOUNT}"

# How many bytes: of less than a page, inline, in chunks of many pages
SIZES = (1, 4097, 65537, 4194307)
DIRECT = (4096, 1048576, 4194304)


@contextlib.contextmanager
def server(end):
    """Serves FOLDER at an end, by RDMA as the page says."""
    mountd = None
    try:
        end.run(shell(START))
        end.run(shell(commands("storage", "nfs-server")))
        mountd = end.start(["rpc.mountd", "-F", "-N", "3"])
        yield
    finally:
        end.run(shell(STOP))
        if mountd:
            mountd.kill()


@contextlib.contextmanager
def mounted(far, near):
    """The folder of `far` at `near`, as the page says."""
    text = filled(commands("storage", "nfs-client"), near, far)
    try:
        near.run(shell(text))
        yield
    finally:
        near.run(shell(UNMOUNT))


def digests(end, paths):
    """Of files at an end; one program, because each takes its time."""
    text = end.run(["sha256sum"] + paths)
    return [line.split()[0] for line in text.splitlines()]


def make(end, paths, sizes):
    """Files of random bytes."""
    text = [f"head -c {n} /dev/urandom > {p}" for n, p in zip(sizes, paths)]
    end.run(shell("\n".join(text)))


def copy(end, sources, targets, options):
    text = [
        f"dd if={old} of={new} bs=1M {options}"
        for old, new in zip(sources, targets)
    ]
    end.run(shell("\n".join(text)))


def same(end, paths, other, others, what):
    pairs = zip(paths, digests(end, paths), digests(other, others))
    for path, got, want in pairs:
        if got != want:
            raise Failure(f"{what}: {path} differs")


def copies(far, near, sizes, to="", back=""):
    """Files written over the mount and read over it.

    to, back: what dd is told of the files of the mount.
    """
    number = range(len(sizes))
    ours = [f"/tmp/nfs.{n}" for n in number]
    over = [f"{MOUNT}/f{n}" for n in number]
    theirs = [f"{FOLDER}/f{n}" for n in number]
    make(near, ours, sizes)
    copy(near, ours, over, f"conv=fsync {to}")
    same(far, theirs, near, ours, "written file")
    over = [f"{path}.back" for path in over]
    theirs = [f"{path}.back" for path in theirs]
    make(far, theirs, sizes)
    copy(near, over, ours, back)
    same(near, ours, far, theirs, "read file")
    return f"{2 * sum(sizes) >> 20} MiB in {2 * len(sizes)} files"


def buffered(far, near):
    with Counted((far, near), PINNED):
        return copies(far, near, SIZES)


def direct(far, near):
    with Counted((far, near), PINNED):
        return copies(
            far, near, DIRECT, to="oflag=direct", back="iflag=direct"
        )


def odp_file(far, near):
    """An on-demand region over a file of the mount: its faults are served
    by the same device."""
    env = {"ODP_FILE": f"{MOUNT}/odp", "ODP_COPY": "/tmp/nfs.copy"}
    with Counted((far, near), ODP) as count:
        near.run([f"{BUILT}/odp-file"], **env)
    same(far, [f"{FOLDER}/odp"], near, ["/tmp/nfs.copy"], "RDMA's file")
    return count.note()


def at_once(far, near):
    """Four writers and four readers."""
    ours = [f"/tmp/nfs.{n}" for n in range(4)]
    back = [f"{path}.back" for path in ours]
    theirs = [f"{FOLDER}/r{n}" for n in range(4)]
    make(near, ours, [4 << 20] * 4)
    make(far, theirs, [4 << 20] * 4)
    text = ""
    for n in range(4):
        text += f"dd if={ours[n]} of={MOUNT}/w{n} bs=256k oflag=direct & "
        text += f"dd if={MOUNT}/r{n} of={back[n]} bs=256k & "
    with Counted((far, near), PINNED):
        near.run(shell(text + "wait"))
    written = [f"{FOLDER}/w{n}" for n in range(4)]
    same(far, written, near, ours, "one of four writers")
    same(near, back, far, theirs, "one of four readers")


def again(far, near):
    """Unmounted and mounted anew; who unmounts has receives posted."""
    with Counted((far, near), PINNED, CLOSING):
        make(near, [f"{MOUNT}/stays"], [100000])
        near.run(shell(UNMOUNT))
        near.run(shell(filled(commands("storage", "nfs-client"), near, far)))
        there, here = [f"{FOLDER}/stays"], [f"{MOUNT}/stays"]
        same(near, here, far, there, "file of a former mount")


def over(*works):
    """A case: a server, a mount, and those functions, one by one."""

    def case(far, near):
        with server(far), mounted(far, near):
            notes = [work(far, near) for work in works]
        return "; ".join(filter(None, notes))

    return case


def cases(quick):
    """Names and functions of (far, near)."""
    yield "NFS, files and an on-demand region", over(
        buffered, direct, odp_file
    )
    if not quick:
        yield "NFS, eight at once, mounted again", over(at_once, again)
