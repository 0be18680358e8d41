// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a correct receiver takes no notice of: packets that fail a check of
 * IBA 9.6 (headers), of the address, or of the PSN. They may be answered, but
 * nothing is carried out, nothing completes and no state changes. Chance must
 * not make an honest one: forge_test.c looks at them all.
 */

#include <stdlib.h>

#include "attack.h"

/* Farther from the PSN in use than an honest peer can have got meanwhile */
#define FAR 5000
#define FARTHEST 0x3fffff

static struct aim *any_aim(struct attack *at)
{
	return &at->aims[t_rand_below(&at->rand, at->nr_aims)];
}

/* A QP whose PSNs are checked; NULL when there is none */
static struct aim *reliable(struct attack *at)
{
	struct aim *aim = any_aim(at);
	unsigned int i;

	for (i = 0; i < at->nr_aims; i++, aim++) {
		if (aim == &at->aims[at->nr_aims])
			aim = at->aims;
		if (aim->transport == ROCE_RC || aim->transport == ROCE_XRC)
			return aim;
	}
	return NULL;
}

/* An opcode of a transport, reserved ones now and then */
static uint8_t some_opcode(struct attack *at, unsigned int transport)
{
	uint8_t opcode;

	do {
		opcode = ROCE_OPCODE(transport, t_rand_below(&at->rand, 32));
	} while (!roce_op(opcode)->name && t_rand_below(&at->rand, 16));
	return opcode;
}

/* With a payload as the opcode has it, or of any length */
static struct roce_pkt some_pkt(struct attack *at, const struct aim *aim,
				uint8_t opcode)
{
	struct roce_pkt pkt = attack_pkt(at, aim, opcode);
	struct t_rand *r = &at->rand;
	size_t len = t_rand_below(r, 64);

	switch (roce_op(opcode)->payload) {
	case ROCE_PAYLOAD_NONE:
		len = t_rand_below(r, 8) ? 0 : len;
		break;
	case ROCE_PAYLOAD_MTU:
		len = t_rand_below(r, 4) ? at->mtu : len;
		break;
	case ROCE_PAYLOAD_8:
		len = t_rand_below(r, 8) ? 8 : len;
		break;
	case ROCE_PAYLOAD_CNP:
		len = 16;
		break;
	default:
		if (!t_rand_below(r, 8))
			len = t_rand_below(r, 5000);
		break;
	}
	attack_payload(at, &pkt, len);
	return pkt;
}

static void corrupt(struct attack *at, const struct roce_pkt *pkt)
{
	uint8_t *ip = attack_slot(at);
	size_t len = roce_build(ip, pkt);

	ip[len - 1 - t_rand_below(&at->rand, 4)] ^=
		1 << t_rand_below(&at->rand, 8);
	if (pkt->ipv6) /* not because of its UDP checksum */
		ip[46] = ip[47] = 0;
	attack_push(at, len);
}

static void bad_icrc(struct attack *at)
{
	struct aim *aim = any_aim(at);
	struct roce_pkt pkt = some_pkt(at, aim,
				       some_opcode(at, aim->transport));

	corrupt(at, &pkt);
}

static void bad_icrc_nonsense(struct attack *at)
{
	struct roce_pkt pkt = some_pkt(at, any_aim(at), t_rand(&at->rand));

	pkt.psn += t_rand_below(&at->rand, 9) - 4;
	pkt.pad = t_rand(&at->rand) & 3;
	corrupt(at, &pkt);
}

static void version(struct attack *at)
{
	struct aim *aim = any_aim(at);
	struct roce_pkt pkt = some_pkt(at, aim,
				       some_opcode(at, aim->transport));

	pkt.tver = 1 + t_rand_below(&at->rand, 15);
	attack_add(at, &pkt);
}

static void unknown_qp(struct attack *at)
{
	static const uint32_t special[] = { 0, 1, 2, 0xffffff, 0xfffffe };
	struct aim aim = *any_aim(at);
	struct roce_pkt pkt;
	unsigned int i;

	aim.qpn = t_rand_below(&at->rand, 3) ?
			  t_rand(&at->rand) & 0xffffff :
			  special[t_rand_below(&at->rand,
					       T_ARRAY_SIZE(special))];
	for (i = 0; i < at->nr_aims; i++)
		if (aim.qpn == at->aims[i].qpn)
			return;
	pkt = some_pkt(at, &aim, t_rand(&at->rand));
	attack_add(at, &pkt);
}

/* Nearly the peer, or a stranger */
static void foreign_address(struct attack *at)
{
	struct aim *aim = any_aim(at);
	struct roce_pkt pkt = some_pkt(at, aim,
				       some_opcode(at, aim->transport));

	pkt.src[15] += 1 + t_rand_below(&at->rand, 100);
	if (aim->transport == ROCE_UD)
		pkt.qkey ^= 1 << t_rand_below(&at->rand, 31);
	attack_add(at, &pkt);
}

static void partition(struct attack *at)
{
	static const uint16_t keys[] = { 0, 1, 0x8000, 0x8001, 0xfffe, 0x7ffe,
					 0x1234 };
	struct aim *aim = any_aim(at);
	struct roce_pkt pkt = some_pkt(at, aim,
				       some_opcode(at, aim->transport));

	pkt.pkey = keys[t_rand_below(&at->rand, T_ARRAY_SIZE(keys))];
	attack_add(at, &pkt);
}

static void foreign_transport(struct attack *at)
{
	struct aim *aim = any_aim(at);
	struct roce_pkt pkt;
	uint8_t opcode;

	do {
		opcode = t_rand(&at->rand);
	} while (ROCE_TRANSPORT(opcode) == aim->transport);
	pkt = some_pkt(at, aim, opcode);
	attack_add(at, &pkt);
}

/* Every length from no BTH at all to one byte less than headers and ICRC */
static void cut_off(struct attack *at)
{
	struct aim *aim = any_aim(at);
	uint8_t opcode = some_opcode(at, aim->transport);
	struct roce_pkt pkt = some_pkt(at, aim, opcode);
	uint8_t *ip = attack_slot(at);
	size_t udp = (at->ipv6 ? 40 : 20) + 8;
	size_t len;

	roce_build(ip, &pkt);
	len = udp + t_rand_below(&at->rand, roce_hdr_len(opcode) + 4);
	roce_finish(ip, len);
	attack_push(at, len);
}

static void random_bytes(struct attack *at)
{
	struct roce_pkt pkt = attack_pkt(at, any_aim(at), 0);
	uint8_t *ip = attack_slot(at);
	size_t udp = (at->ipv6 ? 40 : 20) + 8;
	size_t i, len = udp + t_rand_below(&at->rand, 200);

	roce_build(ip, &pkt);
	for (i = udp; i < len; i++)
		ip[i] = t_rand(&at->rand);
	roce_finish(ip, len);
	/* A right ICRC would be luck, so there is none */
	if (len >= udp + 16)
		ip[len - 1] ^= 0x55;
	if (pkt.ipv6)
		ip[46] = ip[47] = 0;
	attack_push(at, len);
}

/* IP or UDP say another length, or a checksum is wrong */
static void outer_header(struct attack *at)
{
	struct aim *aim = any_aim(at);
	struct roce_pkt pkt = some_pkt(at, aim,
				       some_opcode(at, aim->transport));
	size_t udp = at->ipv6 ? 40 : 20;
	uint8_t *ip = attack_slot(at);
	size_t len = roce_build(ip, &pkt);

	switch (t_rand_below(&at->rand, 4)) {
	case 0: /* UDP length */
		ip[udp + 5] += 1 + t_rand_below(&at->rand, 255);
		break;
	case 1: /* UDP checksum: wrong, and there is one */
		ip[udp + 6] ^= 1 + t_rand_below(&at->rand, 254);
		ip[udp + 7] |= 1;
		/* One of 65 000 would be right, and the packet an honest one */
		if (roce_udp_csum_good(ip, len))
			ip[udp + 6] ^= 0xff;
		break;
	case 2: /* bytes that IP does not cover are no part of it: bad ICRC */
		ip[len - 4] ^= 0xff;
		len += t_rand_below(&at->rand, 40);
		break;
	default: /* less than IP says */
		len -= 1 + t_rand_below(&at->rand, 20);
		break;
	}
	attack_push(at, len);
}

static uint32_t far_off(struct attack *at)
{
	return FAR + t_rand_below(&at->rand, FARTHEST - FAR);
}

static uint8_t some_request(struct attack *at, const struct aim *aim)
{
	uint8_t opcode;

	do {
		opcode = some_opcode(at, aim->transport);
	} while (!roce_op(opcode)->request && roce_op(opcode)->name);
	return opcode;
}

static uint8_t some_response(struct attack *at, const struct aim *aim)
{
	return ROCE_OPCODE(aim->transport, ROCE_READ_FIRST +
					   t_rand_below(&at->rand, 6));
}

/* A duplicate of long ago, with other data: never carried out again */
static void stale_request(struct attack *at)
{
	struct aim *aim = reliable(at);
	struct roce_pkt pkt;

	if (!aim)
		return;
	pkt = some_pkt(at, aim, some_request(at, aim));
	pkt.psn = aim->next - far_off(at);
	attack_add(at, &pkt);
}

static void future_request(struct attack *at)
{
	struct aim *aim = reliable(at);
	struct roce_pkt pkt;

	if (!aim)
		return;
	pkt = some_pkt(at, aim, some_request(at, aim));
	pkt.psn = aim->next + far_off(at);
	attack_add(at, &pkt);
}

/* An answer to what was never asked, or was answered long ago */
static void ghost_answer(struct attack *at)
{
	struct aim *aim = reliable(at);
	struct roce_pkt pkt;

	if (!aim)
		return;
	pkt = some_pkt(at, aim, some_response(at, aim));
	pkt.psn = t_rand_below(&at->rand, 2) ? aim->sent + far_off(at) :
					       aim->sent - far_off(at);
	pkt.syndrome = t_rand_below(&at->rand, 2) ? t_rand(&at->rand) : 0x1f;
	attack_add(at, &pkt);
}

static void replay(struct attack *at)
{
	unsigned int slot;
	size_t len;

	if (!at->nr_kept)
		return;
	slot = t_rand_below(&at->rand, at->nr_kept);
	len = at->kept_len[slot];
	memcpy(attack_slot(at), at->kept[slot], len);
	/* So that it is not taken for honest; the ICRC does not cover it */
	if (at->ipv6) {
		attack_slot(at)[7] = ATTACK_TTL;
	} else {
		attack_slot(at)[8] = ATTACK_TTL;
		roce_ip_length(attack_slot(at), len);
	}
	attack_push(at, len);
}

static void congestion(struct attack *at)
{
	struct roce_pkt pkt = some_pkt(at, any_aim(at), ROCE_OP_CNP);

	pkt.resv8a = t_rand(&at->rand);
	attack_add(at, &pkt);
}

static void queue_key(struct attack *at)
{
	struct aim *aim = any_aim(at);
	struct roce_pkt pkt;

	if (aim->transport != ROCE_UD)
		return;
	pkt = some_pkt(at, aim, some_opcode(at, ROCE_UD));
	pkt.qkey ^= 1 << t_rand_below(&at->rand, 31);
	attack_add(at, &pkt);
}

/* Something in it that is a reason to take no notice of it */
static void spoil(struct attack *at, const struct aim *aim,
		  struct roce_pkt *pkt, uint32_t far)
{
	bool ordered = aim->transport == ROCE_RC ||
		       aim->transport == ROCE_XRC;

	switch (t_rand_below(&at->rand, ordered ? 6 : 3)) {
	case 0:
		pkt->tver = 1;
		break;
	case 1:
		pkt->pkey = 0x1234;
		break;
	case 2:
		pkt->qpn ^= 0x800000;
		break;
	default:
		pkt->psn += far;
		break;
	}
}

/* Several of them as one skb */
static void train(struct attack *at)
{
	struct roce_pkt pkts[16];
	struct aim *aim = any_aim(at);
	unsigned int i, nr = 2 + t_rand_below(&at->rand, 14);
	uint8_t opcode = some_opcode(at, aim->transport);
	uint32_t far = far_off(at);
	uint16_t gso;

	if (t_rand_below(&at->rand, 2))
		far = -far;
	for (i = 0; i < nr; i++) {
		if (!t_rand_below(&at->rand, 4))
			opcode = t_rand(&at->rand);
		pkts[i] = some_pkt(at, aim, opcode);
		/* Of this length or not: then the cut goes through it */
		if (t_rand_below(&at->rand, 8))
			attack_payload(at, &pkts[i], i + 1 < nr ? 256 : 100);
		spoil(at, aim, &pkts[i], i + far);
	}
	gso = roce_hdr_len(pkts[0].opcode) + pkts[0].len + pkts[0].pad + 4;
	if (!t_rand_below(&at->rand, 4))
		gso = 1 + t_rand_below(&at->rand, 600);
	attack_train(at, pkts, nr, gso);
}

static void (*const forgeries[])(struct attack *at) = {
	bad_icrc,	   bad_icrc_nonsense, version,	    unknown_qp,
	foreign_address,   partition,	      foreign_transport, cut_off,
	random_bytes,	   outer_header,      stale_request, future_request,
	ghost_answer,	   replay,	      congestion,   queue_key,
	train,
};

const char *const attack_names[] = {
	"bad ICRC",	 "bad ICRC, nonsense", "version",
	"unknown QP",	 "foreign address",    "P_Key",
	"foreign transport", "cut off",	       "random bytes",
	"IP and UDP",	 "stale request",      "future request",
	"ghost answer",	 "replay",	       "CNP",
	"Q_Key",	 "train",
};

const unsigned int attack_nr = T_ARRAY_SIZE(forgeries);
uint64_t attack_counts[T_ARRAY_SIZE(forgeries)];

void attack_forge(struct attack *at, unsigned int which)
{
	uint64_t before = at->sent + at->nr_out + at->lost;

	forgeries[which](at);
	attack_counts[which] += at->sent + at->nr_out + at->lost - before;
}

void attack_harmless(struct attack *at)
{
	unsigned int i = t_rand_below(&at->rand, attack_nr);
	static int only = -2;

	if (only == -2) {
		const char *text = getenv("SODP_ATTACK_ONLY");

		only = text ? atoi(text) : -1;
	}
	attack_forge(at, only >= 0 ? (unsigned int)only : i);
}
