// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* What faults, prefetch and invalidation cost, each beside the CPU's own. */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

/* cold dev= gid= len= size= depth= reps= thp= wait= peer=process|self */
int cmd_cold(void)
{
	struct series rdma = { "rdma_ns" }, cpu = { "cpu_ns" };
	bool own = strcmp(opt_str("peer", "process"), "self");
	uint64_t len = opt_u64("len", 64 * MIB);
	uint64_t size = opt_u64("size", 64 * KIB);
	unsigned int i, reps = opt_u64("reps", 3);
	bool thp = opt_u64("thp", 0);
	struct target *target = target_start(own);
	struct target_memory memory;
	struct stream stream;
	struct ibv_mr *mr;
	struct area area;
	struct end end;
	uint64_t begin;

	end_open(&end);
	target_connect(target, &end);
	area_map(&area, size, false, SHIFT_SOURCE);
	area_touch(&area);
	mr = mr_register(end.pd, area.addr, size, MR_PINNED);
	for (i = 0; i < reps; i++) {
		memory = target_map(target, len, thp, MR_ODP);
		stream = (struct stream) {
			.source = area.addr,
			.source_len = size,
			.lkey = mr->lkey,
			.target = memory.addr,
			.target_len = len,
			.rkey = memory.rkey,
			.size = size,
			.count = len / size,
		};
		begin = now_ns();
		end_write(&end, &stream);
		series_add(&rdma, now_ns() - begin);
		target_unmap(target);
		series_add(&cpu, target_cpu_fill(target, len, thp, size));
	}
	printf("{\"pages\": %llu, ", (unsigned long long)(len / SMALL_PAGE));
	print_series(&rdma, false);
	print_series(&cpu, true);
	mr_release(mr);
	target_stop(target);
	return 0;
}

static void prefetch(struct end *end, struct ibv_mr *mr, struct area *area)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)area->addr,
		.length = area->len,
		.lkey = mr->lkey,
	};
	int ret;

	ret = ibv_advise_mr(end->pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
			    IBV_ADVISE_MR_FLAG_FLUSH, &sge, 1);
	if (ret)
		die("ibv_advise_mr: %s", strerror(ret));
}

/* Both ends of the stream are in the region; returns the faults it took */
static uint64_t faults_of_traffic(struct end *end, struct ibv_mr *mr,
				  struct area *area)
{
	struct stream stream = {
		.source = area->addr + area->len / 2,
		.source_len = area->len / 2,
		.lkey = mr->lkey,
		.target = (uintptr_t)area->addr,
		.target_len = area->len / 2,
		.rkey = mr->rkey,
		.size = 64 * KIB,
	};
	uint64_t before = device_faults();

	stream.count = stream.target_len / stream.size;
	end_write(end, &stream);
	return device_faults() - before;
}

/* prefetch dev= gid= len= reps= thp= */
int cmd_prefetch(void)
{
	struct series advise = { "advise_ns" }, cpu = { "cpu_ns" };
	struct series faults = { "faults" };
	uint64_t len = opt_u64("len", 64 * MIB);
	unsigned int i, reps = opt_u64("reps", 3);
	bool thp = opt_u64("thp", 0);
	struct end end, responder;
	struct ibv_mr *mr;
	struct area area;
	uint64_t begin;

	end_open(&end);
	end_share(&responder, &end);
	end_connect_pair(&end, &responder);
	for (i = 0; i < reps; i++) {
		area_map(&area, len, thp, SHIFT_TARGET);
		mr = mr_register(end.pd, area.addr, len, MR_ODP);
		begin = now_ns();
		prefetch(&end, mr, &area);
		series_add(&advise, now_ns() - begin);
		series_add(&faults, faults_of_traffic(&end, mr, &area));
		mr_release(mr);
		area_unmap(&area);

		area_map(&area, len, thp, SHIFT_TARGET);
		begin = now_ns();
		area_touch(&area);
		series_add(&cpu, now_ns() - begin);
		area_unmap(&area);
	}
	printf("{");
	print_series(&advise, false);
	print_series(&faults, false);
	print_series(&cpu, true);
	return 0;
}

static uint64_t discard(struct area *area)
{
	uint64_t begin = now_ns();

	if (madvise(area->addr, area->len, MADV_DONTNEED))
		die("madvise: %s", strerror(errno));
	return now_ns() - begin;
}

/* invalidate dev= gid= len= reps= thp= */
int cmd_invalidate(void)
{
	struct series registered = { "registered_ns" }, plain = { "plain_ns" };
	uint64_t len = opt_u64("len", 64 * MIB);
	unsigned int i, reps = opt_u64("reps", 5);
	bool thp = opt_u64("thp", 0);
	struct ibv_mr *mr;
	struct area area;
	struct end end;

	end_open(&end);
	for (i = 0; i < reps; i++) {
		area_map(&area, len, thp, SHIFT_TARGET);
		area_touch(&area);
		series_add(&plain, discard(&area));
		area_unmap(&area);

		area_map(&area, len, thp, SHIFT_TARGET);
		area_touch(&area);
		mr = mr_register(end.pd, area.addr, len, MR_ODP);
		prefetch(&end, mr, &area);
		series_add(&registered, discard(&area));
		mr_release(mr);
		area_unmap(&area);
	}
	printf("{");
	print_series(&registered, false);
	print_series(&plain, true);
	return 0;
}
