// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Traffic whose every byte is checked, for as long as one likes, on a wire
 * that others harm meanwhile: WRITEs that are read back, messages that the
 * peer counts and compares, atomics that must happen exactly once. Requests
 * of a QP must complete in their order.
 *
 * WIRE_SECONDS, WIRE_QPS, WIRE_MOST: bytes of a transfer
 * WIRE_GAP: seconds without a completion that are too many
 * WIRE_MAY_FAIL=1: an error, or the device's going, ends it and is no failure
 */

#include <stdlib.h>

#include "wire.h"

#define SLOTS 4
#define MAX_QPS 8
#define SLOT_SIZE (256UL << 10)
/* Of buffer 0 at either end: counters, then slots of sources and copies */
#define AREA (2 * SLOTS * SLOT_SIZE)
#define BUF_SIZE (T_PAGE + MAX_QPS * AREA)

enum kind { WRITE_READ, MESSAGE, ADD, NR_KINDS };

struct slot {
	enum kind kind;
	unsigned int pending; /* requests of it that have not completed */
	uint32_t len;
	uint64_t begin;
	uint64_t seed;
	uint64_t value; /* that an ADD must fetch */
};

struct flow {
	struct slot slot[SLOTS];
	unsigned int first; /* oldest slot in use */
	unsigned int used;
	uint64_t next_id; /* of a request to be posted */
	uint64_t done_id; /* of the request to complete next */
	uint64_t adds;
	uint32_t messages;
	bool dead;
};

static struct w_wire wire;
static struct flow flows[MAX_QPS];
static struct t_rand rand_state = { .state = 4711 };
static unsigned int nr_qps;
static uint32_t most;
static bool may_fail;
static bool gone;
static enum ibv_wc_status failed_with;
static int refused_with;
static uint64_t total_bytes;
static uint64_t total_slots;
static uint64_t quickest = UINT64_MAX;

static uint64_t source_of(unsigned int q, unsigned int s)
{
	return T_PAGE + q * AREA + s * SLOT_SIZE;
}

static uint64_t copy_of(unsigned int q, unsigned int s)
{
	return source_of(q, s) + SLOTS * SLOT_SIZE;
}

static void post(unsigned int q, struct ibv_send_wr *wr, struct ibv_sge *sge)
{
	int ret;

	wr->wr_id = flows[q].next_id++;
	wr->sg_list = sge;
	wr->num_sge = 1;
	ret = end_post(&wire.here, q, wr);
	/* A device that goes refuses, later or at once */
	if (!ret)
		return;
	T_ASSERT(may_fail, "ibv_post_send: %s", t_errname(ret));
	flows[q].dead = true;
	refused_with = ret;
}

static void post_rdma(unsigned int q, enum ibv_wr_opcode opcode,
		      uint64_t local, uint64_t remote, uint32_t len)
{
	struct ibv_sge sge = end_sge(&wire.here, 0, local, len);
	struct ibv_send_wr wr = {
		.opcode = opcode,
		.wr.rdma.remote_addr = wire.iova[0] + remote,
		.wr.rdma.rkey = wire.rkey[0],
	};

	post(q, &wr, &sge);
}

static void post_message(unsigned int q, uint64_t local, uint32_t len)
{
	struct ibv_sge sge = end_sge(&wire.here, 0, local, len);
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND_WITH_IMM,
		.imm_data = htobe32(flows[q].messages++),
	};

	post(q, &wr, &sge);
}

static void post_add(unsigned int q, uint64_t local)
{
	struct ibv_sge sge = end_sge(&wire.here, 0, local, 8);
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD,
		.wr.atomic.remote_addr = wire.iova[0] + 8 * q,
		.wr.atomic.rkey = wire.rkey[0],
		.wr.atomic.compare_add = 1,
	};

	post(q, &wr, &sge);
}

static uint32_t any_len(struct t_rand *r, uint32_t limit)
{
	uint32_t scale = 1 << t_rand_below(r, 19);

	return 1 + t_rand_below(r, scale < limit ? scale : limit);
}

static void start_slot(unsigned int q)
{
	struct flow *f = &flows[q];
	unsigned int s = (f->first + f->used++) % SLOTS;
	struct slot *slot = &f->slot[s];
	uint64_t skew = t_rand_below(&rand_state, 8) * 3;
	char *base = wire.here.buf[0].base;

	slot->kind = t_rand_below(&rand_state, NR_KINDS);
	slot->len = any_len(&rand_state, most);
	slot->pending = 1;
	slot->begin = t_now_ns();
	switch (slot->kind) {
	case WRITE_READ:
		slot->seed = t_rand(&rand_state);
		t_fill_data(base + source_of(q, s), slot->len, slot->seed, 0);
		t_fill_background(base + copy_of(q, s), slot->len);
		post_rdma(q, IBV_WR_RDMA_WRITE, source_of(q, s),
			  source_of(q, s) + skew, slot->len);
		post_rdma(q, IBV_WR_RDMA_READ, copy_of(q, s),
			  source_of(q, s) + skew, slot->len);
		slot->pending = 2;
		break;
	case MESSAGE:
		if (slot->len > W_MSG_MAX)
			slot->len = W_MSG_MAX;
		t_fill_data(base + source_of(q, s), slot->len,
			    w_msg_seed(q, f->messages), 0);
		post_message(q, source_of(q, s), slot->len);
		break;
	default:
		slot->value = f->adds++;
		post_add(q, copy_of(q, s));
		break;
	}
}

static void end_slot(unsigned int q)
{
	struct flow *f = &flows[q];
	struct slot *slot = &f->slot[f->first];
	char *copy = wire.here.buf[0].base + copy_of(q, f->first);
	uint64_t took = t_now_ns() - slot->begin;
	uint64_t value;
	int64_t bad;

	if (took < quickest)
		quickest = took;
	if (slot->kind == WRITE_READ) {
		bad = t_check_data(copy, slot->len, slot->seed, 0);
		T_ASSERT(bad < 0, "QP %u: byte %lld of %u is wrong", q,
			 (long long)bad, slot->len);
	}
	if (slot->kind == ADD) {
		memcpy(&value, copy, 8);
		T_ASSERT(value == slot->value,
			 "QP %u: fetched %llu, must be %llu", q,
			 (unsigned long long)value,
			 (unsigned long long)slot->value);
	}
	total_bytes += slot->len;
	total_slots++;
	f->first = (f->first + 1) % SLOTS;
	f->used--;
}

/* True when something completed. */
static bool poll_flow(unsigned int q)
{
	struct flow *f = &flows[q];
	struct ibv_wc wc;

	if (ibv_poll_cq(wire.here.qp[q].scq, 1, &wc) <= 0)
		return false;
	T_ASSERT(wc.wr_id == f->done_id,
		 "QP %u: request %llu completed before %llu", q,
		 (unsigned long long)wc.wr_id,
		 (unsigned long long)f->done_id);
	f->done_id++;
	if (wc.status != IBV_WC_SUCCESS) {
		T_ASSERT(may_fail || f->dead, "QP %u: '%s'", q,
			 t_wc_name(wc.status));
		if (!f->dead)
			failed_with = wc.status;
		f->dead = true;
		return true;
	}
	if (!--f->slot[f->first].pending)
		end_slot(q);
	return true;
}

static unsigned int nr_alive(void)
{
	unsigned int nr = 0;
	unsigned int q;

	for (q = 0; q < nr_qps; q++)
		nr += !flows[q].dead;
	return nr;
}

/* Then nothing completes any more. */
static bool device_gone(void)
{
	struct ibv_async_event event;

	while (t_event_for(&wire.here.dev, &event, 0))
		if (event.event_type == IBV_EVENT_DEVICE_FATAL)
			gone = true;
	return gone;
}

/* Until the time is over and all is complete; returns the longest gap. */
static uint64_t run_flows(uint64_t until, uint64_t gap_limit)
{
	uint64_t last = t_now_ns();
	uint64_t gap = 0;
	uint64_t now = last;
	unsigned int left;
	unsigned int q;

	do {
		left = 0;
		for (q = 0; q < nr_qps; q++) {
			struct flow *f = &flows[q];

			now = t_now_ns();
			while (!f->dead && now < until && f->used < SLOTS)
				start_slot(q);
			while (poll_flow(q)) {
				if (now - last > gap)
					gap = now - last;
				last = now;
			}
			left += f->dead ? 0 : f->used;
		}
		if (now - last > gap_limit && may_fail && device_gone())
			return gap;
		T_ASSERT(now - last <= gap_limit, "no progress for %llu s",
			 (unsigned long long)(now - last) / 1000000000);
	} while (left || (now < until && nr_alive()));
	return gap;
}

static void check_peer(void)
{
	struct w_req req = { .cmd = W_SUNK };
	struct w_rep rep;
	unsigned int q;

	for (q = 0; q < nr_qps; q++) {
		if (flows[q].dead)
			continue;
		req.cmd = W_SUNK;
		req.qp = q;
		peer_do(&wire.peer, &req, &rep);
		T_ASSERT(rep.value == flows[q].messages,
			 "QP %u: %u messages sent, %llu taken", q,
			 flows[q].messages, (unsigned long long)rep.value);
		req.cmd = W_WORD_CHECK;
		req.place.off = 8 * q;
		req.value = flows[q].adds;
		peer_do(&wire.peer, &req, &rep);
		T_ASSERT(rep.value == flows[q].adds,
			 "QP %u: %llu adds, the word is %llu", q,
			 (unsigned long long)flows[q].adds,
			 (unsigned long long)rep.value);
	}
}

static enum t_kind kind_of(const struct ibv_odp_caps *caps, unsigned int want)
{
	if (want == T_IMPLICIT &&
	    !(caps->general_caps & IBV_ODP_SUPPORT_IMPLICIT))
		want = T_EXPLICIT;
	if (!(caps->general_caps & IBV_ODP_SUPPORT) ||
	    !(caps->per_transport_caps.rc_odp_caps & IBV_ODP_SUPPORT_ATOMIC))
		want = T_PINNED;
	return want;
}

static void open_all(enum t_kind kind)
{
	struct w_qp_opt opt = W_QP_OPT;
	struct w_req req = { .cmd = W_SINK };
	struct w_rep rep;
	enum t_kind here, there;
	unsigned int q;

	opt.timeout = w_env("WIRE_TIMEOUT", 17);
	opt.v6 = w_env("WIRE_V6", 0);
	wire_open(&wire);
	here = kind_of(&wire.here.dev.attr.odp_caps, kind);
	there = kind_of(&wire.there.odp, kind);
	wire_buf(&wire, 0, BUF_SIZE, here, there, T_SMALL);
	wire_buf(&wire, 1, (uint64_t)MAX_QPS * opt.depth * W_MSG_MAX, here,
		 there, T_SMALL);
	for (q = 0; q < nr_qps; q++)
		wire_qp(&wire, q, &opt);
	peer_do(&wire.peer, &req, &rep);
}

static void load(void)
{
	uint64_t seconds = w_env("WIRE_SECONDS", t_quick ? 5 : 20);
	uint64_t gap_limit = w_env("WIRE_GAP", 30) * 1000000000ULL;
	uint64_t gap;

	nr_qps = w_env("WIRE_QPS", 4);
	most = w_env("WIRE_MOST", SLOT_SIZE - 64);
	may_fail = w_env("WIRE_MAY_FAIL", 0);
	open_all(*(const enum t_kind *)t_this->arg);
	t_diag("load is on");
	gap = run_flows(t_now_ns() + seconds * 1000000000ULL, gap_limit);
	if (nr_alive() == nr_qps && !gone)
		check_peer();
	t_note("%llu transfers, %llu KiB, longest gap %llu ms, "
	       "quickest %llu us%s%s%s%s%s",
	       (unsigned long long)total_slots,
	       (unsigned long long)total_bytes >> 10,
	       (unsigned long long)gap / 1000000,
	       (unsigned long long)(total_slots ? quickest / 1000 : 0),
	       failed_with ? ", ended by " : "",
	       failed_with ? t_wc_name(failed_with) : "",
	       refused_with ? ", ended by a refusal: " : "",
	       refused_with ? t_errname(refused_with) : "",
	       gone ? ", the device is gone" : "");
	/* After an error the peer may be gone */
	if (nr_alive() == nr_qps && !gone)
		wire_close(&wire);
}

static const enum t_kind load_kinds[] = { T_PINNED, T_EXPLICIT, T_IMPLICIT };

static const struct t_test tests[] = {
	{ "pinned", load, 900, &load_kinds[0] },
	{ "explicit", load, 900, &load_kinds[1] },
	{ "implicit", load, 900, &load_kinds[2] },
};

int main(int argc, char **argv)
{
	t_patterns_init();
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
