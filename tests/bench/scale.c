// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Two threads, each with a queue pair of its own, on one ODP region. Beside
 * every sample stands what a loop without memory or system calls gains from
 * the second CPU at that moment: a busy host may not have given us two.
 */

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
	uint64_t spins;
	pthread_barrier_t *start;
	uint64_t begin;
	uint64_t end;
};

static void spin(uint64_t spins)
{
	while (spins--)
		asm volatile("" : "+r" (spins));
}

static void *runner_main(void *arg)
{
	struct runner *runner = arg;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(runner->cpu, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	pthread_barrier_wait(runner->start);
	runner->begin = now_ns();
	if (runner->spins)
		spin(runner->spins);
	else
		end_write(&runner->requester, &runner->stream);
	runner->end = now_ns();
	return NULL;
}

/* Work per time of nr runners at once: MB/s, or spins per microsecond */
static uint64_t run(struct runner *runners, unsigned int nr, uint64_t spins)
{
	uint64_t begin = UINT64_MAX, end = 0, work = 0;
	pthread_barrier_t start;
	unsigned int i;

	pthread_barrier_init(&start, NULL, nr);
	for (i = 0; i < nr; i++) {
		runners[i].start = &start;
		runners[i].spins = spins;
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
		work += spins ? spins :
			runners[i].stream.size * runners[i].stream.count;
	}
	pthread_barrier_destroy(&start);
	return work * 1000 / (end - begin);
}

static void runner_prepare(struct runner *runner, const struct end *device,
			   const struct area *area, const struct ibv_mr *mr,
			   unsigned int index)
{
	uint64_t part = area->len / 4, size = opt_u64("size", 64 * KIB);

	runner->cpu = index;
	end_share(&runner->requester, device);
	end_share(&runner->responder, device);
	end_connect_pair(&runner->requester, &runner->responder);
	/* Parts a few pages apart, else they meet in QEMU's TLB */
	runner->stream = (struct stream) {
		.source = area->addr + 2 * index * part,
		.source_len = part - 64 * KIB,
		.lkey = mr->lkey,
		.target = (uintptr_t)area->addr + (2 * index + 1) * part +
			  13 * SMALL_PAGE,
		.target_len = part - 64 * KIB,
		.rkey = mr->rkey,
		.size = size,
		.count = opt_u64("total", 64 * MIB) / size,
	};
}

/* scale dev= gid= mr= size= total= spins= depth= reps= thp= */
int cmd_scale(void)
{
	struct series one = { "one_mb_s" }, two = { "two_mb_s" };
	struct series spin_one = { "one_spins" }, spin_two = { "two_spins" };
	uint64_t spins = opt_u64("spins", 20000000);
	unsigned int i, reps = opt_u64("reps", 15);
	struct runner runners[2] = {};
	struct end device;
	struct ibv_mr *mr;
	struct area area;

	end_open(&device);
	area_map(&area, 16 * MIB, opt_u64("thp", 1), SHIFT_TARGET);
	area_touch(&area);
	mr = mr_register(device.pd, area.addr, area.len,
			 opt_kind("mr", "odp"));
	for (i = 0; i < 2; i++) {
		runner_prepare(&runners[i], &device, &area, mr, i);
		run(&runners[i], 1, 0);
	}
	for (i = 0; i < reps; i++) {
		series_add(&spin_one, run(&runners[i % 2], 1, spins));
		series_add(&one, run(&runners[i % 2], 1, 0));
		series_add(&two, run(runners, 2, 0));
		series_add(&spin_two, run(runners, 2, spins));
	}
	printf("{");
	print_series(&one, false);
	print_series(&two, false);
	print_series(&spin_one, false);
	print_series(&spin_two, true);
	mr_release(mr);
	return 0;
}
