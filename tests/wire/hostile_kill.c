// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Packets that a QP must believe: PSN, address and ICRC are the peer's. They
 * may kill the QP, with the status that belongs to it, and nothing else: a
 * bystander's traffic goes on, memory without the right key stays as it was.
 */

#include <stdlib.h>

#include "hostile.h"

#define NONE 0
#define SILENT_TIMEOUT 20 /* 4.3 s: nothing is repeated meanwhile */
#define BEHIND 16 /* bytes behind the end of a READ's place */

enum key_choice {
	KEY_RIGHT,
	KEY_RO,
	KEY_LOCAL,
	KEY_STALE,
	KEY_WRONG,
	KEY_BEYOND, /* the right one, but behind its end */
};

/* Two packets at most, with the PSN that is expected and the next */
struct forged {
	uint8_t kind;
	uint16_t len;
	uint32_t dma_len;
};

static const struct responder_case {
	const char *name;
	struct forged pkts[2];
	unsigned int nr;
	enum key_choice key;
	unsigned int misalign;
	int recv_len; /* -1: no receive is posted */
	enum ibv_event_type event; /* of the victim; NONE: it lives */
	enum ibv_wc_status recv_status;
	bool lives;
} responder_cases[] = {
	{ "right WRITE", { { ROCE_WRITE_ONLY, 100, 100 } }, 1,
	  .recv_len = -1, .lives = true },
	{ "right SEND", { { ROCE_SEND_ONLY, 100 } }, 1, .recv_len = 100,
	  .lives = true },
	{ "WRITE longer than its RETH", { { ROCE_WRITE_ONLY, 100, 99 } }, 1,
	  .recv_len = -1, .event = IBV_EVENT_QP_REQ_ERR },
	{ "WRITE shorter than its RETH", { { ROCE_WRITE_ONLY, 100, 101 } }, 1,
	  .recv_len = -1, .event = IBV_EVENT_QP_REQ_ERR },
	{ "WRITE of 2^31+1", { { ROCE_WRITE_FIRST, 1024, 0x80000001 } }, 1,
	  .recv_len = -1, .event = IBV_EVENT_QP_REQ_ERR },
	{ "WRITE of 2^32-1", { { ROCE_WRITE_FIRST, 1024, 0xffffffff } }, 1,
	  .recv_len = -1, .event = IBV_EVENT_QP_REQ_ERR },
	{ "READ of 2^32-1", { { ROCE_READ_REQ, 0, 0xffffffff } }, 1,
	  .recv_len = -1, .event = IBV_EVENT_QP_REQ_ERR },
	{ "FIRST shorter than the MTU", { { ROCE_WRITE_FIRST, 512, 2000 } }, 1,
	  .recv_len = -1, .event = IBV_EVENT_QP_REQ_ERR },
	{ "ONLY longer than the MTU", { { ROCE_WRITE_ONLY, 2048, 2048 } }, 1,
	  .recv_len = -1, .event = IBV_EVENT_QP_REQ_ERR },
	{ "MIDDLE without FIRST", { { ROCE_WRITE_MIDDLE, 1024 } }, 1,
	  .recv_len = -1, .event = IBV_EVENT_QP_REQ_ERR },
	{ "LAST without FIRST", { { ROCE_SEND_LAST, 10 } }, 1,
	  .recv_len = 4096, .event = IBV_EVENT_QP_REQ_ERR,
	  .recv_status = IBV_WC_WR_FLUSH_ERR },
	{ "FIRST twice",
	  { { ROCE_WRITE_FIRST, 1024, 3000 }, { ROCE_WRITE_FIRST, 1024, 3000 } },
	  2, .recv_len = -1, .event = IBV_EVENT_QP_REQ_ERR },
	{ "READ inside a WRITE",
	  { { ROCE_WRITE_FIRST, 1024, 3000 }, { ROCE_READ_REQ, 0, 8 } }, 2,
	  .recv_len = -1, .event = IBV_EVENT_QP_REQ_ERR },
	{ "SEND inside a WRITE",
	  { { ROCE_WRITE_FIRST, 1024, 3000 }, { ROCE_SEND_LAST, 10 } }, 2,
	  .recv_len = 4096, .event = IBV_EVENT_QP_REQ_ERR },
	{ "LAST too early",
	  { { ROCE_WRITE_FIRST, 1024, 3000 }, { ROCE_WRITE_LAST, 10 } }, 2,
	  .recv_len = -1, .event = IBV_EVENT_QP_REQ_ERR },
	{ "more than its RETH",
	  { { ROCE_WRITE_FIRST, 1024, 1030 }, { ROCE_WRITE_LAST, 100 } }, 2,
	  .recv_len = -1, .event = IBV_EVENT_QP_REQ_ERR },
	{ "SEND longer than the receive", { { ROCE_SEND_ONLY, 100 } }, 1,
	  .recv_len = 99, .event = IBV_EVENT_QP_REQ_ERR,
	  .recv_status = IBV_WC_LOC_LEN_ERR },
	{ "WRITE by a wrong key", { { ROCE_WRITE_ONLY, 100, 100 } }, 1,
	  KEY_WRONG, .recv_len = -1, .event = IBV_EVENT_QP_ACCESS_ERR },
	{ "WRITE by a stale key", { { ROCE_WRITE_ONLY, 100, 100 } }, 1,
	  KEY_STALE, .recv_len = -1, .event = IBV_EVENT_QP_ACCESS_ERR },
	{ "WRITE by a key to read", { { ROCE_WRITE_ONLY, 100, 100 } }, 1,
	  KEY_RO, .recv_len = -1, .event = IBV_EVENT_QP_ACCESS_ERR },
	{ "WRITE by a local key", { { ROCE_WRITE_ONLY, 100, 100 } }, 1,
	  KEY_LOCAL, .recv_len = -1, .event = IBV_EVENT_QP_ACCESS_ERR },
	{ "READ by a local key", { { ROCE_READ_REQ, 0, 100 } }, 1, KEY_LOCAL,
	  .recv_len = -1, .event = IBV_EVENT_QP_ACCESS_ERR },
	{ "atomic by a key to read", { { ROCE_FETCH_ADD, 0 } }, 1, KEY_RO,
	  .recv_len = -1, .event = IBV_EVENT_QP_ACCESS_ERR },
	{ "WRITE behind the end", { { ROCE_WRITE_ONLY, 100, 100 } }, 1,
	  KEY_BEYOND, .recv_len = -1, .event = IBV_EVENT_QP_ACCESS_ERR },
	{ "READ behind the end", { { ROCE_READ_REQ, 0, 100 } }, 1, KEY_BEYOND,
	  .recv_len = -1, .event = IBV_EVENT_QP_ACCESS_ERR },
	{ "odd atomic", { { ROCE_FETCH_ADD, 0 } }, 1, .misalign = 4,
	  .recv_len = -1, .event = IBV_EVENT_QP_REQ_ERR },
};

static struct scene scene;
static struct pair bystander;

static void open_both(struct pair *p, uint64_t seed, uint8_t timeout)
{
	struct leg_opt opt = LEG_OPT;
	const char *text = getenv("SODP_SEED");

	scene_open(&scene, text ? strtoull(text, NULL, 0) : seed);
	pair_open(&scene, &bystander, &opt);
	opt.timeout = timeout;
	pair_open(&scene, p, &opt);
	pair_aim(&scene, p);
}

/* Others go on, and nothing else was written */
static void others_go_on(struct pair *p)
{
	int64_t off;

	scene.round += 2;
	honest_post(&bystander, scene.round);
	honest_wait(&bystander, scene.round);
	t_case("memory of others");
	off = t_check_background(scene.guards.map, 7 * T_PAGE);
	T_ASSERT(off < 0, "byte %lld of the guards", (long long)off);
	off = t_check_background(p->b.buf + HOST_HALF, HOST_HALF);
	T_ASSERT(off < 0, "byte %lld of the peer", (long long)off);
}

static void drain(struct ibv_cq *cq)
{
	struct ibv_wc wc;

	while (ibv_poll_cq(cq, 1, &wc) > 0)
		;
}

static void again(struct pair *p)
{
	leg_reset(&p->a);
	leg_reset(&p->b);
	drain(p->a.scq);
	drain(p->a.rcq);
	drain(p->b.scq);
	drain(p->b.rcq);
	leg_join(&p->a, &p->b);
	scene.at.aims[0].next = p->b.opt.psn;
	scene.at.aims[0].sent = roce_psn_add(p->a.opt.psn, -1);
	/* What flew about while the QPs were made anew is over now */
	attack_listen(&scene.at);
}

static void choose_key(const struct responder_case *c, struct roce_pkt *pkt)
{
	const struct attack_key *keys = scene.guards.keys;
	const struct attack_key *key = &keys[c->key < KEY_WRONG ? c->key : 0];

	pkt->rkey = key->rkey;
	pkt->va = key->addr + c->misalign;
	if (c->key == KEY_WRONG)
		pkt->rkey ^= 0x40;
	if (c->key == KEY_BEYOND)
		pkt->va = key->addr + key->len - 50;
}

static void send_case(const struct responder_case *c, uint8_t transport)
{
	struct aim *aim = &scene.at.aims[0];
	struct roce_pkt pkt;
	unsigned int i;

	for (i = 0; i < c->nr; i++) {
		pkt = attack_pkt(&scene.at, aim,
				 ROCE_OPCODE(transport, c->pkts[i].kind));
		attack_payload(&scene.at, &pkt, c->pkts[i].len);
		choose_key(c, &pkt);
		pkt.dma_len = c->pkts[i].dma_len;
		pkt.psn = aim->next + i;
		pkt.ack_req = true;
		attack_add(&scene.at, &pkt);
	}
	attack_flush(&scene.at);
}

static void want_state(struct leg *leg, enum ibv_qp_state state)
{
	uint64_t end = t_now_ns() + 10000000000ULL;

	while (leg_state(leg) != state) {
		T_ASSERT(t_now_ns() < end, "QP is in state %d, want %d",
			 leg_state(leg), state);
		t_sleep_ms(1);
	}
}

/* What the peer is told: done, or which packet was wrong, and how */
static void want_answer(struct pair *p, const struct responder_case *c)
{
	uint32_t psn = roce_psn_add(p->b.opt.psn, c->nr - 1);
	const struct watched *w = NULL;
	uint8_t want = c->lives				  ? 0 :
		       c->event == IBV_EVENT_QP_REQ_ERR ? 0x61 :
							  0x62;

	/* An ACK of what was good may have gone before */
	do {
		w = watch_await(&scene, w, false, ROCE_ACK);
	} while (!(w->pkt.syndrome & 0x60) && !c->lives);
	T_ASSERT((c->lives ? w->pkt.syndrome & 0x60 : w->pkt.syndrome) == want,
		 "syndrome %#x, want %#x", w->pkt.syndrome, want);
	T_ASSERT(w->pkt.psn == psn, "PSN %#x in it, want %#x", w->pkt.psn,
		 psn);
}

static void responder_case(struct pair *p, const struct responder_case *c)
{
	struct ibv_async_event event;
	int i;

	t_case("%s", c->name);
	again(p);
	watch_begin(&scene);
	if (c->recv_len >= 0)
		leg_recv(&p->a, 5, 0, c->recv_len);
	send_case(c, ROCE_RC);
	if (c->lives) {
		if (c->recv_len >= 0)
			t_want_wc(p->a.rcq, 5, IBV_WC_SUCCESS);
		for (i = 0; c->recv_len < 0 && i < 2000; i++) {
			if ((uint8_t)p->a.buf[HOST_HALF + 99] == ATTACK_BYTE)
				break;
			t_sleep_ms(1);
		}
		T_ASSERT(i < 2000, "it was not carried out");
		want_answer(p, c);
		want_state(&p->a, IBV_QPS_RTS);
		return;
	}
	event = t_want_event(&scene.a, c->event);
	T_ASSERT(event.element.qp == p->a.qp, "event of another QP");
	want_state(&p->a, IBV_QPS_ERR);
	want_answer(p, c);
	if (c->recv_status)
		t_want_wc(p->a.rcq, 5, c->recv_status);
	T_ASSERT(!t_event_for(&scene.a, &event, 0), "one more event: %s",
		 ibv_event_type_str(event.event_type));
}

void hostile_responder(void)
{
	static struct pair pair;
	unsigned int i;

	open_both(&pair, 4, 14);
	for (i = 0; i < T_ARRAY_SIZE(responder_cases); i++) {
		responder_case(&pair, &responder_cases[i]);
		others_go_on(&pair);
	}
	t_note("%u cases", i);
}

/* Anything with the right PSNs; also what comes after the QP is dead */
static void storm_request(struct pair *p)
{
	struct t_rand *r = &scene.at.rand;
	struct aim *aim = &scene.at.aims[0];
	struct roce_pkt pkt;
	unsigned int i, nr = 1 + t_rand_below(r, 12);
	uint8_t opcode = 0;
	size_t len;

	for (i = 0; i < nr; i++) {
		if (!t_rand_below(r, 4))
			opcode = ROCE_OPCODE(ROCE_RC, t_rand_below(r, 32));
		else if (i == 0)
			opcode = t_rand_below(r, 2) ? ROCE_SEND_FIRST :
						      ROCE_WRITE_FIRST;
		else if (i == 1)
			opcode++;
		pkt = attack_pkt(&scene.at, aim, opcode);
		len = t_rand_below(r, 3) ? 1024 : t_rand_below(r, 1100);
		if (roce_op(opcode)->payload == ROCE_PAYLOAD_NONE)
			len = 0;
		attack_payload(&scene.at, &pkt, len);
		if (t_rand_below(r, 2))
			pkt.dma_len = 1024 * t_rand_below(r, 12) +
				      t_rand_below(r, 3);
		if (!t_rand_below(r, 16))
			pkt.pad = t_rand(r) & 3;
		/* Mostly in order; now and then again, or a gap */
		pkt.psn = aim->next;
		if (t_rand_below(r, 16))
			aim->next = roce_psn_add(aim->next, 1);
		attack_add(&scene.at, &pkt);
	}
	attack_flush(&scene.at);
}

static unsigned int storm_rounds(void)
{
	return t_quick ? 50 : t_full ? 3000 : 400;
}

static void want_rts_or_err(struct leg *leg)
{
	enum ibv_qp_state state = leg_state(leg);

	T_ASSERT(state == IBV_QPS_RTS || state == IBV_QPS_ERR, "state %d",
		 state);
}

void hostile_responder_storm(void)
{
	struct ibv_async_event event;
	unsigned int i, rounds = storm_rounds(), dead = 0;
	static struct pair pair;

	open_both(&pair, 5, 14);
	for (i = 0; i < rounds; i++) {
		t_case("round %u", i);
		again(&pair);
		leg_recv(&pair.a, 5, 0, t_rand_below(&scene.at.rand, 8192));
		leg_recv(&pair.a, 6, 0, 8192);
		storm_request(&pair);
		others_go_on(&pair);
		want_rts_or_err(&pair.a);
		dead += leg_state(&pair.a) == IBV_QPS_ERR;
		while (t_event_for(&scene.a, &event, 0))
			T_ASSERT(event.element.qp == pair.a.qp, "event %s",
				 ibv_event_type_str(event.event_type));
	}
	T_ASSERT(dead && dead < rounds, "%u of %u died", dead, rounds);
	t_note("%u of %u rounds killed the QP, %llu packets", dead, rounds,
	       (unsigned long long)scene.at.sent);
}

/*
 * UC: a FIRST begins a message, whatever there was before. @psn: of a FIRST,
 * of another one and of the LAST, from the one that is expected.
 */
static void uc_twice(struct pair *pair, size_t off, const uint32_t psn[3])
{
	static const struct forged pkts[] = {
		{ ROCE_WRITE_FIRST, 1024, 1030 },
		{ ROCE_WRITE_FIRST, 1024, 1030 },
		{ ROCE_WRITE_LAST, 6 },
	};
	char *to = pair->a.buf + off;
	struct roce_pkt pkt;
	unsigned int i;

	for (i = 0; i < T_ARRAY_SIZE(pkts); i++) {
		pkt = attack_pkt(&scene.at, &scene.at.aims[0],
				 ROCE_OPCODE(ROCE_UC, pkts[i].kind));
		attack_payload(&scene.at, &pkt, pkts[i].len);
		pkt.dma_len = pkts[i].dma_len;
		pkt.rkey = pair->a.mr->rkey;
		pkt.va = leg_addr(&pair->a, off);
		pkt.psn = roce_psn_add(scene.at.aims[0].next, psn[i]);
		attack_add(&scene.at, &pkt);
	}
	attack_flush(&scene.at);
	others_go_on(pair);
	for (i = 0; to[1029] != (char)ATTACK_BYTE; i++) {
		T_ASSERT(i < 2000, "the message did not come");
		t_sleep_ms(1);
	}
	T_ASSERT(t_check_byte(to, 1030, ATTACK_BYTE) < 0, "data");
	T_ASSERT(t_check_background(to + 1030, 5000) < 0,
		 "written behind its end");
	want_state(&pair->a, IBV_QPS_RTS);
	scene.at.aims[0].next = roce_psn_add(scene.at.aims[0].next, psn[2] + 1);
}

void hostile_uc_twice(void)
{
	static const uint32_t doubled[] = { 0, 0, 1 }, begun[] = { 0, 1, 2 };
	struct leg_opt opt = LEG_OPT;
	static struct pair pair;

	scene_open(&scene, 8);
	pair_open(&scene, &bystander, &opt);
	opt.type = IBV_QPT_UC;
	pair_open(&scene, &pair, &opt);
	pair_aim(&scene, &pair);
	t_case("the network doubles it");
	uc_twice(&pair, HOST_HALF + 8192, doubled);
	t_case("the peer begins anew");
	uc_twice(&pair, HOST_HALF, begun);
}

/* UC drops what it cannot carry out, and takes the message behind it */
static void uc_refused(struct pair *p, const struct responder_case *c)
{
	struct aim *aim = &scene.at.aims[0];
	struct ibv_async_event event;
	unsigned int i;

	t_case("%s", c->name);
	again(p);
	pair_quiet(p);
	if (c->recv_len >= 0)
		leg_recv(&p->a, 5, 0, c->recv_len);
	send_case(c, ROCE_UC);
	aim->next = roce_psn_add(aim->next, c->nr);
	/* The first case: nothing is wrong with it */
	send_case(&responder_cases[0], ROCE_UC);
	for (i = 0; (uint8_t)p->a.buf[HOST_HALF + 99] != ATTACK_BYTE; i++) {
		T_ASSERT(i < 2000, "the next message did not come");
		t_sleep_ms(1);
	}
	T_ASSERT(!t_event_for(&scene.a, &event, 0), "event: %s",
		 ibv_event_type_str(event.event_type));
	want_state(&p->a, IBV_QPS_RTS);
	t_want_none(p->a.rcq);
}

void hostile_uc_refused(void)
{
	struct leg_opt opt = LEG_OPT;
	static struct pair pair;
	unsigned int i, nr = 0;

	scene_open(&scene, 9);
	pair_open(&scene, &bystander, &opt);
	opt.type = IBV_QPT_UC;
	pair_open(&scene, &pair, &opt);
	pair_aim(&scene, &pair);
	scene.guards.keys[0] = (struct attack_key){
		"all", pair.a.mr->rkey, leg_addr(&pair.a, HOST_HALF), HOST_HALF
	};
	for (i = 0; i < T_ARRAY_SIZE(responder_cases); i++) {
		if (responder_cases[i].lives)
			continue;
		uc_refused(&pair, &responder_cases[i]);
		others_go_on(&pair);
		nr++;
	}
	t_note("%u cases", nr);
}

/* What the victim asks, and what it is told */
enum question {
	ASK_WRITE,
	ASK_READ,
	ASK_ATOMIC,
};

#define ANY_STATUS -1 /* an error, or none */
#define NO_STATUS -2 /* none */
#define LAX_STATUS -3 /* the data is right, the opcode is not */

static const struct requester_case {
	const char *name;
	enum question ask;
	uint8_t kind;
	uint8_t syndrome;
	uint16_t len;
	int status;
} requester_cases[] = {
	{ "ACK of a WRITE", ASK_WRITE, ROCE_ACK, 0x1f, 0, IBV_WC_SUCCESS },
	{ "READ data", ASK_READ, ROCE_READ_ONLY, 0x1f, 100, IBV_WC_SUCCESS },
	{ "result of an atomic", ASK_ATOMIC, ROCE_ATOMIC_ACK, 0x1f, 0,
	  IBV_WC_SUCCESS },
	{ "NAK: sequence", ASK_WRITE, ROCE_ACK, 0x60, 0, NO_STATUS },
	{ "NAK: invalid request", ASK_WRITE, ROCE_ACK, 0x61, 0,
	  IBV_WC_REM_INV_REQ_ERR },
	{ "NAK: access", ASK_WRITE, ROCE_ACK, 0x62, 0,
	  IBV_WC_REM_ACCESS_ERR },
	{ "NAK: operation", ASK_READ, ROCE_ACK, 0x63, 0, IBV_WC_REM_OP_ERR },
	{ "NAK: RD only", ASK_WRITE, ROCE_ACK, 0x64, 0, ANY_STATUS },
	{ "NAK: reserved code", ASK_WRITE, ROCE_ACK, 0x65, 0, ANY_STATUS },
	{ "NAK: reserved code 31", ASK_READ, ROCE_ACK, 0x7f, 0, ANY_STATUS },
	{ "reserved syndrome", ASK_WRITE, ROCE_ACK, 0x40, 0, ANY_STATUS },
	{ "reserved bit", ASK_WRITE, ROCE_ACK, 0x9f, 0, ANY_STATUS },
	{ "RNR NAK", ASK_WRITE, ROCE_ACK, 0x20, 0, NO_STATUS },
	{ "RNR NAK of a READ", ASK_READ, ROCE_ACK, 0x3f, 0, NO_STATUS },
	{ "READ data, too short", ASK_READ, ROCE_READ_ONLY, 0x1f, 99,
	  IBV_WC_BAD_RESP_ERR },
	{ "READ data, too long", ASK_READ, ROCE_READ_ONLY, 0x1f, 104,
	  IBV_WC_BAD_RESP_ERR },
	{ "READ data, a whole MTU", ASK_READ, ROCE_READ_FIRST, 0x1f, 1024,
	  ANY_STATUS },
	{ "READ data, MIDDLE", ASK_READ, ROCE_READ_MIDDLE, 0x1f, 1024,
	  ANY_STATUS },
	{ "READ data, LAST", ASK_READ, ROCE_READ_LAST, 0x1f, 100, LAX_STATUS },
	{ "READ data, a NAK in it", ASK_READ, ROCE_READ_ONLY, 0x62, 100,
	  LAX_STATUS },
	{ "READ data for a WRITE", ASK_WRITE, ROCE_READ_ONLY, 0x1f, 100,
	  ANY_STATUS },
	{ "READ data for an atomic", ASK_ATOMIC, ROCE_READ_ONLY, 0x1f, 8,
	  ANY_STATUS },
	{ "atomic's result for a READ", ASK_READ, ROCE_ATOMIC_ACK, 0x1f, 0,
	  ANY_STATUS },
	{ "atomic's result for a WRITE", ASK_WRITE, ROCE_ATOMIC_ACK, 0x1f, 0,
	  ANY_STATUS },
	{ "ACK of a READ", ASK_READ, ROCE_ACK, 0x1f, 0, NO_STATUS },
	{ "ACK of an atomic", ASK_ATOMIC, ROCE_ACK, 0x1f, 0, NO_STATUS },
};

/* The peer is deaf: what it is asked goes unanswered */
static void ask(struct pair *p, enum question what, uint32_t len)
{
	uint64_t remote = leg_addr(&p->b, HOST_HALF);
	struct ibv_qp_ex *qpx;

	leg_reset(&p->b);
	t_fill_background(p->a.buf, len + BEHIND);
	qpx = leg_begin(&p->a, 9);
	if (what == ASK_WRITE)
		ibv_wr_rdma_write(qpx, p->b.mr->rkey, remote);
	else if (what == ASK_READ)
		ibv_wr_rdma_read(qpx, p->b.mr->rkey, remote);
	else
		ibv_wr_atomic_fetch_add(qpx, p->b.mr->rkey, remote, 1);
	leg_end(&p->a, &p->b, 0, what == ASK_ATOMIC ? 8 : len);
}

/* The request must have gone out, or the answer comes before it */
static void await_question(struct pair *p)
{
	struct aim *aim = &scene.at.aims[0];
	uint32_t before = roce_psn_add(p->a.opt.psn, -1);
	unsigned int tries;

	for (tries = 0; aim->sent == before; tries++) {
		T_ASSERT(tries < 5000, "no request on the wire");
		t_sleep_ms(1);
		attack_listen(&scene.at);
	}
}

static void want_behind(struct pair *p, uint32_t len)
{
	T_ASSERT(t_check_background(p->a.buf + len, BEHIND) < 0,
		 "written behind the end");
	T_ASSERT(t_check_background(p->a.buf + HOST_HALF, HOST_HALF) < 0,
		 "written to the quiet half");
}

static void requester_case(struct pair *p, const struct requester_case *c)
{
	struct aim *aim = &scene.at.aims[0];
	struct roce_pkt pkt;
	struct ibv_wc wc;
	bool came;

	t_case("%s", c->name);
	again(p);
	ask(p, c->ask, 100);
	await_question(p);
	pkt = attack_pkt(&scene.at, aim, ROCE_OPCODE(ROCE_RC, c->kind));
	attack_payload(&scene.at, &pkt, c->len);
	pkt.syndrome = c->syndrome;
	pkt.msn = 1;
	pkt.psn = p->a.opt.psn;
	attack_add(&scene.at, &pkt);
	attack_flush(&scene.at);
	if (c->status >= 0) {
		t_want_wc(p->a.scq, 9, c->status);
		want_state(&p->a, c->status ? IBV_QPS_ERR : IBV_QPS_RTS);
	} else {
		came = t_poll_for(p->a.scq, &wc, 100);
		T_ASSERT(c->status != NO_STATUS || !came, "completion '%s'",
			 t_wc_name(wc.status));
		T_ASSERT(c->status == LAX_STATUS || !came ||
				 wc.status != IBV_WC_SUCCESS,
			 "nonsense was taken for success");
	}
	want_rts_or_err(&p->a);
	want_behind(p, c->ask == ASK_ATOMIC ? 8 : 100);
}

void hostile_requester(void)
{
	static struct pair pair;
	unsigned int i;

	open_both(&pair, 6, SILENT_TIMEOUT);
	for (i = 0; i < T_ARRAY_SIZE(requester_cases); i++) {
		requester_case(&pair, &requester_cases[i]);
		others_go_on(&pair);
	}
	t_note("%u cases", i);
}

static void storm_answer(struct pair *p, uint32_t span)
{
	struct t_rand *r = &scene.at.rand;
	struct aim *aim = &scene.at.aims[0];
	unsigned int i, nr = 1 + t_rand_below(r, 12);
	struct roce_pkt pkt;
	size_t len;
	uint8_t kind;

	for (i = 0; i < nr; i++) {
		kind = ROCE_READ_FIRST + t_rand_below(r, 6);
		pkt = attack_pkt(&scene.at, aim, ROCE_OPCODE(ROCE_RC, kind));
		len = t_rand_below(r, 2) ? 1024 : t_rand_below(r, 1100);
		if (kind == ROCE_ACK || kind == ROCE_ATOMIC_ACK)
			len = 0;
		attack_payload(&scene.at, &pkt, len);
		pkt.syndrome = t_rand_below(r, 2) ? 0x1f : t_rand(r);
		pkt.psn = p->a.opt.psn + (t_rand_below(r, 2) ?
						  i :
						  t_rand_below(r, span));
		attack_add(&scene.at, &pkt);
	}
	attack_flush(&scene.at);
}

void hostile_requester_storm(void)
{
	unsigned int i, rounds = storm_rounds(), dead = 0;
	static struct pair pair;
	uint32_t len;

	open_both(&pair, 7, SILENT_TIMEOUT);
	for (i = 0; i < rounds; i++) {
		t_case("round %u", i);
		again(&pair);
		len = 1 + t_rand_below(&scene.at.rand, 8000);
		ask(&pair, t_rand_below(&scene.at.rand, 3), len);
		await_question(&pair);
		storm_answer(&pair, 10);
		others_go_on(&pair);
		want_rts_or_err(&pair.a);
		want_behind(&pair, len);
		dead += leg_state(&pair.a) == IBV_QPS_ERR;
	}
	t_note("%u of %u rounds killed the QP, %llu packets", dead, rounds,
	       (unsigned long long)scene.at.sent);
}
