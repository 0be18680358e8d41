// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The owner of the target memory. As a process of its own it sleeps in
 * read() whenever the other side measures, so that one CPU suffices.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum target_op {
	TARGET_CONNECT,
	TARGET_MAP,
	TARGET_REGISTER,
	TARGET_RECEIVE,
	TARGET_DRAIN,
	TARGET_UNMAP,
	TARGET_CPU_FILL,
};

struct target_request {
	enum target_op op;
	enum mr_kind kind;
	bool thp;
	uint64_t len;
	uint64_t chunk;
	uint64_t count;
	struct end_address address;
};

struct target_reply {
	struct target_memory memory;
	struct end_address address;
	uint64_t ns;
};

struct target_side {
	struct end end;
	struct area area;
	struct ibv_mr *mr;
	struct ibv_mr *other_mr;
};

struct target {
	int sock;
	pid_t pid;
	struct target_side side;
};

static void side_map(struct target_side *side,
		     const struct target_request *request,
		     struct target_reply *reply)
{
	area_map(&side->area, request->len, request->thp, SHIFT_TARGET);
	side->mr = mr_register(side->end.pd, side->area.addr, request->len,
			       request->kind);
	reply->memory.addr = (uintptr_t)side->area.addr;
	reply->memory.len = request->len;
	reply->memory.rkey = side->mr->rkey;
}

/* What a CPU would do for the same pages: touch each, then copy into it */
static uint64_t side_cpu_fill(const struct target_request *request)
{
	uint64_t begin, end, at, page;
	struct area source, fresh;

	area_map(&source, request->chunk, false, SHIFT_SOURCE);
	area_touch(&source);
	area_map(&fresh, request->len, request->thp, SHIFT_TARGET);
	begin = now_ns();
	for (at = 0; at < request->len; at += request->chunk) {
		for (page = 0; page < request->chunk; page += SMALL_PAGE)
			*(volatile uint8_t *)(fresh.addr + at + page) = 1;
		memcpy(fresh.addr + at, source.addr, request->chunk);
	}
	end = now_ns();
	area_unmap(&fresh);
	area_unmap(&source);
	return end - begin;
}

static void side_serve(struct target_side *side,
		       const struct target_request *request,
		       struct target_reply *reply)
{
	memset(reply, 0, sizeof(*reply));
	switch (request->op) {
	case TARGET_CONNECT:
		end_connect(&side->end, &request->address);
		reply->address = side->end.address;
		break;
	case TARGET_MAP:
		side_map(side, request, reply);
		break;
	case TARGET_REGISTER:
		side->other_mr = mr_register(side->end.pd, side->area.addr,
					     side->area.len, request->kind);
		reply->memory.rkey = side->other_mr->rkey;
		break;
	case TARGET_RECEIVE:
		end_receive(&side->end, side->mr, request->len,
			    request->count);
		break;
	case TARGET_DRAIN:
		end_drain(&side->end, request->count);
		break;
	case TARGET_UNMAP:
		mr_release(side->mr);
		if (side->other_mr)
			mr_release(side->other_mr);
		side->other_mr = NULL;
		area_unmap(&side->area);
		break;
	case TARGET_CPU_FILL:
		reply->ns = side_cpu_fill(request);
		break;
	}
}

static void side_loop(int sock)
{
	struct target_side side = {};
	struct target_request request;
	struct target_reply reply;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	end_open_target(&side.end);
	while (read(sock, &request, sizeof(request)) == sizeof(request)) {
		side_serve(&side, &request, &reply);
		if (write(sock, &reply, sizeof(reply)) != sizeof(reply))
			break;
	}
}

struct target *target_start(bool own_process)
{
	struct target *target = calloc(1, sizeof(*target));
	int socks[2];

	if (!target)
		die("out of memory");
	if (!own_process) {
		end_open_target(&target->side.end);
		return target;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, socks))
		die("socketpair: %s", strerror(errno));
	fflush(stdout);
	target->pid = fork();
	if (target->pid < 0)
		die("fork: %s", strerror(errno));
	if (!target->pid) {
		close(socks[0]);
		side_loop(socks[1]);
		_exit(0);
	}
	close(socks[1]);
	target->sock = socks[0];
	return target;
}

pid_t target_pid(const struct target *target)
{
	return target->pid;
}

static struct target_reply target_call(struct target *target,
				       const struct target_request *request)
{
	struct target_reply reply;

	if (!target->pid) {
		side_serve(&target->side, request, &reply);
		return reply;
	}
	if (write(target->sock, request, sizeof(*request)) !=
	    sizeof(*request) ||
	    read(target->sock, &reply, sizeof(reply)) != sizeof(reply))
		die("the target process has gone");
	return reply;
}

void target_connect(struct target *target, struct end *end)
{
	struct target_request request = {
		.op = TARGET_CONNECT,
		.address = end->address,
	};
	struct target_reply reply = target_call(target, &request);

	end_connect(end, &reply.address);
}

struct target_memory target_map(struct target *target, uint64_t len, bool thp,
				enum mr_kind kind)
{
	struct target_request request = {
		.op = TARGET_MAP,
		.kind = kind,
		.thp = thp,
		.len = len,
	};

	return target_call(target, &request).memory;
}

/* One more region over the memory that is mapped */
uint32_t target_register(struct target *target, enum mr_kind kind)
{
	struct target_request request = {
		.op = TARGET_REGISTER,
		.kind = kind,
	};

	return target_call(target, &request).memory.rkey;
}

void target_receive(struct target *target, uint64_t size, uint64_t count)
{
	struct target_request request = {
		.op = TARGET_RECEIVE,
		.len = size,
		.count = count,
	};

	target_call(target, &request);
}

void target_drain(struct target *target, uint64_t count)
{
	struct target_request request = {
		.op = TARGET_DRAIN,
		.count = count,
	};

	target_call(target, &request);
}

void target_unmap(struct target *target)
{
	struct target_request request = { .op = TARGET_UNMAP };

	target_call(target, &request);
}

uint64_t target_cpu_fill(struct target *target, uint64_t len, bool thp,
			 uint64_t chunk)
{
	struct target_request request = {
		.op = TARGET_CPU_FILL,
		.thp = thp,
		.len = len,
		.chunk = chunk,
	};

	return target_call(target, &request).ns;
}

void target_stop(struct target *target)
{
	if (target->pid) {
		close(target->sock);
		waitpid(target->pid, NULL, 0);
	}
	free(target);
}
