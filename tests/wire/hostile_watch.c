// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What can be seen on the wire only: that a requester keeps to what its peer
 * can take, how often a responder answers, and by which way packets go.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/t_uffd.h"
#include "hostile.h"

#define SILENT_TIMEOUT 20 /* 4.3 s: nothing is repeated meanwhile */
#define SMALL 100
#define CHAIN 64
#define MTU 1024
/* sodp_policy.window_first */
#define PIECE 16
/* WRESP_ACK_PACKETS of responder.c */
#define ACK_PACKETS 64
/* A round trip: what is longer than sodp_policy.hold_ns is far away */
#define FAR_MS 5
/* IBA table 45: 0 asks for 655 ms */
#define RNR_CODE 0
#define RNR_MS 655

static struct scene scene;
static struct watched seen[1024];
static unsigned int nr_seen;

static void take_note(const struct aim *aim, const struct roce_pkt *pkt)
{
	struct watched *w = &seen[nr_seen];

	T_ASSERT(nr_seen < T_ARRAY_SIZE(seen), "more packets than expected");
	T_ASSERT(pkt->len <= sizeof(w->data), "a payload of %zu bytes",
		 pkt->len);
	w->pkt = *pkt;
	w->aim = aim;
	w->to_victim = pkt->qpn == aim->qpn;
	memcpy(w->data, pkt->payload, pkt->len);
	w->pkt.payload = w->data;
	nr_seen++;
}

void watch_begin(struct scene *s)
{
	attack_listen(&s->at);
	s->at.seen = take_note;
	nr_seen = 0;
}

const struct watched *watch_next(struct scene *s, const struct watched *last)
{
	const struct watched *next = last ? last + 1 : seen;

	attack_listen(&s->at);
	return next < seen + nr_seen ? next : NULL;
}

/* The first one of a kind behind some other */
const struct watched *watch_find(struct scene *s, const struct watched *last,
				 bool to_victim, uint8_t kind)
{
	do {
		last = watch_next(s, last);
	} while (last && (last->to_victim != to_victim ||
			  ROCE_KIND(last->pkt.opcode) != kind));
	return last;
}

const struct watched *watch_await(struct scene *s, const struct watched *last,
				  bool to_victim, uint8_t kind)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;
	const struct watched *w;

	while (!(w = watch_find(s, last, to_victim, kind))) {
		T_ASSERT(t_now_ns() < end, "no packet of kind %#x", kind);
		t_sleep_ms(1);
	}
	return w;
}

/* PSNs of requests of the victim that begin a message; each counts once */
static unsigned int nr_asked(uint8_t kind, uint8_t or_kind)
{
	const struct watched *w = NULL;
	uint32_t newest = 0;
	unsigned int nr = 0;

	while ((w = watch_next(&scene, w))) {
		if (w->to_victim || (ROCE_KIND(w->pkt.opcode) != kind &&
				     ROCE_KIND(w->pkt.opcode) != or_kind))
			continue;
		if (nr && roce_psn_diff(w->pkt.psn, newest) <= 0)
			continue;
		newest = w->pkt.psn;
		nr++;
	}
	return nr;
}

/* So many, and no more for a while */
static void want_asked(uint8_t kind, uint8_t or_kind, unsigned int want)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;
	unsigned int nr;

	while ((nr = nr_asked(kind, or_kind)) < want) {
		T_ASSERT(t_now_ns() < end, "%u requests on their way, want %u",
			 nr, want);
		t_sleep_ms(1);
	}
	t_sleep_ms(T_QUIET_MS);
	nr = nr_asked(kind, or_kind);
	T_ASSERT(nr == want, "%u requests on their way, want %u", nr, want);
}

static void open_pair(struct pair *p, const struct leg_opt *opt)
{
	scene_open(&scene, 9);
	pair_open(&scene, p, opt);
	pair_aim(&scene, p);
	watch_begin(&scene);
}

static void ask(struct pair *p, uint64_t wr_id, bool atomic, uint32_t len)
{
	uint64_t remote = leg_addr(&p->b, HOST_HALF);
	struct ibv_qp_ex *qpx = leg_begin(&p->a, wr_id);

	if (atomic)
		ibv_wr_atomic_fetch_add(qpx, p->b.mr->rkey, remote, 1);
	else
		ibv_wr_rdma_read(qpx, p->b.mr->rkey, remote);
	leg_end(&p->a, &p->b, 0, len);
}

static void answer(struct pair *p, uint32_t index, bool atomic)
{
	uint8_t kind = atomic ? ROCE_ATOMIC_ACK : ROCE_READ_ONLY;
	struct roce_pkt pkt = attack_pkt(&scene.at, &scene.at.aims[0],
					 ROCE_OPCODE(ROCE_RC, kind));

	attack_payload(&scene.at, &pkt, atomic ? 0 : SMALL);
	pkt.psn = roce_psn_add(p->a.opt.psn, index);
	pkt.msn = index + 1;
	attack_add(&scene.at, &pkt);
	attack_flush(&scene.at);
}

/* Eight of them are posted; the peer is deaf, its answers are forged */
static void rd_limit(uint8_t limit, bool atomics)
{
	struct leg_opt opt = LEG_OPT;
	static struct pair pair;
	unsigned int i, nr = 8;

	t_case("limit %u, READs%s", limit, atomics ? " and atomics" : "");
	opt.rd_atomic = limit;
	opt.timeout = SILENT_TIMEOUT;
	open_pair(&pair, &opt);
	leg_reset(&pair.b);
	for (i = 0; i < nr; i++)
		ask(&pair, i, atomics && i & 1, atomics && i & 1 ? 8 : SMALL);
	for (i = 0; i < nr; i++) {
		want_asked(ROCE_READ_REQ, ROCE_FETCH_ADD,
			   i + limit < nr ? i + limit : nr);
		answer(&pair, i, atomics && i & 1);
		t_want_wc(pair.a.scq, i, IBV_WC_SUCCESS);
	}
	leg_close(&pair.a);
	leg_close(&pair.b);
	attack_close(&scene.at);
}

/* Forged: packets @from to @to - 1 of the first piece of a READ */
static void answer_piece(struct pair *p, uint32_t from, uint32_t to)
{
	struct roce_pkt pkt;
	uint8_t kind;

	for (; from < to; from++) {
		kind = !from		  ? ROCE_READ_FIRST :
		       from + 1 < PIECE	  ? ROCE_READ_MIDDLE :
					    ROCE_READ_LAST;
		pkt = attack_pkt(&scene.at, &scene.at.aims[0],
				 ROCE_OPCODE(ROCE_RC, kind));
		attack_payload(&scene.at, &pkt, MTU);
		pkt.psn = roce_psn_add(p->a.opt.psn, from);
		pkt.msn = 1;
		/* A mark would have less asked for */
		pkt.tos &= ~3;
		attack_add(&scene.at, &pkt);
	}
	attack_flush(&scene.at);
}

/*
 * A READ is asked for in pieces, each of which counts. The first is all that a
 * new connection has on its way; the next follows when half of it has come, if
 * the limit allows.
 */
static void long_read(unsigned int limit)
{
	struct leg_opt opt = LEG_OPT;
	static struct pair pair;

	t_case("limit %u, a long READ", limit);
	opt.rd_atomic = limit;
	opt.timeout = SILENT_TIMEOUT;
	open_pair(&pair, &opt);
	leg_reset(&pair.b);
	ask(&pair, 0, false, 200 * MTU);
	/* One of a single packet would wait for company */
	ask(&pair, 1, false, 2 * MTU);
	want_asked(ROCE_READ_REQ, ROCE_READ_REQ, 1);
	answer_piece(&pair, 0, PIECE / 2);
	want_asked(ROCE_READ_REQ, ROCE_READ_REQ, limit);
	answer_piece(&pair, PIECE / 2, PIECE);
	want_asked(ROCE_READ_REQ, ROCE_READ_REQ, limit + 1);
	leg_close(&pair.a);
	leg_close(&pair.b);
	attack_close(&scene.at);
}

/* READs and atomics on their way: max_rd_atomic of the requester */
void watch_rd_limit(void)
{
	rd_limit(1, false);
	rd_limit(1, true);
	rd_limit(3, true);
	rd_limit(16, true);
	long_read(1);
	long_read(2);
}

/* At once, so that they leave together where nothing is in their way */
static void post_chain(struct pair *p, bool write, unsigned int nr)
{
	struct ibv_qp_ex *qpx = p->a.qpx;
	unsigned int i;

	ibv_wr_start(qpx);
	for (i = 0; i < nr; i++) {
		qpx->wr_id = i;
		qpx->wr_flags = IBV_SEND_SIGNALED;
		if (write)
			ibv_wr_rdma_write(qpx, p->b.mr->rkey,
					  leg_addr(&p->b, i * SMALL));
		else
			ibv_wr_send(qpx);
		ibv_wr_set_sge(qpx, p->a.mr->lkey, leg_addr(&p->a, i * SMALL),
			       SMALL);
	}
	T_OK(ibv_wr_complete(qpx));
}

static void await_rnr(void)
{
	const struct watched *w = NULL;

	do {
		w = watch_await(&scene, w, true, ROCE_ACK);
	} while ((w->pkt.syndrome & 0xe0) != 0x20);
}

/*
 * Two receives are left, and the requester was told so (IBA 9.7.7.2): of
 * eight SENDs two go out, then one alone, to see how things are, and no more
 * before there are receives.
 */
void watch_credits(void)
{
	uint64_t before = 0, naks = 0, began = t_now_ns();
	struct leg_opt opt = LEG_OPT;
	static struct pair pair;
	unsigned int i, most;

	opt.min_rnr = RNR_CODE;
	opt.timeout = SILENT_TIMEOUT;
	open_pair(&pair, &opt);
	for (i = 0; i < 3; i++)
		leg_recv(&pair.b, i, 0, SMALL);
	post_chain(&pair, false, 1);
	t_want_wc(pair.a.scq, 0, IBV_WC_SUCCESS);
	t_want_wc(pair.b.rcq, 0, IBV_WC_SUCCESS);
	t_read_counter(pair.b.dev, "rnr_naks", &before);
	watch_begin(&scene);
	post_chain(&pair, false, 8);
	await_rnr();
	want_asked(ROCE_SEND_ONLY, ROCE_SEND_ONLY, 3);
	for (i = 0; i < 8; i++)
		leg_recv(&pair.b, 3 + i, 0, SMALL);
	for (i = 0; i < 8; i++)
		t_want_wc(pair.a.scq, i, IBV_WC_SUCCESS);
	for (i = 1; i < 9; i++)
		t_want_wc(pair.b.rcq, i, IBV_WC_SUCCESS);
	if (!t_read_counter(pair.b.dev, "rnr_naks", &naks))
		return;
	naks -= before;
	/* One for each time that it came back to see */
	most = 2 + (t_now_ns() - began) / 1000000 / RNR_MS;
	T_ASSERT(naks && naks <= most, "%" PRIu64 " RNR NAKs, want 1 to %u",
		 naks, most);
	t_note("%" PRIu64 " RNR NAKs", naks);
}

/* A responder that waits for a page, and what its peer sends next */
struct held {
	struct pair pair;
	int fd;
	uint32_t next;
};

static void forge_write_at(struct pair *p, uint32_t psn, uint64_t va)
{
	struct roce_pkt pkt = attack_pkt(&scene.at, &scene.at.aims[0],
					 ROCE_OPCODE(ROCE_RC, ROCE_WRITE_ONLY));

	attack_payload(&scene.at, &pkt, SMALL);
	pkt.psn = psn;
	pkt.va = va;
	pkt.rkey = p->a.mr->rkey;
	pkt.dma_len = SMALL;
	pkt.ack_req = true;
	attack_add(&scene.at, &pkt);
	attack_flush(&scene.at);
}

static void forge_write(struct pair *p, uint32_t psn)
{
	forge_write_at(p, psn, leg_addr(&p->a, HOST_HALF));
}

static void await_counter(struct held *h, const char *name, uint64_t want)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL, is;

	while ((is = t_counter(h->pair.a.dev, name)) < want) {
		T_ASSERT(t_now_ns() < end,
			 "%s %" PRIu64 ", want %" PRIu64, name, is, want);
		t_sleep_ms(1);
	}
}

static void hold_begin(struct held *h)
{
	struct leg_opt opt = LEG_OPT;
	uint64_t packets;

	opt.odp = true;
	/* No RNR NAK is sent to such a peer */
	opt.rnr_retry = 0;
	open_pair(&h->pair, &opt);
	T_OK(madvise(h->pair.a.buf, T_PAGE, MADV_DONTNEED));
	h->fd = t_uffd(h->pair.a.buf, T_PAGE);
	h->next = scene.at.aims[0].next;
	packets = t_counter(h->pair.a.dev, "rx_packets");
	forge_write_at(&h->pair, h->next, leg_addr(&h->pair.a, 0));
	h->next = roce_psn_add(h->next, 1);
	await_counter(h, "rx_packets", packets + 1);
	t_sleep_ms(T_QUIET_MS);
}

static void hold_end(struct held *h)
{
	leg_close(&h->pair.a);
	leg_close(&h->pair.b);
	attack_close(&scene.at);
}

/*
 * But not all of a long queue: a peer whose window is full would have nothing
 * to do until the end of it. What waits for a page here is such a queue.
 */
static void acks_of_queue(void)
{
	unsigned int i, nr = 4 * ACK_PACKETS, acks = 0;
	const struct watched *w = NULL;
	static struct held held;
	uint64_t packets;
	uint32_t last;

	t_case("of a long queue");
	hold_begin(&held);
	packets = t_counter(held.pair.a.dev, "rx_packets");
	for (i = 0; i < nr; i++)
		forge_write(&held.pair, roce_psn_add(held.next, i));
	await_counter(&held, "rx_packets", packets + nr);
	last = roce_psn_add(held.next, nr - 1);
	t_uffd_serve(held.fd, held.pair.a.buf);
	do {
		w = watch_await(&scene, w, false, ROCE_ACK);
		/* Others say that it is still there */
		acks += roce_psn_diff(w->pkt.psn, held.next) >= 0;
	} while (w->pkt.psn != last);
	T_ASSERT(acks >= nr / ACK_PACKETS, "%u ACKs for %u packets", acks, nr);
	t_note("%u ACKs for %u packets", acks, nr);
	hold_end(&held);
}

/* Packets that came together are acknowledged together */
void watch_acks(void)
{
	unsigned int i, k, rounds = 8, acks = 0, writes = 0;
	struct leg_opt opt = LEG_OPT;
	const struct watched *w;
	static struct pair pair;

	open_pair(&pair, &opt);
	for (i = 0; i < rounds; i++) {
		watch_begin(&scene);
		post_chain(&pair, true, CHAIN);
		for (k = 0; k < CHAIN; k++)
			t_want_wc(pair.a.scq, k, IBV_WC_SUCCESS);
		for (w = NULL; (w = watch_next(&scene, w));) {
			acks += ROCE_KIND(w->pkt.opcode) == ROCE_ACK;
			writes += ROCE_KIND(w->pkt.opcode) == ROCE_WRITE_ONLY;
		}
	}
	T_ASSERT(writes >= rounds * CHAIN && acks >= rounds,
		 "%u WRITEs seen, %u ACKs", writes, acks);
	T_ASSERT(acks <= writes / 2, "%u ACKs for %u WRITEs", acks, writes);
	t_note("%u ACKs for %u WRITEs", acks, writes);
	leg_close(&pair.a);
	leg_close(&pair.b);
	attack_close(&scene.at);
	acks_of_queue();
}

/* Forged: all up to the WRITE of this index have come */
static void answer_writes(struct pair *p, uint32_t index)
{
	struct roce_pkt pkt = attack_pkt(&scene.at, &scene.at.aims[0],
					 ROCE_OPCODE(ROCE_RC, ROCE_ACK));

	pkt.psn = roce_psn_add(p->a.opt.psn, index);
	pkt.msn = index + 1;
	/* A mark would have less sent */
	pkt.tos &= ~3;
	attack_add(&scene.at, &pkt);
	attack_flush(&scene.at);
}

/*
 * Small messages that find others on their way leave nevertheless, where the
 * answer to those is far away. The one answer makes the window large enough;
 * another one would come late, and make it small.
 */
void watch_small(void)
{
	unsigned int i, first = PIECE + 1, more = 2 * PIECE - 2;
	struct leg_opt opt = LEG_OPT;
	static struct pair pair;

	opt.timeout = SILENT_TIMEOUT;
	open_pair(&pair, &opt);
	leg_reset(&pair.b);
	post_chain(&pair, true, first);
	t_sleep_ms(FAR_MS);
	answer_writes(&pair, PIECE - 1);
	for (i = 0; i < PIECE; i++)
		t_want_wc(pair.a.scq, i, IBV_WC_SUCCESS);
	want_asked(ROCE_WRITE_ONLY, ROCE_WRITE_ONLY, first);
	post_chain(&pair, true, more);
	want_asked(ROCE_WRITE_ONLY, ROCE_WRITE_ONLY, first + more);
	leg_close(&pair.a);
	leg_close(&pair.b);
	attack_close(&scene.at);
}

/*
 * It takes no room of what can be carried out: it is dropped as it comes, even
 * while the responder waits for a page.
 */
static void gap_held(void)
{
	unsigned int i, nr = 20;
	static struct held held;
	uint64_t drops;

	t_case("while a page is waited for");
	hold_begin(&held);
	drops = t_counter(held.pair.a.dev, "rx_drops");
	for (i = 0; i < nr; i++)
		forge_write(&held.pair, roce_psn_add(held.next, 1 + i));
	await_counter(&held, "rx_drops", drops + nr);
	t_uffd_serve(held.fd, held.pair.a.buf);
	hold_end(&held);
}

/*
 * What is behind a gap is told of once, by the PSN that is missing, and not
 * again before that has come. IBA 9.7.5.1.3
 */
void watch_gap(void)
{
	struct leg_opt opt = LEG_OPT;
	static struct pair pair;
	const struct watched *w;
	unsigned int i, naks = 0;
	struct roce_pkt pkt;
	uint32_t missing;

	open_pair(&pair, &opt);
	missing = scene.at.aims[0].next;
	for (i = 0; i < 5; i++) {
		pkt = attack_pkt(&scene.at, &scene.at.aims[0],
				 ROCE_OPCODE(ROCE_RC, ROCE_WRITE_ONLY));
		attack_payload(&scene.at, &pkt, SMALL);
		pkt.psn = roce_psn_add(missing, 1 + i);
		attack_add(&scene.at, &pkt);
		attack_flush(&scene.at);
		t_sleep_ms(5);
	}
	watch_await(&scene, NULL, false, ROCE_ACK);
	t_sleep_ms(T_QUIET_MS);
	for (w = NULL; (w = watch_find(&scene, w, false, ROCE_ACK)); naks++)
		T_ASSERT(w->pkt.syndrome == 0x60 && w->pkt.psn == missing,
			 "syndrome %#x, PSN %#x, want %#x", w->pkt.syndrome,
			 w->pkt.psn, missing);
	T_ASSERT(naks == 1, "%u NAKs", naks);
	t_case("it has come");
	honest_post(&pair, 2);
	honest_wait(&pair, 2);
	leg_close(&pair.a);
	leg_close(&pair.b);
	attack_close(&scene.at);
	gap_held();
}

/* One port for all that one QP sends to another, and not that of all QPs */
void watch_ports(void)
{
	static struct pair pairs[ATTACK_MAX_AIMS];
	unsigned int i, k, nr = T_ARRAY_SIZE(pairs), shared = 0;
	uint16_t ports[ATTACK_MAX_AIMS][2] = { 0 };
	struct leg_opt opt = LEG_OPT;
	const struct watched *w;
	uint16_t *port;

	scene_open(&scene, 10);
	for (i = 0; i < nr; i++) {
		pair_open(&scene, &pairs[i], &opt);
		pair_aim(&scene, &pairs[i]);
	}
	for (i = 0; i < nr; i++) {
		watch_begin(&scene);
		honest_post(&pairs[i], 2 + 2 * i);
		honest_wait(&pairs[i], 2 + 2 * i);
		for (w = NULL; (w = watch_next(&scene, w));) {
			port = &ports[w->aim - scene.at.aims][w->to_victim];
			if (!*port)
				*port = w->pkt.sport;
			T_ASSERT(w->pkt.sport == *port,
				 "from port %#x, before from %#x",
				 w->pkt.sport, *port);
			T_ASSERT(*port >= 0xc000, "port %#x: IBA A17.9.2",
				 *port);
		}
		T_ASSERT(ports[i][0] && ports[i][1], "no packets of pair %u",
			 i);
	}
	/* Two may meet by chance, of 16384 */
	for (i = 0; i < nr; i++)
		for (k = 0; k < i; k++)
			shared += ports[i][0] == ports[k][0];
	T_ASSERT(shared <= 1, "%u pairs of pairs share a port", shared);
}
