# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""A machine that is a process: User Mode Linux, see umlkernel.py.

It runs in mount and process namespaces of its own, with the root folder as
its root: what its hostfs cannot see, no guest can harm.  Its memory is a
file on a tmpfs of huge pages.
"""

from . import build, host, initramfs
from .host import LabError
from .vm import Vm

SCRIPT = (
    """
root=$1 overlay=$2 lab=$6
shift 2
"""
    + build.MOUNT_ROOT
    + """
mount -o remount,ro proc
mount -t tmpfs tmpfs dev
for name in null zero random urandom; do
    : > dev/$name
    mount --bind /dev/$name dev/$name
done
mount -t tmpfs -o mode=1777,huge=always tmpfs tmp ||
    mount -t tmpfs -o mode=1777 tmpfs tmp
for name in boot src build; do
    mount --bind "$1" $name
    mount -o remount,bind,ro $name 2>/dev/null || :
    shift
done
for name in lab out; do
    mount --bind "$1" $name
    shift
done
mount -o remount,bind,ro "$root" 2>/dev/null || :
ulimit -c 0
exec 2>> "$lab/console"
exec chroot . /usr/bin/env -i TMPDIR=/tmp HOME=/tmp "$@"
"""
)


class Uml(Vm):
    # Serial lines, in the order of ports
    DEVICES = {
        "out": "/dev/ttyS0",
        "err": "/dev/ttyS1",
        "ctl": "/dev/ttyS2",
        "tty": "/dev/ttyS3",
    }
    HALT = "poweroff"

    def command(self, ports, cable):
        reason = self.config.lacks()
        if reason:
            raise LabError(reason)
        folders, root = self.folders, self.root
        image = initramfs.ensure(root, self.kernel, initramfs.HOSTFS)
        (folders["lab"] / "initrd").write_bytes(image.read_bytes())
        args = build.apart() + ["sh", "-c", SCRIPT, "uml"]
        args += [str(root.path), root.overlay, str(self.kernel.path)]
        args += [str(folders[k]) for k in ("src", "build", "lab", "out")]
        args += ["/boot/" + self.kernel.image.name]
        return args + self._append(ports)

    def _append(self, ports):
        config = self.config
        words = [f"mem={config.mem}", f"ncpus={config.smp}", "seccomp=auto"]
        words += ["initrd=/lab/initrd", "uml_dir=/tmp/"]
        words += ["stderr=1", "con=null", "con0=null,fd:2", "console=tty0"]
        words += ["ssl=null"]
        for number, name in enumerate(self.DEVICES):
            if name in ports:
                words.append(f"ssl{number}=fd:{ports[name]}")
        words += ["loglevel=6", "log_buf_len=8M", "printk.devkmsg=on"]
        words += ["oops=panic", "net.ifnames=0"]
        words += ["sysctl.kernel.hung_task_timeout_secs=400"]
        return words

    def check_started(self):
        """It has a console as soon as it is a kernel."""
        status = self.process.poll()
        if status and "Linux version" not in self.console_text():
            said = host.tail(self.console, 3).replace("\n", " | ")
            raise LabError(
                f"linux ended with {status}: {said or self.complaint()}"
            )
