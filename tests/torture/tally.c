// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What has really happened, over all runs: a kind of step that never does is
 * a hole in the test. A run is another program, which finds the numbers in
 * memory behind a descriptor.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "torture.h"

static const char *const seen_names[NR_SEEN - NR_OPS] = {
	[SEEN_INLINE - NR_OPS] = "inline",
	[SEEN_INLINE_EX - NR_OPS] = "ibv_wr_set_inline_data",
	[SEEN_WR - NR_OPS] = "ibv_wr_complete",
	[SEEN_ABORT - NR_OPS] = "ibv_wr_abort",
	[SEEN_CQ_EX - NR_OPS] = "ibv_start_poll",
	[SEEN_EVENT - NR_OPS] = "completion event",
	[SEEN_SRQ - NR_OPS] = "by srq",
	[SEEN_XRC - NR_OPS] = "by xrc",
	[SEEN_DM - NR_OPS] = "to or from device memory",
	[SEEN_DMABUF - NR_OPS] = "to or from a dma-buf",
	[SEEN_LOCAL_DM - NR_OPS] = "device memory here",
	[SEEN_WINDOW - NR_OPS] = "by window",
	[SEEN_WINDOW2 - NR_OPS] = "by window of type 2",
	[SEEN_STALE - NR_OPS] = "by stale key",
	[SEEN_GONE - NR_OPS] = "objects of a dead worker gone",
};

struct tally {
	uint32_t done[NR_SEEN];
	uint32_t lacks[NR_SEEN];
};

static struct tally *tally;
static int tally_fd = -1;

static void map(int fd)
{
	void *p = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED,
		       fd, 0);

	if (p != MAP_FAILED)
		tally = p;
}

void tally_make(void)
{
	tally_fd = memfd_create("tally", 0);
	T_ASSERT(tally_fd >= 0 && !ftruncate(tally_fd, sizeof(*tally)),
		 "memfd: %s", t_errname(errno));
	map(tally_fd);
}

void tally_hand_on(void)
{
	dup2(tally_fd, TALLY_FD);
}

void tally_take(void)
{
	map(TALLY_FD);
	fcntl(TALLY_FD, F_SETFD, FD_CLOEXEC);
}

void tally_done(unsigned int what)
{
	if (tally)
		__atomic_fetch_add(&tally->done[what], 1, __ATOMIC_RELAXED);
}

uint64_t tally_sum(void)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; tally && i < NR_SEEN; i++)
		sum += __atomic_load_n(&tally->done[i], __ATOMIC_RELAXED);
	return sum;
}

/* This machine cannot do it */
void tally_lacks(unsigned int what)
{
	if (tally)
		__atomic_store_n(&tally->lacks[what], 1, __ATOMIC_RELAXED);
}

static const char *name_of(unsigned int what)
{
	return what < NR_OPS ? op_names[what] : seen_names[what - NR_OPS];
}

void tally_print(void)
{
	char line[200] = "done";
	char text[64];
	size_t len = 4;
	unsigned int i;

	for (i = 0; i < NR_SEEN; i++) {
		snprintf(text, sizeof(text), "%s %u%s", name_of(i),
			 tally->done[i],
			 tally->done[i] || !tally->lacks[i] ? "" :
							      " (cannot)");
		if (len + strlen(text) > 74) {
			t_diag("%s", line);
			len = snprintf(line, sizeof(line), "done");
		}
		len += snprintf(line + len, sizeof(line) - len, "%c %s",
				len > 4 ? ',' : ':', text);
	}
	t_diag("%s", line);
}

bool tally_whole(char *buf, size_t size)
{
	size_t len = 0;
	unsigned int i;

	buf[0] = 0;
	for (i = 0; i < NR_SEEN; i++)
		if (!tally->done[i] && !tally->lacks[i] && len + 32 < size)
			len += snprintf(buf + len, size - len, "%s%s",
					len ? ", " : "", name_of(i));
	return !len;
}
