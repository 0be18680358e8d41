# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The kernel as a process, User Mode Linux: see ownkernel.py and uml.py.

It runs the kernel's code natively where no KVM is to be had, so that its
clock tells the truth about copies, packets and locks.  What it takes for
that is changed by uml/*.patch; each says why.
"""

from . import host
from .ownkernel import FETCH, STRIP, Built, Recipe, flags

VERSION = "7.2"
RECIPE_VERSION = 1
PATCHES = "tests/lab/uml"

# UML_PCI_OVER_VIRTIO is there for HAS_IOMEM and HAS_DMA, without which there
# is no INFINIBAND.  No device has the number that it wants (see SCRIPT).
ENABLE = """
    SMP EXPERT MODULES MODULE_UNLOAD KALLSYMS DEBUG_FS DEBUG_KERNEL MAGIC_SYSRQ
    CC_OPTIMIZE_FOR_PERFORMANCE HIGH_RES_TIMERS NO_HZ_IDLE PREEMPT_VOLUNTARY
    VIRTIO_UML UML_PCI_OVER_VIRTIO HOSTFS STDERR_CONSOLE SSL NULL_CHAN
    BLK_DEV_INITRD OVERLAY_FS TMPFS TMPFS_XATTR DEVTMPFS CONFIGFS_FS
    CGROUPS MEMCG CGROUP_PIDS CPUSETS NAMESPACES NET_NS USER_NS PID_NS
    SWAP USERFAULTFD KSM MIGRATION COMPACTION CROSS_MEMORY_ATTACH
    INFINIBAND_ON_DEMAND_PAGING INFINIBAND_ADDR_TRANS
    PACKET UNIX INET IPV6 NETFILTER NET_SCHED XFRM_USER
    DYNAMIC_DEBUG FTRACE FTRACE_SYSCALLS SYNC_FILE
    UDMABUF DMABUF_HEAPS DMABUF_HEAPS_SYSTEM BLK_DEV
    DETECT_HUNG_TASK GCOV_KERNEL FORTIFY_SOURCE HARDENED_USERCOPY
    CRC_OPTIMIZATIONS IKCONFIG IKCONFIG_PROC DEBUG_INFO_NONE
""".split()

MODULES = """
    INFINIBAND INFINIBAND_USER_ACCESS INFINIBAND_USER_MAD RDMA_RXE RDMA_SIW
    DUMMY VETH BRIDGE NET_SCH_NETEM NET_SCH_TBF NET_SCH_FQ_CODEL
    FUSE_FS MINIX_FS BLK_DEV_LOOP ZRAM
    NET_UDP_TUNNEL VLAN_8021Q MACVLAN TUN
    BLK_DEV_RAM NVME_TARGET NVME_TARGET_RDMA NVME_RDMA
""".split()

# VMAP_STACK: every new stack would be an mmap() for each of its pages
DISABLE = """
    PREEMPT CC_OPTIMIZE_FOR_SIZE FRAME_POINTER VMAP_STACK SYSFS_DEPRECATED
    SOUND EXT4_FS QUOTA AUTOFS_FS ISO9660_FS PPP SLIP BLK_DEV_NBD BLK_DEV_UBD
    XTERM_CHAN PORT_CHAN TTY_CHAN PTY_CHAN WLAN ETHERNET SCSI HW_RANDOM INPUT
    HID USB_SUPPORT DRM MODULE_COMPRESS MODULE_SIG WERROR GCOV_PROFILE_ALL
    DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT
""".split()

SCRIPT = (
    FETCH
    + """for file in /src/{patches}/*.patch; do
    patch -s -p1 -d src < "$file"
done
make -s -C src ARCH=um O=/lab/out x86_64_defconfig
src/scripts/config --file out/.config {options} \\
    --set-val UML_PCI_OVER_VIRTIO_DEVICE_ID 1023 \\
    --set-str LOCALVERSION "-sodp-uml" -d LOCALVERSION_AUTO
make -s -C src ARCH=um O=/lab/out olddefconfig
make -s -C out ARCH=um -j$JOBS linux modules
make -s -C out ARCH=um INSTALL_MOD_PATH=/lab/inst INSTALL_MOD_STRIP=1 \\
    modules_install
cp out/linux linux"""
    + STRIP
)


class UserMode(Built):
    MACHINE = "uml"
    make_words = "ARCH=um"


def recipe():
    options = flags("-e", ENABLE) + flags("-m", MODULES)
    options += flags("-d", DISABLE)
    script = SCRIPT.format(
        version=VERSION, patches=PATCHES, options=" ".join(options)
    )
    files = sorted((host.REPO / PATCHES).glob("*.patch"))
    changes = [path.read_text() for path in files]
    return Recipe("uml", script, [RECIPE_VERSION, script, changes])


def ensure(root, verbose=False):
    return UserMode(recipe().ensure(root, verbose), "linux")
