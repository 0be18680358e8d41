# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""A machine in QEMU: its command line."""

from . import initramfs, kvm, tsc
from .host import LabError
from .vm import NODES, Vm


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


class Qemu(Vm):
    """With KVM where that works, unless time is virtual."""

    TOOLS = ("qemu-system-x86_64",)
    DEVICES = {"tty": "/dev/hvc0"}

    def command(self, ports, cable):
        config, root, kernel = self.config, self.root, self.kernel
        use_kvm = kvm.works(root) and not config.icount
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
        for name in ("src", "build", "lab", "out"):
            readonly = name in ("src", "build")
            args += _share(name, self.folders[name], readonly)
        args += ["-device", "virtio-serial-pci"]
        for name, fd in ports.items():
            kind = "virtconsole" if name == "tty" else "virtserialport"
            args += ["-chardev", f"socket,id={name},fd={fd}"]
            args += ["-device", f"{kind},chardev={name},name=sodp.{name}"]
        if cable is not None:
            args += _network(config.net, cable.fileno())
        return args

    def check_started(self):
        status = self.process.poll()
        if status:
            raise LabError(f"qemu ended with {status}: {self.complaint()}")
