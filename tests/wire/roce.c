// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* RoCEv2 packets: headers and the invariant CRC */

#include <string.h>

#include "roce.h"

#define CRC_POLY 0xedb88320U /* 0x04c11db7, bits reversed */
#define IP4_LEN 20
#define IP6_LEN 40
#define UDP_LEN 8
#define PROTO_UDP 17

bool roce_fast_crc;

const char *const roce_verdict_names[] = {
	[ROCE_GOOD] = "good",
	[ROCE_FOREIGN] = "not RoCEv2",
	[ROCE_BAD_IP] = "IP header wrong",
	[ROCE_BAD_UDP] = "UDP header wrong",
	[ROCE_SHORT] = "headers cut off",
	[ROCE_BAD_VERSION] = "transport version not 0",
	[ROCE_BAD_OPCODE] = "reserved opcode",
	[ROCE_BAD_LENGTH] = "payload length impossible for the opcode",
	[ROCE_BAD_PAD] = "padding wrong",
	[ROCE_BAD_RESERVED] = "reserved bits set",
	[ROCE_BAD_ICRC] = "ICRC wrong",
};

/* Kinds of the connected transports; what RC has and UC lacks is rc_only */
static const struct kind {
	const char *name;
	uint16_t ext;
	uint8_t payload;
	bool response;
	bool rc_only;
} kinds[ROCE_KINDS] = {
	[ROCE_SEND_FIRST] = { "SEND first", 0, ROCE_PAYLOAD_MTU },
	[ROCE_SEND_MIDDLE] = { "SEND middle", 0, ROCE_PAYLOAD_MTU },
	[ROCE_SEND_LAST] = { "SEND last", 0, ROCE_PAYLOAD_SOME },
	[ROCE_SEND_LAST_IMM] = { "SEND last imm", ROCE_IMMDT,
				 ROCE_PAYLOAD_SOME },
	[ROCE_SEND_ONLY] = { "SEND only", 0, ROCE_PAYLOAD_ANY },
	[ROCE_SEND_ONLY_IMM] = { "SEND only imm", ROCE_IMMDT,
				 ROCE_PAYLOAD_ANY },
	[ROCE_WRITE_FIRST] = { "WRITE first", ROCE_RETH, ROCE_PAYLOAD_MTU },
	[ROCE_WRITE_MIDDLE] = { "WRITE middle", 0, ROCE_PAYLOAD_MTU },
	[ROCE_WRITE_LAST] = { "WRITE last", 0, ROCE_PAYLOAD_SOME },
	[ROCE_WRITE_LAST_IMM] = { "WRITE last imm", ROCE_IMMDT,
				  ROCE_PAYLOAD_SOME },
	[ROCE_WRITE_ONLY] = { "WRITE only", ROCE_RETH, ROCE_PAYLOAD_ANY },
	[ROCE_WRITE_ONLY_IMM] = { "WRITE only imm", ROCE_RETH | ROCE_IMMDT,
				  ROCE_PAYLOAD_ANY },
	[ROCE_READ_REQ] = { "READ request", ROCE_RETH, ROCE_PAYLOAD_NONE,
			    false, true },
	[ROCE_READ_FIRST] = { "READ response first", ROCE_AETH,
			      ROCE_PAYLOAD_MTU, true, true },
	[ROCE_READ_MIDDLE] = { "READ response middle", 0, ROCE_PAYLOAD_MTU,
			       true, true },
	[ROCE_READ_LAST] = { "READ response last", ROCE_AETH,
			     ROCE_PAYLOAD_SOME, true, true },
	[ROCE_READ_ONLY] = { "READ response only", ROCE_AETH,
			     ROCE_PAYLOAD_ANY, true, true },
	[ROCE_ACK] = { "ACK", ROCE_AETH, ROCE_PAYLOAD_NONE, true, true },
	[ROCE_ATOMIC_ACK] = { "ATOMIC ACK", ROCE_AETH | ROCE_ATOMICACKETH,
			      ROCE_PAYLOAD_NONE, true, true },
	[ROCE_CMP_SWAP] = { "CMP_SWAP", ROCE_ATOMICETH, ROCE_PAYLOAD_NONE,
			    false, true },
	[ROCE_FETCH_ADD] = { "FETCH_ADD", ROCE_ATOMICETH, ROCE_PAYLOAD_NONE,
			     false, true },
	[ROCE_SEND_LAST_INV] = { "SEND last inv", ROCE_IETH,
				 ROCE_PAYLOAD_SOME, false, true },
	[ROCE_SEND_ONLY_INV] = { "SEND only inv", ROCE_IETH, ROCE_PAYLOAD_ANY,
				 false, true },
	[ROCE_FLUSH] = { "FLUSH", ROCE_FETH | ROCE_RETH, ROCE_PAYLOAD_NONE,
			 false, true },
	[ROCE_ATOMIC_WRITE] = { "ATOMIC WRITE", ROCE_RETH, ROCE_PAYLOAD_8,
				false, true },
};

/* Where each extension header is in the order on the wire, and its length */
static const struct {
	uint16_t bit;
	uint8_t len;
} ext_order[] = {
	{ ROCE_DETH, 8 },	{ ROCE_XRCETH, 4 }, { ROCE_FETH, 4 },
	{ ROCE_RETH, 16 },	{ ROCE_ATOMICETH, 28 }, { ROCE_AETH, 4 },
	{ ROCE_ATOMICACKETH, 8 }, { ROCE_IMMDT, 4 }, { ROCE_IETH, 4 },
};

#define NR_EXT (sizeof(ext_order) / sizeof(ext_order[0]))

static bool op_exists(unsigned int transport, unsigned int kind)
{
	switch (transport) {
	case ROCE_RC:
	case ROCE_XRC:
		return kinds[kind].name;
	case ROCE_UC:
		return kinds[kind].name && !kinds[kind].rc_only;
	case ROCE_UD:
		return kind == ROCE_SEND_ONLY || kind == ROCE_SEND_ONLY_IMM;
	default:
		return false;
	}
}

const struct roce_op *roce_op(uint8_t opcode)
{
	unsigned int transport = ROCE_TRANSPORT(opcode);
	const struct kind *kind = &kinds[ROCE_KIND(opcode)];
	static struct roce_op ops[256];
	struct roce_op *op = &ops[opcode];

	*op = (struct roce_op){ 0 };
	if (opcode == ROCE_OP_CNP) {
		op->name = "CNP";
		op->payload = ROCE_PAYLOAD_CNP;
	} else if (op_exists(transport, ROCE_KIND(opcode))) {
		op->name = kind->name;
		op->ext = kind->ext;
		op->payload = kind->payload;
		op->request = !kind->response;
		if (transport == ROCE_UD)
			op->ext |= ROCE_DETH;
		if (transport == ROCE_XRC && op->request)
			op->ext |= ROCE_XRCETH;
	}
	return op;
}

size_t roce_hdr_len(uint8_t opcode)
{
	uint16_t ext = roce_op(opcode)->ext;
	size_t len = ROCE_BTH_LEN;
	size_t i;

	for (i = 0; i < NR_EXT; i++)
		if (ext & ext_order[i].bit)
			len += ext_order[i].len;
	return len;
}

static uint64_t get(const uint8_t *p, unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | *p++;
	return value;
}

static void put(uint8_t *p, uint64_t value, unsigned int bytes)
{
	while (bytes--) {
		p[bytes] = value;
		value >>= 8;
	}
}

uint32_t roce_crc32(uint32_t crc, const uint8_t *data, size_t len)
{
	unsigned int bit;

	while (len--) {
		crc ^= *data++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? CRC_POLY : 0);
	}
	return crc;
}

static uint32_t fast_crc32(uint32_t crc, const uint8_t *data, size_t len)
{
	static uint32_t table[256];
	unsigned int i;
	uint8_t byte;

	if (!table[1]) {
		for (i = 256; i--;) {
			byte = i;
			table[i] = roce_crc32(0, &byte, 1);
		}
	}
	while (len--)
		crc = crc >> 8 ^ table[(crc ^ *data++) & 0xff];
	return crc;
}

static size_t ip_len(const uint8_t *ip)
{
	return ip[0] >> 4 == 6 ? IP6_LEN : 4 * (ip[0] & 0xf);
}

/* A17.3.3: fields that may change on the way count as all ones */
uint32_t roce_icrc(const uint8_t *ip, size_t len)
{
	uint32_t (*crc32)(uint32_t, const uint8_t *, size_t) =
		roce_fast_crc ? fast_crc32 : roce_crc32;
	size_t hdr = ip_len(ip);
	uint8_t head[8 + 60 + UDP_LEN + ROCE_BTH_LEN];
	uint8_t *h = head + 8;
	uint32_t crc;

	memset(head, 0xff, 8); /* where InfiniBand has its LRH */
	memcpy(h, ip, hdr + UDP_LEN + ROCE_BTH_LEN);
	if (ip[0] >> 4 == 6) {
		h[0] |= 0x0f; /* traffic class, flow label */
		h[1] = h[2] = h[3] = 0xff;
		h[7] = 0xff; /* hop limit */
	} else {
		h[1] = 0xff; /* TOS */
		h[8] = 0xff; /* TTL */
		h[10] = h[11] = 0xff; /* header checksum */
	}
	h[hdr + 6] = h[hdr + 7] = 0xff; /* UDP checksum */
	h[hdr + UDP_LEN + 4] = 0xff; /* FECN, BECN, reserved */
	crc = crc32(~0U, head, 8 + hdr + UDP_LEN + ROCE_BTH_LEN);
	hdr += UDP_LEN + ROCE_BTH_LEN;
	return ~crc32(crc, ip + hdr, len - hdr);
}

static uint32_t sum16(uint32_t sum, const uint8_t *p, size_t len)
{
	for (; len > 1; p += 2, len -= 2)
		sum += p[0] << 8 | p[1];
	if (len)
		sum += p[0] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

bool roce_udp_csum_good(const uint8_t *ip, size_t len)
{
	size_t hdr = ip_len(ip);
	size_t udp_len = get(ip + hdr + 4, 2);
	uint32_t sum;

	if (!get(ip + hdr + 6, 2))
		return true;
	if (hdr + udp_len > len)
		return false;
	sum = ip[0] >> 4 == 6 ? sum16(0, ip + 8, 32) : sum16(0, ip + 12, 8);
	sum += PROTO_UDP + udp_len;
	return fold(sum16(sum, ip + hdr, udp_len)) == 0xffff;
}

static bool parse_ip4(const uint8_t *ip, size_t len, struct roce_pkt *pkt)
{
	size_t hdr = ip_len(ip);

	if (ip[9] != PROTO_UDP || hdr < IP4_LEN || hdr > len)
		return false;
	memset(pkt->src, 0, 10);
	pkt->src[10] = pkt->src[11] = 0xff;
	memcpy(pkt->dst, pkt->src, 12);
	memcpy(pkt->src + 12, ip + 12, 4);
	memcpy(pkt->dst + 12, ip + 16, 4);
	pkt->tos = ip[1];
	pkt->ip_id = get(ip + 4, 2);
	pkt->ttl = ip[8];
	return true;
}

static bool parse_ip6(const uint8_t *ip, struct roce_pkt *pkt)
{
	if (ip[6] != PROTO_UDP)
		return false;
	memcpy(pkt->src, ip + 8, 16);
	memcpy(pkt->dst, ip + 24, 16);
	pkt->tos = get(ip, 2) >> 4;
	pkt->flow_label = get(ip, 4) & 0xfffff;
	pkt->ttl = ip[7];
	return true;
}

/* IP and UDP; on success *udp_len is what UDP says and the frame holds */
static enum roce_verdict parse_outer(const uint8_t *ip, size_t len,
				     struct roce_pkt *pkt, size_t *udp_len)
{
	size_t hdr, total;
	bool found;

	if (len < IP4_LEN || (ip[0] >> 4 != 4 && ip[0] >> 4 != 6))
		return ROCE_FOREIGN;
	pkt->ipv6 = ip[0] >> 4 == 6;
	if (pkt->ipv6 && len < IP6_LEN)
		return ROCE_FOREIGN;
	found = pkt->ipv6 ? parse_ip6(ip, pkt) : parse_ip4(ip, len, pkt);
	hdr = ip_len(ip);
	if (!found || len < hdr + UDP_LEN)
		return ROCE_FOREIGN;
	pkt->sport = get(ip + hdr, 2);
	pkt->dport = get(ip + hdr + 2, 2);
	pkt->udp_csum = get(ip + hdr + 6, 2);
	if (pkt->dport != ROCE_PORT)
		return ROCE_FOREIGN;
	total = pkt->ipv6 ? get(ip + 4, 2) + IP6_LEN : get(ip + 2, 2);
	if (total > len || total < hdr + UDP_LEN)
		return ROCE_BAD_IP;
	if (!pkt->ipv6 && (fold(sum16(0, ip, hdr)) != 0xffff ||
			   get(ip + 6, 2) & 0x3fff)) /* a fragment */
		return ROCE_BAD_IP;
	*udp_len = get(ip + hdr + 4, 2);
	if (*udp_len != total - hdr)
		return ROCE_BAD_UDP;
	return ROCE_GOOD;
}

static void parse_bth(const uint8_t *p, struct roce_pkt *pkt)
{
	pkt->opcode = p[0];
	pkt->solicited = p[1] >> 7;
	pkt->migreq = p[1] >> 6 & 1;
	pkt->pad = p[1] >> 4 & 3;
	pkt->tver = p[1] & 0xf;
	pkt->pkey = get(p + 2, 2);
	pkt->resv8a = p[4];
	pkt->qpn = get(p + 5, 3);
	pkt->ack_req = p[8] >> 7;
	pkt->resv7 = p[8] & 0x7f;
	pkt->psn = get(p + 9, 3);
}

static void parse_ext(const uint8_t *p, uint16_t bit, struct roce_pkt *pkt)
{
	switch (bit) {
	case ROCE_DETH:
		pkt->qkey = get(p, 4);
		pkt->src_qpn = get(p + 5, 3);
		break;
	case ROCE_XRCETH:
		pkt->srqn = get(p + 1, 3);
		break;
	case ROCE_FETH:
		pkt->flush_type = p[3] & 0xf;
		pkt->flush_level = p[3] >> 4 & 3;
		break;
	case ROCE_RETH:
		pkt->va = get(p, 8);
		pkt->rkey = get(p + 8, 4);
		pkt->dma_len = get(p + 12, 4);
		break;
	case ROCE_ATOMICETH:
		pkt->va = get(p, 8);
		pkt->rkey = get(p + 8, 4);
		pkt->swap_add = get(p + 12, 8);
		pkt->compare = get(p + 20, 8);
		break;
	case ROCE_AETH:
		pkt->syndrome = p[0];
		pkt->msn = get(p + 1, 3);
		break;
	case ROCE_ATOMICACKETH:
		pkt->orig = get(p, 8);
		break;
	case ROCE_IMMDT:
		pkt->imm = get(p, 4);
		break;
	case ROCE_IETH:
		pkt->inv_rkey = get(p, 4);
		break;
	}
}

/* Is this a length that a packet of this kind can have at all? */
static bool payload_possible(uint8_t payload, size_t len)
{
	switch (payload) {
	case ROCE_PAYLOAD_NONE:
		return !len;
	case ROCE_PAYLOAD_MTU:
		return len == 256 || len == 512 || len == 1024 ||
		       len == 2048 || len == 4096;
	case ROCE_PAYLOAD_SOME:
		return len && len <= 4096;
	case ROCE_PAYLOAD_ANY:
		return len <= 4096;
	case ROCE_PAYLOAD_8:
		return len == 8;
	default:
		return len == 16;
	}
}

/* Padding makes the payload a multiple of four bytes; it is zero. IBA 9.2.5 */
static bool pad_good(const struct roce_pkt *pkt)
{
	unsigned int i;

	for (i = 0; i < pkt->pad; i++)
		if (pkt->payload[pkt->len + i])
			return false;
	return !((pkt->len + pkt->pad) % 4);
}

static enum roce_verdict parse_transport(const uint8_t *p, size_t len,
					 struct roce_pkt *pkt)
{
	const struct roce_op *op;
	size_t hdr;
	size_t i, off = ROCE_BTH_LEN;

	if (len < ROCE_BTH_LEN + ROCE_ICRC_LEN)
		return ROCE_SHORT;
	parse_bth(p, pkt);
	op = roce_op(pkt->opcode);
	hdr = roce_hdr_len(pkt->opcode);
	if (pkt->tver)
		return ROCE_BAD_VERSION;
	if (!op->name)
		return ROCE_BAD_OPCODE;
	if (len < hdr + ROCE_ICRC_LEN)
		return ROCE_SHORT;
	for (i = 0; i < NR_EXT; i++) {
		if (!(op->ext & ext_order[i].bit))
			continue;
		parse_ext(p + off, ext_order[i].bit, pkt);
		off += ext_order[i].len;
	}
	pkt->payload = p + hdr;
	len -= hdr + ROCE_ICRC_LEN;
	if (len < pkt->pad)
		return ROCE_BAD_PAD;
	pkt->len = len - pkt->pad;
	if (!payload_possible(op->payload, pkt->len))
		return ROCE_BAD_LENGTH;
	if (!pad_good(pkt))
		return ROCE_BAD_PAD;
	if (pkt->resv7 || pkt->resv8a & 0x3f)
		return ROCE_BAD_RESERVED;
	return ROCE_GOOD;
}

enum roce_verdict roce_parse(const uint8_t *ip, size_t len,
			     struct roce_pkt *pkt)
{
	enum roce_verdict verdict;
	const uint8_t *bth, *end;
	size_t udp_len;
	uint32_t icrc;

	memset(pkt, 0, sizeof(*pkt));
	verdict = parse_outer(ip, len, pkt, &udp_len);
	if (verdict != ROCE_GOOD)
		return verdict;
	bth = ip + ip_len(ip) + UDP_LEN;
	end = bth + udp_len - UDP_LEN;
	verdict = parse_transport(bth, end - bth, pkt);
	if (verdict != ROCE_GOOD)
		return verdict;
	end -= ROCE_ICRC_LEN;
	pkt->icrc = end[0] | end[1] << 8 | end[2] << 16 |
		    (uint32_t)end[3] << 24;
	icrc = roce_icrc(ip, end - ip);
	return icrc == pkt->icrc ? ROCE_GOOD : ROCE_BAD_ICRC;
}

void roce_sign(uint8_t *ip, size_t len)
{
	uint8_t *p = ip + len - ROCE_ICRC_LEN;
	uint32_t icrc = roce_icrc(ip, len - ROCE_ICRC_LEN);

	p[0] = icrc;
	p[1] = icrc >> 8;
	p[2] = icrc >> 16;
	p[3] = icrc >> 24;
}

void roce_ip_length(uint8_t *ip, size_t len)
{
	size_t hdr = ip_len(ip);

	if (ip[0] >> 4 == 6) {
		put(ip + 4, len - hdr, 2);
		return;
	}
	put(ip + 2, len, 2);
	put(ip + 10, 0, 2);
	put(ip + 10, 0xffff ^ fold(sum16(0, ip, hdr)), 2);
}

void roce_finish(uint8_t *ip, size_t len)
{
	size_t hdr = ip_len(ip);

	put(ip + hdr + 4, len - hdr, 2);
	roce_ip_length(ip, len);
	if (len >= hdr + UDP_LEN + ROCE_BTH_LEN + ROCE_ICRC_LEN)
		roce_sign(ip, len);
	/* IPv6 wants a checksum; IPv4 can do without */
	put(ip + hdr + 6, 0, 2);
	if (ip[0] >> 4 == 6) {
		uint32_t sum = sum16(0, ip + 8, 32) + PROTO_UDP + len - hdr;
		uint16_t csum = 0xffff ^ fold(sum16(sum, ip + hdr, len - hdr));

		put(ip + hdr + 6, csum ? csum : 0xffff, 2);
	}
}

static size_t build_outer(uint8_t *ip, const struct roce_pkt *pkt)
{
	size_t hdr = pkt->ipv6 ? IP6_LEN : IP4_LEN;

	memset(ip, 0, hdr + UDP_LEN);
	if (pkt->ipv6) {
		put(ip, 6U << 28 | pkt->tos << 20 | pkt->flow_label, 4);
		ip[6] = PROTO_UDP;
		ip[7] = pkt->ttl;
		memcpy(ip + 8, pkt->src, 16);
		memcpy(ip + 24, pkt->dst, 16);
	} else {
		ip[0] = 0x45;
		ip[1] = pkt->tos;
		put(ip + 4, pkt->ip_id, 2);
		ip[6] = 0x40; /* do not fragment */
		ip[8] = pkt->ttl;
		ip[9] = PROTO_UDP;
		memcpy(ip + 12, pkt->src + 12, 4);
		memcpy(ip + 16, pkt->dst + 12, 4);
	}
	put(ip + hdr, pkt->sport, 2);
	put(ip + hdr + 2, pkt->dport, 2);
	return hdr + UDP_LEN;
}

static void build_bth(uint8_t *p, const struct roce_pkt *pkt)
{
	p[0] = pkt->opcode;
	p[1] = pkt->solicited << 7 | pkt->migreq << 6 | (pkt->pad & 3) << 4 |
	       (pkt->tver & 0xf);
	put(p + 2, pkt->pkey, 2);
	p[4] = pkt->resv8a;
	put(p + 5, pkt->qpn, 3);
	p[8] = pkt->ack_req << 7 | (pkt->resv7 & 0x7f);
	put(p + 9, pkt->psn, 3);
}

static void build_ext(uint8_t *p, uint16_t bit, const struct roce_pkt *pkt)
{
	switch (bit) {
	case ROCE_DETH:
		put(p, pkt->qkey, 4);
		put(p + 4, pkt->src_qpn, 4);
		break;
	case ROCE_XRCETH:
		put(p, pkt->srqn, 4);
		break;
	case ROCE_FETH:
		put(p, (pkt->flush_level & 3) << 4 | (pkt->flush_type & 0xf),
		    4);
		break;
	case ROCE_RETH:
		put(p, pkt->va, 8);
		put(p + 8, pkt->rkey, 4);
		put(p + 12, pkt->dma_len, 4);
		break;
	case ROCE_ATOMICETH:
		put(p, pkt->va, 8);
		put(p + 8, pkt->rkey, 4);
		put(p + 12, pkt->swap_add, 8);
		put(p + 20, pkt->compare, 8);
		break;
	case ROCE_AETH:
		p[0] = pkt->syndrome;
		put(p + 1, pkt->msn, 3);
		break;
	case ROCE_ATOMICACKETH:
		put(p, pkt->orig, 8);
		break;
	case ROCE_IMMDT:
		put(p, pkt->imm, 4);
		break;
	case ROCE_IETH:
		put(p, pkt->inv_rkey, 4);
		break;
	}
}

size_t roce_build(uint8_t *out, const struct roce_pkt *pkt)
{
	uint16_t ext = roce_op(pkt->opcode)->ext;
	size_t off = build_outer(out, pkt);
	size_t i;

	build_bth(out + off, pkt);
	off += ROCE_BTH_LEN;
	for (i = 0; i < NR_EXT; i++) {
		if (!(ext & ext_order[i].bit))
			continue;
		build_ext(out + off, ext_order[i].bit, pkt);
		off += ext_order[i].len;
	}
	if (pkt->len)
		memcpy(out + off, pkt->payload, pkt->len);
	off += pkt->len;
	memset(out + off, 0, pkt->pad + ROCE_ICRC_LEN);
	off += pkt->pad + ROCE_ICRC_LEN;
	roce_finish(out, off);
	return off;
}
