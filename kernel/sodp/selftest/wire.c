// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * wire.c - sodp_wire_test.ko: headers, PSN arithmetic and the ICRC against
 * published packets; runs the tests when loaded, prints TAP
 *
 * Loading fails with EBADMSG if a test failed.
 */
#include "expect.h"

#include <linux/crc32.h>
#include <linux/ip.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/skbuff.h>
#include <linux/slab.h>

#include "net/net.h"

/* RC SEND_ONLY_IMM etc. as they are on the wire: IBA table 35, A14, A19 */
static const struct {
	u8 opcode;
	u8 len;
} wt_lengths[] = {
	{ 0x00, 12 }, { 0x03, 16 }, { 0x06, 28 }, { 0x0b, 32 }, { 0x0c, 28 },
	{ 0x0d, 16 }, { 0x0e, 12 }, { 0x11, 16 }, { 0x12, 24 }, { 0x13, 40 },
	{ 0x14, 40 }, { 0x17, 16 }, { 0x1c, 32 }, { 0x1d, 28 }, { 0x24, 12 },
	{ 0x2b, 32 }, { 0x64, 20 }, { 0x65, 24 }, { 0xa4, 16 }, { 0xab, 36 },
	{ 0xb0, 16 }, { 0xb1, 16 }, { 0xb3, 44 }, { 0xbc, 36 }, { 0xbd, 32 },
};

/* IP, UDP and BTH of a UC SEND_ONLY, from the tests of scapy's RoCE layer */
static const u8 wt_uc_send[] = {
	0x45, 0x01, 0x00, 0x40, 0x04, 0x78, 0x40, 0x00,
	0x40, 0x11, 0xb4, 0xd5, 0xc0, 0xa8, 0x00, 0x07,
	0xc0, 0xa8, 0x00, 0x07,
	0xc0, 0x00, 0x12, 0xb7, 0x00, 0x2c, 0xac, 0xa2,
	0x24, 0x60, 0xff, 0xff, 0x00, 0x00, 0x00, 0xd3,
	0x00, 0xcf, 0x17, 0x10,
	0x46, 0x30, 0x81, 0x8b, 0xe2, 0x89, 0x35, 0xd9,
	0x0e, 0x9a, 0x95, 0x50, 0x54, 0x01, 0xbe, 0x88,
	0x5e, 0x50, 0x00, 0x00,
	0x78, 0xf3, 0x53, 0xf3,
};

/* A congestion notification that a ConnectX-4 Lx sent, from there too */
static const u8 wt_cnp[] = {
	0x45, 0xc2, 0x00, 0x3c, 0x71, 0x8c, 0x40, 0x00,
	0x40, 0x11, 0x91, 0x61, 0x0a, 0x00, 0x11, 0x01,
	0x0a, 0x00, 0x12, 0x01,
	0x00, 0x00, 0x12, 0xb7, 0x00, 0x28, 0x00, 0x00,
	0x81, 0x00, 0xff, 0xff, 0x40, 0x00, 0x01, 0x18,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00,
	0x82, 0xfd, 0x00, 0x2a,
};

static bool wt_icrc_matches(const u8 *ip, u32 len)
{
	const u8 *bth = ip + sizeof(struct iphdr) + sizeof(struct udphdr);
	u32 bytes = len - (bth - ip) - SODP_ICRC_BYTES;
	struct sodp_icrc icrc;
	__le32 want;
	u32 crc;

	memcpy(&want, bth + bytes, sizeof(want));
	sodp_icrc_begin(&icrc, ip, false, (u32)ip[20] << 8 | ip[21]);
	crc = sodp_icrc_packet(&icrc, (u32)ip[4] << 8 | ip[5], bytes, bth);
	crc = sodp_icrc_add(crc, bth + SODP_BTH_BYTES, bytes - SODP_BTH_BYTES);
	return cpu_to_le32(~crc) == want;
}

static int wt_icrc_published(void)
{
	u8 copy[sizeof(wt_uc_send)];
	u32 i;

	KT_EXPECT(wt_icrc_matches(wt_uc_send, sizeof(wt_uc_send)));
	KT_EXPECT(wt_icrc_matches(wt_cnp, sizeof(wt_cnp)));
	for (i = 0; i < sizeof(copy); i++) {
		/* TOS, TTL, checksums, ports to us and the byte before DestQP */
		bool variant = i == 1 || i == 8 || i == 10 || i == 11 ||
			       i == 26 || i == 27 || i == 32;
		/* What the function is told apart from the packet */
		bool told = i == 2 || i == 3 || i == 22 || i == 23 ||
			    i == 24 || i == 25;

		memcpy(copy, wt_uc_send, sizeof(copy));
		copy[i] ^= 0x10;
		if (!told)
			KT_EXPECT(wt_icrc_matches(copy, sizeof(copy)) ==
				  variant);
	}
	return 0;
}

static int wt_icrc_accelerated(void)
{
	u8 *buf = kmalloc(SODP_MAX_MTU, GFP_KERNEL);
	int ret = 0;
	u32 len;

	if (!buf)
		return -ENOMEM;
	get_random_bytes(buf, SODP_MAX_MTU);
	for (len = 0; len <= SODP_MAX_MTU && !ret; len += 1 + len / 16)
		if (sodp_icrc_add(len, buf, len) != crc32_le(len, buf, len) ||
		    sodp_icrc_add(len, buf + 1, len / 2) !=
		    crc32_le(len, buf + 1, len / 2))
			ret = -EBADMSG;
	if (ret)
		pr_info("# length %u differs from the library's\n", len);
	kfree(buf);
	return ret;
}

static int wt_psn(void)
{
	static const struct {
		u32 a;
		u32 b;
		s32 diff;
	} cases[] = {
		{ 0, 0, 0 }, { 1, 0, 1 }, { 0, 1, -1 },
		{ 0, 0xffffff, 1 }, { 0xffffff, 0, -1 },
		{ 0x7fffff, 0, 0x7fffff }, { 0x800000, 0, -0x800000 },
		{ 0x123456, 0xffff00, 0x123556 },
		{ 0x400000, 0xc00000, -0x800000 },
		{ 0x3fffff, 0xc00000, 0x7fffff },
	};
	u32 i, a, n;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		KT_EXPECT(sodp_psn_diff(cases[i].a, cases[i].b) ==
			  cases[i].diff);
	for (i = 0; i < 10000; i++) {
		a = get_random_u32() & SODP_PSN_MASK;
		n = get_random_u32() & 0x7fffff;
		KT_EXPECT(sodp_psn_diff(sodp_psn_add(a, n), a) == (s32)n);
		KT_EXPECT(sodp_psn_diff(a, sodp_psn_add(a, n)) == -(s32)n);
	}
	return 0;
}

static int wt_table(void)
{
	u32 i, valid = 0;

	for (i = 0; i < 256; i++)
		valid += !!(sodp_wire_ops[i].flags & SODP_WIRE_VALID);
	/* RC and XRC 25 each, UC 12, UD 2, CNP */
	KT_EXPECT(valid == 65);
	for (i = 0; i < ARRAY_SIZE(wt_lengths); i++)
		KT_EXPECT(sodp_wire_ops[wt_lengths[i].opcode].len ==
			  wt_lengths[i].len);
	return 0;
}

static struct sk_buff *wt_skb(const void *data, u32 len)
{
	struct sk_buff *skb = alloc_skb(len, GFP_KERNEL);

	if (skb)
		skb_put_data(skb, data, len);
	return skb;
}

static int wt_parse(const void *data, u32 len, struct sodp_pkt *pkt)
{
	struct sk_buff *skb = wt_skb(data, len);
	int ret;

	if (!skb)
		return -ENOMEM;
	ret = sodp_pkt_parse(skb, 0, len, pkt);
	kfree_skb(skb);
	return ret;
}

static int wt_parse_published(void)
{
	struct sodp_pkt pkt;

	KT_EXPECT(!wt_parse(wt_uc_send + 28, sizeof(wt_uc_send) - 32, &pkt));
	KT_EXPECT(pkt.opcode == 0x24 && pkt.op->type == IB_QPT_UC);
	KT_EXPECT(pkt.migrated && !pkt.solicited && !pkt.ack_req);
	KT_EXPECT(pkt.pad == 2 && pkt.pkey == 0xffff && pkt.qpn == 211);
	KT_EXPECT(pkt.psn == 13571856 && pkt.length == 18);
	/* A congestion notification says whom it is for, and no more */
	KT_EXPECT(!wt_parse(wt_cnp + 28, sizeof(wt_cnp) - 32, &pkt));
	KT_EXPECT(pkt.opcode == SODP_BTH_CNP && pkt.qpn == 280);
	KT_EXPECT(pkt.op->flags & SODP_WIRE_CNP && !pkt.length);
	return 0;
}

static bool wt_same(const struct sodp_pkt *a, const struct sodp_pkt *b)
{
	u16 ext = b->op->ext;
	bool same = a->opcode == b->opcode && a->solicited == b->solicited &&
		    a->ack_req == b->ack_req && a->migrated == b->migrated &&
		    a->pkey == b->pkey && a->qpn == b->qpn &&
		    a->psn == b->psn && a->length == b->length;

	if (ext & SODP_EXT_XRCETH)
		same &= a->srqn == b->srqn;
	if (ext & SODP_EXT_DETH)
		same &= a->qkey == b->qkey && a->src_qpn == b->src_qpn;
	if (ext & SODP_EXT_FETH)
		same &= a->flush_type == b->flush_type &&
			a->flush_level == b->flush_level;
	if (ext & (SODP_EXT_RETH | SODP_EXT_ATOMIC))
		same &= a->remote_addr == b->remote_addr && a->rkey == b->rkey;
	if (ext & SODP_EXT_RETH)
		same &= a->dma_len == b->dma_len;
	if (ext & SODP_EXT_ATOMIC)
		same &= a->swap_add == b->swap_add && a->compare == b->compare;
	if (ext & SODP_EXT_AETH)
		same &= a->syndrome == b->syndrome && a->msn == b->msn;
	if (ext & SODP_EXT_ATOMIC_ACK)
		same &= a->orig == b->orig;
	if (ext & (SODP_EXT_IMMDT | SODP_EXT_IETH))
		same &= a->ex == b->ex;
	return same;
}

static void wt_random_pkt(struct sodp_pkt *pkt, u8 opcode)
{
	const struct sodp_wire_op *op = &sodp_wire_ops[opcode];

	get_random_bytes(pkt, sizeof(*pkt));
	pkt->opcode = opcode;
	pkt->solicited = get_random_u32() & 1;
	pkt->ack_req = get_random_u32() & 1;
	pkt->migrated = get_random_u32() & 1;
	pkt->qpn &= SODP_MAX_QPN;
	pkt->psn &= SODP_PSN_MASK;
	pkt->msn &= SODP_PSN_MASK;
	pkt->srqn &= SODP_MAX_QPN;
	pkt->src_qpn &= SODP_MAX_QPN;
	pkt->flush_type &= 0xf;
	pkt->flush_level &= 3;
	pkt->length = 0;
	if (op->wr == SODP_WR_ATOMIC_WRITE)
		pkt->length = sizeof(u64);
	else if (op->flags & SODP_WIRE_PAYLOAD)
		pkt->length = op->flags & SODP_WIRE_LAST ?
			      get_random_u32() % 256 : 256;
}

/* What is built is parsed to the same, whole; truncated it is refused */
static int wt_round_trip(void)
{
	u8 buf[SODP_MAX_HDR_BYTES + 256 + 3];
	struct sodp_pkt in, out;
	u32 i, len, n;

	for (i = 0; i < 256 * 16; i++) {
		if (!(sodp_wire_ops[i & 0xff].flags & SODP_WIRE_VALID)) {
			memset(buf, 0, sizeof(buf));
			buf[0] = i;
			KT_EXPECT(wt_parse(buf, 64, &out) == -EINVAL);
			continue;
		}
		wt_random_pkt(&in, i);
		memset(buf, 0, sizeof(buf));
		len = sodp_pkt_build(buf, &in);
		KT_EXPECT(len == sodp_wire_ops[i & 0xff].len);
		for (n = 0; n < len; n++)
			KT_EXPECT(wt_parse(buf, n, &out) == -EINVAL);
		len += ALIGN(in.length, 4);
		KT_EXPECT(!wt_parse(buf, len, &out));
		KT_EXPECT(wt_same(&in, &out));
		KT_EXPECT(out.payload == sodp_wire_ops[i & 0xff].len);
	}
	return 0;
}

static int wt_refused(void)
{
	static const struct {
		u8 opcode;
		u8 byte1;	/* pad count and version */
		u16 payload;	/* bytes, padding included */
	} cases[] = {
		{ 0x04, 0x01, 4 },	/* transport version */
		{ 0x04, 0x30, 0 },	/* more padding than payload */
		{ 0x04, 0x00, 3 },	/* not a multiple of 4 */
		{ 0x00, 0x10, 256 },	/* padding in FIRST */
		{ 0x01, 0x00, 0 },	/* MIDDLE of nothing */
		{ 0x04, 0x00, 4100 },	/* more than any MTU */
		{ 0x0c, 0x00, 4 },	/* READ request with payload */
		{ 0x11, 0x00, 4 },	/* ACK with payload */
		{ 0x13, 0x00, 8 },	/* atomic with payload */
		{ 0x1c, 0x00, 4 },	/* FLUSH with payload */
		{ 0x1d, 0x00, 4 },	/* ATOMIC WRITE of 4 bytes */
		{ 0x1d, 0x10, 8 },	/* ... of 7 */
	};
	u8 *buf = kzalloc(SZ_8K, GFP_KERNEL);
	struct sodp_pkt pkt;
	u32 i, bad = 0;

	if (!buf)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		buf[0] = cases[i].opcode;
		buf[1] = cases[i].byte1;
		if (wt_parse(buf, sodp_wire_ops[buf[0]].len + cases[i].payload,
			     &pkt) == -EINVAL)
			continue;
		pr_info("# case %u was not refused\n", i);
		bad++;
	}
	kfree(buf);
	return bad ? -EBADMSG : 0;
}

static const struct {
	const char *name;
	int (*run)(void);
} wt_cases[] = {
	{ "opcode table", wt_table },
	{ "PSN arithmetic", wt_psn },
	{ "ICRC of published packets", wt_icrc_published },
	{ "ICRC by the vector unit", wt_icrc_accelerated },
	{ "headers of published packets", wt_parse_published },
	{ "headers built and parsed", wt_round_trip },
	{ "packets refused", wt_refused },
};

static int __init wt_init(void)
{
	u32 i, failed = 0;
	int ret = sodp_icrc_init();

	if (ret)
		return ret;
	pr_info("1..%zu\n", ARRAY_SIZE(wt_cases));
	for (i = 0; i < ARRAY_SIZE(wt_cases); i++) {
		ret = wt_cases[i].run();
		if (ret)
			pr_info("not ok %u %s # %d\n", i + 1, wt_cases[i].name,
				ret);
		else
			pr_info("ok %u %s\n", i + 1, wt_cases[i].name);
		failed += !!ret;
	}
	sodp_icrc_exit();
	return failed ? -EBADMSG : 0;
}

static void __exit wt_exit(void)
{
}

module_init(wt_init);
module_exit(wt_exit);
MODULE_DESCRIPTION("Self-tests of sodp's packets");
MODULE_LICENSE("Dual BSD/GPL");
