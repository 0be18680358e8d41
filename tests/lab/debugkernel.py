# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Kernels that check themselves, made of Debian's linux-source.

"debug" has every checker that can be had together and code coverage of
our modules.  "kcsan" looks for data races in our modules, and in them
alone: what the kernel's own code does is others' business, and costs as
much to watch.

Built on demand inside the root folder and cached.  The result keeps what
a module build needs and loses the objects and the C files: some 300 MB.
"""

import hashlib
import os
import shutil

from . import build, host
from .host import LabError

VERSION = "6.12"
RECIPE_VERSION = 3

ENABLE = """
    MODULES MODULE_UNLOAD KALLSYMS DEBUG_FS DEBUG_KERNEL MAGIC_SYSRQ
    VIRTIO VIRTIO_MENU VIRTIO_PCI VIRTIO_CONSOLE SERIAL_8250_CONSOLE
    NET_9P NET_9P_VIRTIO 9P_FS 9P_FS_POSIX_ACL OVERLAY_FS TMPFS DEVTMPFS
    CGROUPS MEMCG CGROUP_PIDS CPUSETS NAMESPACES NET_NS USER_NS
    SWAP USERFAULTFD TRANSPARENT_HUGEPAGE KSM HUGETLBFS MIGRATION
    COMPACTION MEMORY_HOTPLUG MEMORY_HOTREMOVE ZONE_DEVICE DEVICE_PRIVATE
    SPARSEMEM_VMEMMAP NUMA NUMA_EMU
    INFINIBAND_ON_DEMAND_PAGING INFINIBAND_ADDR_TRANS NETFILTER
    CONFIGFS_FS BLK_DEV XFRM_USER DYNAMIC_DEBUG
    UDMABUF DMABUF_HEAPS DMABUF_HEAPS_SYSTEM
    FTRACE FTRACE_SYSCALLS UPROBE_EVENTS
    EXPERT RUNTIME_TESTING_MENU
    IOMMU_SUPPORT INTEL_IOMMU PCI_P2PDMA
    MEMORY_FAILURE DETECT_HUNG_TASK SOFTLOCKUP_DETECTOR WQ_WATCHDOG
    DEBUG_INFO_NONE
""".split()

CHECKERS = """
    KASAN KASAN_GENERIC KASAN_INLINE KASAN_VMALLOC
    PROVE_LOCKING DEBUG_ATOMIC_SLEEP DEBUG_LIST DEBUG_PLIST DEBUG_SG
    DEBUG_OBJECTS DEBUG_OBJECTS_FREE DEBUG_OBJECTS_TIMERS
    DEBUG_OBJECTS_WORK DEBUG_OBJECTS_RCU_HEAD
    DEBUG_OBJECTS_PERCPU_COUNTER DEBUG_KMEMLEAK DEBUG_VM
    DMA_API_DEBUG UBSAN UBSAN_BOUNDS UBSAN_SHIFT HARDENED_USERCOPY
    FAULT_INJECTION FAILSLAB FAIL_PAGE_ALLOC FAULT_INJECTION_DEBUG_FS
    FAULT_INJECTION_STACKTRACE_FILTER KCOV
""".split()

# Strict: a plain write is taken for one that can tear, and a race counts
# whatever was written.  A watch lasts longer than by default, since the
# other CPU may be an emulated one that does not run at the time.
RACES = """
    -e KCSAN -e KCSAN_STRICT -d KCSAN_SELFTEST
    --set-val KCSAN_REPORT_ONCE_IN_MS 1000
    --set-val KCSAN_SKIP_WATCH 500
    --set-val KCSAN_UDELAY_TASK 500 --set-val KCSAN_UDELAY_INTERRUPT 100
""".split()

MODULES = """
    INFINIBAND INFINIBAND_USER_ACCESS INFINIBAND_USER_MAD RDMA_RXE
    DUMMY VETH BRIDGE NET_SCH_NETEM NET_SCH_TBF NET_SCH_FQ_CODEL
    FUSE_FS MINIX_FS BLK_DEV_LOOP TEST_HMM HWPOISON_INJECT ZRAM
    NET_UDP_TUNNEL VLAN_8021Q MACVLAN TUN
    BLK_DEV_RAM NVME_TARGET NVME_TARGET_RDMA NVME_RDMA
    CRYPTO_CRC32 CRYPTO_CRC32_PCLMUL
""".split()

DISABLE = """
    DRM SOUND USB_SUPPORT WIRELESS WLAN CFG80211 MAC80211 RFKILL
    ETHERNET SCSI ATA EXT4_FS NFS_FS SUNRPC AGP MD PCCARD
    NETFILTER_ADVANCED NF_CONNTRACK NF_TABLES NETFILTER_XTABLES
    IP_NF_IPTABLES IP6_NF_IPTABLES NETLABEL
    MACINTOSH_DRIVERS HIBERNATION SUSPEND AUDIT SECURITY_SELINUX
    DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT DEBUG_INFO_BTF MODULE_SIG
    EFI HID INPUT_MOUSE INPUT_JOYSTICK WATCHDOG
    RANDOMIZE_BASE MODULE_COMPRESS QUOTA ISO9660_FS VFAT_FS WERROR
    KCOV_INSTRUMENT_ALL
""".split()


def _flags(flag, names):
    return [word for name in names for word in (flag, name)]


# Options of scripts/config, and words for make
FLAVOURS = {
    "debug": (_flags("-e", CHECKERS), ""),
    "kcsan": (RACES, "KCSAN_SANITIZE=n"),
}

SCRIPT = """
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
make -s -C src O=/lab/out x86_64_defconfig
src/scripts/config --file out/.config {options} \\
    --set-str LOCALVERSION "-sodp-{flavour}" -d LOCALVERSION_AUTO \\
    --set-val FRAME_WARN 0
make -s -C src O=/lab/out olddefconfig
make -s -C out -j$JOBS {words} bzImage modules
make -s -C out INSTALL_MOD_PATH=/lab/inst INSTALL_MOD_STRIP=1 modules_install
cp out/arch/x86/boot/bzImage bzImage
cp out/include/config/kernel.release release
find out '(' -name '*.o' -o -name '*.a' -o -name 'vmlinux*' \\
    -o -name '*.ko' -o -name '*.cmd' ')' \\
    -not -path 'out/scripts/*' -not -path 'out/tools/*' -delete
cd src
rm -rf Documentation samples sound drivers/gpu
find . -name '*.c' -not -path './scripts/*' -not -path './tools/*' -delete
"""


def _recipe(flavour):
    parts = [RECIPE_VERSION, ENABLE, MODULES, DISABLE, SCRIPT]
    text = repr(parts + [FLAVOURS[flavour]])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class DebugKernel:
    """The same face as kernels.Stock."""

    def __init__(self, path):
        self.path = path
        self.release = (path / "release").read_text().strip()
        self.image = path / "bzImage"
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


def ensure(root, flavour, verbose=False):
    path = host.cache_dir() / f"{flavour}-{_recipe(flavour)}"
    if not path.is_dir():
        with host.lock(f"make-{flavour}"):
            if not path.is_dir():
                _make(root, path, flavour, verbose)
                _drop_stale(path, flavour)
    return DebugKernel(path)


def _options(flavour):
    words = _flags("-e", ENABLE) + _flags("-m", MODULES)
    return words + _flags("-d", DISABLE) + FLAVOURS[flavour][0]


def _make(root, path, flavour, verbose):
    host.need_disk(8, f"the {flavour} kernel")
    host.say(f"building the {flavour} kernel (10 to 20 minutes)")
    script = SCRIPT.format(
        version=VERSION,
        flavour=flavour,
        options=" ".join(_options(flavour)),
        words=FLAVOURS[flavour][1],
    )
    log = host.cache_dir() / f"make-{flavour}.log"
    log.unlink(missing_ok=True)
    with host.temp_dir(flavour) as temp:
        work = temp / "work"
        work.mkdir()
        status = build.in_root(root, temp, script, log, verbose, mounted=work)
        if status:
            raise LabError(f"cannot build the {flavour} kernel (log: {log})")
        os.rename(work, path)


def _drop_stale(keep, flavour):
    for path in host.cache_dir().glob(f"{flavour}-*"):
        if path != keep and path.is_dir():
            host.remove_tree(path)
