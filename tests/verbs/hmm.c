// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pages that are in the memory of another device, or of which it has exclusive
 * use: what the kernel's test_hmm pretends to be. They come back when they are
 * needed here.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mmevents.h"

#define LEN (64 * T_PAGE)
#define PAGES (LEN / T_PAGE)
#define ROUNDS (t_quick ? 20U : 50U)
#define DEVICE "/tmp/hmm_dmirror0"

/* What its ioctls take, and some of them */
struct mirror_call {
	uint64_t addr;
	uint64_t buffer;
	uint64_t nr_pages;
	uint64_t done; /* pages */
	uint64_t faults;
};

#define MIRROR_CALL(nr) _IOWR('H', nr, struct mirror_call)
#define MIRROR_READ MIRROR_CALL(0)
#define MIRROR_WRITE MIRROR_CALL(1)
#define MIRROR_TO_DEVICE MIRROR_CALL(2)
#define MIRROR_EXCLUSIVE MIRROR_CALL(5)

struct mirror {
	struct mm_scene s;
	int fd;
	char *buffer;
};

static int mirror_major(void)
{
	char line[128], name[64];
	int number, major = 0;
	FILE *file;

	if (t_system("modprobe test_hmm 2>/dev/null"))
		t_skip("the kernel has no test_hmm");
	file = fopen("/proc/devices", "re");
	T_ASSERT(file, "/proc/devices: %s", t_errname(errno));
	while (!major && fgets(line, sizeof(line), file))
		if (sscanf(line, "%d %63s", &number, name) == 2 &&
		    !strcmp(name, "HMM_DMIRROR"))
			major = number;
	fclose(file);
	if (!major)
		t_skip("test_hmm has made no device");
	return major;
}

static void mirror_open(struct mirror *m, bool implicit)
{
	int major = mirror_major();

	unlink(DEVICE);
	T_ASSERT(!mknod(DEVICE, S_IFCHR | 0600, makedev(major, 0)), "mknod: %s",
		 t_errname(errno));
	m->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	T_ASSERT(m->fd >= 0, DEVICE ": %s", t_errname(errno));
	m->buffer = t_map(LEN);
	mm_open(&m->s, LEN, T_SMALL, implicit);
}

/* Returns 0 or an errno; adds the pages that it was done to */
static int mirror_try(struct mirror *m, unsigned long call, size_t off,
		      size_t len, uint64_t *pages)
{
	struct mirror_call arg = {
		.addr = (uintptr_t)m->s.d.bbuf + off,
		.buffer = (uintptr_t)m->buffer + off,
		.nr_pages = len / T_PAGE,
	};

	if (ioctl(m->fd, call, &arg))
		return errno;
	*pages += arg.done;
	return 0;
}

/* A page that is in other hands for a moment is not taken: again */
static void mirror(struct mirror *m, unsigned long call)
{
	unsigned int tries = 20;
	uint64_t pages = 0;
	int ret;

	while ((ret = mirror_try(m, call, 0, LEN, &pages)) && tries--)
		t_sleep_ms(10);
	T_OK(ret);
	T_ASSERT(pages == PAGES, "%llu of %lu pages",
		 (unsigned long long)pages, PAGES);
}

/* What this device writes that one finds, and the reverse */
static void take_turns(unsigned long taken_by)
{
	struct mirror m = {};
	unsigned int i;

	mirror_open(&m, false);
	for (i = 0; i < ROUNDS; i++) {
		t_case("round %u", i);
		mm_write(&m.s, 10 * i + 1);
		mirror(&m, taken_by);
		t_want_data(m.buffer, LEN, 10 * i + 1);
		mm_read(&m.s);
		t_want_data(m.s.d.abuf, LEN, 10 * i + 1);
		mirror(&m, taken_by);
		t_fill(m.buffer, LEN, 10 * i + 2);
		mirror(&m, MIRROR_WRITE);
		mm_read(&m.s);
		t_want_data(m.s.d.abuf, LEN, 10 * i + 2);
		mirror(&m, taken_by);
		/* Without having been read before */
		mm_write(&m.s, 10 * i + 3);
		t_want_data(m.s.d.bbuf, LEN, 10 * i + 3);
		mirror(&m, MIRROR_READ);
		t_want_data(m.buffer, LEN, 10 * i + 3);
	}
}

static void private(void)
{
	take_turns(MIRROR_TO_DEVICE);
}

static void exclusive(void)
{
	take_turns(MIRROR_EXCLUSIVE);
}

/* Two halves of the memory, which both devices want */
struct contest {
	struct mirror m;
	pthread_mutex_t half_lock[2];
	bool stop;
	uint64_t pages;
};

/*
 * What test_hmm takes into its memory it reads once more, and does not look
 * whether it has been given back meanwhile. So the half that it takes rests,
 * and the other one does not: it is in the same leaf.
 */
static void *private_run(void *arg)
{
	struct contest *c = arg;
	unsigned int i;

	for (i = 0; !__atomic_load_n(&c->stop, __ATOMIC_RELAXED); i++) {
		pthread_mutex_lock(&c->half_lock[i % 2]);
		mirror_try(&c->m, MIRROR_TO_DEVICE, i % 2 * LEN / 2, LEN / 2,
			   &c->pages);
		pthread_mutex_unlock(&c->half_lock[i % 2]);
	}
	return NULL;
}

/* May find the pages in use at any time, which is nobody's fault */
static void *exclusive_run(void *arg)
{
	struct contest *c = arg;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED))
		mirror_try(&c->m, MIRROR_EXCLUSIVE, 0, LEN, &c->pages);
	return NULL;
}

static void half_there_and_back(struct contest *c, size_t off, uint64_t seed)
{
	struct t_duo *d = &c->m.s.d;

	t_fill(d->abuf + off, LEN / 2, seed);
	t_post(&d->a, IBV_WR_RDMA_WRITE, seed, t_duo_sge(d, off, LEN / 2),
	       t_remote(d, off), d->bmr->rkey);
	t_want_wc(d->a.scq, seed, IBV_WC_SUCCESS);
	t_fill_background(d->abuf + off, LEN / 2);
	t_post(&d->a, IBV_WR_RDMA_READ, seed, t_duo_sge(d, off, LEN / 2),
	       t_remote(d, off), d->bmr->rkey);
	t_want_wc(d->a.scq, seed, IBV_WC_SUCCESS);
	t_want_data(d->abuf + off, LEN / 2, seed);
}

/* Transfers while the other device takes the pages, all the time */
static void contended(void *(*run)(void *), bool implicit, bool locked)
{
	struct contest c = {
		.half_lock = { PTHREAD_MUTEX_INITIALIZER,
			       PTHREAD_MUTEX_INITIALIZER },
	};
	pthread_t thread;
	unsigned int i;

	mirror_open(&c.m, implicit);
	mm_write(&c.m.s, 1);
	T_ASSERT(!pthread_create(&thread, NULL, run, &c), "thread");
	for (i = 0; i < 10 * ROUNDS; i++) {
		t_case("transfer %u", i);
		if (locked)
			pthread_mutex_lock(&c.half_lock[i % 2]);
		half_there_and_back(&c, i % 2 * LEN / 2, i + 2);
		if (locked)
			pthread_mutex_unlock(&c.half_lock[i % 2]);
	}
	__atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	t_want_data(c.m.s.d.bbuf + LEN / 2, LEN / 2, i + 1);
	T_ASSERT(c.pages >= PAGES, "only %llu pages were taken",
		 (unsigned long long)c.pages);
	t_note("%u transfers, %llu pages taken", 2 * i,
	       (unsigned long long)c.pages);
}

static void private_contended(void)
{
	contended(private_run, false, true);
}

static void private_implicit(void)
{
	contended(private_run, true, true);
}

static void exclusive_contended(void)
{
	contended(exclusive_run, false, false);
}

static void exclusive_implicit(void)
{
	contended(exclusive_run, true, false);
}

static const struct t_test tests[] = {
	{ "private", private, 60 },
	{ "private_contended", private_contended, 60 },
	{ "private_implicit", private_implicit, 60 },
	{ "exclusive", exclusive, 60 },
	{ "exclusive_contended", exclusive_contended, 60 },
	{ "exclusive_implicit", exclusive_implicit, 60 },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
