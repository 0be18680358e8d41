// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Warm RDMA WRITEs, alone and next to process_vm_writev(2). */

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "bench.h"

#define MAX_SIZES	16

static void copy_by_syscall(pid_t pid, const struct stream *stream)
{
	struct iovec local, remote;
	uint64_t i, offset;

	for (i = 0; i < stream->count; i++) {
		offset = stream_offset(i, stream->size, stream->source_len);
		local.iov_base = stream->source + offset;
		local.iov_len = stream->size;
		offset = stream_offset(i, stream->size, stream->target_len);
		remote.iov_base = (void *)(uintptr_t)(stream->target + offset);
		remote.iov_len = stream->size;
		if (process_vm_writev(pid, &local, 1, &remote, 1, 0) !=
		    (ssize_t)stream->size)
			die("process_vm_writev: %s", strerror(errno));
	}
}

static void measure(struct end *end, struct stream *stream, uint64_t total,
		    pid_t pid, unsigned int reps)
{
	struct series write = { "write_ns" }, peer = { "peer_ns" };
	uint64_t begin;
	unsigned int i;

	stream->count = total / stream->size;
	for (i = 0; i < reps; i++) {
		begin = now_ns();
		end_write(end, stream);
		series_add(&write, now_ns() - begin);
		if (!pid)
			continue;
		begin = now_ns();
		copy_by_syscall(pid, stream);
		series_add(&peer, now_ns() - begin);
	}
	printf("{\"size\": %llu, \"count\": %llu, ",
	       (unsigned long long)stream->size,
	       (unsigned long long)stream->count);
	print_series(&write, false);
	print_series(&peer, true);
}

/*
 * write dev= gid= mr=odp|pinned|implicit sizes= total= count= buffer= depth=
 * reps= thp= wait= peer=process|self vm=0|1
 */
int cmd_write(void)
{
	uint64_t buffer = opt_u64("buffer", 8 * MIB);
	uint64_t total = opt_u64("total", 16 * MIB);
	uint64_t count = opt_u64("count", 0);
	unsigned int reps = opt_u64("reps", 5);
	bool own = strcmp(opt_str("peer", "process"), "self");
	enum mr_kind kind = opt_kind("mr", "odp");
	bool thp = opt_u64("thp", 1);
	uint64_t sizes[MAX_SIZES];
	int i, nr = opt_sizes("sizes", "64K", sizes, MAX_SIZES);
	struct target *target = target_start(own);
	struct target_memory memory;
	struct stream stream = {};
	struct ibv_mr *mr;
	struct area area;
	struct end end;

	end_open(&end);
	target_connect(target, &end);
	area_map(&area, buffer, thp, SHIFT_SOURCE);
	memset(area.addr, 0x5a, buffer);
	mr = mr_register(end.pd, area.addr, buffer, kind);
	memory = target_map(target, buffer, thp, kind);

	stream.source = area.addr;
	stream.source_len = buffer;
	stream.lkey = mr->lkey;
	stream.target = memory.addr;
	stream.target_len = memory.len;
	stream.rkey = memory.rkey;
	stream.size = 64 * KIB;
	stream.count = buffer / stream.size;
	end_write(&end, &stream);

	for (i = 0; i < nr; i++) {
		stream.size = sizes[i];
		measure(&end, &stream, count ? count * sizes[i] : total,
			opt_u64("vm", 0) ? target_pid(target) : 0, reps);
	}
	target_unmap(target);
	mr_release(mr);
	area_unmap(&area);
	target_stop(target);
	return 0;
}
