# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The initramfs: busybox, the few modules that a root needs, one script."""

import gzip
import lzma
import os
import stat
from pathlib import Path

from . import host
from .host import LabError


class Shares:
    """How a kind of machine reaches folders of the host."""

    def __init__(self, modules, script):
        """script: a function share NAME TARGET MODE [OPTION] of the shell;
        the names are root, layer, src, build, lab, out."""
        self.modules = modules
        self.script = script


VIRTIO_9P = Shares(
    ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"],
    """share() {
    mount -t 9p -o "trans=virtio,version=9p2000.L,msize=262144,$3,$4" $1 $2 ||
        fail "cannot mount $1"
}""",
)

# The host's root is that of the guest, with the other folders in it
HOSTFS = Shares(
    ["hostfs", "overlay"],
    """share() {
    path=/$1
    [ $1 != root ] || path=/
    mount -t hostfs -o "$3,$path" $1 $2 || fail "cannot mount $1"
}""",
)

# On the kernel's command line: there is a layer over the root folder
LAYER_WORD = "sodp.layer"

INIT = r"""#!/bin/busybox sh
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /ro /rw /new
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
fail() {
    echo "<3>sodp-lab: initramfs: $1" > /dev/kmsg
    reboot -f
}
for m in $(cat /modules/order); do
    insmod /modules/$m || fail "cannot load $m"
done
@share@
share root /ro ro cache=loose
lower=/ro
if grep -qw @layer@ /proc/cmdline; then
    mkdir -p /layer
    share layer /layer ro cache=loose
    lower=/layer:/ro
fi
mount -t tmpfs -o size=80% tmpfs /rw
mkdir -p /rw/root /rw/root.work /rw/src /rw/src.work
mount -t overlay overlay /new \
    -o lowerdir=$lower,upperdir=/rw/root,workdir=/rw/root.work ||
    fail "cannot mount the root overlay"
mkdir -p /rw/src.ro
share src /rw/src.ro ro cache=loose
mount -t overlay overlay /new/src \
    -o lowerdir=/rw/src.ro,upperdir=/rw/src,workdir=/rw/src.work ||
    fail "cannot mount the checkout"
share build /new/build ro cache=loose
share lab /new/lab rw cache=none
share out /new/out rw cache=mmap
mkdir -p /dev/shm /dev/pts
mount -t devpts -o gid=5,mode=620 devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs -o mode=755 run /new/run
mount -t tmpfs -o mode=1777 tmp /new/tmp
mount -t debugfs debugfs /sys/kernel/debug
[ -d /sys/kernel/tracing ] && mount -t tracefs tracefs /sys/kernel/tracing
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for d in proc sys dev; do
    mount --move /$d /new/$d
done
exec switch_root /new /bin/busybox sh /lab/init
"""


def _script(shares):
    text = INIT.replace("@share@", shares.script)
    return text.replace("@layer@", LAYER_WORD)


def _module_order(kernel, modules):
    """Paths of modules and what they depend on, in loading order."""
    base = kernel.modules
    depends, by_name = {}, {}
    for line in (base / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        depends[path] = rest.split()
        by_name[_module_name(path)] = path
    builtin = {
        _module_name(line)
        for line in (base / "modules.builtin").read_text().splitlines()
    }
    order = []

    def add(path):
        for needed in depends[path]:
            add(needed)
        if path not in order:
            order.append(path)

    for name in modules:
        if name in by_name:
            add(by_name[name])
        elif name not in builtin:
            raise LabError(f"kernel {kernel.release} has no module {name}")
    return [base / path for path in order]


def _module_name(path):
    return Path(path).name.split(".")[0].replace("-", "_")


def _module_bytes(path):
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        raise LabError(f"cannot unpack {path}: zstd modules are not handled")
    return data


class _Cpio:
    """Writer of the newc format, enough for an initramfs."""

    def __init__(self):
        self.parts = []
        self.inode = 1

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        name = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0]
        fields += [*device, len(name), 0]
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + name
        self.parts += [head, b"\0" * (-len(head) % 4)]
        self.parts += [data, b"\0" * (-len(data) % 4)]
        self.inode += 1

    def folder(self, name):
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o755):
        self._entry(name, stat.S_IFREG | mode, data)

    def device(self, name, major, minor):
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def bytes(self):
        self._entry("TRAILER!!!", 0)
        return b"".join(self.parts)


def ensure(root, kernel, shares=VIRTIO_9P):
    """The initramfs for one kernel of a root folder, made once."""
    target = root.path.with_suffix(f".{kernel.release}.cpio")
    if target.is_file() and target.stat().st_mtime > _own_mtime():
        return target
    cpio = _Cpio()
    for name in ("bin", "dev", "modules"):
        cpio.folder(name)
    cpio.device("dev/console", 5, 1)
    cpio.file("bin/busybox", (root.path / "bin/busybox").read_bytes())
    cpio.file("init", _script(shares).encode())
    names = []
    for path in _module_order(kernel, shares.modules):
        names.append(_module_name(path) + ".ko")
        cpio.file(f"modules/{names[-1]}", _module_bytes(path))
    cpio.file("modules/order", "\n".join(names).encode())
    with host.temp_dir("initramfs") as temp:
        made = temp / "cpio"
        made.write_bytes(cpio.bytes())
        os.rename(made, target)
    return target


def _own_mtime():
    return Path(__file__).stat().st_mtime
