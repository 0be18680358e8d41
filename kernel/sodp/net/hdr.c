// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * BTH opcodes and the coding of headers. All that can be said of a packet
 * without knowing its QP is checked here.
 */
#include <linux/string.h>

#include "compat.h"
#include "base/sodp.h"
#include "net/hdr.h"
#ifdef HAVE_LINUX_UNALIGNED
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

/* Flags, short, so that the table can be read */
#define HDR_REQ		(SODP_WIRE_VALID | SODP_WIRE_REQUEST)
#define HDR_ASK		(HDR_REQ | SODP_WIRE_ASKS)
#define HDR_FIRST	SODP_WIRE_FIRST
#define HDR_LAST	SODP_WIRE_LAST
#define HDR_ONLY	(SODP_WIRE_FIRST | SODP_WIRE_LAST)
#define HDR_DATA	SODP_WIRE_PAYLOAD
#define HDR_READ_RESP	(SODP_WIRE_VALID | SODP_WIRE_READ_RESP | \
			 SODP_WIRE_PAYLOAD)

/*
 * Transport in bits 7:5, operation in 4:0; IBA table 35, A14 for XRC, A19.
 * Answers have no XRCETH.
 */
const struct sodp_wire_op sodp_wire_ops[256] = {
	[0x00] = {
		HDR_REQ | HDR_FIRST | HDR_DATA, SODP_WR_SEND, 0, 12, IB_QPT_RC,
		"RC SEND_FIRST" },
	[0x01] = {
		HDR_REQ | HDR_DATA, SODP_WR_SEND, 0, 12, IB_QPT_RC,
		"RC SEND_MIDDLE" },
	[0x02] = {
		HDR_REQ | HDR_LAST | HDR_DATA, SODP_WR_SEND, 0, 12, IB_QPT_RC,
		"RC SEND_LAST" },
	[0x03] = {
		HDR_REQ | HDR_LAST | HDR_DATA, SODP_WR_SEND_WITH_IMM,
		SODP_EXT_IMMDT, 16, IB_QPT_RC, "RC SEND_LAST_IMM" },
	[0x04] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_SEND, 0, 12, IB_QPT_RC,
		"RC SEND_ONLY" },
	[0x05] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_SEND_WITH_IMM,
		SODP_EXT_IMMDT, 16, IB_QPT_RC, "RC SEND_ONLY_IMM" },
	[0x06] = {
		HDR_REQ | HDR_FIRST | HDR_DATA, SODP_WR_RDMA_WRITE,
		SODP_EXT_RETH, 28, IB_QPT_RC, "RC WRITE_FIRST" },
	[0x07] = {
		HDR_REQ | HDR_DATA, SODP_WR_RDMA_WRITE, 0, 12, IB_QPT_RC,
		"RC WRITE_MIDDLE" },
	[0x08] = {
		HDR_REQ | HDR_LAST | HDR_DATA, SODP_WR_RDMA_WRITE, 0, 12,
		IB_QPT_RC, "RC WRITE_LAST" },
	[0x09] = {
		HDR_REQ | HDR_LAST | HDR_DATA, SODP_WR_RDMA_WRITE_WITH_IMM,
		SODP_EXT_IMMDT, 16, IB_QPT_RC, "RC WRITE_LAST_IMM" },
	[0x0a] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_RDMA_WRITE,
		SODP_EXT_RETH, 28, IB_QPT_RC, "RC WRITE_ONLY" },
	[0x0b] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_RDMA_WRITE_WITH_IMM,
		SODP_EXT_RETH | SODP_EXT_IMMDT, 32, IB_QPT_RC,
		"RC WRITE_ONLY_IMM" },
	[0x0c] = {
		HDR_ASK | HDR_ONLY, SODP_WR_RDMA_READ, SODP_EXT_RETH, 28,
		IB_QPT_RC, "RC READ_REQUEST" },
	[0x0d] = {
		HDR_READ_RESP | HDR_FIRST, SODP_WR_RDMA_READ, SODP_EXT_AETH, 16,
		IB_QPT_RC, "RC READ_RESPONSE_FIRST" },
	[0x0e] = {
		HDR_READ_RESP, SODP_WR_RDMA_READ, 0, 12, IB_QPT_RC,
		"RC READ_RESPONSE_MIDDLE" },
	[0x0f] = {
		HDR_READ_RESP | HDR_LAST, SODP_WR_RDMA_READ, SODP_EXT_AETH, 16,
		IB_QPT_RC, "RC READ_RESPONSE_LAST" },
	[0x10] = {
		HDR_READ_RESP | HDR_ONLY, SODP_WR_RDMA_READ, SODP_EXT_AETH, 16,
		IB_QPT_RC, "RC READ_RESPONSE_ONLY" },
	[0x11] = {
		SODP_WIRE_VALID | HDR_ONLY, 0, SODP_EXT_AETH, 16, IB_QPT_RC,
		"RC ACKNOWLEDGE" },
	[0x12] = {
		SODP_WIRE_VALID | HDR_ONLY, 0,
		SODP_EXT_AETH | SODP_EXT_ATOMIC_ACK, 24, IB_QPT_RC,
		"RC ATOMIC_ACKNOWLEDGE" },
	[0x13] = {
		HDR_ASK | HDR_ONLY, SODP_WR_ATOMIC_CMP_AND_SWP, SODP_EXT_ATOMIC,
		40, IB_QPT_RC, "RC CMP_SWAP" },
	[0x14] = {
		HDR_ASK | HDR_ONLY, SODP_WR_ATOMIC_FETCH_AND_ADD,
		SODP_EXT_ATOMIC, 40, IB_QPT_RC, "RC FETCH_ADD" },
	[0x16] = {
		HDR_REQ | HDR_LAST | HDR_DATA, SODP_WR_SEND_WITH_INV,
		SODP_EXT_IETH, 16, IB_QPT_RC, "RC SEND_LAST_INV" },
	[0x17] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_SEND_WITH_INV,
		SODP_EXT_IETH, 16, IB_QPT_RC, "RC SEND_ONLY_INV" },
	[0x1c] = {
		HDR_ASK | HDR_ONLY, SODP_WR_FLUSH,
		SODP_EXT_FETH | SODP_EXT_RETH, 32, IB_QPT_RC, "RC FLUSH" },
	[0x1d] = {
		HDR_ASK | HDR_ONLY | HDR_DATA, SODP_WR_ATOMIC_WRITE,
		SODP_EXT_RETH, 28, IB_QPT_RC, "RC ATOMIC_WRITE" },
	[0x20] = {
		HDR_REQ | HDR_FIRST | HDR_DATA, SODP_WR_SEND, 0, 12, IB_QPT_UC,
		"UC SEND_FIRST" },
	[0x21] = {
		HDR_REQ | HDR_DATA, SODP_WR_SEND, 0, 12, IB_QPT_UC,
		"UC SEND_MIDDLE" },
	[0x22] = {
		HDR_REQ | HDR_LAST | HDR_DATA, SODP_WR_SEND, 0, 12, IB_QPT_UC,
		"UC SEND_LAST" },
	[0x23] = {
		HDR_REQ | HDR_LAST | HDR_DATA, SODP_WR_SEND_WITH_IMM,
		SODP_EXT_IMMDT, 16, IB_QPT_UC, "UC SEND_LAST_IMM" },
	[0x24] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_SEND, 0, 12, IB_QPT_UC,
		"UC SEND_ONLY" },
	[0x25] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_SEND_WITH_IMM,
		SODP_EXT_IMMDT, 16, IB_QPT_UC, "UC SEND_ONLY_IMM" },
	[0x26] = {
		HDR_REQ | HDR_FIRST | HDR_DATA, SODP_WR_RDMA_WRITE,
		SODP_EXT_RETH, 28, IB_QPT_UC, "UC WRITE_FIRST" },
	[0x27] = {
		HDR_REQ | HDR_DATA, SODP_WR_RDMA_WRITE, 0, 12, IB_QPT_UC,
		"UC WRITE_MIDDLE" },
	[0x28] = {
		HDR_REQ | HDR_LAST | HDR_DATA, SODP_WR_RDMA_WRITE, 0, 12,
		IB_QPT_UC, "UC WRITE_LAST" },
	[0x29] = {
		HDR_REQ | HDR_LAST | HDR_DATA, SODP_WR_RDMA_WRITE_WITH_IMM,
		SODP_EXT_IMMDT, 16, IB_QPT_UC, "UC WRITE_LAST_IMM" },
	[0x2a] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_RDMA_WRITE,
		SODP_EXT_RETH, 28, IB_QPT_UC, "UC WRITE_ONLY" },
	[0x2b] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_RDMA_WRITE_WITH_IMM,
		SODP_EXT_RETH | SODP_EXT_IMMDT, 32, IB_QPT_UC,
		"UC WRITE_ONLY_IMM" },
	[0x64] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_SEND, SODP_EXT_DETH, 20,
		IB_QPT_UD, "UD SEND_ONLY" },
	[0x65] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_SEND_WITH_IMM,
		SODP_EXT_DETH | SODP_EXT_IMMDT, 24, IB_QPT_UD,
		"UD SEND_ONLY_IMM" },
	[SODP_BTH_CNP] = {
		SODP_WIRE_VALID | SODP_WIRE_CNP | HDR_ONLY, 0, SODP_EXT_CNP, 28,
		IB_QPT_RC, "CNP" },
	[0xa0] = {
		HDR_REQ | HDR_FIRST | HDR_DATA, SODP_WR_SEND, SODP_EXT_XRCETH,
		16, IB_QPT_XRC_INI, "XRC SEND_FIRST" },
	[0xa1] = {
		HDR_REQ | HDR_DATA, SODP_WR_SEND, SODP_EXT_XRCETH, 16,
		IB_QPT_XRC_INI, "XRC SEND_MIDDLE" },
	[0xa2] = {
		HDR_REQ | HDR_LAST | HDR_DATA, SODP_WR_SEND, SODP_EXT_XRCETH,
		16, IB_QPT_XRC_INI, "XRC SEND_LAST" },
	[0xa3] = {
		HDR_REQ | HDR_LAST | HDR_DATA, SODP_WR_SEND_WITH_IMM,
		SODP_EXT_XRCETH | SODP_EXT_IMMDT, 20, IB_QPT_XRC_INI,
		"XRC SEND_LAST_IMM" },
	[0xa4] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_SEND, SODP_EXT_XRCETH,
		16, IB_QPT_XRC_INI, "XRC SEND_ONLY" },
	[0xa5] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_SEND_WITH_IMM,
		SODP_EXT_XRCETH | SODP_EXT_IMMDT, 20, IB_QPT_XRC_INI,
		"XRC SEND_ONLY_IMM" },
	[0xa6] = {
		HDR_REQ | HDR_FIRST | HDR_DATA, SODP_WR_RDMA_WRITE,
		SODP_EXT_XRCETH | SODP_EXT_RETH, 32, IB_QPT_XRC_INI,
		"XRC WRITE_FIRST" },
	[0xa7] = {
		HDR_REQ | HDR_DATA, SODP_WR_RDMA_WRITE, SODP_EXT_XRCETH, 16,
		IB_QPT_XRC_INI, "XRC WRITE_MIDDLE" },
	[0xa8] = {
		HDR_REQ | HDR_LAST | HDR_DATA, SODP_WR_RDMA_WRITE,
		SODP_EXT_XRCETH, 16, IB_QPT_XRC_INI, "XRC WRITE_LAST" },
	[0xa9] = {
		HDR_REQ | HDR_LAST | HDR_DATA, SODP_WR_RDMA_WRITE_WITH_IMM,
		SODP_EXT_XRCETH | SODP_EXT_IMMDT, 20, IB_QPT_XRC_INI,
		"XRC WRITE_LAST_IMM" },
	[0xaa] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_RDMA_WRITE,
		SODP_EXT_XRCETH | SODP_EXT_RETH, 32, IB_QPT_XRC_INI,
		"XRC WRITE_ONLY" },
	[0xab] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_RDMA_WRITE_WITH_IMM,
		SODP_EXT_XRCETH | SODP_EXT_RETH | SODP_EXT_IMMDT, 36,
		IB_QPT_XRC_INI, "XRC WRITE_ONLY_IMM" },
	[0xac] = {
		HDR_ASK | HDR_ONLY, SODP_WR_RDMA_READ,
		SODP_EXT_XRCETH | SODP_EXT_RETH, 32, IB_QPT_XRC_INI,
		"XRC READ_REQUEST" },
	[0xad] = {
		HDR_READ_RESP | HDR_FIRST, SODP_WR_RDMA_READ, SODP_EXT_AETH, 16,
		IB_QPT_XRC_INI, "XRC READ_RESPONSE_FIRST" },
	[0xae] = {
		HDR_READ_RESP, SODP_WR_RDMA_READ, 0, 12, IB_QPT_XRC_INI,
		"XRC READ_RESPONSE_MIDDLE" },
	[0xaf] = {
		HDR_READ_RESP | HDR_LAST, SODP_WR_RDMA_READ, SODP_EXT_AETH, 16,
		IB_QPT_XRC_INI, "XRC READ_RESPONSE_LAST" },
	[0xb0] = {
		HDR_READ_RESP | HDR_ONLY, SODP_WR_RDMA_READ, SODP_EXT_AETH, 16,
		IB_QPT_XRC_INI, "XRC READ_RESPONSE_ONLY" },
	[0xb1] = {
		SODP_WIRE_VALID | HDR_ONLY, 0, SODP_EXT_AETH, 16,
		IB_QPT_XRC_INI, "XRC ACKNOWLEDGE" },
	[0xb2] = {
		SODP_WIRE_VALID | HDR_ONLY, 0,
		SODP_EXT_AETH | SODP_EXT_ATOMIC_ACK, 24, IB_QPT_XRC_INI,
		"XRC ATOMIC_ACKNOWLEDGE" },
	[0xb3] = {
		HDR_ASK | HDR_ONLY, SODP_WR_ATOMIC_CMP_AND_SWP,
		SODP_EXT_XRCETH | SODP_EXT_ATOMIC, 44, IB_QPT_XRC_INI,
		"XRC CMP_SWAP" },
	[0xb4] = {
		HDR_ASK | HDR_ONLY, SODP_WR_ATOMIC_FETCH_AND_ADD,
		SODP_EXT_XRCETH | SODP_EXT_ATOMIC, 44, IB_QPT_XRC_INI,
		"XRC FETCH_ADD" },
	[0xb6] = {
		HDR_REQ | HDR_LAST | HDR_DATA, SODP_WR_SEND_WITH_INV,
		SODP_EXT_XRCETH | SODP_EXT_IETH, 20, IB_QPT_XRC_INI,
		"XRC SEND_LAST_INV" },
	[0xb7] = {
		HDR_REQ | HDR_ONLY | HDR_DATA, SODP_WR_SEND_WITH_INV,
		SODP_EXT_XRCETH | SODP_EXT_IETH, 20, IB_QPT_XRC_INI,
		"XRC SEND_ONLY_INV" },
	[0xbc] = {
		HDR_ASK | HDR_ONLY, SODP_WR_FLUSH,
		SODP_EXT_XRCETH | SODP_EXT_FETH | SODP_EXT_RETH, 36,
		IB_QPT_XRC_INI, "XRC FLUSH" },
	[0xbd] = {
		HDR_ASK | HDR_ONLY | HDR_DATA, SODP_WR_ATOMIC_WRITE,
		SODP_EXT_XRCETH | SODP_EXT_RETH, 32, IB_QPT_XRC_INI,
		"XRC ATOMIC_WRITE" },
};

/* Decode the headers that @op has behind the BTH */
static void hdr_get_ext(const u8 *p, u16 ext, struct sodp_pkt *pkt)
{
	if (ext & SODP_EXT_XRCETH) {
		pkt->srqn = get_unaligned_be32(p) & SODP_MAX_QPN;
		p += SODP_XRCETH_BYTES;
	}
	if (ext & SODP_EXT_DETH) {
		pkt->qkey = get_unaligned_be32(p);
		pkt->src_qpn = get_unaligned_be32(p + 4) & SODP_MAX_QPN;
		p += SODP_DETH_BYTES;
	}
	if (ext & SODP_EXT_FETH) {
		u32 feth = get_unaligned_be32(p);

		pkt->flush_type = feth & 0xf;
		pkt->flush_level = feth >> 4 & 0x3;
		p += SODP_FETH_BYTES;
	}
	if (ext & SODP_EXT_RETH) {
		pkt->remote_addr = get_unaligned_be64(p);
		pkt->rkey = get_unaligned_be32(p + 8);
		pkt->dma_len = get_unaligned_be32(p + 12);
		p += SODP_RETH_BYTES;
	}
	if (ext & SODP_EXT_ATOMIC) {
		pkt->remote_addr = get_unaligned_be64(p);
		pkt->rkey = get_unaligned_be32(p + 8);
		pkt->swap_add = get_unaligned_be64(p + 12);
		pkt->compare = get_unaligned_be64(p + 20);
		p += SODP_ATOMIC_BYTES;
	}
	if (ext & SODP_EXT_AETH) {
		pkt->syndrome = p[0];
		pkt->msn = get_unaligned_be24(p + 1);
		p += SODP_AETH_BYTES;
	}
	if (ext & SODP_EXT_ATOMIC_ACK) {
		pkt->orig = get_unaligned_be64(p);
		p += SODP_ATOMIC_ACK_BYTES;
	}
	if (ext & SODP_EXT_IMMDT)
		memcpy(&pkt->ex, p, sizeof(pkt->ex));
	else if (ext & SODP_EXT_IETH)
		pkt->ex = get_unaligned_be32(p);
}

/* What length and pad count have to be, whatever the QP. IBA 9.2.8, A19 */
static bool hdr_payload_ok(const struct sodp_wire_op *op,
			   const struct sodp_pkt *pkt, u32 bytes)
{
	if (!(op->flags & SODP_WIRE_PAYLOAD))
		return !bytes && !pkt->pad;
	if (pkt->pad > bytes || bytes & 3)
		return false;
	/* FIRST and MIDDLE are of a whole MTU */
	if (!(op->flags & SODP_WIRE_LAST) && (pkt->pad || !bytes))
		return false;
	if (op->wr == SODP_WR_ATOMIC_WRITE && bytes - pkt->pad != sizeof(u64))
		return false;
	return bytes <= SODP_MAX_MTU;
}

/*
 * At most @len bytes, and no more than any packet's headers. Pages may belong
 * to somebody who still writes to them, so what is in a page is copied.
 */
static const u8 *hdr_bytes(const struct sk_buff *skb, u32 off, u32 len, u8 *buf)
{
	const skb_frag_t *frag = &skb_shinfo(skb)->frags[0];
	u32 head = skb_headlen(skb);

	if (off + len <= head)
		return skb->data + off;
	/* A train: all of it in one page */
	if (likely(off >= head && skb_shinfo(skb)->nr_frags == 1 &&
		   len >= SODP_MAX_HDR_BYTES &&
		   off - head + len <= skb_frag_size(frag))) {
		memcpy(buf, skb_frag_address(frag) + (off - head),
		       SODP_MAX_HDR_BYTES);
		return buf;
	}
	len = min_t(u32, len, SODP_MAX_HDR_BYTES);
	return skb_copy_bits(skb, off, buf, len) ? NULL : buf;
}

/**
 * sodp_pkt_parse() - decode and check a packet
 * @skb: holds it
 * @off: where its BTH is
 * @len: bytes of it from the BTH to the padding, without the ICRC
 * @pkt: result; what the opcode has no header for is 0
 *
 * Context: any.
 * Return: 0, -EINVAL for what no sender in its right mind makes.
 */
int sodp_pkt_parse(struct sk_buff *skb, u32 off, u32 len,
		   struct sodp_pkt *pkt)
{
	u8 buf[SODP_MAX_HDR_BYTES];
	const struct sodp_wire_op *op;
	const u8 *bth;

	memset(pkt, 0, sizeof(*pkt));
	if (len < SODP_BTH_BYTES)
		return -EINVAL;
	bth = hdr_bytes(skb, off, len, buf);
	if (!bth)
		return -EINVAL;
	pkt->opcode = bth[0];
	op = &sodp_wire_ops[bth[0]];
	if (!(op->flags & SODP_WIRE_VALID) || len < op->len || bth[1] & 0xf)
		return -EINVAL;
	pkt->op = op;
	pkt->solicited = bth[1] & 0x80;
	pkt->migrated = bth[1] & 0x40;
	pkt->pad = bth[1] >> 4 & 3;
	pkt->pkey = get_unaligned_be16(bth + 2);
	pkt->qpn = get_unaligned_be24(bth + 5);
	pkt->ack_req = bth[8] & 0x80;
	pkt->psn = get_unaligned_be24(bth + 9);
	if (!hdr_payload_ok(op, pkt, len - op->len))
		return -EINVAL;
	hdr_get_ext(bth + SODP_BTH_BYTES, op->ext, pkt);
	pkt->payload = off + op->len;
	pkt->length = len - op->len - pkt->pad;
	return 0;
}

static void hdr_put_ext(u8 *p, u16 ext, const struct sodp_pkt *pkt)
{
	if (ext & SODP_EXT_XRCETH) {
		put_unaligned_be32(pkt->srqn & SODP_MAX_QPN, p);
		p += SODP_XRCETH_BYTES;
	}
	if (ext & SODP_EXT_DETH) {
		put_unaligned_be32(pkt->qkey, p);
		put_unaligned_be32(pkt->src_qpn & SODP_MAX_QPN, p + 4);
		p += SODP_DETH_BYTES;
	}
	if (ext & SODP_EXT_FETH) {
		put_unaligned_be32(pkt->flush_type |
				   (u32)pkt->flush_level << 4, p);
		p += SODP_FETH_BYTES;
	}
	if (ext & SODP_EXT_RETH) {
		put_unaligned_be64(pkt->remote_addr, p);
		put_unaligned_be32(pkt->rkey, p + 8);
		put_unaligned_be32(pkt->dma_len, p + 12);
		p += SODP_RETH_BYTES;
	}
	if (ext & SODP_EXT_ATOMIC) {
		put_unaligned_be64(pkt->remote_addr, p);
		put_unaligned_be32(pkt->rkey, p + 8);
		put_unaligned_be64(pkt->swap_add, p + 12);
		put_unaligned_be64(pkt->compare, p + 20);
		p += SODP_ATOMIC_BYTES;
	}
	if (ext & SODP_EXT_AETH) {
		put_unaligned_be32((u32)pkt->syndrome << 24 |
				   (pkt->msn & SODP_PSN_MASK), p);
		p += SODP_AETH_BYTES;
	}
	if (ext & SODP_EXT_ATOMIC_ACK) {
		put_unaligned_be64(pkt->orig, p);
		p += SODP_ATOMIC_ACK_BYTES;
	}
	if (ext & SODP_EXT_IMMDT)
		memcpy(p, &pkt->ex, sizeof(pkt->ex));
	else if (ext & SODP_EXT_IETH)
		put_unaligned_be32(pkt->ex, p);
	else if (ext & SODP_EXT_CNP)
		memset(p, 0, SODP_CNP_BYTES);
}

/**
 * sodp_pkt_build() - write BTH and extension headers
 * @buf: place for SODP_MAX_HDR_BYTES, or for what the opcode needs
 * @pkt: opcode and values; the pad count is made from @pkt->length, and op,
 *	pad and payload are not looked at
 *
 * Context: any.
 * Return: bytes written; the payload follows there.
 */
u32 sodp_pkt_build(u8 *buf, const struct sodp_pkt *pkt)
{
	const struct sodp_wire_op *op = &sodp_wire_ops[pkt->opcode];

	buf[0] = pkt->opcode;
	buf[1] = (pkt->solicited ? 0x80 : 0) | (pkt->migrated ? 0x40 : 0) |
		 (-pkt->length & 3) << 4;
	put_unaligned_be16(pkt->pkey, buf + 2);
	/* BECN: what a CNP is sent for. IBA A17.9.3 */
	put_unaligned_be32((op->flags & SODP_WIRE_CNP ? BIT(30) : 0) |
			   (pkt->qpn & SODP_MAX_QPN), buf + 4);
	put_unaligned_be32((pkt->ack_req ? BIT(31) : 0) |
			   (pkt->psn & SODP_PSN_MASK), buf + 8);
	hdr_put_ext(buf + SODP_BTH_BYTES, op->ext, pkt);
	return op->len;
}

/**
 * sodp_rnr_code_ns() - how long an RNR NAK asks to be left alone
 * @code: its timer, IBA 9.7.5.2.8 table 45
 *
 * Return: nanoseconds.
 */
u64 sodp_rnr_code_ns(u8 code)
{
	static const u32 units_10us[32] = {
		65536, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192,
		256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192,
		12288, 16384, 24576, 32768, 49152,
	};

	return units_10us[code & 31] * 10ULL * NSEC_PER_USEC;
}
