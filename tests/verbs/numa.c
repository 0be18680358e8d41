// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Where the pages are that workers bring in: on the node of the process that
 * they do it for, or where its policies say. Needs a machine with two nodes.
 */

#define _GNU_SOURCE
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/t_owner.h"

#define NODES 2
#define NODE_FOLDER "/sys/devices/system/node/node"
#define PAGES 64U
/* A prime, so that one page after the other is missing, and no two in a row */
#define STRIDE 37U

enum how { BY_NOBODY, BY_TASK, BY_MAPPING, BY_CPUSET };

/* Says where the pages go, on the other node than that of the process */
struct place {
	enum t_pages pages;
	enum how how;
	int mode; /* of the policy */
};

/* What an owner is told */
struct owned {
	const struct place *place;
	int node; /* where the process runs */
};

struct counts {
	unsigned int on[NODES]; /* pages */
};

static void run_on(int node)
{
	char path[64], text[64];
	cpu_set_t cpus;

	snprintf(path, sizeof(path), NODE_FOLDER "%d/cpulist", node);
	T_ASSERT(t_read_file(path, text, sizeof(text)) && text[0], "%s", path);
	CPU_ZERO(&cpus);
	CPU_SET(atoi(text), &cpus);
	T_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "affinity: %s",
		 t_errname(errno));
}

static void confine(int node)
{
	char folder[T_CGROUP_PATH];

	t_cgroup_enter(folder, "cpuset");
	t_cgroup_set(folder, "cpuset.mems", node);
}

static void set_policy(const struct place *p, void *mem, int other)
{
	unsigned long nodes = 1UL << other;
	unsigned long *mask = &nodes;
	long ret = 0;

	if (p->mode == MPOL_INTERLEAVE)
		nodes = (1UL << NODES) - 1;
	if (p->mode == MPOL_LOCAL)
		mask = NULL;
	if (p->how == BY_TASK)
		ret = syscall(SYS_set_mempolicy, p->mode, mask,
			      mask ? 8 * sizeof(nodes) : 0);
	if (p->how == BY_MAPPING)
		ret = syscall(SYS_mbind, mem, T_HUGE, p->mode, mask,
			      8 * sizeof(nodes), 0);
	T_ASSERT(!ret, "policy: %s", t_errname(errno));
	if (p->how == BY_CPUSET)
		confine(other);
}

/* None of it is touched by the process */
static void *owned_make(const void *arg)
{
	const struct owned *owned = arg;
	void *mem = t_map_aligned(T_HUGE, T_HUGE);

	run_on(owned->node);
	t_map_pages(mem, T_HUGE, owned->place->pages);
	set_policy(owned->place, mem, !owned->node);
	return mem;
}

static void owned_count(const void *arg, void *mem, void *answer)
{
	struct counts *counts = answer;
	int status[PAGES];
	void *page[PAGES];
	unsigned int i;

	memset(counts, 0, sizeof(*counts));
	for (i = 0; i < PAGES; i++)
		page[i] = (char *)mem + i * T_PAGE;
	T_ASSERT(!syscall(SYS_move_pages, 0, PAGES, page, NULL, status, 0),
		 "move_pages: %s", t_errname(errno));
	for (i = 0; i < PAGES; i++) {
		T_ASSERT(status[i] >= 0 && status[i] < NODES,
			 "page %u: node %d", i, status[i]);
		counts->on[status[i]]++;
	}
}

static bool is_there(const struct place *p)
{
	return p->how == BY_CPUSET ||
	       (p->how != BY_NOBODY && p->mode != MPOL_LOCAL);
}

static void want_pages(const struct owned *owned, const struct counts *counts)
{
	bool both = owned->place->mode == MPOL_INTERLEAVE;
	int node = is_there(owned->place) ? !owned->node : owned->node;

	T_ASSERT(counts->on[node] >= (both ? PAGES / 4 : PAGES) &&
			 (!both || counts->on[!node] >= PAGES / 4),
		 "%u pages on node %d, %u on the other one", counts->on[node],
		 node, counts->on[!node]);
}

static void write_from(struct t_duo *d, int node, const struct owned *owned)
{
	static const struct t_owner_ops ops = {
		.make = owned_make,
		.end = owned_count,
		.len = T_HUGE,
		.answer = sizeof(struct counts),
	};
	struct counts counts;
	struct t_owner owner;
	unsigned int i;

	t_case("process on node %d, written from node %d", owned->node, node);
	run_on(node);
	t_owner_start(&owner, d, &ops, owned);
	for (i = 0; i < PAGES; i++)
		t_owner_write(&owner, d, i * STRIDE % PAGES * T_PAGE, 8);
	t_owner_end(&owner, &counts);
	want_pages(owned, &counts);
}

static void place_pages(void)
{
	struct owned owned = { .place = t_this->arg };
	struct t_duo d;
	int node;

	if (access(NODE_FOLDER "1", F_OK))
		t_skip("one node only");
	t_duo_open(&d, T_PAGE, T_PINNED, NULL);
	for (owned.node = 0; owned.node < NODES; owned.node++)
		for (node = 0; node < NODES; node++)
			write_from(&d, node, &owned);
}

#define PLACE(name, ...) \
	{ name, place_pages, 60, &(const struct place){ __VA_ARGS__ } }

static const struct t_test tests[] = {
	PLACE("local", T_SMALL),
	PLACE("local_thp", T_THP),
	PLACE("local_shmem", T_SHMEM),
	PLACE("mbind_bind", T_SMALL, BY_MAPPING, MPOL_BIND),
	PLACE("mbind_preferred", T_SMALL, BY_MAPPING, MPOL_PREFERRED),
	PLACE("mbind_interleave", T_SMALL, BY_MAPPING, MPOL_INTERLEAVE),
	PLACE("mbind_thp", T_THP, BY_MAPPING, MPOL_BIND),
	PLACE("mbind_shmem", T_SHMEM, BY_MAPPING, MPOL_BIND),
	PLACE("task_bind", T_SMALL, BY_TASK, MPOL_BIND),
	PLACE("task_preferred", T_SMALL, BY_TASK, MPOL_PREFERRED),
	PLACE("task_interleave", T_SMALL, BY_TASK, MPOL_INTERLEAVE),
	PLACE("task_local", T_SMALL, BY_TASK, MPOL_LOCAL),
	PLACE("task_thp", T_THP, BY_TASK, MPOL_BIND),
	PLACE("task_shmem", T_SHMEM, BY_TASK, MPOL_BIND),
	PLACE("cpuset", T_SMALL, BY_CPUSET),
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
