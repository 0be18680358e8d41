# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Kernels that check themselves: see ownkernel.py.

"debug" has every checker that can be had together and code coverage of
our modules.  "kcsan" looks for data races in our modules, and in them
alone: what the kernel's own code does is others' business, and costs as
much to watch.
"""

from .ownkernel import FETCH, STRIP, Built, Recipe, flags

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


# Options of scripts/config, and words for make
FLAVOURS = {
    "debug": (flags("-e", CHECKERS), ""),
    "kcsan": (RACES, "KCSAN_SANITIZE=n"),
}

SCRIPT = (
    FETCH
    + """make -s -C src O=/lab/out x86_64_defconfig
src/scripts/config --file out/.config {options} \\
    --set-str LOCALVERSION "-sodp-{flavour}" -d LOCALVERSION_AUTO \\
    --set-val FRAME_WARN 0
make -s -C src O=/lab/out olddefconfig
make -s -C out -j$JOBS {words} bzImage modules
make -s -C out INSTALL_MOD_PATH=/lab/inst INSTALL_MOD_STRIP=1 modules_install
cp out/arch/x86/boot/bzImage bzImage"""
    + STRIP
)


def _options(flavour):
    words = flags("-e", ENABLE) + flags("-m", MODULES)
    return words + flags("-d", DISABLE) + FLAVOURS[flavour][0]


def recipe(flavour):
    script = SCRIPT.format(
        version=VERSION,
        flavour=flavour,
        options=" ".join(_options(flavour)),
        words=FLAVOURS[flavour][1],
    )
    parts = [RECIPE_VERSION, ENABLE, MODULES, DISABLE, SCRIPT]
    return Recipe(flavour, script, parts + [FLAVOURS[flavour]])


def ensure(root, flavour, verbose=False):
    return Built(recipe(flavour).ensure(root, verbose), "bzImage")
