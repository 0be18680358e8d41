// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Two threads, each with a queue pair of its own, on one ODP region. */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "bench.h"

struct runner {
	pthread_t thread;
	unsigned int cpu;
	struct end requester;
	struct end responder;
	struct stream stream;
	pthread_barrier_t *start;
	uint64_t begin;
	uint64_t end;
};

static void *runner_main(void *arg)
{
	struct runner *runner = arg;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(runner->cpu, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	pthread_barrier_wait(runner->start);
	runner->begin = now_ns();
	end_write(&runner->requester, &runner->stream);
	runner->end = now_ns();
	return NULL;
}

/* Bytes per microsecond of nr runners at once */
static uint64_t run(struct runner *runners, unsigned int nr)
{
	uint64_t begin = UINT64_MAX, end = 0, bytes = 0;
	pthread_barrier_t start;
	unsigned int i;

	pthread_barrier_init(&start, NULL, nr);
	for (i = 0; i < nr; i++) {
		runners[i].start = &start;
		if (pthread_create(&runners[i].thread, NULL, runner_main,
				   &runners[i]))
			die("pthread_create failed");
	}
	for (i = 0; i < nr; i++) {
		pthread_join(runners[i].thread, NULL);
		if (runners[i].begin < begin)
			begin = runners[i].begin;
		if (runners[i].end > end)
			end = runners[i].end;
		bytes += runners[i].stream.size * runners[i].stream.count;
	}
	pthread_barrier_destroy(&start);
	return bytes * 1000 / (end - begin);
}

/* scale dev= gid= mr= size= total= depth= reps= */
int cmd_scale(void)
{
	struct series one = { "one_mb_s" }, two = { "two_mb_s" };
	unsigned int i, reps = opt_u64("reps", 7);
	uint64_t size = opt_u64("size", 64 * KIB);
	uint64_t total = opt_u64("total", 256 * MIB);
	struct runner runners[2] = {};
	struct end device;
	struct ibv_mr *mr;
	struct area area;
	uint64_t part;

	end_open(&device);
	area_map(&area, 16 * MIB, opt_u64("thp", 1), SHIFT_TARGET);
	area_touch(&area);
	mr = mr_register(device.pd, area.addr, area.len,
			 opt_kind("mr", "odp"));
	part = area.len / 4;
	for (i = 0; i < 2; i++) {
		runners[i].cpu = i;
		end_share(&runners[i].requester, &device);
		end_share(&runners[i].responder, &device);
		end_connect(&runners[i].requester,
			    &runners[i].responder.address);
		end_connect(&runners[i].responder,
			    &runners[i].requester.address);
		/* Parts a few pages apart, else they meet in QEMU's TLB */
		runners[i].stream = (struct stream) {
			.source = area.addr + 2 * i * part,
			.source_len = part - 64 * KIB,
			.lkey = mr->lkey,
			.target = (uintptr_t)area.addr +
				  (2 * i + 1) * part + 13 * SMALL_PAGE,
			.target_len = part - 64 * KIB,
			.rkey = mr->rkey,
			.size = size,
			.count = total / size,
		};
	}
	run(&runners[0], 1);
	run(&runners[1], 1);
	for (i = 0; i < reps; i++) {
		series_add(&one, run(&runners[i % 2], 1));
		series_add(&two, run(runners, 2));
	}
	printf("{");
	print_series(&one, false);
	print_series(&two, true);
	mr_release(mr);
	return 0;
}
