// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Requests that come again just after they were carried out (IBA 9.7.5.1.5):
 * the peer's own packets, and such as only look like them. They are answered,
 * and change nothing.
 */

#include <stdlib.h>

#include "hostile.h"

#define LEN 5000
#define MTU 1024
#define NR_ATOMICS 4
#define SEED 123
#define SILENT_TIMEOUT 20 /* 4.3 s */

static struct scene scene;
static struct pair pair;

static void open_pair(void)
{
	struct leg_opt opt = LEG_OPT;

	/* The peer itself repeats nothing */
	opt.timeout = SILENT_TIMEOUT;
	scene_open(&scene, 11);
	pair_open(&scene, &pair, &opt);
	pair_aim(&scene, &pair);
	watch_begin(&scene);
}

static void send_as_peer(const struct roce_pkt *pkt)
{
	struct roce_pkt copy = *pkt;

	copy.ttl = ATTACK_TTL;
	attack_add(&scene.at, &copy);
	attack_flush(&scene.at);
}

static uint64_t duplicates(void)
{
	uint64_t value = 0;

	t_read_counter(pair.a.dev, "rx_duplicates", &value);
	return value;
}

/* An acknowledge of all that was done so far, duplicates included */
static void want_ack(uint32_t psn)
{
	const struct watched *w;

	w = watch_await(&scene, NULL, false, ROCE_ACK);
	T_ASSERT((w->pkt.syndrome & 0xe0) == 0, "syndrome %#x",
		 w->pkt.syndrome);
	T_ASSERT(w->pkt.psn == psn, "ACK of PSN %#x, want %#x", w->pkt.psn,
		 psn);
}

/* Nothing was noticed: both sides go on */
static void want_unharmed(uint64_t before, unsigned int sent)
{
	struct ibv_async_event event;
	uint64_t now = duplicates();

	t_case("afterwards");
	T_ASSERT(!now || now >= before + sent,
		 "%llu duplicates counted, %u were sent",
		 (unsigned long long)(now - before), sent);
	t_want_none(pair.a.rcq);
	T_ASSERT(!t_event_for(&scene.a, &event, 0), "event: %s",
		 ibv_event_type_str(event.event_type));
	/* It looks at all memory, and begins with no receive posted */
	pair_quiet(&pair);
	scene.round += 2;
	honest_post(&pair, scene.round);
	honest_wait(&pair, scene.round);
	scene_check(&scene, &pair);
	T_ASSERT(leg_state(&pair.a) == IBV_QPS_RTS &&
			 leg_state(&pair.b) == IBV_QPS_RTS,
		 "a QP left RTS");
}

/* One atomic of the peer; its packet, and the result that it got */
static uint64_t ask_atomic(unsigned int i, struct watched *asked)
{
	uint8_t kind = i & 1 ? ROCE_CMP_SWAP : ROCE_FETCH_ADD;
	const uint64_t *counter = (uint64_t *)pair.a.buf;
	struct ibv_qp_ex *qpx;

	watch_begin(&scene);
	qpx = leg_begin(&pair.b, i);
	if (kind == ROCE_CMP_SWAP)
		ibv_wr_atomic_cmp_swp(qpx, pair.a.mr->rkey,
				      leg_addr(&pair.a, 0), *counter, 7 * i);
	else
		ibv_wr_atomic_fetch_add(qpx, pair.a.mr->rkey,
					leg_addr(&pair.a, 0), 5);
	leg_end(&pair.b, &pair.a, 0, 8);
	t_want_wc(pair.b.scq, i, IBV_WC_SUCCESS);
	*asked = *watch_await(&scene, NULL, true, kind);
	return *(uint64_t *)pair.b.buf;
}

static void again_atomic(const struct roce_pkt *pkt, uint64_t orig)
{
	const uint64_t *counter = (uint64_t *)pair.a.buf;
	const struct watched *w;
	uint64_t is = *counter;

	watch_begin(&scene);
	send_as_peer(pkt);
	w = watch_await(&scene, NULL, false, ROCE_ATOMIC_ACK);
	T_ASSERT(w->pkt.psn == pkt->psn, "answer to PSN %#x, asked by %#x",
		 w->pkt.psn, pkt->psn);
	T_ASSERT(w->pkt.orig == orig, "result %llu, it was %llu",
		 (unsigned long long)w->pkt.orig, (unsigned long long)orig);
	T_ASSERT(*counter == is, "carried out again: %llu, was %llu",
		 (unsigned long long)*counter, (unsigned long long)is);
}

/* The result is told again, whatever the operands are now */
void dup_atomic(void)
{
	uint64_t orig[NR_ATOMICS], before;
	static struct watched asked[NR_ATOMICS];
	unsigned int i;

	open_pair();
	*(uint64_t *)pair.a.buf = 1000;
	for (i = 0; i < NR_ATOMICS; i++)
		orig[i] = ask_atomic(i, &asked[i]);
	before = duplicates();
	for (i = NR_ATOMICS; i--;) {
		t_case("atomic %u of %u", i, NR_ATOMICS);
		again_atomic(&asked[i].pkt, orig[i]);
		again_atomic(&asked[i].pkt, orig[i]);
		asked[i].pkt.swap_add += 1000;
		asked[i].pkt.compare = *(uint64_t *)pair.a.buf;
		again_atomic(&asked[i].pkt, orig[i]);
	}
	want_unharmed(before, 3 * NR_ATOMICS);
}

static const struct part {
	const char *name;
	unsigned int skip; /* packets */
	uint32_t len;
	int shift; /* of the address */
	bool other_key;
	bool refused;
} parts[] = {
	{ "all of it", 0, LEN },
	{ "the rest", 2, LEN - 2 * MTU },
	{ "the end", 4, LEN - 4 * MTU },
	{ "one packet", 1, MTU },
	{ "some bytes", 3, 17 },
	{ "the beginning", 0, 2 * MTU },
	{ "more", 0, LEN + 1, .refused = true },
	{ "more than the rest", 2, LEN - 2 * MTU + 1, .refused = true },
	{ "another address", 2, 100, 1, .refused = true },
	{ "address of the beginning", 1, MTU, -MTU, .refused = true },
	{ "another key", 0, 100, .other_key = true, .refused = true },
};

/* The packets of an answer, one after the other */
static void want_data(const struct roce_pkt *pkt, const struct part *part)
{
	unsigned int i, nr = (part->len + MTU - 1) / MTU;
	const struct watched *w = NULL;
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;
	uint32_t off, len;
	uint8_t kind;

	for (i = 0; i < nr; i++) {
		const struct watched *last = w;

		while (!(w = watch_next(&scene, last))) {
			T_ASSERT(t_now_ns() < end, "packet %u does not come",
				 i);
			t_sleep_ms(1);
		}
		off = i * MTU;
		len = part->len - off < MTU ? part->len - off : MTU;
		kind = nr == 1 ? ROCE_READ_ONLY :
		       !i      ? ROCE_READ_FIRST :
		       i + 1 < nr ? ROCE_READ_MIDDLE :
				    ROCE_READ_LAST;
		T_ASSERT(!w->to_victim && ROCE_KIND(w->pkt.opcode) == kind,
			 "packet %u: opcode %#x, want kind %#x", i,
			 w->pkt.opcode, kind);
		T_ASSERT(w->pkt.psn == roce_psn_add(pkt->psn, i) &&
				 w->pkt.len == len,
			 "packet %u: PSN %#x, %zu bytes", i, w->pkt.psn,
			 w->pkt.len);
		T_ASSERT(t_check_data(w->data, len, SEED,
				      part->skip * MTU + off) < 0,
			 "data of packet %u", i);
	}
}

static void again_read(const struct roce_pkt *asked, const struct part *part)
{
	struct roce_pkt pkt = *asked;

	t_case("%s", part->name);
	pkt.psn = roce_psn_add(pkt.psn, part->skip);
	pkt.va += part->skip * MTU + part->shift;
	pkt.dma_len = part->len;
	if (part->other_key)
		pkt.rkey = scene.guards.ro->rkey;
	watch_begin(&scene);
	send_as_peer(&pkt);
	if (!part->refused) {
		want_data(&pkt, part);
		return;
	}
	t_sleep_ms(T_QUIET_MS);
	T_ASSERT(!watch_next(&scene, NULL), "an answer");
}

/* A READ is answered again, in part too; but nothing that was not asked */
void dup_read(void)
{
	static struct watched asked;
	struct ibv_qp_ex *qpx;
	uint64_t before;
	unsigned int i;

	open_pair();
	t_fill_data(pair.a.buf, LEN, SEED, 0);
	qpx = leg_begin(&pair.b, 1);
	ibv_wr_rdma_read(qpx, pair.a.mr->rkey, leg_addr(&pair.a, 0));
	leg_end(&pair.b, &pair.a, 0, LEN);
	t_want_wc(pair.b.scq, 1, IBV_WC_SUCCESS);
	asked = *watch_await(&scene, NULL, true, ROCE_READ_REQ);
	before = duplicates();
	for (i = 0; i < T_ARRAY_SIZE(parts); i++)
		again_read(&asked.pkt, &parts[i]);
	want_unharmed(before, i);
}

/* The packets of the last message of the peer, in order */
static unsigned int last_message(struct watched *pkts, unsigned int max)
{
	const struct watched *w = NULL;
	unsigned int nr = 0;

	while ((w = watch_next(&scene, w))) {
		if (!w->to_victim || !roce_op(w->pkt.opcode)->request)
			continue;
		T_ASSERT(nr < max, "more than %u packets", max);
		pkts[nr] = *w;
		pkts[nr].pkt.payload = pkts[nr].data;
		nr++;
	}
	return nr;
}

static void again_message(unsigned int nr, struct watched *pkts)
{
	uint32_t newest = pkts[nr - 1].pkt.psn;
	unsigned int i;

	/* Other data would be seen where the message went */
	for (i = 0; i < nr; i++)
		memset(pkts[i].data, ATTACK_BYTE, pkts[i].pkt.len);
	for (i = 0; i < nr; i++) {
		watch_begin(&scene);
		send_as_peer(&pkts[i].pkt);
		want_ack(newest);
	}
	watch_begin(&scene);
	for (i = 0; i < nr; i++)
		send_as_peer(&pkts[i].pkt);
	want_ack(newest);
}

enum how {
	HOW_WRITE,
	HOW_WRITE_IMM,
	HOW_SEND,
};

/* Acknowledged, no more: no byte of it, and no receive is used up */
static void dup_one(enum how how, uint32_t len)
{
	static struct watched pkts[LEN / MTU + 1];
	struct ibv_qp_ex *qpx;
	unsigned int nr;

	t_case("%s of %u bytes",
	       how == HOW_SEND	? "SEND" :
	       how == HOW_WRITE ? "WRITE" :
				  "WRITE imm", len);
	leg_recv(&pair.a, 10, 0, LEN);
	leg_recv(&pair.a, 11, 8192, LEN);
	t_fill_data(pair.b.buf, len, SEED, 0);
	watch_begin(&scene);
	qpx = leg_begin(&pair.b, 1);
	if (how == HOW_SEND)
		ibv_wr_send(qpx);
	else if (how == HOW_WRITE)
		ibv_wr_rdma_write(qpx, pair.a.mr->rkey, leg_addr(&pair.a, 0));
	else
		ibv_wr_rdma_write_imm(qpx, pair.a.mr->rkey,
				      leg_addr(&pair.a, 0), htobe32(5));
	leg_end(&pair.b, &pair.a, 0, len);
	t_want_wc(pair.b.scq, 1, IBV_WC_SUCCESS);
	if (how != HOW_WRITE)
		t_want_wc(pair.a.rcq, 10, IBV_WC_SUCCESS);
	nr = last_message(pkts, T_ARRAY_SIZE(pkts));
	T_ASSERT(nr == (len + MTU - 1) / MTU, "%u packets seen", nr);
	t_fill_background(pair.a.buf, 16384);
	again_message(nr, pkts);
	t_want_none(pair.a.rcq);
	T_ASSERT(t_check_background(pair.a.buf, 16384) < 0, "written again");
}

void dup_message(void)
{
	static const uint32_t lens[] = { 100, LEN };
	uint64_t before;
	enum how how;
	unsigned int i;

	open_pair();
	before = duplicates();
	for (how = HOW_WRITE; how <= HOW_SEND; how++) {
		for (i = 0; i < T_ARRAY_SIZE(lens); i++) {
			dup_one(how, lens[i]);
			/* The receives that are left go */
			leg_reset(&pair.a);
			leg_reset(&pair.b);
			leg_join(&pair.a, &pair.b);
			scene.at.aims[0].next = pair.b.opt.psn;
			scene.at.aims[0].sent =
				roce_psn_add(pair.a.opt.psn, -1);
		}
	}
	want_unharmed(before, 2 * 2 * HOW_SEND);
}

/*
 * CHECKSUM_PARTIAL is no proof that a packet crossed no wire: GRO, tunnels and
 * tun make such skbs of what a NIC brought. The ICRC is looked at, of a packet
 * that is damaged and then of the same one whole.
 */
void partial_icrc(void)
{
	static uint8_t frame[ROCE_MAX_FRAME], payload[MTU];
	uint64_t before = 0, after = 0;
	struct roce_pkt pkt;
	size_t len;

	open_pair();
	leg_reset(&pair.b);
	memset(payload, 3, sizeof(payload));
	pkt = attack_pkt(&scene.at, &scene.at.aims[0],
			 ROCE_OPCODE(ROCE_RC, ROCE_WRITE_ONLY));
	pkt.payload = payload;
	pkt.len = sizeof(payload);
	pkt.pad = 0;
	pkt.psn = pair.b.opt.psn;
	pkt.va = leg_addr(&pair.a, 0);
	pkt.rkey = pair.a.mr->rkey;
	pkt.dma_len = sizeof(payload);
	pkt.ack_req = true;
	t_fill_background(pair.a.buf, MTU);
	len = roce_build(frame, &pkt);
	t_read_counter(pair.a.dev, "rx_icrc_errors", &before);
	frame[len - 100] ^= 1;
	attack_partial(&scene.at, frame, len);
	t_sleep_ms(T_QUIET_MS);
	T_ASSERT(t_check_background(pair.a.buf, MTU) < 0,
		 "data of a damaged packet");
	if (t_read_counter(pair.a.dev, "rx_icrc_errors", &after))
		T_ASSERT(after == before + 1, "%llu ICRC errors",
			 (unsigned long long)(after - before));
	frame[len - 100] ^= 1;
	watch_begin(&scene);
	attack_partial(&scene.at, frame, len);
	want_ack(pkt.psn);
	T_ASSERT(t_check_byte(pair.a.buf, MTU, 3) < 0, "data");
}

/* In the middle of a message; the attacker is the peer, which is deaf */
void dup_inside(void)
{
	static const struct {
		uint8_t kind;
		uint32_t index;
		uint8_t byte;
		uint32_t len;
	} sent[] = {
		{ ROCE_WRITE_FIRST, 0, 1, MTU },
		{ ROCE_WRITE_FIRST, 0, 2, MTU },
		{ ROCE_WRITE_MIDDLE, 1, 3, MTU },
		{ ROCE_WRITE_MIDDLE, 1, 4, MTU },
		{ ROCE_WRITE_FIRST, 0, 5, MTU },
		{ ROCE_WRITE_LAST, 2, 6, 10 },
		{ ROCE_WRITE_LAST, 2, 7, 10 },
	};
	static uint8_t payload[MTU];
	struct roce_pkt pkt;
	unsigned int i;

	open_pair();
	leg_reset(&pair.b);
	for (i = 0; i < T_ARRAY_SIZE(sent); i++) {
		pkt = attack_pkt(&scene.at, &scene.at.aims[0],
				 ROCE_OPCODE(ROCE_RC, sent[i].kind));
		memset(payload, sent[i].byte, sizeof(payload));
		pkt.payload = payload;
		pkt.len = sent[i].len;
		pkt.pad = -pkt.len & 3;
		pkt.psn = roce_psn_add(pair.b.opt.psn, sent[i].index);
		pkt.va = leg_addr(&pair.a, 0);
		pkt.rkey = pair.a.mr->rkey;
		pkt.dma_len = 2 * MTU + 10;
		pkt.ack_req = true;
		t_case("packet %u", i);
		watch_begin(&scene);
		send_as_peer(&pkt);
		want_ack(roce_psn_add(pair.b.opt.psn,
				      i >= 5 ? 2 : i >= 2 ? 1 : 0));
	}
	T_ASSERT(t_check_byte(pair.a.buf, MTU, 1) < 0 &&
			 t_check_byte(pair.a.buf + MTU, MTU, 3) < 0 &&
			 t_check_byte(pair.a.buf + 2 * MTU, 10, 6) < 0,
		 "data");
	T_ASSERT(leg_state(&pair.a) == IBV_QPS_RTS, "the QP left RTS");
}
