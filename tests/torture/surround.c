// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The machine around a run: swap, huge pages, KSM, a memory cgroup, failing
 * allocations, a bad network. What cannot be had is done without.
 */

#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "torture.h"

#define CGROUP "/sys/fs/cgroup/torture"
#define ROOM (16ULL << 20)
#define FAILSLAB "/sys/kernel/debug/failslab/"
#define WIRE_ONLY "/sys/module/sodp/parameters/wire_only"

static void enable_swap(void)
{
	if (!t_system("grep -q zram0 /proc/swaps"))
		return;
	t_system("modprobe zram num_devices=2 2>/dev/null;"
		 "swapoff /dev/zram0 2>/dev/null;"
		 "echo 1 >/sys/block/zram0/reset;"
		 "echo 256M >/sys/block/zram0/disksize &&"
		 "mkswap /dev/zram0 >/dev/null 2>&1 && swapon /dev/zram0");
}

static void enable_cgroup(void)
{
	char pid[16];

	mount("none", "/sys/fs/cgroup", "cgroup2", 0, NULL);
	t_write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	mkdir(CGROUP, 0755);
	snprintf(pid, sizeof(pid), "%d", getpid());
	t_write_file(CGROUP "/cgroup.procs", pid);
}

static void enable_failslab(void)
{
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	t_write_file(FAILSLAB "verbose", "0");
	t_write_file(FAILSLAB "task-filter", "Y");
	t_write_file(FAILSLAB "probability", "10");
	t_write_file(FAILSLAB "times", "-1");
}

void surround_begin(const struct plan *p)
{
	unsigned int i;

	enable_swap();
	enable_cgroup();
	enable_failslab();
	t_system("modprobe udmabuf 2>/dev/null");
	t_write_file("/proc/sys/vm/nr_hugepages", "24");
	t_write_file("/sys/kernel/mm/ksm/pages_to_scan", "500");
	t_write_file("/sys/kernel/mm/ksm/sleep_millisecs", "20");
	for (i = 0; i < p->nr; i++)
		if (!p->off[i] && p->steps[i].op == OP_MERGE)
			t_write_file("/sys/kernel/mm/ksm/run", "1");
	t_write_file(WIRE_ONLY, p->wire ? "1" : "0");
}

/* A worker may have been killed with the link down */
static void links_up(void)
{
	t_system("rdma link show | sed -n 's/.* netdev \\([^ ]*\\).*/\\1/p' |"
		 "while read -r n; do ip link set $n up; done");
}

void surround_end(const struct plan *p)
{
	t_write_file(WIRE_ONLY, "0");
	t_write_file("/sys/kernel/mm/ksm/run", "0");
	t_write_file(FAILSLAB "probability", "0");
	surround_calm();
	links_up();
	t_write_file("/sys/fs/cgroup/cgroup.procs", "0");
	if (p->wire)
		surround_netem(0);
}

void surround_leave(void)
{
	t_system("swapoff /dev/zram0 2>/dev/null;"
		 "echo 1 2>/dev/null >/sys/block/zram0/reset");
	t_write_file("/proc/sys/vm/nr_hugepages", "0");
	rmdir(CGROUP);
}

/* A little more than what is in use, so that nobody is killed for it */
static void limit(void)
{
	char text[32];

	if (!t_read_file(CGROUP "/memory.current", text, sizeof(text)))
		return;
	snprintf(text, sizeof(text), "%llu", strtoull(text, NULL, 10) + ROOM);
	t_write_file(CGROUP "/memory.max", text);
	t_sleep_ms(10);
	t_write_file(CGROUP "/memory.max", "max");
}

/* A limit below what is in use, for a moment, or just above */
void surround_reclaim(unsigned int how)
{
	switch (how % 3) {
	case 0:
		t_write_file(CGROUP "/memory.high", "24M");
		t_sleep_ms(2);
		t_write_file(CGROUP "/memory.high", "max");
		break;
	case 1:
		t_write_file(CGROUP "/memory.reclaim", "8M");
		break;
	default:
		limit();
	}
}

void surround_calm(void)
{
	t_write_file(CGROUP "/memory.high", "max");
	t_write_file(CGROUP "/memory.max", "max");
}

/* Packets between devices of one host take the loopback interface */
void surround_netem(unsigned int which)
{
	static const char *const harms[] = {
		NULL,
		"loss 2%",
		"delay 2ms 1ms reorder 30%",
		"duplicate 5% loss 1%",
	};
	const char *harm = harms[which % T_ARRAY_SIZE(harms)];

	if (harm)
		t_system("modprobe sch_netem 2>/dev/null;"
			 "tc qdisc replace dev lo root netem %s 2>/dev/null",
			 harm);
	else
		t_system("tc qdisc del dev lo root 2>/dev/null");
}

void surround_link(const char *netdev, unsigned int ms)
{
	t_system("ip link set %s down", netdev);
	t_sleep_ms(ms);
	t_system("ip link set %s up", netdev);
}
