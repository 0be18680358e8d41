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
#define ROUNDS (t_quick ? 20U : 100U)
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
#define MIRROR_TO_SYSTEM MIRROR_CALL(3)
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
static int mirror_try(struct mirror *m, unsigned long call, uint64_t *pages)
{
	struct mirror_call arg = {
		.addr = (uintptr_t)m->s.d.bbuf,
		.buffer = (uintptr_t)m->buffer,
		.nr_pages = PAGES,
	};

	if (ioctl(m->fd, call, &arg))
		return errno;
	if (pages)
		*pages += arg.done;
	return 0;
}

/* A page that is in other hands for a moment is not taken: again */
static void mirror(struct mirror *m, unsigned long call)
{
	unsigned int tries = 20;
	uint64_t pages = 0;
	int ret;

	while ((ret = mirror_try(m, call, &pages)) && tries--)
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

struct taker {
	struct mirror *m;
	bool stop;
	uint64_t pages;
};

/* May find the pages in use at any time, which is nobody's fault */
static void *taker_run(void *arg)
{
	static const unsigned long calls[] = {
		MIRROR_TO_DEVICE, MIRROR_EXCLUSIVE, MIRROR_TO_DEVICE,
		MIRROR_TO_SYSTEM,
	};
	struct taker *t = arg;
	unsigned int i = 0;

	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED))
		mirror_try(t->m, calls[i++ % T_ARRAY_SIZE(calls)], &t->pages);
	return NULL;
}

/* Transfers while the other device takes the pages, all the time */
static void contended(bool implicit)
{
	struct mirror m = {};
	struct taker t = { .m = &m };
	pthread_t thread;
	unsigned int i;

	mirror_open(&m, implicit);
	mm_write(&m.s, 1);
	T_ASSERT(!pthread_create(&thread, NULL, taker_run, &t), "thread");
	for (i = 0; i < 5 * ROUNDS; i++) {
		t_case("transfer %u", i);
		mm_write(&m.s, i + 2);
		mm_read(&m.s);
		t_want_data(m.s.d.abuf, LEN, i + 2);
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	t_want_data(m.s.d.bbuf, LEN, i + 1);
	T_ASSERT(t.pages >= PAGES, "only %llu pages were taken",
		 (unsigned long long)t.pages);
	t_note("%u transfers, %llu pages taken", 2 * i,
	       (unsigned long long)t.pages);
}

static void contended_explicit(void)
{
	contended(false);
}

static void contended_implicit(void)
{
	contended(true);
}

static const struct t_test tests[] = {
	{ "private", private, 60 },
	{ "exclusive", exclusive, 60 },
	{ "contended_explicit", contended_explicit, 60 },
	{ "contended_implicit", contended_implicit, 60 },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
