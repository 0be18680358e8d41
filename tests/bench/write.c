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

/* What the stream is compared with: nothing, a system call, other keys */
struct peer {
	pid_t pid;
	const struct stream *stream;
};

static void peer_write(struct end *end, const struct peer *peer,
		       const struct stream *like)
{
	struct stream stream;

	if (peer->pid) {
		copy_by_syscall(peer->pid, like);
		return;
	}
	stream = *peer->stream;
	stream.size = like->size;
	stream.count = like->count;
	stream.list = like->list;
	end_write(end, &stream);
}

/* One measured run of the stream, and what has to be around it */
static uint64_t run_stream(struct end *end, struct target *target,
			   const struct stream *stream)
{
	uint64_t begin, ns;

	if (stream->send)
		target_receive(target, stream->size, stream->count);
	begin = now_ns();
	end_write(end, stream);
	ns = now_ns() - begin;
	if (stream->send)
		target_drain(target, stream->count);
	return ns;
}

static void measure(struct end *end, struct target *target,
		    const struct stream *stream, const struct peer *peer,
		    unsigned int reps)
{
	struct series ours = { "write_ns" }, theirs = { "peer_ns" };
	uint64_t begin;
	unsigned int i;

	for (i = 0; i < reps; i++) {
		series_add(&ours, run_stream(end, target, stream));
		if (!peer)
			continue;
		begin = now_ns();
		peer_write(end, peer, stream);
		series_add(&theirs, now_ns() - begin);
	}
	printf("{\"size\": %llu, \"count\": %llu, ",
	       (unsigned long long)stream->size,
	       (unsigned long long)stream->count);
	print_series(&ours, false);
	print_series(&theirs, true);
}

/* Every page of both buffers is there, and the device knows it */
static void warm_up(struct end *end, const struct stream *stream)
{
	struct stream all = *stream;

	all.send = false;
	all.size = 64 * KIB;
	all.count = all.target_len / all.size;
	end_write(end, &all);
}

static void measure_all(struct end *end, struct target *target,
			struct stream *stream, const struct peer *peer)
{
	uint64_t total = opt_u64("total", 16 * MIB);
	uint64_t count = opt_u64("count", 0);
	uint64_t sizes[MAX_SIZES];
	int i, nr = opt_sizes("sizes", "64K", sizes, MAX_SIZES);

	warm_up(end, stream);
	if (peer && peer->stream) {
		warm_up(end, peer->stream);
		/* Pinning may have moved pages */
		warm_up(end, stream);
	}
	for (i = 0; i < nr; i++) {
		stream->size = sizes[i];
		stream->count = count ? count : total / sizes[i];
		measure(end, target, stream, peer, opt_u64("reps", 5));
	}
}

/*
 * write dev= gid= mr=odp|pinned|implicit sizes= total= count= buffer= depth=
 * reps= thp= wait= peer=process|self versus=vm|pinned
 * target_dev= target_gid= op=write|send receives= list=
 *
 * op=send: SENDs into receives posted ahead, so receives= is at least count=.
 * versus=vm: process_vm_writev() of the same; versus=pinned: the same WRITEs
 * by pinned regions over the same memory.
 */
int cmd_write(void)
{
	bool own = strcmp(opt_str("peer", "process"), "self");
	const char *versus = opt_str("versus", "");
	uint64_t buffer = opt_u64("buffer", 8 * MIB);
	enum mr_kind kind = opt_kind("mr", "odp");
	struct target *target = target_start(own);
	bool thp = opt_u64("thp", 1);
	struct ibv_mr *mr, *pinned = NULL;
	struct target_memory memory;
	struct stream stream, other;
	struct peer peer = {};
	struct area area;
	struct end end;

	end_open(&end);
	target_connect(target, &end);
	area_map(&area, buffer, thp, SHIFT_SOURCE);
	memset(area.addr, 0x5a, buffer);
	mr = mr_register(end.pd, area.addr, buffer, kind);
	memory = target_map(target, buffer, thp, kind);
	stream = (struct stream) {
		.source = area.addr,
		.source_len = area.len,
		.lkey = mr->lkey,
		.target = memory.addr,
		.target_len = memory.len,
		.rkey = memory.rkey,
		.send = !strcmp(opt_str("op", "write"), "send"),
		.list = opt_u64("list", 1),
	};
	if (stream.list > MAX_LIST || stream.list > end.depth)
		die("list: above depth or %d", MAX_LIST);
	if (!strcmp(versus, "vm")) {
		peer.pid = target_pid(target);
	} else if (!strcmp(versus, "pinned")) {
		pinned = mr_register(end.pd, area.addr, buffer, MR_PINNED);
		other = stream;
		other.lkey = pinned->lkey;
		other.rkey = target_register(target, MR_PINNED);
		peer.stream = &other;
	}
	measure_all(&end, target, &stream, *versus ? &peer : NULL);
	target_unmap(target);
	if (pinned)
		mr_release(pinned);
	mr_release(mr);
	area_unmap(&area);
	target_stop(target);
	return 0;
}
