// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * sodpctl watch: what counters of a link rose by in each interval.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <linux/netlink.h>

#include "sodpctl.h"

#define WATCH_HEADER_EVERY	20	/* lines */

static const struct {
	const char *heading;
	const char *counter;
} watch_columns[] = {
	{ "FAULTS", "page_faults" },
	{ "PAGES", "page_fault_pages" },
	{ "INVALS", "page_invalidations" },
	{ "PREFETCH", "page_prefetch" },
	{ "PARKS", "fault_parks" },
	{ "REQUESTS", "tx_requests" },
	{ "BYTES", "tx_bytes" },
};

#define WATCH_COLUMNS	(sizeof(watch_columns) / sizeof(watch_columns[0]))

/* A device as it was at the end of the last interval */
struct watch_dev {
	char name[CTL_NAME_LEN];
	uint32_t index;
	struct ctl_counter counters[WATCH_COLUMNS];
};

struct watch {
	const struct ctl_opts *opts;
	const char *name;	/* NULL: all */
	struct ctl_sock family;
	struct ctl_sock rdma;
	struct watch_dev *dev;
	size_t num;
	unsigned long lines;
};

/* Read a device that sodp.ko listed; -ENODEV when it is gone by now */
static int watch_read(struct watch *watch, const char *name,
		      struct watch_dev *dev)
{
	size_t i;
	int ret;

	snprintf(dev->name, sizeof(dev->name), "%s", name);
	for (i = 0; i < WATCH_COLUMNS; i++)
		dev->counters[i].name = watch_columns[i].counter;
	ret = ctl_rdma_find(&watch->rdma, name, &dev->index);
	if (ret)
		return ret;
	ret = ctl_rdma_counters(&watch->rdma, dev->index, dev->counters,
				WATCH_COLUMNS);
	/* So RDMA netlink says that there is no such index */
	return ret == -EINVAL ? -ENODEV : ret;
}

static const struct watch_dev *watch_before(const struct watch *watch,
					    uint32_t index)
{
	size_t i;

	for (i = 0; i < watch->num; i++)
		if (watch->dev[i].index == index)
			return &watch->dev[i];
	return NULL;
}

static void watch_print(struct watch *watch, const struct watch_dev *before,
			const struct watch_dev *now)
{
	size_t i;

	if (watch->lines++ % WATCH_HEADER_EVERY == 0) {
		printf("%-10s", "DEVICE");
		for (i = 0; i < WATCH_COLUMNS; i++)
			printf(" %10s", watch_columns[i].heading);
		putchar('\n');
	}
	printf("%-10s", now->name);
	for (i = 0; i < WATCH_COLUMNS; i++) {
		if (now->counters[i].found)
			printf(" %10" PRIu64, now->counters[i].value -
			       before->counters[i].value);
		else
			printf(" %10s", "-");
	}
	putchar('\n');
}

/* Read what is there, print how it differs from the round before */
static int watch_round(struct watch *watch)
{
	const struct watch_dev *before;
	struct ctl_devs devs = {};
	struct watch_dev *now = NULL;
	size_t i, num = 0;
	int ret;

	ret = ctl_family_get(&watch->family, watch->name, &devs);
	if (ret) {
		ctl_fail(&watch->family, watch->opts, watch->name, ret);
		goto free_devs;
	}
	now = calloc(devs.num + 1, sizeof(*now));
	if (!now) {
		ret = -ENOMEM;
		goto free_devs;
	}
	for (i = 0; i < devs.num; i++) {
		ret = watch_read(watch, devs.dev[i].name, &now[num]);
		if (ret == -ENODEV && !watch->name)
			continue;
		if (ret) {
			ctl_fail(&watch->rdma, watch->opts,
				 devs.dev[i].name, ret);
			goto free_devs;
		}
		before = watch_before(watch, now[num].index);
		if (before)
			watch_print(watch, before, &now[num]);
		num++;
	}
	ret = 0;
	free(watch->dev);
	watch->dev = now;
	watch->num = num;
	now = NULL;
free_devs:
	free(now);
	ctl_devs_free(&devs);
	return ret;
}

/* Ends of intervals do not drift by what a round takes */
static void watch_sleep(struct timespec *end, double seconds)
{
	long ns = (seconds - (time_t)seconds) * 1e9;

	end->tv_sec += (time_t)seconds;
	end->tv_nsec += ns;
	if (end->tv_nsec >= 1000000000) {
		end->tv_nsec -= 1000000000;
		end->tv_sec++;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, end, NULL) ==
	       EINTR)
		;
}

static int watch_run(struct watch *watch)
{
	unsigned long round = 0;
	struct timespec end;
	int ret;

	clock_gettime(CLOCK_MONOTONIC, &end);
	ret = watch_round(watch);
	while (!ret && (!watch->opts->count || round < watch->opts->count)) {
		watch_sleep(&end, watch->opts->interval);
		ret = watch_round(watch);
		/* The reader of a pipe may have gone */
		if (fflush(stdout))
			ret = -EPIPE;
		round++;
	}
	return ret ? CTL_REFUSED : CTL_OK;
}

int ctl_cmd_watch(const struct ctl_opts *opts, int argc, char **argv)
{
	struct watch watch = {
		.opts = opts,
		.name = argc ? argv[0] : NULL,
	};
	int ret;

	ret = ctl_family_open(&watch.family);
	if (ret) {
		ret = ctl_fail(&watch.family, opts, watch.name, ret);
		goto close_family;
	}
	ret = ctl_sock_open(&watch.rdma, NETLINK_RDMA);
	if (ret)
		ret = ctl_fail(&watch.rdma, opts, watch.name, ret);
	else
		ret = watch_run(&watch);
	free(watch.dev);
	ctl_sock_close(&watch.rdma);
close_family:
	ctl_sock_close(&watch.family);
	return ret;
}
