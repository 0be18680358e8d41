// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A peer that asks for a long READ by one request, as rdma_rxe and NICs do,
 * and asks again for the rest of it when an answer is lost or does not come.
 * The answer under way has to start again from there: what comes after the
 * gap is of no use to the peer, nor is a second copy of what it has.
 */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "common/t_uffd.h"
#include "hostile.h"

#define MTU 4096
#define LEN (64UL << 20)
#define NR (LEN / MTU)
/* The answer that is lost, and the page that is late */
#define LOST (NR / 8)
#define LATE (NR / 2)
#define TIMEOUT_NS (120 * 1000000ULL)
#define LATE_MS 420 /* more than three timeouts */
#define RETRIES 7
/* Headers of AF_PACKET, Ethernet, IP and UDP, and of a packet */
#define FRAME (10 + 14 + 40 + 8 + ROCE_MAX_HDR + MTU + 8)

static struct scene scene;
static struct pair pair;
static struct t_monitor monitor;

struct reader {
	uint32_t psn; /* of the first packet of the answer */
	uint32_t una; /* packets that came */
	uint32_t asked; /* una of the last request */
	uint64_t bytes; /* of answers seen, useful or not */
	uint64_t deadline;
	unsigned int requests;
	unsigned int retries; /* without progress */
	unsigned int rnrs; /* behind the first packet */
	bool lost;
	bool late; /* data from LATE on is the monitor's */
};

static void ask_rest(struct reader *r)
{
	const struct aim *aim = &scene.at.aims[0];
	struct roce_pkt pkt = attack_pkt(&scene.at, aim,
					 ROCE_OPCODE(ROCE_RC, ROCE_READ_REQ));

	pkt.psn = roce_psn_add(r->psn, r->una);
	pkt.va = leg_addr(&pair.a, (size_t)r->una * MTU);
	pkt.rkey = pair.a.mr->rkey;
	pkt.dma_len = LEN - (size_t)r->una * MTU;
	pkt.ack_req = true;
	attack_add(&scene.at, &pkt);
	attack_flush(&scene.at);
	r->asked = r->una;
	r->requests++;
	r->deadline = t_now_ns() + TIMEOUT_NS;
}

static uint32_t get24(const uint8_t *p)
{
	return p[0] << 16 | p[1] << 8 | p[2];
}

/* One page of the answer, of which the peer knows what has to be in it */
static void take_data(struct reader *r, const uint8_t *data)
{
	const char *want = pair.a.buf + (size_t)r->una * MTU;

	if (r->late && r->una == LATE)
		t_want_monitored((const char *)data, want, 1);
	else
		T_ASSERT(!memcmp(data, want, MTU), "packet %u of the answer",
			 r->una);
	r->una++;
	r->retries = 0;
	r->deadline = t_now_ns() + TIMEOUT_NS;
}

static void take_answer(struct reader *r, const uint8_t *bth, size_t len)
{
	uint32_t psn = get24(bth + 9);
	uint8_t kind = ROCE_KIND(bth[0]);
	int32_t ahead = roce_psn_diff(psn, roce_psn_add(r->psn, r->una));
	size_t hdr = kind == ROCE_READ_MIDDLE ? 12 : 16;

	if (kind == ROCE_ACK) {
		uint8_t syndrome = bth[12];

		T_ASSERT((syndrome & 0xe0) != 0x60, "NAK %#x", syndrome);
		if ((syndrome & 0xe0) != 0x20 || ahead)
			return;
		r->rnrs += r->una > 0;
		t_sleep_ms(6);
		ask_rest(r);
		return;
	}
	if (kind < ROCE_READ_FIRST || kind > ROCE_READ_ONLY)
		return;
	T_ASSERT(len >= hdr + MTU, "an answer of %zu bytes", len);
	r->bytes += MTU;
	if (ahead < 0)
		return;
	if (!ahead && r->una == LOST && !r->lost) {
		r->lost = true;
		return;
	}
	if (!ahead)
		take_data(r, bth + hdr);
	else if (r->asked != r->una)
		ask_rest(r);
}

static bool take_frames(struct reader *r)
{
	static uint8_t frame[64][FRAME];
	struct mmsghdr msgs[64] = { 0 };
	size_t skip = 10 + 14 + (scene.at.ipv6 ? 40 : 20) + 8;
	struct iovec iov[64];
	int i, nr;

	for (i = 0; i < 64; i++) {
		iov[i] = (struct iovec){ frame[i], FRAME };
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	nr = recvmmsg(scene.at.fd, msgs, 64, MSG_DONTWAIT, NULL);
	for (i = 0; i < nr; i++)
		if (msgs[i].msg_len > skip + 16 &&
		    get24(frame[i] + skip + 5) == scene.at.aims[0].peer_qpn)
			take_answer(r, frame[i] + skip,
				    msgs[i].msg_len - skip);
	return nr > 0;
}

static void read_all(struct reader *r)
{
	ask_rest(r);
	while (r->una < NR) {
		if (take_frames(r))
			continue;
		if (t_now_ns() < r->deadline) {
			t_sleep_ms(1);
			continue;
		}
		T_ASSERT(r->retries++ < RETRIES,
			 "no answer to packet %u of %lu, %u times (%llu bytes seen)",
			 r->una, NR, RETRIES, (unsigned long long)r->bytes);
		ask_rest(r);
	}
	/* What the responder still thinks it owes */
	t_sleep_ms(T_QUIET_MS);
	while (take_frames(r))
		;
}

static void open_reader(struct reader *r, uint8_t rnr_retry)
{
	struct leg_opt opt = LEG_OPT;
	int size = 128 << 20;

	opt.mtu = IBV_MTU_4096;
	opt.odp = true;
	opt.rnr_retry = rnr_retry;
	scene_open(&scene, 12);
	scene.at.mtu = MTU;
	t_need_odp(&scene.a);
	leg_open(&pair.a, &scene.a, LEN, &opt);
	leg_open(&pair.b, &scene.b, HOST_LEN, &opt);
	leg_join(&pair.a, &pair.b);
	pair_aim(&scene, &pair);
	/* The attacker is the peer; the real one is deaf */
	leg_reset(&pair.b);
	setsockopt(scene.at.fd, SOL_SOCKET, SO_RCVBUFFORCE, &size,
		   sizeof(size));
	memset(r, 0, sizeof(*r));
	r->psn = pair.b.opt.psn;
	r->asked = UINT32_MAX;
	t_fill_data(pair.a.buf, LEN, 5, 0);
}

/* And the connection lives: the next READ is answered */
static void want_alive(struct reader *r)
{
	r->psn = roce_psn_add(r->psn, NR);
	r->una = NR - 2;
	r->psn = roce_psn_add(r->psn, -(int32_t)r->una);
	r->late = false;
	r->lost = true;
	read_all(r);
	T_ASSERT(leg_state(&pair.a) == IBV_QPS_RTS, "the QP left RTS");
}

static void long_read(uint8_t rnr_retry, bool late)
{
	static struct reader r;
	uint64_t bytes;

	t_case("rnr_retry %u%s", rnr_retry, late ? ", a late page" : "");
	open_reader(&r, rnr_retry);
	if (late) {
		char *page = pair.a.buf + (size_t)LATE * MTU;

		struct ibv_sge all = t_sge(pair.a.mr, pair.a.buf, LEN);

		r.late = true;
		/* Else the first page would wait for this one */
		T_OK(ibv_advise_mr(pair.a.dev->pd, IBV_ADVISE_MR_ADVICE_PREFETCH,
				   IBV_ADVISE_MR_FLAG_FLUSH, &all, 1));
		T_OK(madvise(page, T_PAGE, MADV_DONTNEED));
		t_monitor_start(&monitor, page, T_PAGE, LATE_MS);
	}
	read_all(&r);
	bytes = r.bytes;
	T_ASSERT(!r.rnrs, "%u RNR NAKs in the middle of the data", r.rnrs);
	T_ASSERT(bytes <= 2 * LEN, "%llu bytes on the wire for %lu",
		 (unsigned long long)bytes, LEN);
	t_note("%llu %% on the wire, %u requests, %u RNR NAKs",
	       (unsigned long long)bytes * 100 / LEN, r.requests, r.rnrs);
	want_alive(&r);
	leg_close(&pair.a);
	leg_close(&pair.b);
	attack_close(&scene.at);
}

void read_lost(void)
{
	long_read(7, false);
}

void read_late(void)
{
	long_read(7, true);
	/* It accepts no RNR NAK: what it repeats meanwhile is absorbed */
	long_read(0, true);
}
