// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* What registration costs: time, memory, and the rest of the process. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static uint64_t timed_reg(struct end *end, struct area *area,
			  enum mr_kind kind)
{
	uint64_t begin = now_ns(), ns;
	struct ibv_mr *mr;

	mr = mr_register(end->pd, area->addr, area->len, kind);
	ns = now_ns() - begin;
	mr_release(mr);
	return ns;
}

/* reg_flat dev= gid= reps= small= large= */
int cmd_reg_flat(void)
{
	struct series small = { "small_ns" }, large = { "large_ns" };
	struct series implicit = { "implicit_ns" };
	struct area small_area, large_area;
	unsigned int i, reps = opt_u64("reps", 101);
	struct end end;

	end_open(&end);
	area_map(&small_area, opt_u64("small", 4 * MIB), true, SHIFT_TARGET);
	area_map(&large_area, opt_u64("large", 64 * GIB), true, SHIFT_TARGET);
	for (i = 0; i < reps; i++) {
		series_add(&small, timed_reg(&end, &small_area, MR_ODP));
		series_add(&large, timed_reg(&end, &large_area, MR_ODP));
		series_add(&implicit,
			   timed_reg(&end, &small_area, MR_IMPLICIT));
	}
	printf("{");
	print_series(&small, false);
	print_series(&large, false);
	print_series(&implicit, true);
	return 0;
}

/* reg_pin dev= gid= len= reps= thp=: memory that has been touched */
int cmd_reg_pin(void)
{
	struct series odp = { "odp_ns" }, pinned = { "pinned_ns" };
	unsigned int i, reps = opt_u64("reps", 5);
	struct area area;
	struct end end;

	end_open(&end);
	area_map(&area, opt_u64("len", GIB), opt_u64("thp", 1), SHIFT_TARGET);
	area_touch(&area);
	for (i = 0; i < reps; i++) {
		series_add(&odp, timed_reg(&end, &area, MR_ODP));
		series_add(&pinned, timed_reg(&end, &area, MR_PINNED));
	}
	printf("{");
	print_series(&odp, false);
	print_series(&pinned, true);
	return 0;
}

/* pin dev= gid= len= reps= mr=: one kind alone, for devices without ODP */
int cmd_pin(void)
{
	enum mr_kind kind = opt_kind("mr", "pinned");
	unsigned int i, reps = opt_u64("reps", 5);
	struct series series = { "reg_ns" };
	struct area area;
	struct end end;

	end_open(&end);
	area_map(&area, opt_u64("len", GIB), opt_u64("thp", 1), SHIFT_TARGET);
	if (opt_u64("touch", 1))
		area_touch(&area);
	for (i = 0; i < reps; i++)
		series_add(&series, timed_reg(&end, &area, kind));
	printf("{");
	print_series(&series, true);
	return 0;
}

/*
 * mem dev= gid= len= touch=: registers len bytes and has the device write the
 * first of them; before that, for comparison, the CPU touches as many.
 */
int cmd_mem(void)
{
	uint64_t len = opt_u64("len", 1024 * GIB);
	uint64_t touch = opt_u64("touch", GIB);
	struct target *target = target_start(false);
	struct target_memory memory;
	struct area source, cpu;
	struct stream stream;
	struct ibv_mr *mr;
	struct end end;

	end_open(&end);
	target_connect(target, &end);
	area_map(&source, MIB, false, SHIFT_SOURCE);
	area_touch(&source);
	mr = mr_register(end.pd, source.addr, source.len, MR_PINNED);

	pause_for("cpu_before");
	area_map(&cpu, touch, false, SHIFT_TARGET);
	area_touch(&cpu);
	pause_for("cpu_after");
	area_unmap(&cpu);

	pause_for("before");
	memory = target_map(target, len, false, MR_ODP);
	pause_for("registered");
	stream = (struct stream) {
		.source = source.addr,
		.source_len = source.len,
		.lkey = mr->lkey,
		.target = memory.addr,
		.target_len = touch,
		.rkey = memory.rkey,
		.size = MIB,
		.count = touch / MIB,
	};
	end_write(&end, &stream);
	pause_for("touched");
	target_unmap(target);
	pause_for("gone");
	mr_release(mr);
	target_stop(target);
	return 0;
}

/* One process's life: many regions or none, then unrelated mappings */
#define BYSTANDER_STEP	(128 * KIB)
#define BYSTANDER_LEN	(64 * KIB)

static void touch_region(struct end *end, struct ibv_mr *mr, uint8_t *addr)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)addr,
		.length = SMALL_PAGE,
		.lkey = mr->lkey,
	};
	int ret;

	ret = ibv_advise_mr(end->pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
			    IBV_ADVISE_MR_FLAG_FLUSH, &sge, 1);
	if (ret)
		die("ibv_advise_mr: %s", strerror(ret));
}

static uint64_t map_and_unmap(uint64_t len, bool touch, unsigned int loops)
{
	uint64_t begin = now_ns();
	uint8_t *addr;
	uint64_t at;

	while (loops--) {
		addr = mmap(NULL, len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (addr == MAP_FAILED)
			die("mmap: %s", strerror(errno));
		for (at = 0; touch && at < len; at += SMALL_PAGE)
			*(volatile uint8_t *)(addr + at) = 1;
		munmap(addr, len);
	}
	return now_ns() - begin;
}

static void bystander_life(unsigned int regions, struct series *series)
{
	uint64_t len = opt_u64("len", 64 * KIB);
	unsigned int loops = opt_u64("loops", 200);
	unsigned int i, reps = opt_u64("reps", 5);
	unsigned int count = opt_u64("count", 10000);
	struct area area;
	struct ibv_mr *mr;
	struct end end;
	uint8_t *addr;

	end_open(&end);
	area_map(&area, count * BYSTANDER_STEP, false, SHIFT_TARGET);
	for (i = 0; i < count; i++) {
		addr = area.addr + i * BYSTANDER_STEP;
		*(volatile uint8_t *)addr = 1;
		if (i >= regions)
			continue;
		mr = mr_register(end.pd, addr, BYSTANDER_LEN, MR_ODP);
		touch_region(&end, mr, addr);
	}
	map_and_unmap(len, opt_u64("touch", 0), loops);
	for (i = 0; i < reps; i++)
		series_add(series,
			   map_and_unmap(len, opt_u64("touch", 0), loops));
}

static void bystander_child(const char *name, unsigned int regions, bool last)
{
	struct series series = { name };
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		bystander_life(regions, &series);
		print_series(&series, last);
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
		die("the process of %s failed", name);
}

/* bystander dev= gid= count= len= touch= loops= reps= */
int cmd_bystander(void)
{
	printf("{\"loops\": %llu, ",
	       (unsigned long long)opt_u64("loops", 200));
	bystander_child("none_ns", 0, false);
	bystander_child("with_ns", opt_u64("count", 10000), true);
	return 0;
}
