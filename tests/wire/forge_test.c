// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The forgeries of forge.c have to be harmless, each of millions: they are
 * shown to the codec of the tests, and none may be what the peer could have
 * sent now. Needs no device.
 */

#include <stdlib.h>

#include "attack.h"

/* Far less than a forged PSN is off, far more than honest peers are apart */
#define NEAR 1000
#define QKEY 0x11223344
/* Of all seeds one that meets what is rare: an outer header right by luck */
#define SEED 4

static const struct aim aims[] = {
	{ .transport = ROCE_RC, .qpn = 0x123, .peer_qpn = 0x456,
	  .next = 0x800000, .sent = 0x7fffff },
	{ .transport = ROCE_UC, .qpn = 0x124, .peer_qpn = 0x457,
	  .next = 0x10, .sent = 0xf },
	{ .transport = ROCE_UD, .qpn = 0x125, .peer_qpn = 0x458,
	  .next = 0x20, .sent = 0x1f, .qkey = QKEY },
	{ .transport = ROCE_XRC, .qpn = 0x126, .peer_qpn = 0x459,
	  .next = 0xfffff0, .sent = 0xffffef, .srqn = 5 },
};

static bool psn_is_near(const struct aim *aim, const struct roce_pkt *pkt)
{
	uint32_t known = roce_op(pkt->opcode)->request ? aim->next : aim->sent;

	return abs(roce_psn_diff(pkt->psn, known)) < NEAR;
}

/* Would one who does nothing wrong act on it? */
static bool is_honest(const struct attack *at, const struct roce_pkt *pkt)
{
	const struct aim *aim = at->aims;

	while (pkt->qpn != aim->qpn)
		if (++aim == at->aims + at->nr_aims)
			return false;
	if (ROCE_TRANSPORT(pkt->opcode) != aim->transport ||
	    (pkt->pkey & 0x7fff) != 0x7fff || memcmp(pkt->dst, at->dst, 16))
		return false;
	if (aim->transport == ROCE_UD)
		return pkt->qkey == aim->qkey;
	if (memcmp(pkt->src, at->src, 16))
		return false;
	return aim->transport == ROCE_UC || psn_is_near(aim, pkt);
}

static unsigned int kind;
static uint64_t judged;

static size_t be16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static void judge(struct attack *at, const uint8_t *ip, size_t len,
		  bool icrc_matters)
{
	size_t said = at->ipv6 ? 40 + be16(ip + 4) : be16(ip + 2);
	enum roce_verdict verdict;
	struct roce_pkt pkt;

	judged++;
	/* IP throws away what is too short, and cuts off what is too long */
	if (said > len)
		return;
	verdict = roce_parse(ip, said, &pkt);
	if (verdict != ROCE_GOOD &&
	    (icrc_matters || verdict != ROCE_BAD_ICRC))
		return;
	/* Who makes a train leaves the checksum to the stack */
	if (icrc_matters && !roce_udp_csum_good(ip, said))
		return;
	T_ASSERT(!is_honest(at, &pkt), "packet %llu of '%s' is honest: %s",
		 (unsigned long long)judged, attack_names[kind],
		 roce_op(pkt.opcode)->name);
}

static void forge_all(bool ipv6)
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };
	struct attack_key key = { "all", 0x1234567, 0x7f0000000000, 1 << 18 };
	static struct attack at;
	unsigned int each = t_quick ? 2000 : t_full ? 1000000 : 20000;
	uint8_t src[16] = { 0xfe, 0x80, [15] = 2 };
	uint8_t dst[16] = { 0xfe, 0x80, [15] = 1 };
	unsigned int i;

	roce_fast_crc = true;
	at.rand.state = SEED;
	at.ipv6 = ipv6;
	if (!ipv6) {
		memcpy(src, mapped, 12);
		memcpy(dst, mapped, 12);
	}
	memcpy(at.src, src, 16);
	memcpy(at.dst, dst, 16);
	at.mtu = 1024;
	at.keys = &key;
	at.nr_keys = 1;
	at.judge = judge;
	memcpy(at.aims, aims, sizeof(aims));
	at.nr_aims = T_ARRAY_SIZE(aims);
	for (kind = 0; kind < attack_nr; kind++) {
		for (i = 0; i < each; i++)
			attack_forge(&at, kind);
		attack_flush(&at);
	}
	/* Replays have no original here, queue keys suit one QP of four */
	T_ASSERT(judged > (uint64_t)each * (attack_nr - 2), "%llu packets",
		 (unsigned long long)judged);
	t_note("%llu packets", (unsigned long long)judged);
}

static void harmless_ipv4(void)
{
	forge_all(false);
}

static void harmless_ipv6(void)
{
	forge_all(true);
}

/* The judge itself: what is honest, it has to find */
static void finds_honest(void)
{
	static struct attack at;
	struct roce_pkt pkt, back;
	uint8_t frame[ROCE_MAX_FRAME];
	size_t len;
	unsigned int i;

	memcpy(at.aims, aims, sizeof(aims));
	at.nr_aims = T_ARRAY_SIZE(aims);
	at.src[15] = 2;
	at.dst[15] = 1;
	at.ipv6 = true;
	for (i = 0; i < at.nr_aims; i++) {
		pkt = attack_pkt(&at, &at.aims[i],
				 ROCE_OPCODE(aims[i].transport,
					     ROCE_SEND_ONLY));
		len = roce_build(frame, &pkt);
		T_ASSERT(roce_parse(frame, len, &back) == ROCE_GOOD, "parse");
		T_ASSERT(is_honest(&at, &back), "aim %u", i);
		back.psn += 2 * NEAR;
		back.qkey++;
		T_ASSERT(is_honest(&at, &back) ==
				 (aims[i].transport == ROCE_UC),
			 "aim %u, spoiled", i);
	}
}

static const struct t_test tests[] = {
	{ "finds_honest", finds_honest },
	{ "harmless_ipv4", harmless_ipv4, 1200 },
	{ "harmless_ipv6", harmless_ipv6, 1200 },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
