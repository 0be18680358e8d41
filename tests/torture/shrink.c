// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Runs apart, and fewer and fewer steps of one that failed. A run is this
 * program again, so nothing that it leaves, or that kills it, matters here.
 */

#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

/* Of a run in which nothing is done any more */
#define STILL_SECONDS 90

static void __attribute__((noreturn)) run_again(const struct plan *p,
						const struct options *o,
						int fd)
{
	static char steps[16 * 1024];
	char seed[32];
	char rounds[16];
	char sabotage[8];
	char *const argv[] = {
		(char *)"torture", (char *)"--run",
		(char *)"--seed",  seed,
		(char *)"--rounds", rounds,
		(char *)"--sabotage", sabotage,
		(char *)"--steps", steps, NULL,
	};

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	plan_list(p, steps, sizeof(steps));
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)p->seed);
	snprintf(rounds, sizeof(rounds), "%u", o->rounds);
	snprintf(sabotage, sizeof(sabotage), "%d", o->sabotage);
	dup2(fd, 1);
	dup2(fd, 2);
	tally_hand_on();
	execv("/proc/self/exe", argv);
	_exit(T_EXIT_FAIL);
}

/* The first line that it says; false: it has to be killed */
static bool listen_to(int fd, char *text, size_t size)
{
	unsigned int seconds = STILL_SECONDS * (t_slow_kernel() ? 4 : 1);
	uint64_t end = t_now_ns() + seconds * 1000000000ULL;
	uint64_t done = tally_sum();
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	static char buf[4096];
	size_t len = 0;
	ssize_t n;

	text[0] = 0;
	while (t_now_ns() < end) {
		if (tally_sum() != done) {
			done = tally_sum();
			end = t_now_ns() + seconds * 1000000000ULL;
		}
		if (poll(&pfd, 1, 200) != 1)
			continue;
		n = read(fd, buf + len, sizeof(buf) - 1 - len);
		if (n <= 0)
			break;
		len += n;
		buf[len] = 0;
		if (len + 1 == sizeof(buf))
			len = strcspn(buf, "\n") + 1;
	}
	buf[len] = 0;
	snprintf(text, size, "%.*s", (int)strcspn(buf, "\n"), buf);
	return t_now_ns() < end;
}

void run_apart(const struct plan *p, const struct options *o,
	       struct outcome *out)
{
	int fds[2];
	int status;
	pid_t pid;
	bool ended;

	memset(out, 0, sizeof(*out));
	T_ASSERT(!pipe(fds), "pipe: %s", t_errname(errno));
	pid = fork();
	T_ASSERT(pid >= 0, "fork: %s", t_errname(errno));
	if (!pid)
		run_again(p, o, fds[1]);
	setpgid(pid, pid);
	close(fds[1]);
	ended = listen_to(fds[0], out->text, sizeof(out->text));
	close(fds[0]);
	kill(-pid, SIGKILL);
	waitpid(pid, &status, 0);
	surround_end(p);
	out->skipped = ended && WIFEXITED(status) &&
		       WEXITSTATUS(status) == T_EXIT_SKIP;
	out->failed = !out->skipped && status;
	if (!ended)
		snprintf(out->text, sizeof(out->text), "no end of the run");
	else if (out->failed && !out->text[0])
		snprintf(out->text, sizeof(out->text), "status %#x", status);
}

/* Does it still fail? */
static bool fails(const struct plan *p, const struct options *o,
		  struct outcome *out, unsigned int *runs)
{
	struct outcome mine;
	unsigned int i;

	for (i = 0; i < o->attempts; i++) {
		run_apart(p, o, &mine);
		(*runs)++;
		if (mine.failed) {
			*out = mine;
			return true;
		}
	}
	return false;
}

/* Leaves out part `part` of `parts` of the steps that are left */
static void leave_out(struct plan *p, unsigned int part, unsigned int parts)
{
	unsigned int count = plan_count(p);
	unsigned int from = (uint64_t)count * part / parts;
	unsigned int to = (uint64_t)count * (part + 1) / parts;
	unsigned int n = 0;
	unsigned int i;

	for (i = 0; i < p->nr; i++) {
		if (p->off[i])
			continue;
		p->off[i] = n >= from && n < to;
		n++;
	}
}

/* The rounds behind the one that it says it failed in */
static void drop_rounds_after(struct plan *p, const char *text)
{
	const char *step = strstr(text, "step ");
	const char *at = strstr(text, "round ");
	unsigned int round = p->rounds;
	unsigned int i;

	if (at)
		round = atoi(at + 6);
	i = step ? atoi(step + 5) : 0;
	if (i > 0 && i <= p->nr && !at)
		round = p->steps[i - 1].round;
	for (i = 0; i < p->nr; i++)
		if (p->steps[i].round > round)
			p->off[i] = true;
}

unsigned int shrink(struct plan *p, const struct options *o,
		    struct outcome *out)
{
	uint64_t end = t_now_ns() + o->shrink_seconds * 1000000000ULL;
	static struct plan less;
	unsigned int parts = 2;
	unsigned int part = 0;
	unsigned int runs = 0;

	less = *p;
	drop_rounds_after(&less, out->text);
	if (fails(&less, o, out, &runs))
		*p = less;
	else if (!fails(p, o, out, &runs))
		return runs;
	while (plan_count(p) > 1 && t_now_ns() < end) {
		less = *p;
		/* The last parts first: early steps set the scene */
		leave_out(&less, parts - 1 - part, parts);
		if (fails(&less, o, out, &runs)) {
			*p = less;
			parts = parts > 2 ? parts - 1 : 2;
			part = 0;
		} else if (++part == parts) {
			if (parts >= plan_count(p))
				break;
			parts *= 2;
			part = 0;
		}
		if (parts > plan_count(p))
			parts = plan_count(p);
		if (part >= parts)
			part = 0;
	}
	return runs;
}
