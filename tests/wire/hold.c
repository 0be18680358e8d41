// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Packets that wait for a page that never comes: how much they may hold, who
 * is charged for them, and that all of it is given back with the queue pair,
 * or when that leaves the states in which it receives.
 */

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/t_uffd.h"
#include "leg.h"

#define LEN (64 * T_PAGE)
#define NEVER (32 * T_PAGE)
/* See sodp(7) */
#define QUEUE_MOST (4UL << 20)
#define QUEUE_OWN (128UL << 10)
#define SHARE 32
#define SHARE_LEAST (16UL << 20)
#define SHARE_MOST (512UL << 20)
/* An account goes by pages, and a train is taken whole */
#define SLACK (256UL << 10)
#define UD_BYTES 4000
#define CGROUP "/sys/fs/cgroup"

static struct t_dev dev_a, dev_b;

static void enter_cgroup(void)
{
	char path[96], pid[16];

	snprintf(path, sizeof(path), CGROUP "/sodp-hold-%d", getpid());
	if (t_write_file(CGROUP "/cgroup.subtree_control", "+memory") ||
	    t_system("mkdir %s", path))
		t_skip("no memory cgroup");
	strcat(path, "/cgroup.procs");
	snprintf(pid, sizeof(pid), "%d", getpid());
	T_ASSERT(!t_write_file(path, pid), "%s", path);
}

/* What the cgroup is charged for packets */
static size_t held_now(void)
{
	char path[96], line[128];
	size_t bytes = SIZE_MAX;
	FILE *f;

	snprintf(path, sizeof(path), CGROUP "/sodp-hold-%d/memory.stat",
		 getpid());
	f = fopen(path, "re");
	T_ASSERT(f, "%s: %s", path, t_errname(errno));
	while (fgets(line, sizeof(line), f))
		sscanf(line, "sock %zu", &bytes);
	fclose(f);
	T_ASSERT(bytes != SIZE_MAX, "memory.stat has no 'sock'");
	return bytes;
}

/* The kernel adds up what its CPUs have counted every two seconds */
static size_t held(size_t least, size_t most)
{
	uint64_t end = t_now_ns() + 6 * 1000000000ULL;
	size_t bytes;

	do {
		bytes = held_now();
		if (bytes >= least && bytes <= most)
			break;
		t_sleep_ms(100);
	} while (t_now_ns() < end);
	T_ASSERT(bytes >= least && bytes <= most,
		 "%zu KiB are held, want %zu to %zu", bytes >> 10, least >> 10,
		 most >> 10);
	return bytes;
}

static size_t device_most(void)
{
	size_t share = (size_t)sysconf(_SC_PHYS_PAGES) * T_PAGE / SHARE;

	return share < SHARE_LEAST ? SHARE_LEAST :
	       share > SHARE_MOST  ? SHARE_MOST :
				     share;
}

static void to_state(struct leg *leg, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };

	T_OK(ibv_modify_qp(leg->qp, &attr, IBV_QP_STATE));
}

static void give_back(struct leg *leg, unsigned int how)
{
	if (how == 0)
		to_state(leg, IBV_QPS_ERR);
	else if (how == 1)
		to_state(leg, IBV_QPS_RESET);
	else
		T_OK(ibv_destroy_qp(leg->qp));
}

static void open_devices(void)
{
	leg_devices(&dev_a, &dev_b);
	t_need_odp(&dev_a);
	t_need_odp(&dev_b);
	enter_cgroup();
}

static int never(struct leg *leg)
{
	T_OK(madvise(leg->buf + NEVER, T_PAGE, MADV_DONTNEED));
	return t_uffd(leg->buf + NEVER, T_PAGE);
}

/* Datagrams to one queue pair, more of them than it takes */
static void flood(struct leg *from, struct leg *to, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct ibv_qp_ex *qpx = leg_begin(from, i);

		ibv_wr_send(qpx);
		leg_end(from, to, 0, UD_BYTES);
		t_want_wc(from->scq, i, IBV_WC_SUCCESS);
	}
}

/* Enough of them for the device's share to be used up */
static void hold_ud(void)
{
	struct leg_opt opt = LEG_OPT;
	size_t most, bytes, per_qp;
	unsigned int i, nr;
	struct leg *legs, a;
	int *fds;

	open_devices();
	most = device_most();
	nr = most / QUEUE_MOST + 4;
	legs = calloc(nr, sizeof(*legs));
	fds = calloc(nr, sizeof(*fds));
	opt.type = IBV_QPT_UD;
	opt.odp = true;
	opt.mtu = IBV_MTU_4096;
	leg_open(&a, &dev_a, LEN, &opt);
	for (i = 0; i < nr; i++) {
		leg_open(&legs[i], &dev_b, LEN, &opt);
		leg_connect(&legs[i], &a);
		fds[i] = never(&legs[i]);
		leg_recv(&legs[i], i, NEVER, T_PAGE);
	}
	leg_connect(&a, &legs[0]);
	held(0, SLACK);
	flood(&a, &legs[0], QUEUE_MOST / UD_BYTES + 16);
	per_qp = held(QUEUE_MOST / 2, QUEUE_MOST + SLACK);
	for (i = 1; i < nr; i++)
		flood(&a, &legs[i], per_qp / UD_BYTES);
	bytes = held(most / 2, most + nr * (QUEUE_OWN + 3 * T_PAGE) + SLACK);
	for (i = 0; i < nr; i++)
		give_back(&legs[i], i % 3);
	held(0, SLACK);
	for (i = 0; i < nr; i++)
		close(fds[i]);
	t_note("%zu KiB of %zu by %u queue pairs, %zu by the first",
	       bytes >> 10, most >> 10, nr, per_qp >> 10);
}

enum what { WRITES, READ };

/* Connected ones: requests wait for a page of theirs, or answers */
static void hold_connected(enum ibv_qp_type type, enum what what,
			   unsigned int how)
{
	struct leg_opt opt = LEG_OPT;
	struct leg a, b, *side;
	struct ibv_qp_ex *qpx;
	unsigned int i;
	int fd;

	t_case("%s, %s, by %s", type == IBV_QPT_UC ? "UC" : "RC",
	       what == READ ? "answers" : "requests",
	       how == 0 ? "ERR" : how == 1 ? "RESET" : "destroy");
	opt.type = type;
	opt.odp = true;
	opt.mtu = IBV_MTU_4096;
	/* They wait; with RNR NAKs they would be sent away */
	opt.rnr_retry = 0;
	opt.timeout = 20;
	leg_open(&a, &dev_a, LEN, &opt);
	leg_open(&b, &dev_b, LEN, &opt);
	leg_join(&a, &b);
	side = what == READ ? &a : &b;
	fd = never(side);
	for (i = 0; i < 8; i++) {
		size_t off = i ? 0 : NEVER;

		qpx = leg_begin(&a, i);
		if (what == READ)
			ibv_wr_rdma_read(qpx, b.mr->rkey, leg_addr(&b, 0));
		else
			ibv_wr_rdma_write(qpx, b.mr->rkey, leg_addr(&b, off));
		leg_end(&a, &b, what == READ ? off : 0, 16 * T_PAGE);
	}
	held(64 << 10, 2 * QUEUE_MOST);
	give_back(side, how);
	held(0, SLACK / 4);
	close(fd);
	if (how < 2)
		leg_close(side);
	leg_close(side == &a ? &b : &a);
}

static void hold_rc(void)
{
	unsigned int how;

	open_devices();
	for (how = 0; how < 3; how++) {
		hold_connected(IBV_QPT_RC, WRITES, how);
		hold_connected(IBV_QPT_RC, READ, how);
	}
}

static void hold_uc(void)
{
	unsigned int how;

	open_devices();
	for (how = 0; how < 3; how++)
		hold_connected(IBV_QPT_UC, WRITES, how);
}

static const struct t_test tests[] = {
	{ "ud", hold_ud, 200 },
	{ "rc", hold_rc, 120 },
	{ "uc", hold_uc, 120 },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
