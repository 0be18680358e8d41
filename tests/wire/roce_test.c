// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* The test's own RoCEv2 codec against vectors that others have published */

#include <stdlib.h>

#include "common/t.h"
#include "roce.h"

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t len = 0;

	while (hex[0] && hex[1]) {
		out[len++] = strtoul((char[]){ hex[0], hex[1], 0 }, NULL, 16);
		hex += 2;
		hex += hex[0] == ' ';
	}
	return len;
}

/* IBA volume 1, 7.8.1: the sample packet and its CRC, table 29 */
static void crc_of_iba(void)
{
	static const char sample[] =
		"f012375c000e17d20a202487ff87b1b3000dec2a01710a1c015d4002 "
		"38f27a050000000ebb884d85fd5cfba4728bc0690ed40000";
	uint8_t data[64];
	size_t len = from_hex(sample, data);
	uint32_t crc = ~roce_crc32(~0U, data, len);

	T_ASSERT(len == 52, "sample of %zu bytes", len);
	T_ASSERT(crc == __builtin_bswap32(0x9625b75a), "CRC %#x", crc);
	crc = ~roce_crc32(~0U, (const uint8_t *)"123456789", 9);
	T_ASSERT(crc == 0xcbf43926, "CRC-32 check value %#x", crc);
}

/* A UC SEND as scapy's tests have it; ICRC 78 f3 53 f3 on the wire */
static void uc_send(void)
{
	static const uint8_t payload[] = {
		0x46, 0x30, 0x81, 0x8b, 0xe2, 0x89, 0x35, 0xd9, 0x0e,
		0x9a, 0x95, 0x50, 0x54, 0x01, 0xbe, 0x88, 0x5e, 0x50,
	};
	struct roce_pkt pkt = {
		.src = { [10] = 0xff, 0xff, 192, 168, 0, 7 },
		.dst = { [10] = 0xff, 0xff, 192, 168, 0, 7 },
		.tos = 1, .ttl = 64, .ip_id = 1144,
		.sport = 49152, .dport = ROCE_PORT,
		.opcode = ROCE_OPCODE(ROCE_UC, ROCE_SEND_ONLY),
		.migreq = true, .pad = 2, .pkey = 0xffff, .qpn = 211,
		.psn = 13571856, .payload = payload, .len = 18,
	};
	uint8_t frame[ROCE_MAX_FRAME];
	struct roce_pkt back;
	size_t len = roce_build(frame, &pkt);

	T_ASSERT(len == 64, "frame of %zu bytes", len);
	T_ASSERT(frame[10] == 0xb4 && frame[11] == 0xd5,
		 "IP checksum %02x%02x", frame[10], frame[11]);
	T_ASSERT(!memcmp(frame + 60, "\x78\xf3\x53\xf3", 4),
		 "ICRC %02x%02x%02x%02x", frame[60], frame[61], frame[62],
		 frame[63]);
	T_ASSERT(roce_parse(frame, len, &back) == ROCE_GOOD, "its own packet");
	frame[26] = 0xac; /* the UDP checksum that scapy gives it */
	frame[27] = 0xa2;
	T_ASSERT(roce_udp_csum_good(frame, len), "UDP checksum");
	frame[27]++;
	T_ASSERT(!roce_udp_csum_good(frame, len), "wrong UDP checksum");
}

/* A CNP that a ConnectX-4 Lx sent; in scapy's tests */
static void cnp_of_connectx(void)
{
	uint8_t frame[128];
	struct roce_pkt pkt;
	enum roce_verdict verdict;
	size_t len = from_hex("45c2003c718c4000401191610a0011010a001201000012 "
			      "b7002800008100ffff4000011800000000000000000000 "
			      "0000000000000000000082fd002a",
			      frame);

	verdict = roce_parse(frame, len, &pkt);
	T_ASSERT(verdict == ROCE_GOOD, "%s", roce_verdict_names[verdict]);
	T_ASSERT(pkt.opcode == ROCE_OP_CNP && pkt.qpn == 0x118 &&
			 pkt.resv8a == 0x40,
		 "opcode %#x QP %#x", pkt.opcode, pkt.qpn);
}

static void random_pkt(struct roce_pkt *pkt, struct t_rand *r, uint8_t opcode,
		       uint8_t *payload)
{
	const struct roce_op *op = roce_op(opcode);
	uint8_t *bytes = (uint8_t *)pkt;
	size_t i;

	for (i = 0; i < sizeof(*pkt); i++)
		bytes[i] = t_rand(r);
	pkt->ipv6 = t_rand_below(r, 2);
	if (!pkt->ipv6) {
		memset(pkt->src, 0, 12);
		pkt->src[10] = pkt->src[11] = 0xff;
		memcpy(pkt->dst, pkt->src, 12);
	}
	pkt->flow_label &= 0xfffff;
	pkt->dport = ROCE_PORT;
	pkt->opcode = opcode;
	pkt->solicited = t_rand_below(r, 2);
	pkt->migreq = t_rand_below(r, 2);
	pkt->ack_req = t_rand_below(r, 2);
	pkt->tver = 0;
	pkt->resv7 = 0;
	pkt->resv8a &= 0xc0;
	pkt->len = op->payload == ROCE_PAYLOAD_MTU ? 256 :
		   op->payload == ROCE_PAYLOAD_NONE ? 0 :
		   op->payload == ROCE_PAYLOAD_8 ? 8 :
		   op->payload == ROCE_PAYLOAD_CNP ? 16 :
						 1 + t_rand_below(r, 4096);
	pkt->pad = -pkt->len & 3;
	pkt->payload = payload;
	for (i = 0; i < pkt->len; i++)
		payload[i] = t_rand(r);
}

/* What a packet of this opcode says comes back; other fields are not in it */
static void want_same(const struct roce_pkt *a, const struct roce_pkt *b)
{
	uint16_t ext = roce_op(a->opcode)->ext;

#define SAME(field)                                                       \
	T_ASSERT(a->field == b->field, "%s: %#llx became %#llx", #field,  \
		 (unsigned long long)a->field, (unsigned long long)b->field)
	SAME(opcode); SAME(solicited); SAME(migreq); SAME(pad); SAME(pkey);
	SAME(resv8a); SAME(ack_req); SAME(len); SAME(sport); SAME(tos);
	SAME(ttl); SAME(ipv6);
	T_ASSERT((a->qpn & 0xffffff) == b->qpn, "QPN %#x", b->qpn);
	T_ASSERT((a->psn & 0xffffff) == b->psn, "PSN %#x", b->psn);
	T_ASSERT(!memcmp(a->src, b->src, 16) && !memcmp(a->dst, b->dst, 16),
		 "addresses");
	if (ext & ROCE_DETH) {
		SAME(qkey);
		T_ASSERT((a->src_qpn & 0xffffff) == b->src_qpn, "source QPN");
	}
	if (ext & ROCE_XRCETH)
		T_ASSERT((a->srqn & 0xffffff) == b->srqn, "SRQN");
	if (ext & ROCE_FETH)
		T_ASSERT((a->flush_type & 0xf) == b->flush_type &&
				 (a->flush_level & 3) == b->flush_level,
			 "FETH");
	if (ext & (ROCE_RETH | ROCE_ATOMICETH)) {
		SAME(va); SAME(rkey);
	}
	if (ext & ROCE_RETH)
		SAME(dma_len);
	if (ext & ROCE_ATOMICETH) {
		SAME(swap_add); SAME(compare);
	}
	if (ext & ROCE_AETH) {
		SAME(syndrome);
		T_ASSERT((a->msn & 0xffffff) == b->msn, "MSN");
	}
	if (ext & ROCE_ATOMICACKETH)
		SAME(orig);
	if (ext & ROCE_IMMDT)
		SAME(imm);
	if (ext & ROCE_IETH)
		SAME(inv_rkey);
	T_ASSERT(!memcmp(a->payload, b->payload, a->len), "payload");
#undef SAME
}

static void there_and_back(void)
{
	struct t_rand r = { .state = 1 };
	uint8_t frame[ROCE_MAX_FRAME], payload[4096];
	struct roce_pkt pkt, back;
	enum roce_verdict verdict;
	unsigned int i, kinds = 0;
	size_t len;

	for (i = 0; i < 256 * 8; i++) {
		if (!roce_op(i)->name)
			continue;
		kinds++;
		t_case("opcode %#x, round %u", i & 0xff, i >> 8);
		random_pkt(&pkt, &r, i, payload);
		len = roce_build(frame, &pkt);
		verdict = roce_parse(frame, len, &back);
		T_ASSERT(verdict == ROCE_GOOD, "%s",
			 roce_verdict_names[verdict]);
		T_ASSERT(roce_udp_csum_good(frame, len), "UDP checksum");
		want_same(&pkt, &back);
	}
	T_ASSERT(kinds == 8 * (25 + 12 + 2 + 1 + 25), "%u kinds", kinds / 8);
}

/* A bit that changes is seen, except where a router may change it */
static void every_bit(void)
{
	struct t_rand r = { .state = 2 };
	uint8_t frame[ROCE_MAX_FRAME], payload[4096];
	struct roce_pkt pkt, back;
	size_t len, bit, byte, hdr;
	unsigned int round;
	bool may;

	for (round = 0; round < 8; round++) {
		random_pkt(&pkt, &r, ROCE_WRITE_ONLY, payload);
		pkt.len = 5;
		pkt.pad = 3;
		len = roce_build(frame, &pkt);
		hdr = pkt.ipv6 ? 40 : 20;
		for (bit = 0; bit < 8 * len; bit++) {
			byte = bit / 8;
			frame[byte] ^= 1 << bit % 8;
			may = byte / 2 == (hdr + 6) / 2 ||
			      (byte == hdr + 8 + 4 && bit % 8 > 5);
			if (pkt.ipv6)
				may = may || byte == 7 ||
				      (byte < 4 && (byte || bit < 4));
			T_ASSERT((roce_parse(frame, len, &back) ==
				  ROCE_GOOD) == may,
				 "bit %zu of byte %zu (IPv%d)", bit % 8, byte,
				 pkt.ipv6 ? 6 : 4);
			frame[byte] ^= 1 << bit % 8;
		}
	}
}

static void verdicts(void)
{
	static const struct {
		uint8_t opcode;
		unsigned int len, pad, tver, cut;
		enum roce_verdict want;
	} cases[] = {
		{ 0x0a, 5, 3, 0, 0, ROCE_GOOD },
		{ 0x0a, 5, 2, 0, 0, ROCE_BAD_PAD },
		{ 0x0a, 0, 3, 0, 0, ROCE_BAD_PAD },
		{ 0x0a, 4, 0, 1, 0, ROCE_BAD_VERSION },
		{ 0x15, 0, 0, 0, 0, ROCE_BAD_OPCODE },
		{ 0x30, 0, 0, 0, 0, ROCE_BAD_OPCODE },
		{ 0x66, 0, 0, 0, 0, ROCE_BAD_OPCODE },
		{ 0x06, 255, 1, 0, 0, ROCE_BAD_LENGTH },
		{ 0x02, 0, 0, 0, 0, ROCE_BAD_LENGTH },
		{ 0x0c, 4, 0, 0, 0, ROCE_BAD_LENGTH },
		{ 0x1d, 4, 0, 0, 0, ROCE_BAD_LENGTH },
		{ 0x1d, 8, 0, 0, 0, ROCE_GOOD },
		{ 0x0a, 0, 0, 0, 4, ROCE_SHORT },
		{ 0x13, 0, 0, 0, 28, ROCE_SHORT },
		{ 0x13, 0, 0, 0, 36, ROCE_SHORT },
	};
	uint8_t frame[ROCE_MAX_FRAME], payload[4096] = { 0 };
	enum roce_verdict verdict;
	struct roce_pkt pkt, back;
	size_t i, len;

	for (i = 0; i < T_ARRAY_SIZE(cases); i++) {
		pkt = (struct roce_pkt){ .dport = ROCE_PORT };
		pkt.opcode = cases[i].opcode;
		pkt.payload = payload;
		pkt.len = cases[i].len;
		pkt.pad = cases[i].pad;
		pkt.tver = cases[i].tver;
		len = roce_build(frame, &pkt) - cases[i].cut;
		roce_finish(frame, len);
		verdict = roce_parse(frame, len, &back);
		T_ASSERT(verdict == cases[i].want, "case %zu: %s", i,
			 roce_verdict_names[verdict]);
	}
}

static void fast_is_the_same(void)
{
	struct t_rand r = { .state = 3 };
	uint8_t frame[ROCE_MAX_FRAME], payload[4096];
	struct roce_pkt pkt;
	unsigned int i;
	uint32_t slow;
	size_t len;

	for (i = 0; i < 200; i++) {
		random_pkt(&pkt, &r, ROCE_SEND_ONLY, payload);
		roce_fast_crc = false;
		len = roce_build(frame, &pkt);
		slow = roce_icrc(frame, len - 4);
		roce_fast_crc = true;
		T_ASSERT(roce_icrc(frame, len - 4) == slow, "length %zu", len);
	}
}

static void psn_arithmetic(void)
{
	static const struct {
		uint32_t a, b;
		int32_t diff;
	} cases[] = {
		{ 0, 0, 0 },
		{ 1, 0, 1 },
		{ 0, 1, -1 },
		{ 0, 0xffffff, 1 },
		{ 0xffffff, 0, -1 },
		{ 0x7fffff, 0, 0x7fffff },
		{ 0x800000, 0, -0x800000 },
		{ 5, 0xfffffb, 10 },
	};
	size_t i;

	for (i = 0; i < T_ARRAY_SIZE(cases); i++) {
		T_ASSERT(roce_psn_diff(cases[i].a, cases[i].b) ==
				 cases[i].diff,
			 "case %zu", i);
		T_ASSERT(roce_psn_add(cases[i].b, cases[i].diff) ==
				 cases[i].a,
			 "case %zu", i);
	}
}

static const struct t_test tests[] = {
	{ "crc_of_iba", crc_of_iba },
	{ "uc_send", uc_send },
	{ "cnp_of_connectx", cnp_of_connectx },
	{ "there_and_back", there_and_back },
	{ "every_bit", every_bit },
	{ "verdicts", verdicts },
	{ "fast_is_the_same", fast_is_the_same },
	{ "psn_arithmetic", psn_arithmetic },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
