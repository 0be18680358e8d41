// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* One run: workers, rounds, and the judgement after each */

#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker.h"

struct run {
	const struct plan *p;
	struct board *b;
	int view_fd[WORKERS][REGIONS];
	int fd[WORKERS];
	pid_t pid[WORKERS];
	bool shows; /* rdma(8) tells whose objects are whose */
};

static void make_board(struct run *r, enum sabotage sabotage)
{
	struct side *side;
	unsigned int w;
	unsigned int i;
	size_t len;
	int fd;

	r->b = t_shared(sizeof(*r->b));
	r->b->sabotage = sabotage;
	for (w = 0; w < WORKERS; w++) {
		side = &r->b->side[w];
		side->arena = t_shared(ARENA);
		side->device = t_shared(REGION_MAX);
		for (i = 0; i < REGIONS; i++) {
			len = r->p->regions[w][i].len;
			fd = memfd_create("view", MFD_CLOEXEC);
			T_ASSERT(fd >= 0 && !ftruncate(fd, len), "memfd: %s",
				 t_errname(errno));
			r->view_fd[w][i] = fd;
			side->view[i] =
				mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
			T_ASSERT(side->view[i] != MAP_FAILED, "mmap: %s",
				 t_errname(errno));
		}
	}
}

static void start_worker(struct run *r, unsigned int id)
{
	static struct worker w;
	int fds[2];

	t_msg_pair(fds);
	r->pid[id] = t_fork();
	if (r->pid[id]) {
		close(fds[1]);
		r->fd[id] = fds[0];
		return;
	}
	close(fds[0]);
	fcntl(fds[1], F_SETFD, FD_CLOEXEC);
	w.p = r->p;
	w.b = r->b;
	w.self = &r->b->side[id];
	w.id = id;
	memcpy(w.view_fd, r->view_fd[id], sizeof(w.view_fd));
	worker_main(&w, fds[1]);
}

/* It has said why, unless a signal took it away */
static void __attribute__((noreturn))
worker_ended(struct run *r, unsigned int id, int status)
{
	if (WIFSIGNALED(status))
		t_fail("worker %u was killed by signal %d in round %u", id,
		       WTERMSIG(status), r->b->round);
	if (!WEXITSTATUS(status))
		t_fail("worker %u ended in round %u", id, r->b->round);
	surround_end(r->p);
	_exit(WEXITSTATUS(status));
}

static void __attribute__((noreturn))
worker_gone(struct run *r, unsigned int id)
{
	int status;

	if (waitpid(r->pid[id], &status, 0) != r->pid[id])
		t_fail("waitpid: %s", t_errname(errno));
	worker_ended(r, id, status);
}

static void tell(struct run *r, unsigned int w, enum command command)
{
	if (!r->b->side[w].dead &&
	    write(r->fd[w], &command, sizeof(command)) != sizeof(command))
		worker_gone(r, w);
}

static void hear(struct run *r, unsigned int w)
{
	enum command answer;

	if (!r->b->side[w].dead &&
	    read(r->fd[w], &answer, sizeof(answer)) != sizeof(answer))
		worker_gone(r, w);
}

static void tell_all(struct run *r, enum command command)
{
	unsigned int w;

	for (w = 0; w < WORKERS; w++)
		tell(r, w, command);
	for (w = 0; w < WORKERS; w++)
		hear(r, w);
}

/* --- workers that die in the middle of a round --- */

static bool owns_objects(pid_t pid)
{
	return !t_system("for what in qp mr cq pd; do rdma resource show $what;"
			 "done 2>/dev/null | grep -q ' pid %d '",
			 pid);
}

static void want_no_objects(struct run *r, unsigned int w)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;

	if (!r->shows) {
		tally_lacks(SEEN_GONE);
		return;
	}
	while (owns_objects(r->pid[w]))
		T_ASSERT(t_now_ns() < end,
			 "worker %u is dead, and its objects are not", w);
	r->b->side[w].gone_at = t_now_ns();
	tally_done(SEEN_GONE);
}

/* What it had asked for may be done or not, and at any time */
static void leave_open(struct side *side)
{
	unsigned int i;

	for (i = 0; i < side->nr_recs; i++)
		if (side->recs[i].status == STATUS_PENDING)
			side->recs[i].end = UINT32_MAX;
}

static void bury(struct run *r, unsigned int w)
{
	struct side *side = &r->b->side[w];
	int status;

	/* What has become another program has nothing now, but is there */
	if (side->execs)
		want_no_objects(r, w);
	kill(r->pid[w], SIGKILL);
	if (waitpid(r->pid[w], &status, 0) != r->pid[w])
		t_fail("waitpid: %s", t_errname(errno));
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		worker_ended(r, w, status);
	if (!side->execs)
		want_no_objects(r, w);
	tally_done(side->execs ? OP_EXEC : OP_KILL);
	close(r->fd[w]);
	side->dead = true;
	leave_open(side);
	surround_calm();
}

/* Kills those whose time has come */
static void kill_due(struct run *r, const bool waits[WORKERS])
{
	struct side *side;
	unsigned int w;
	uint64_t at;

	for (w = 0; w < WORKERS; w++) {
		side = &r->b->side[w];
		at = __atomic_load_n(&side->kill_at, __ATOMIC_ACQUIRE);
		if (waits[w] && at && t_now_ns() >= at && !side->execs)
			bury(r, w);
	}
}

static void hear_or_bury(struct run *r, unsigned int w)
{
	enum command answer;

	if (read(r->fd[w], &answer, sizeof(answer)) == sizeof(answer))
		return;
	if (!r->b->side[w].execs)
		worker_gone(r, w);
	bury(r, w);
}

static void play(struct run *r, bool kills)
{
	bool waits[WORKERS] = { true, true, true };
	struct pollfd pfd[WORKERS];
	unsigned int left = 0;
	unsigned int w;

	for (w = 0; w < WORKERS; w++)
		tell(r, w, CMD_ROUND);
	do {
		for (w = 0; w < WORKERS; w++) {
			pfd[w].fd = waits[w] ? r->fd[w] : -1;
			pfd[w].events = POLLIN;
			pfd[w].revents = 0;
		}
		if (poll(pfd, WORKERS, kills ? 1 : -1) < 0)
			t_fail("poll: %s", t_errname(errno));
		for (w = 0; w < WORKERS; w++) {
			if (!pfd[w].revents)
				continue;
			waits[w] = false;
			hear_or_bury(r, w);
		}
		kill_due(r, waits);
		for (w = 0, left = 0; w < WORKERS; w++) {
			waits[w] = waits[w] && !r->b->side[w].dead;
			left += waits[w];
		}
	} while (left);
}

/* A new process in its place, which all others have to connect to again */
static void replace_dead(struct run *r)
{
	struct side *side;
	unsigned int w;
	unsigned int i;

	for (w = 0; w < WORKERS; w++) {
		side = &r->b->side[w];
		if (!side->dead)
			continue;
		side->dead = false;
		side->execs = false;
		side->kill_at = 0;
		side->gone_at = 0;
		for (i = 0; i < REGIONS; i++) {
			side->region[i].window = 0;
			/* It begins with zeros */
			T_ASSERT(!ftruncate(r->view_fd[w][i], 0) &&
					 !ftruncate(r->view_fd[w][i],
						    r->p->regions[w][i].len),
				 "ftruncate: %s", t_errname(errno));
		}
		memset(side->window2, 0, sizeof(side->window2));
		memset(side->stale2, 0, sizeof(side->stale2));
		start_worker(r, w);
		tell(r, w, CMD_SETUP);
		hear(r, w);
		tell(r, w, CMD_ADDRESS);
		hear(r, w);
		memset(side->bad, 1, sizeof(side->bad));
	}
}

static void clear_round(struct run *r)
{
	struct side *side;
	unsigned int w;

	for (w = 0; w < WORKERS; w++) {
		side = &r->b->side[w];
		side->nr_recs = 0;
		side->arena_used = 0;
		side->device_read = false;
		memset(side->sent, 0, sizeof(side->sent));
	}
}

/* The device of a worker reads a region of the next one, another each time */
static void read_back(struct run *r, struct model *m)
{
	struct side *side;
	unsigned int region = r->b->round % REGIONS;
	unsigned int owner;
	unsigned int w;
	size_t len;

	for (w = 0; w < WORKERS; w++) {
		side = &r->b->side[w];
		owner = (w + r->b->round / REGIONS) % WORKERS;
		side->device_owner = owner;
		side->device_region = region;
		side->device_read = model_readable(m, owner, region);
	}
	tell_all(r, CMD_READ);
	for (w = 0; w < WORKERS; w++) {
		side = &r->b->side[w];
		owner = side->device_owner;
		len = r->p->regions[owner][region].len;
		T_ASSERT(
			!side->device_read ||
				!memcmp(side->device,
					r->b->side[owner].view[region], len),
			"after round %u the device reads other bytes of region %u.%u than the process",
			r->b->round, owner, region);
	}
}

static bool has_steps(const struct plan *p, unsigned int round, enum op from,
		      enum op to)
{
	unsigned int i;

	for (i = 0; i < p->nr; i++)
		if (!p->off[i] && p->steps[i].round == round &&
		    p->steps[i].op >= from && p->steps[i].op <= to)
			return true;
	return false;
}

static void one_round(struct run *r, struct model *m)
{
	unsigned int w;

	clear_round(r);
	play(r, has_steps(r->p, r->b->round, OP_KILL, OP_KILL));
	if (has_steps(r->p, r->b->round, OP_NETEM, OP_NETEM))
		surround_netem(0);
	tell_all(r, CMD_CALM);
	/* Packets that nobody waits for may still be on their way */
	if (r->p->wire)
		t_sleep_ms(t_slow_kernel() ? 300 : 60);
	tell_all(r, CMD_QUIET);
	model_round(m);
	replace_dead(r);
	tell_all(r, CMD_CLOSE);
	tell_all(r, CMD_OPEN);
	for (w = 0; w < WORKERS; w++)
		memset(r->b->side[w].bad, 0, sizeof(r->b->side[w].bad));
	read_back(r, m);
}

void run_plan(const struct plan *p, enum sabotage sabotage)
{
	static struct run r;
	struct model *m;
	unsigned int w;
	unsigned int i;

	r.p = p;
	t_patterns_init();
	make_board(&r, sabotage);
	surround_begin(p);
	for (w = 0; w < WORKERS; w++)
		start_worker(&r, w);
	tell_all(&r, CMD_SETUP);
	tell_all(&r, CMD_CONNECT);
	tell_all(&r, CMD_ADDRESS);
	for (i = 0; i < p->rounds && !r.shows; i++)
		if (has_steps(p, i, OP_KILL, OP_EXEC))
			r.shows = owns_objects(r.pid[0]);
	m = model_new(p, r.b);
	for (r.b->round = 0; r.b->round < p->rounds; r.b->round++)
		if (has_steps(p, r.b->round, 0, NR_OPS))
			one_round(&r, m);
	surround_end(p);
	for (w = 0; w < WORKERS; w++) {
		close(r.fd[w]);
		kill(r.pid[w], SIGKILL);
		waitpid(r.pid[w], NULL, 0);
	}
}
