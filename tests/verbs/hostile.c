// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * An application that scribbles on the rings it has mapped while doorbells
 * ring. It may break its own queue pairs and nothing else: no splat (the lab
 * reads the kernel's log), other people's traffic right, their memory whole.
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rdma/ib_user_verbs.h>

#include "hostile.h"

#define LEN (64 * T_PAGE)
#define MAX_RINGS 64

struct attacker {
	struct t_duo d;
	struct ibv_srq *srq;
	struct t_ep srq_a;
	struct t_ep srq_b;
	struct ring rings[MAX_RINGS];
	unsigned int nr_rings;
	int bell; /* the doorbell's descriptor */
	struct t_rand rand;
	volatile bool stop;
};

unsigned int hostile_rings(struct ring *rings, unsigned int max)
{
	unsigned long start, end;
	unsigned int nr = 0;
	char line[512];
	char perms[8];
	FILE *f = fopen("/proc/self/maps", "r");

	T_ASSERT(f, "maps");
	while (fgets(line, sizeof(line), f) && nr < max) {
		if (!strstr(line, "uverbs") ||
		    sscanf(line, "%lx-%lx %7s", &start, &end, perms) != 3 ||
		    perms[1] != 'w')
			continue;
		rings[nr].mem = (char *)start;
		rings[nr++].size = end - start;
	}
	fclose(f);
	return nr;
}

int hostile_bell(const struct ibv_qp *qp)
{
	int fd;

	for (fd = 3; fd < MAX_FDS; fd++)
		if (!ioctl(fd, SODP_IOC_RING_SQ, (unsigned long)qp->qp_num))
			return fd;
	t_skip("no doorbell: not a sodp device");
}

static void attacker_open(struct attacker *at, uint64_t seed)
{
	struct ibv_srq_init_attr init = { .attr = { 64, 4, 0 } };
	struct t_qp_opt opt = T_QP_OPT;

	memset(at, 0, sizeof(*at));
	at->rand.state = seed;
	opt.inline_max = 128;
	t_duo_open(&at->d, LEN, seed % T_NR_KINDS, &opt);
	at->srq = ibv_create_srq(at->d.dev.pd, &init);
	T_ASSERT(at->srq, "ibv_create_srq: %s", t_errname(errno));
	t_ep_open(&at->srq_a, &at->d.dev, &opt);
	opt.srq = at->srq;
	t_ep_open(&at->srq_b, &at->d.dev, &opt);
	t_join(&at->srq_a, &at->srq_b);
	at->nr_rings = hostile_rings(at->rings, MAX_RINGS);
	at->bell = hostile_bell(at->d.a.qp);
	T_ASSERT(at->nr_rings >= 4, "only %u rings found", at->nr_rings);
}

static uint64_t odd_number(struct t_rand *r)
{
	static const uint64_t odd[] = {
		0,	     1,		 2,	     0x7fffffff, 0x80000000,
		0xffffffff,  0x100000000, 1ULL << 47, 1ULL << 63, -1ULL,
		0xffff888000000000ULL,
	};

	if (t_rand_below(r, 2))
		return odd[t_rand_below(r, T_ARRAY_SIZE(odd))] +
		       t_rand_below(r, 3) - 1;
	return t_rand(r) >> t_rand_below(r, 64);
}

/* Something that is nearly a request, at a place where one may be */
static void forge(struct attacker *at, struct ring *ring)
{
	struct t_rand *r = &at->rand;
	struct sodp_sqe *sqe;
	struct sodp_sge *sge;
	size_t off;

	if (ring->size < 2 * T_PAGE)
		off = 256 + 32 * t_rand_below(r, (ring->size - 512) / 32);
	else
		off = 64 * t_rand_below(r, (ring->size - 512) / 64);
	sqe = (struct sodp_sqe *)(ring->mem + off);
	sge = (struct sodp_sge *)(sqe + 1);
	sqe->opcode = t_rand_below(r, 18);
	sqe->num_sge = t_rand_below(r, 4) ? t_rand_below(r, 5) : t_rand(r);
	sqe->flags = t_rand(r) & 0xf;
	if (!t_rand_below(r, 4))
		sqe->inline_len = odd_number(r);
	sqe->rdma.remote_addr = t_rand_below(r, 2) ?
					t_remote(&at->d, t_rand_below(r, LEN)) :
					odd_number(r);
	sqe->rdma.rkey = at->d.bmr->rkey;
	sqe->bind.mr_lkey = at->d.amr->lkey;
	sge->addr = (uintptr_t)at->d.abuf + t_rand_below(r, LEN);
	sge->length = t_rand_below(r, 2) ? t_rand_below(r, 9000) :
					   odd_number(r);
	sge->lkey = at->d.amr->lkey;
}

static void scribble(struct attacker *at)
{
	struct t_rand *r = &at->rand;
	struct ring *ring = &at->rings[t_rand_below(r, at->nr_rings)];
	uint64_t value = odd_number(r);

	switch (t_rand_below(r, 4)) {
	case 0: /* an index */
		memcpy(ring->mem + 64 * t_rand_below(r, 4), &value, 4);
		break;
	case 1: /* an index moves on by a little */
		*(volatile uint32_t *)(ring->mem + 64 * t_rand_below(r, 4)) +=
			t_rand_below(r, 5);
		break;
	case 2:
		memcpy(ring->mem + t_rand_below(r, ring->size - 8), &value, 8);
		break;
	default:
		forge(at, ring);
		break;
	}
}

static void *scribbler(void *arg)
{
	struct attacker *at = arg;
	struct attacker mine = *at;

	mine.rand.state ^= 0x1234567;
	while (!at->stop)
		scribble(&mine);
	return NULL;
}

static void revive(struct t_ep *a, struct t_ep *b)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	ibv_modify_qp(a->qp, &attr, IBV_QP_STATE);
	ibv_modify_qp(b->qp, &attr, IBV_QP_STATE);
	t_join(a, b);
}

/* Runs until it is killed, or until it has killed itself. */
static void attack(uint64_t seed, bool threads)
{
	static struct attacker at;
	uint32_t qpns[4];
	pthread_t thread;
	unsigned int i;

	attacker_open(&at, seed);
	qpns[0] = at.d.a.qp->qp_num;
	qpns[1] = at.d.b.qp->qp_num;
	qpns[2] = at.srq_a.qp->qp_num;
	qpns[3] = at.srq_b.qp->qp_num;
	if (threads)
		pthread_create(&thread, NULL, scribbler, &at);
	for (i = 0;; i++) {
		scribble(&at);
		ioctl(at.bell, SODP_IOC_RING_SQ, qpns[i % 4]);
		if (i % 7 == 0)
			ioctl(at.bell, SODP_IOC_RING_RQ, qpns[i % 4]);
		if (i % 64 == 63) {
			revive(&at.d.a, &at.d.b);
			revive(&at.srq_a, &at.srq_b);
		}
	}
}

/* Honest traffic all the while */
static void honest(unsigned int seconds, pid_t *pids, unsigned int nr,
		   bool threads)
{
	uint64_t end = t_now_ns() + seconds * 1000000000ULL;
	unsigned int attacks = nr;
	unsigned int rounds = 0;
	uint64_t seed = 1000;
	struct t_duo d;
	unsigned int i;
	char *canary;
	int status;

	t_duo_open(&d, LEN, T_EXPLICIT, NULL);
	canary = t_map(4 * T_HUGE);
	t_fill_background(canary, 4 * T_HUGE);
	while (t_now_ns() < end) {
		t_case("round %u", rounds++);
		t_duo_works(&d);
		for (i = 0; i < nr; i++) {
			if (waitpid(pids[i], &status, WNOHANG) != pids[i])
				continue;
			if (WIFEXITED(status) &&
			    WEXITSTATUS(status) == T_EXIT_SKIP)
				t_skip("not a sodp device");
			/* It has shot itself; the next one, please */
			pids[i] = fork();
			if (!pids[i]) {
				signal(SIGSEGV, SIG_DFL);
				attack(++seed, threads);
			}
			seed++;
			attacks++;
		}
	}
	for (i = 0; i < nr; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	t_case("afterwards");
	t_duo_works(&d);
	T_ASSERT(t_check_background(canary, 4 * T_HUGE) < 0,
		 "memory of a bystander was written");
	t_note("%u rounds, %u attackers", rounds, attacks);
}

static void siege(bool threads)
{
	pid_t pids[2];
	unsigned int i;

	{
		struct t_dev dev;

		t_open(&dev);
		t_need_implicit(&dev);
		if (strncmp(dev.name, "sodp", 4))
			t_skip("not a sodp device");
	}
	for (i = 0; i < 2; i++) {
		pids[i] = fork();
		if (!pids[i])
			attack(i + 1, threads);
	}
	honest(t_quick ? 2 : t_full ? 30 : 6, pids, 2, threads);
}

static void rings(void)
{
	siege(false);
}

/* The same by a second thread, while the kernel is reading */
static void rings_racing(void)
{
	siege(true);
}

/* What the doorbell is told is checked. */
static void bells(void)
{
	static struct attacker at;
	uint32_t i;

	attacker_open(&at, 3);
	for (i = 0; i < 100000; i++) {
		if (i == at.d.a.qp->qp_num || i == at.d.b.qp->qp_num)
			continue;
		ioctl(at.bell, SODP_IOC_RING_SQ, i);
		ioctl(at.bell, SODP_IOC_RING_RQ, i);
	}
	errno = 0;
	T_ASSERT(ioctl(at.bell, SODP_IOC_RING_SQ, -1UL) < 0 &&
			 errno == EINVAL,
		 "unknown QP: %s", t_errname(errno));
	T_ASSERT(ioctl(at.bell, _IO(SODP_IOC_MAGIC, 0x7f), 0) < 0 &&
			 errno == ENOTTY,
		 "unknown command: %s", t_errname(errno));
	t_duo_works(&at.d);
}

/* A doorbell is of the queue pairs of its own context */
static void foreign_bells(void)
{
	static struct attacker at, other;
	int cmd, ret;

	attacker_open(&at, 3);
	attacker_open(&other, 3);
	for (cmd = 0; cmd < 2; cmd++) {
		errno = 0;
		ret = ioctl(at.bell, cmd ? SODP_IOC_RING_RQ : SODP_IOC_RING_SQ,
			    (unsigned long)other.d.a.qp->qp_num);
		T_ASSERT(ret < 0 && errno == EINVAL, "%d, %s", ret,
			 t_errname(errno));
		ret = ioctl(at.bell, cmd ? SODP_IOC_RING_RQ : SODP_IOC_RING_SQ,
			    (unsigned long)at.d.a.qp->qp_num);
		T_ASSERT(!ret, "its own: %s", t_errname(errno));
	}
}

static bool can_map(int fd, size_t size, int prot, int flags, uint64_t off)
{
	void *p = mmap(NULL, size, prot, flags, fd, off);

	if (p == MAP_FAILED)
		return false;
	munmap(p, size);
	return true;
}

/* The size that can be mapped at an offset, 0: there is no ring */
static size_t ring_at(int fd, uint64_t off)
{
	const int rw = PROT_READ | PROT_WRITE;
	size_t size, found = 0;

	for (size = T_PAGE; size <= 64 * T_PAGE; size += T_PAGE) {
		if (!can_map(fd, size, rw, MAP_SHARED, off))
			continue;
		T_ASSERT(!found, "as %zu and as %zu bytes", found, size);
		found = size;
		T_ASSERT(!can_map(fd, size, rw, MAP_PRIVATE, off), "private");
		T_ASSERT(!can_map(fd, size, rw | PROT_EXEC, MAP_SHARED, off),
			 "executable");
	}
	return found;
}

/* Whole, shared, not to be executed, and of the own context */
static void rings_only(void)
{
	static struct attacker at, other;
	unsigned int i, nr = 0;

	attacker_open(&at, 3);
	for (i = 0; i < 64; i++) {
		t_case("page %u", i);
		nr += ring_at(at.d.dev.ctx->cmd_fd, i * T_PAGE) != 0;
	}
	T_ASSERT(nr >= 4, "only %u rings found", nr);
	t_open(&other.d.dev);
	for (i = 0; i < 64; i++)
		T_ASSERT(!ring_at(other.d.dev.ctx->cmd_fd, i * T_PAGE),
			 "a ring of another context at page %u", i);
}

/* Mappings of the device's file that are not rings, or not whole rings */
static void mappings(void)
{
	static struct attacker at;
	unsigned int i, good = 0;
	struct t_rand r = { .state = 8 };
	uint64_t off;
	size_t size;
	void *p;

	attacker_open(&at, 3);
	for (i = 0; i < 2000; i++) {
		off = t_rand_below(&r, 2) ? i * T_PAGE :
					    odd_number(&r) & ~(T_PAGE - 1);
		size = T_PAGE << t_rand_below(&r, 8);
		p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 t_rand_below(&r, 2) ? MAP_SHARED : MAP_PRIVATE,
			 at.d.dev.ctx->cmd_fd, off & 0x7fffffffffffULL);
		if (p == MAP_FAILED)
			continue;
		memset(p, 0xff, size);
		good++;
		munmap(p, size);
	}
	t_note("%u of 2000 mappings were rings", good);
}

/* The kernel does not poll for applications: not by the old command either */
static void old_command(void)
{
	struct {
		struct ib_uverbs_poll_cq_resp resp;
		struct ib_uverbs_wc wc;
	} out;
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_poll_cq cmd;
	} in = {
		.hdr = {
			.command = IB_USER_VERBS_CMD_POLL_CQ,
			.in_words = sizeof(in) / 4,
			.out_words = sizeof(out) / 4,
		},
		.cmd = { .response = (uintptr_t)&out, .ne = 1 },
	};
	struct t_duo d;
	ssize_t n;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	in.cmd.cq_handle = d.a.scq->handle;
	n = write(d.dev.ctx->cmd_fd, &in, sizeof(in));
	T_ASSERT(n < 0 && (errno == EOPNOTSUPP || errno == EINVAL),
		 "POLL_CQ: %zd, %s", n, t_errname(errno));
	t_duo_works(&d);
}

static const struct t_test tests[] = {
	{ "rings", rings, 120 },
	{ "rings_racing", rings_racing, 120 },
	{ "bells", bells },
	{ "foreign_bells", foreign_bells },
	{ "mappings", mappings },
	{ "rings_only", rings_only },
	{ "old_command", old_command },
	{ "opcodes", hostile_opcodes },
	{ "repeated", hostile_repeated },
	{ "reserved", hostile_reserved },
	{ "reserved_recv", hostile_reserved_recv },
	{ "binds", hostile_binds },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
