// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Several processes: forks, file descriptors passed on, processes killed */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/t_duo.h"

#define LEN (64 * T_PAGE)

/* The parent's pair works on, whatever a forked child does to its copies. */
static void fork_quiet(void)
{
	enum t_kind kind;
	unsigned int i;
	struct t_duo d;
	pid_t pid;

	for (kind = 0; kind < T_NR_KINDS; kind++) {
		t_case("%s", t_kind_names[kind]);
		memset(&d, 0, sizeof(d));
		t_open(&d.dev);
		if (!t_can_kind(&d.dev, kind))
			continue;
		t_duo_make(&d, LEN, kind, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
		t_duo_works(&d);
		for (i = 0; i < 10; i++) {
			pid = t_fork();
			if (!pid) {
				/* Its own copy, if it has one at all */
				if (kind != T_PINNED) {
					memset(d.abuf, 1, LEN);
					memset(d.bbuf, 2, LEN);
				}
				_exit(0);
			}
			t_duo_works(&d);
			t_reap(pid);
			t_duo_works(&d);
		}
	}
}

/*
 * A forked child posts to its parent's QP through the inherited descriptors
 * and rings. Addresses are those of the process that registered the memory.
 */
static void child_posts(enum t_kind kind)
{
	struct t_duo d;
	struct ibv_wc wc;
	uint64_t begin;
	pid_t pid;

	t_duo_open(&d, LEN, kind, NULL);
	t_duo_works(&d);
	t_fill(d.abuf, LEN, 77);
	pid = t_fork();
	if (!pid) {
		if (kind != T_PINNED) {
			/* Not these bytes, and not into these pages */
			memset(d.abuf, 1, LEN);
			t_fill_background(d.bbuf, LEN);
		}
		t_post(&d.a, IBV_WR_RDMA_WRITE, 5, t_duo_sge(&d, 0, LEN),
		       t_remote(&d, 0), d.bmr->rkey);
		t_want_wc(d.a.scq, 5, IBV_WC_SUCCESS);
		if (kind != T_PINNED)
			T_ASSERT(t_check_background(d.bbuf, LEN) < 0,
				 "the child's memory was written");
		_exit(0);
	}
	begin = t_now_ns();
	t_reap(pid);
	T_ASSERT(t_now_ns() - begin < 15000000000ULL, "slow child");
	t_want_data(d.bbuf, LEN, 77);
	T_ASSERT(ibv_poll_cq(d.b.rcq, 1, &wc) == 0, "a stray completion");
}

static void child_posts_pinned(void)
{
	child_posts(T_PINNED);
}

static void child_posts_explicit(void)
{
	child_posts(T_EXPLICIT);
}

static void child_posts_implicit(void)
{
	child_posts(T_IMPLICIT);
}

/*
 * The process whose memory it is has gone, the descriptors live on in a child:
 * its regions are empty, and nobody hangs or touches freed memory.
 */
static void orphan(void)
{
	enum ibv_wc_status *status = t_shared(sizeof(*status));
	enum t_kind kind;
	struct t_duo d;
	pid_t pid;

	for (kind = T_EXPLICIT; kind < T_NR_KINDS; kind++) {
		t_case("%s", t_kind_names[kind]);
		*status = 1000;
		pid = t_fork();
		if (!pid) {
			t_duo_open(&d, LEN, kind, NULL);
			t_duo_works(&d);
			pid = getpid();
			if (fork())
				_exit(0);
			/* Until the parent's mm is gone */
			while (getppid() == pid)
				t_sleep_ms(1);
			t_sleep_ms(100);
			t_post(&d.a, IBV_WR_RDMA_WRITE, 5,
			       t_duo_sge(&d, 0, LEN), t_remote(&d, 0),
			       d.bmr->rkey);
			*status = t_poll(d.a.scq).status;
			_exit(0);
		}
		t_reap(pid);
		while (__atomic_load_n(status, __ATOMIC_ACQUIRE) == 1000)
			t_sleep_ms(5);
		T_ASSERT(*status == IBV_WC_LOC_PROT_ERR ||
				 *status == IBV_WC_REM_ACCESS_ERR,
			 "a transfer in memory that is gone: '%s'",
			 t_wc_name(*status));
	}
}

/* --- a peer that is killed --- */

struct kill_info {
	struct t_addr addr;
	uint64_t target;
	uint32_t rkey;
};

static void serve_victim(int fd, enum t_kind kind, bool active)
{
	struct kill_info self, peer;
	struct ibv_mr *mr;
	struct t_dev dev;
	struct t_ep ep;
	struct ibv_wc wc;
	char *buf;

	t_open(&dev);
	buf = t_map(LEN);
	mr = t_reg_kind(&dev, kind, buf, LEN, T_ACCESS_ALL);
	t_ep_open(&ep, &dev, NULL);
	self.addr = t_ep_addr(&ep);
	self.target = (uintptr_t)buf;
	self.rkey = mr->rkey;
	t_msg_send(fd, &self, sizeof(self));
	t_msg_recv(fd, &peer, sizeof(peer));
	t_ep_connect(&ep, &peer.addr);
	t_msg_send(fd, &self, sizeof(self));
	if (!active)
		while (1)
			pause();
	while (1) {
		t_post(&ep, IBV_WR_RDMA_WRITE, 1, t_sge(mr, buf, LEN),
		       peer.target, peer.rkey);
		if (t_poll_for(ep.scq, &wc, T_WAIT_MS) != 1 || wc.status)
			t_fail("the victim's own transfer: '%s'",
			       t_wc_name(wc.status));
	}
}

/* Writes to the victim until it is dead; the error that then comes */
static enum ibv_wc_status until_dead(struct t_ep *ep, struct ibv_mr *mr,
				     char *buf, const struct kill_info *victim,
				     pid_t pid, unsigned int after_ms)
{
	uint64_t begin = t_now_ns();
	uint64_t posted = 0;
	uint64_t done = 0;
	bool killed = false;
	struct ibv_wc wc;

	while (1) {
		while (posted - done < 8) {
			t_post(ep, IBV_WR_RDMA_WRITE, posted,
			       t_sge(mr, buf, LEN), victim->target,
			       victim->rkey);
			posted++;
		}
		if (!killed && t_now_ns() - begin > after_ms * 1000000ULL) {
			kill(pid, SIGKILL);
			killed = true;
		}
		wc = t_poll(ep->scq);
		T_ASSERT(wc.wr_id == done, "completion %llu, want %llu",
			 (unsigned long long)wc.wr_id,
			 (unsigned long long)done);
		done++;
		if (wc.status == IBV_WC_SUCCESS)
			continue;
		T_ASSERT(killed, "'%s' while the peer lives",
			 t_wc_name(wc.status));
		break;
	}
	while (done < posted)
		t_want_wc(ep->scq, done++, IBV_WC_WR_FLUSH_ERR);
	return wc.status;
}

/* SIGKILL in the middle of traffic, from the side that lives on */
static void killed_target(void)
{
	unsigned int rounds = t_quick ? 3 : 12;
	struct t_qp_opt opt = T_QP_OPT;
	struct kill_info self, victim;
	enum ibv_wc_status status;
	struct ibv_mr *mr;
	struct t_dev dev;
	struct t_ep ep;
	unsigned int i;
	char *buf;
	int fds[2];
	int ret;
	pid_t pid;

	opt.timeout = 12;
	opt.retry_cnt = 3;
	for (i = 0; i < rounds; i++) {
		t_case("round %u, %s", i, t_kind_names[i % T_NR_KINDS]);
		t_msg_pair(fds);
		pid = t_fork();
		if (!pid) {
			close(fds[0]);
			serve_victim(fds[1], i % T_NR_KINDS, false);
		}
		close(fds[1]);
		t_open(&dev);
		buf = t_map(LEN);
		mr = t_reg(dev.pd, buf, LEN, T_ACCESS_ALL);
		t_ep_open(&ep, &dev, &opt);
		t_msg_recv(fds[0], &victim, sizeof(victim));
		memset(&self, 0, sizeof(self));
		self.addr = t_ep_addr(&ep);
		t_msg_send(fds[0], &self, sizeof(self));
		t_msg_recv(fds[0], &victim, sizeof(victim));
		t_ep_connect(&ep, &victim.addr);
		status = until_dead(&ep, mr, buf, &victim, pid, 5 * i);
		/* Its memory goes before its QP does */
		T_ASSERT(status == IBV_WC_RETRY_EXC_ERR ||
				 status == IBV_WC_REM_ACCESS_ERR ||
				 status == IBV_WC_REM_OP_ERR,
			 "'%s'", t_wc_name(status));
		T_ASSERT(waitpid(pid, &ret, 0) == pid && WIFSIGNALED(ret),
			 "the victim ended by itself");
		t_want_state(&ep, IBV_QPS_ERR);
		t_ep_close(&ep);
		t_dereg(mr);
		t_close(&dev);
		t_unmap(buf, LEN);
		close(fds[0]);
	}
}

/* The side that posts is killed: nothing moves once it is dead. */
static void killed_poster(void)
{
	unsigned int rounds = t_quick ? 3 : 12;
	struct kill_info self, victim;
	struct ibv_mr *mr;
	struct t_dev dev;
	struct t_ep ep;
	unsigned int i;
	char *buf;
	int fds[2];
	int ret;
	pid_t pid;

	for (i = 0; i < rounds; i++) {
		t_case("round %u, %s", i, t_kind_names[i % T_NR_KINDS]);
		t_msg_pair(fds);
		pid = t_fork();
		if (!pid) {
			close(fds[0]);
			serve_victim(fds[1], i % T_NR_KINDS, true);
		}
		close(fds[1]);
		t_open(&dev);
		buf = t_map(LEN);
		mr = t_reg(dev.pd, buf, LEN, T_ACCESS_ALL);
		t_ep_open(&ep, &dev, NULL);
		t_msg_recv(fds[0], &victim, sizeof(victim));
		self.addr = t_ep_addr(&ep);
		self.target = (uintptr_t)buf;
		self.rkey = mr->rkey;
		t_ep_connect(&ep, &victim.addr);
		t_msg_send(fds[0], &self, sizeof(self));
		t_msg_recv(fds[0], &victim, sizeof(victim));
		t_sleep_ms(3 + 7 * i);
		kill(pid, SIGKILL);
		T_ASSERT(waitpid(pid, &ret, 0) == pid && WIFSIGNALED(ret),
			 "the victim ended by itself");
		/* Files are closed before wait returns */
		t_fill_background(buf, LEN);
		t_sleep_ms(20);
		T_ASSERT(t_check_background(buf, LEN) < 0,
			 "a dead process writes");
		T_ASSERT(t_ep_state(&ep) == IBV_QPS_RTS, "QP left RTS");
		t_ep_close(&ep);
		t_dereg(mr);
		t_close(&dev);
		t_unmap(buf, LEN);
		close(fds[0]);
	}
}

/* Objects that rdma(8) lists, of all processes */
static int nr_objects(const char *what)
{
	char cmd[128];
	int n = -1;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "rdma resource show %s 2>/dev/null | wc -l",
		 what);
	f = popen(cmd, "r");
	if (!f || fscanf(f, "%d", &n) != 1)
		n = -1;
	pclose(f);
	return n;
}

/* Killed anywhere in a busy life, a process leaves nothing behind. */
static void killed_leak(void)
{
	static const char *const kinds[] = { "qp", "cq", "mr", "pd", "ctx" };
	int before[T_ARRAY_SIZE(kinds)];
	struct t_duo d;
	unsigned int i;
	size_t k;
	pid_t pid;
	int status;
	int after;

	for (k = 0; k < T_ARRAY_SIZE(kinds); k++) {
		before[k] = nr_objects(kinds[k]);
		if (before[k] < 0)
			t_skip("no rdma tool");
	}
	for (i = 0; i < (t_quick ? 10 : 40); i++) {
		pid = t_fork();
		if (!pid) {
			while (1) {
				t_duo_open(&d, LEN, i % T_NR_KINDS, NULL);
				t_duo_works(&d);
			}
		}
		t_sleep_ms(5 + 11 * i % 90);
		kill(pid, SIGKILL);
		T_ASSERT(waitpid(pid, &status, 0) == pid &&
				 WIFSIGNALED(status),
			 "the victim ended by itself");
	}
	for (k = 0; k < T_ARRAY_SIZE(kinds); k++) {
		after = nr_objects(kinds[k]);
		T_ASSERT(after <= before[k], "%s: %d before, %d after",
			 kinds[k], before[k], after);
	}
}

/* What small32.c answers */
struct small32 {
	uint32_t ret;
	uint32_t personality;
	uint32_t lkey;
	uint32_t addr;
};

/* Becomes an i386 process of 3 GB, as descriptors 3 and 4 of small32.c are */
static void exec_small32(int uverbs, int sock)
{
	char path[256];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);
	char *const argv[] = { path, NULL };

	T_ASSERT(n > 0, "/proc/self/exe");
	path[n] = 0;
	snprintf(strrchr(path, '/'), 16, "/small32");
	T_ASSERT(personality(ADDR_LIMIT_3GB) >= 0, "personality");
	/* Neither may be where the other is going */
	uverbs = fcntl(uverbs, F_DUPFD, 100);
	sock = fcntl(sock, F_DUPFD, 100);
	T_ASSERT(dup2(uverbs, 3) == 3 && dup2(sock, 4) == 4, "dup2");
	execve(path, argv, argv + 1);
	t_fail("%s: %s", path, t_errname(errno));
}

/*
 * An i386 process has 3 GB by its personality when it begins, which it can
 * change afterwards, and its memory stays as it is laid out: beyond that there
 * is nothing, also for an implicit region that was made after the change.
 */
static void i386_personality(void)
{
	struct small32 answer;
	struct t_duo d;
	int fds[2];
	pid_t pid;

	t_duo_open(&d, T_PAGE, T_PINNED, NULL);
	t_need_implicit(&d.dev);
	if (strncmp(d.dev.name, "sodp", 4))
		t_skip("not a sodp device");
	t_msg_pair(fds);
	pid = t_fork();
	if (!pid) {
		close(fds[0]);
		exec_small32(d.dev.ctx->cmd_fd, fds[1]);
	}
	close(fds[1]);
	t_msg_send(fds[0], &d.dev.pd->handle, sizeof(uint32_t));
	t_msg_recv(fds[0], &answer, sizeof(answer));
	T_ASSERT(!answer.ret, "REG_MR: %s", t_errname(-answer.ret));
	T_ASSERT(answer.personality & ADDR_LIMIT_3GB, "personality %#x",
		 answer.personality);
	t_case("what is there");
	t_post(&d.a, IBV_WR_RDMA_WRITE, 1,
	       (struct ibv_sge){ answer.addr, 8, answer.lkey }, t_remote(&d, 0),
	       d.bmr->rkey);
	t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
	T_ASSERT(!memcmp(d.bbuf, "sodpi386", 8), "other bytes");
	t_case("beyond 3 GB");
	t_post(&d.a, IBV_WR_RDMA_WRITE, 2,
	       (struct ibv_sge){ 0xd0000000, 8, answer.lkey }, t_remote(&d, 0),
	       d.bmr->rkey);
	t_want_wc(d.a.scq, 2, IBV_WC_LOC_PROT_ERR);
	close(fds[0]);
	t_reap(pid);
}

static const struct t_test tests[] = {
	{ "fork_quiet", fork_quiet },
	{ "child_posts_pinned", child_posts_pinned },
	{ "child_posts_explicit", child_posts_explicit },
	{ "child_posts_implicit", child_posts_implicit },
	{ "orphan", orphan },
	{ "killed_target", killed_target, 120 },
	{ "killed_poster", killed_poster, 120 },
	{ "killed_leak", killed_leak, 120 },
	{ "i386_personality", i386_personality },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
