// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Tags, streams, active messages, puts, gets and atomics of UCX, every byte
 * compared, in fresh pages at odd places.
 *
 * ucx-check [-n] PORT THREADS [HOST]		without HOST: the server
 *
 * -n: memory that the other side reads and writes is mapped by
 * UCP_MEM_MAP_NONBLOCK.  Each thread has a worker and an endpoint of its own.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "ucx_side.h"

#define MAX_THREADS 8
#define MAX_RKEY 512
#define AM_ID 7

static const size_t sizes[] = { 8, 1021, 4099, 65537, 1048583, 4194304 };

#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

struct thread {
	pthread_t id;
	int number;
	ucp_context_h context;
	int sock;
	struct side side;
	/* Where the active message goes, and how far it is */
	struct area *am_to;
	ucs_status_ptr_t am_request;
	int am_done;
};

static int server;
static unsigned int map_flags;

void fail(const char *format, ...)
{
	va_list args;

	printf("%s: ", server ? "server" : "client");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_Exit(1);
}

static uint64_t seed(const struct thread *t, int own, size_t size, int what)
{
	return seed_of(t->number, own ? server : !server, size, what);
}

static void tagged(struct thread *t, struct area *out, struct area *in)
{
	ucp_request_param_t param = {};
	ucs_status_ptr_t recv, send;

	recv = ucp_tag_recv_nbx(t->side.worker, in->data, in->len, 5, -1,
				&param);
	send = ucp_tag_send_nbx(t->side.ep, out->data, out->len, 5, &param);
	side_wait(&t->side, send, "tag send");
	side_wait(&t->side, recv, "tag receive");
}

static void streamed(struct thread *t, struct area *out, struct area *in)
{
	ucp_request_param_t send_param = {};
	ucp_request_param_t param = {
		.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
		.flags = UCP_STREAM_RECV_FLAG_WAITALL,
	};
	ucs_status_ptr_t recv, send;
	size_t length;

	send = ucp_stream_send_nbx(t->side.ep, out->data, out->len,
				   &send_param);
	recv = ucp_stream_recv_nbx(t->side.ep, in->data, in->len, &length,
				   &param);
	side_wait(&t->side, recv, "stream receive");
	side_wait(&t->side, send, "stream send");
}

static ucs_status_t am_arrived(void *arg, const void *header, size_t header_len,
			       void *data, size_t length,
			       const ucp_am_recv_param_t *recv)
{
	struct thread *t = arg;
	ucp_request_param_t param = {};

	if (length != t->am_to->len)
		fail("active message of %zu bytes, not %zu", length,
		     t->am_to->len);
	if (recv->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV)
		t->am_request = ucp_am_recv_data_nbx(t->side.worker, data,
						     t->am_to->data, length,
						     &param);
	else
		memcpy(t->am_to->data, data, length);
	t->am_done = 1;
	return UCS_OK;
}

static void active(struct thread *t, struct area *out, struct area *in)
{
	ucp_request_param_t param = {};
	ucs_status_ptr_t send;

	t->am_to = in;
	t->am_request = NULL;
	t->am_done = 0;
	/* Not before the other side has said where it wants its message */
	side_meet(&t->side);
	send = ucp_am_send_nbx(t->side.ep, AM_ID, NULL, 0, out->data, out->len,
			       &param);
	while (!t->am_done)
		ucp_worker_progress(t->side.worker);
	side_wait(&t->side, t->am_request, "active message's data");
	side_wait(&t->side, send, "active message");
	side_meet(&t->side);
}

/* Memory of this side that the other one reads and writes */
struct window {
	ucp_mem_h mem;
	ucp_rkey_h rkey;	/* of the other side's */
	uint64_t remote;
};

static void window_open(struct thread *t, struct window *w, struct area *area)
{
	ucp_mem_map_params_t params = {
		.field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS |
			      UCP_MEM_MAP_PARAM_FIELD_LENGTH |
			      UCP_MEM_MAP_PARAM_FIELD_FLAGS,
		.address = area->data,
		.length = area->len,
		.flags = map_flags,
	};
	struct {
		uint64_t addr;
		char rkey[MAX_RKEY];
	} mine = {}, theirs;
	ucs_status_t status;
	void *rkey;
	size_t len;

	status = ucp_mem_map(t->side.context, &params, &w->mem);
	if (status != UCS_OK)
		fail("mem_map: %s", ucs_status_string(status));
	status = ucp_rkey_pack(t->side.context, w->mem, &rkey, &len);
	if (status != UCS_OK || len > MAX_RKEY)
		fail("rkey_pack: %s", ucs_status_string(status));
	mine.addr = (uintptr_t)area->data;
	memcpy(mine.rkey, rkey, len);
	ucp_rkey_buffer_release(rkey);
	side_swap(&t->side, &mine, &theirs, sizeof(mine));
	w->remote = theirs.addr;
	status = ucp_ep_rkey_unpack(t->side.ep, theirs.rkey, &w->rkey);
	if (status != UCS_OK)
		fail("rkey_unpack: %s", ucs_status_string(status));
}

static void window_close(struct thread *t, struct window *w)
{
	side_meet(&t->side);
	ucp_rkey_destroy(w->rkey);
	ucp_mem_unmap(t->side.context, w->mem);
}

/* Put into the other side's @in, and get it back from there */
static void one_sided(struct thread *t, struct area *out, struct area *in,
		      uint64_t put_seed)
{
	ucp_request_param_t param = {};
	struct window w;

	window_open(t, &w, in);
	side_wait(&t->side,
		  ucp_put_nbx(t->side.ep, out->data, out->len, w.remote,
			      w.rkey, &param), "put");
	side_flush(&t->side);
	side_meet(&t->side);
	memset(out->data, 0, out->len);
	side_wait(&t->side,
		  ucp_get_nbx(t->side.ep, out->data, out->len, w.remote,
			      w.rkey, &param), "get");
	verify(out->data, out->len, put_seed, "get");
	window_close(t, &w);
}

/* Each side counts in the other one's memory */
static void atomics(struct thread *t)
{
	int64_t one = 1, old = -1, add = 10, dummy = 0;
	ucp_request_param_t param = {
		.op_attr_mask = UCP_OP_ATTR_FIELD_DATATYPE |
				UCP_OP_ATTR_FIELD_REPLY_BUFFER,
		.datatype = ucp_dt_make_contig(8),
		.reply_buffer = &old,
	};
	ucp_request_param_t no_reply = {
		.op_attr_mask = UCP_OP_ATTR_FIELD_DATATYPE,
		.datatype = ucp_dt_make_contig(8),
	};
	struct window w;
	struct area area;
	int i;

	area_get(&area, 64, 8);
	memset(area.data, 0, 64);
	window_open(t, &w, &area);
	for (i = 0; i < 20; i++) {
		side_wait(&t->side,
			  ucp_atomic_op_nbx(t->side.ep, UCP_ATOMIC_OP_ADD,
					    &one, 1, w.remote, w.rkey,
					    &param), "fetch and add");
		if (old != 11 * i)
			fail("fetch and add %d gave %lld", i, (long long)old);
		side_wait(&t->side,
			  ucp_atomic_op_nbx(t->side.ep, UCP_ATOMIC_OP_ADD,
					    &add, 1, w.remote, w.rkey,
					    &no_reply), "add");
		side_flush(&t->side);
	}
	/* Compared with, and what is to be there: the old value comes back */
	one = 220;
	old = 5;
	side_wait(&t->side,
		  ucp_atomic_op_nbx(t->side.ep, UCP_ATOMIC_OP_CSWAP, &one, 1,
				    w.remote, w.rkey, &param),
		  "compare and swap");
	side_flush(&t->side);
	side_meet(&t->side);
	memcpy(&dummy, area.data, 8);
	if (old != 220 || dummy != 5)
		fail("compare and swap gave %lld, left %lld", (long long)old,
		     (long long)dummy);
	window_close(t, &w);
	area_put(&area);
}

static void of_size(struct thread *t, size_t size, size_t offset)
{
	static const struct {
		const char *name;
		void (*work)(struct thread *t, struct area *out,
			     struct area *in);
	} kinds[] = {
		{ "tag", tagged }, { "stream", streamed }, { "am", active },
	};
	struct area out, in;
	int i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		area_get(&out, size, offset);
		area_get(&in, size, (offset + 9) % 4096);
		fill(out.data, size, seed(t, 1, size, i));
		kinds[i].work(t, &out, &in);
		verify(in.data, size, seed(t, 0, size, i), kinds[i].name);
		area_put(&out);
		area_put(&in);
	}
	area_get(&out, size, offset);
	area_get(&in, size, 2040);
	fill(out.data, size, seed(t, 1, size, 9));
	one_sided(t, &out, &in, seed(t, 1, size, 9));
	verify(in.data, size, seed(t, 0, size, 9), "put");
	area_put(&out);
	area_put(&in);
}

static void *run(void *arg)
{
	struct thread *t = arg;
	ucp_am_handler_param_t handler = {
		.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID |
			      UCP_AM_HANDLER_PARAM_FIELD_CB |
			      UCP_AM_HANDLER_PARAM_FIELD_ARG,
		.id = AM_ID,
		.cb = am_arrived,
		.arg = t,
	};
	int i;

	side_open(&t->side, t->context, t->sock, server);
	ucp_worker_set_am_recv_handler(t->side.worker, &handler);
	side_meet(&t->side);
	for (i = 0; i < N_SIZES; i++) {
		of_size(t, sizes[i], 3);
		of_size(t, sizes[i], 4090);
	}
	atomics(t);
	side_close(&t->side);
	return NULL;
}

int main(int argc, char **argv)
{
	ucp_params_t params = {
		.field_mask = UCP_PARAM_FIELD_FEATURES |
			      UCP_PARAM_FIELD_MT_WORKERS_SHARED,
		.features = UCP_FEATURE_TAG | UCP_FEATURE_STREAM |
			    UCP_FEATURE_AM | UCP_FEATURE_RMA |
			    UCP_FEATURE_AMO64,
		.mt_workers_shared = 1,
	};
	static struct thread threads[MAX_THREADS];
	int socks[MAX_THREADS], count, i;
	ucp_context_h context;
	ucs_status_t status;

	if (argc > 1 && !strcmp(argv[1], "-n")) {
		map_flags = UCP_MEM_MAP_NONBLOCK;
		argv++;
		argc--;
	}
	count = argc > 2 ? atoi(argv[2]) : 0;
	if (count < 1 || count > MAX_THREADS)
		fail("usage: ucx-check [-n] PORT THREADS [HOST]");
	server = argc < 4;
	status = ucp_init(&params, NULL, &context);
	if (status != UCS_OK)
		fail("init: %s", ucs_status_string(status));
	side_sockets(socks, count, server ? NULL : argv[3], argv[1]);
	for (i = 0; i < count; i++) {
		threads[i].number = i;
		threads[i].context = context;
		threads[i].sock = socks[i];
		if (pthread_create(&threads[i].id, NULL, run, &threads[i]))
			fail("no thread");
	}
	for (i = 0; i < count; i++)
		pthread_join(threads[i].id, NULL);
	ucp_cleanup(context);
	printf("right: %d threads, %zu sizes\n", count, N_SIZES);
	return 0;
}
