# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""One virtual machine: the QEMU command line and the channels to it.

Four channels leave the guest, so that nothing a program prints can be
taken for something the lab says: the serial console (kernel only, into a
file), the program's stdout and stderr, and a control channel of JSON lines.
"""

import json
import os
import selectors
import socket
import subprocess

from . import host, initramfs, suites, tsc
from .host import LabError
from .layers import NOTHING

INIT = """#!/bin/busybox sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root PYTHONPATH=/src LANG=C.UTF-8 TERM={term}
hostname sodp-lab
python3 -B /src/tests/lab/guest/agent.py
echo "<4>sodp-lab: agent ended with status $?" > /dev/kmsg
busybox reboot -f
"""


# With the option numa
NODES = 2


class VmConfig:
    """What a machine is made of; equal configurations share a boot."""

    def __init__(
        self,
        suite,
        kernel,
        icount=False,
        smp=None,
        mem=None,
        rxe=False,
        sodp=True,
        net=None,
        contents=NOTHING,
        pmem=False,
        numa=False,
        edu=None,
    ):
        """net: which of two joined machines this is, 1 or 2; contents:
        what there is besides the suite (layers.py); pmem: some of the
        memory is /dev/pmem0, which file systems can map (DAX); numa: two
        nodes, each with half of the memory and one of two CPUs; edu: there
        is a device that does DMA, "direct" or behind an "iommu"."""
        self.suite = suite
        self.kernel = kernel
        self.icount = icount
        self.smp = 1 if icount else smp or 2
        self.mem = mem or ("4G" if kernel in suites.CHECKING else "3G")
        self.rxe = rxe
        self.sodp = sodp
        self.net = net
        self.contents = contents
        self.pmem = pmem
        self.numa = numa and self.smp % NODES == 0
        self.edu = edu

    @property
    def slowness(self):
        """How many times as long as on a stock kernel things may take."""
        return suites.CHECKING.get(self.kernel, 1)

    @property
    def kmemleak(self):
        """Whether the kernel can be asked what has been leaked."""
        return self.kernel == "debug"

    def key(self):
        return (
            self.suite,
            self.kernel,
            self.icount,
            self.smp,
            self.mem,
            self.rxe,
            self.sodp,
            self.net,
            self.pmem,
            self.numa,
            self.edu,
            self.contents.key(),
        )

    def __str__(self):
        words = [f"{self.suite}/{self.kernel}"]
        words.append("icount" if self.icount else f"smp {self.smp}")
        if self.rxe:
            words.append("rxe")
        if not self.sodp:
            words.append("no sodp")
        if self.pmem:
            words.append("pmem")
        if self.numa:
            words.append("two nodes")
        if self.edu:
            words.append(f"edu {self.edu}")
        if self.contents:
            words.append(f"with {self.contents}")
        if self.net:
            words.append(f"machine {self.net} of 2")
        return ", ".join(words)


def _share(tag, path, readonly):
    mode = ",readonly=on" if readonly else ""
    quoted = str(path).replace(",", ",,")
    return [
        "-fsdev",
        f"local,id={tag},path={quoted},security_model=none,"
        f"multidevs=remap{mode}",
        "-device",
        f"virtio-9p-pci,fsdev={tag},mount_tag={tag}",
    ]


def _network(number, fd):
    """A network card; fd is one end of the cable, a stream socket."""
    mac = f"52:54:00:73:6f:{number:02x}"
    return [
        "-netdev",
        f"socket,id=net,fd={fd}",
        "-device",
        f"virtio-net-pci,netdev=net,mac={mac},host_mtu=9000,romfile=",
    ]


def _nodes(config):
    """A socket for each, as caches do not lie between two nodes."""
    args = ["-smp", f"{config.smp},sockets={NODES}"]
    size = int(config.mem[:-1]) * {"G": 1024, "M": 1}[config.mem[-1]]
    half = size // NODES
    each = config.smp // NODES
    for node in range(NODES):
        cpus = f"cpus={node * each}-{node * each + each - 1}"
        args += ["-object", f"memory-backend-ram,id=node{node},size={half}M"]
        args += ["-numa", f"node,nodeid={node},{cpus},memdev=node{node}"]
    return args


def _machine(config, use_kvm):
    if config.icount:
        accel = "tcg,thread=single"
    else:
        accel = "kvm" if use_kvm else "tcg,thread=multi"
    cpu = "host" if accel == "kvm" else "max,-erms,-fsrm"
    args = ["-machine", "q35", "-accel", accel, "-cpu", cpu]
    args += ["-m", config.mem]
    args += _nodes(config) if config.numa else ["-smp", str(config.smp)]
    if config.icount:
        args += ["-icount", "shift=0,sleep=off"]
    return args


def _edu(config):
    """A device that does DMA; its IOMMU comes before what is behind it.

    virtio devices do not ask an IOMMU.  And one with memory for its peers.
    """
    args = []
    if config.edu == "iommu":
        args += ["-device", "intel-iommu,intremap=off"]
    if config.edu:
        args += ["-device", "edu,dma_mask=0xffffffffffffffff"]
        args += ["-device", "nvme,serial=peer,cmb_size_mb=4"]
    return args


def _append(config, use_kvm, layer):
    words = "console=ttyS0 loglevel=6 log_buf_len=8M printk.devkmsg=on"
    words += " panic=-1 oops=panic net.ifnames=0"
    words += " random.trust_cpu=on nokaslr no_timer_check"
    # A busy host steals seconds from a virtual CPU; what is truly stuck
    # stays stuck for longer than this.
    words += " rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60"
    if not config.icount:
        # What is charged to users is no memory when it is freed
        words += " slub_debug=P,kmalloc-cg-*"
    if (config.slowness > 1 or config.edu) and not config.numa:
        # Pages that migrate from one node to another
        words += " numa=fake=2"
    if config.kernel == "debug":
        words += " kmemleak=on sysctl.kernel.hung_task_timeout_secs=400"
        # While identify_cpu() counts the boot CPU's features there are none,
        # and KASAN takes every address of 5-level paging for a wild one.
        words += " no5lvl"
    if config.pmem:
        words += " memmap=64M!1G"
    if config.edu == "iommu":
        # What was unmapped is so at once
        words += " intel_iommu=on iommu.strict=1"
    if layer:
        words += " " + initramfs.LAYER_WORD
    if not config.icount and not use_kvm:
        words += " tsc=reliable clocksource=tsc"
        rate = tsc.khz()
        words += f" tsc_early_khz={rate}" if rate else ""
    return words


class Vm:
    """A running machine.  Use as a context manager: leaving kills it."""

    PORTS = ("out", "err", "ctl")

    def __init__(
        self, config, boot, spec, folders, use_kvm, shell=False, cable=None
    ):
        """boot: (root, kernel); folders: src, build, lab, out.

        cable: the socket that leads to the other machine, if there is one.
        """
        self.config = config
        self.folders = folders
        self.console = folders["lab"] / "console"
        self.shell = shell
        self.ends = {}
        root, kernel = boot
        term = os.environ.get("TERM", "dumb") if shell else "dumb"
        (folders["lab"] / "init").write_text(INIT.format(term=term))
        (folders["lab"] / "spec.json").write_text(json.dumps(spec))
        names = self.PORTS + (("tty",) if shell else ())
        remote = {}
        for name in names:
            self.ends[name], remote[name] = socket.socketpair()
        args = ["qemu-system-x86_64", "-nodefaults", "-no-user-config"]
        args += ["-no-reboot", "-display", "none"]
        args += _machine(config, use_kvm)
        args += _edu(config)
        args += ["-kernel", str(kernel.image)]
        args += ["-initrd", str(initramfs.ensure(root, kernel))]
        args += ["-append", _append(config, use_kvm, root.layer)]
        args += ["-chardev", f"file,id=console,path={self.console}"]
        args += ["-serial", "chardev:console"]
        args += _share("root", root.path, True)
        if root.layer:
            args += _share("layer", root.layer, True)
        args += _share("src", folders["src"], True)
        args += _share("build", folders["build"], True)
        args += _share("lab", folders["lab"], False)
        args += _share("out", folders["out"], False)
        args += ["-device", "virtio-serial-pci"]
        for name, end in remote.items():
            kind = "virtconsole" if name == "tty" else "virtserialport"
            fd = end.fileno()
            args += ["-chardev", f"socket,id={name},fd={fd}"]
            args += ["-device", f"{kind},chardev={name},name=sodp.{name}"]
        fds = [end.fileno() for end in remote.values()]
        if cable is not None:
            args += _network(config.net, cable.fileno())
            fds.append(cable.fileno())
        self.log = open(folders["lab"] / "qemu.log", "wb")
        self.process = host.spawn(
            args,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            pass_fds=fds,
        )
        for end in remote.values():
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        host.reap(self.process)
        self.log.close()
        for end in self.ends.values():
            end.close()

    def send(self, message):
        try:
            self.ends["ctl"].sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass

    def events(self, sinks, stdin=None):
        """Yield control messages, and None at least once a second.

        Program output goes to sinks[port](bytes) on the way.  Ends when
        the machine does.
        """
        chooser = selectors.DefaultSelector()
        for name, end in self.ends.items():
            chooser.register(end, selectors.EVENT_READ, name)
        if stdin is not None:
            chooser.register(stdin, selectors.EVENT_READ, "stdin")
        pending = b""
        open_ports = set(self.ends)
        while open_ports:
            for key, _ in chooser.select(1.0):
                data = self._read(key)
                if not data:
                    chooser.unregister(key.fileobj)
                    open_ports.discard(key.data)
                elif key.data == "stdin":
                    self.ends["tty"].sendall(data)
                elif key.data == "ctl":
                    *lines, pending = (pending + data).split(b"\n")
                    for line in lines:
                        yield json.loads(line)
                else:
                    sinks[key.data](data)
            yield None
        self.process.wait()

    @staticmethod
    def _read(key):
        try:
            if key.data == "stdin":
                return os.read(key.fd, 65536)
            return key.fileobj.recv(65536)
        except OSError:
            return b""

    def console_text(self):
        try:
            return self.console.read_text(errors="replace")
        except OSError:
            return ""

    def qemu_error(self):
        """What QEMU itself complained of, when it did not start."""
        text = host.tail(self.folders["lab"] / "qemu.log", 3).strip()
        return text.replace("\n", " | ")


def check_started(vm):
    status = vm.process.poll()
    if status:
        raise LabError(f"qemu ended with {status}: {vm.qemu_error()}")
