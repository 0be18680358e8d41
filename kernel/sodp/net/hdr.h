/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * RoCEv2 packets: what each BTH opcode is, in one table, and a packet with
 * its headers decoded. IBA 9.2 to 9.6, annexes A17 (RoCEv2) and A19 (FLUSH,
 * ATOMIC WRITE).
 */
#ifndef SODP_HDR_H
#define SODP_HDR_H

#include <linux/skbuff.h>
#include <rdma/ib_pack.h>

#define SODP_UDP_PORT		4791

#define SODP_BTH_BYTES		12
#define SODP_RETH_BYTES		16
#define SODP_AETH_BYTES		4
#define SODP_ATOMIC_BYTES	28
#define SODP_ATOMIC_ACK_BYTES	8
#define SODP_DETH_BYTES		8
#define SODP_IMMDT_BYTES	4
#define SODP_IETH_BYTES		4
#define SODP_FETH_BYTES		4
#define SODP_XRCETH_BYTES	4
#define SODP_ICRC_BYTES		4
/* Reserved, behind the BTH of a CNP */
#define SODP_CNP_BYTES		16
/* XRC CMP_SWP: the longest headers that a packet can have */
#define SODP_MAX_HDR_BYTES	(SODP_BTH_BYTES + SODP_XRCETH_BYTES + \
				 SODP_ATOMIC_BYTES + SODP_IMMDT_BYTES)

/* Transport bits of the opcodes of XRC, which ib_pack.h leaves out */
#define SODP_BTH_XRC		0xa0
/* Not in that of every kernel */
#define SODP_BTH_RC_FLUSH	0x1c
#define SODP_BTH_CNP		0x81

/* Most payload of a packet */
#define SODP_MAX_MTU		4096

#define SODP_PSN_MASK		0xffffffU
#define SODP_QPN_MULTICAST	0xffffffU
#define SODP_QPN_GSI		1

/* Extension headers, in the order in which they follow the BTH */
enum sodp_ext {
	SODP_EXT_XRCETH		= 1 << 0,
	SODP_EXT_DETH		= 1 << 1,
	SODP_EXT_FETH		= 1 << 2,
	SODP_EXT_RETH		= 1 << 3,
	SODP_EXT_ATOMIC		= 1 << 4,
	SODP_EXT_AETH		= 1 << 5,
	SODP_EXT_ATOMIC_ACK	= 1 << 6,
	SODP_EXT_IMMDT		= 1 << 7,
	SODP_EXT_IETH		= 1 << 8,
	SODP_EXT_CNP		= 1 << 9,
};

enum sodp_wire_flags {
	SODP_WIRE_VALID		= 1 << 0,
	SODP_WIRE_REQUEST	= 1 << 1,	/* else a response */
	SODP_WIRE_FIRST		= 1 << 2,	/* starts a message */
	SODP_WIRE_LAST		= 1 << 3,	/* ends it; both: ONLY */
	SODP_WIRE_PAYLOAD	= 1 << 4,	/* may carry payload */
	SODP_WIRE_READ_RESP	= 1 << 5,
	SODP_WIRE_CNP		= 1 << 6,	/* of any connected QP */
	SODP_WIRE_ASKS		= 1 << 7,	/* more than an acknowledge answers it */
};

/**
 * struct sodp_wire_op - one BTH opcode
 * @flags: enum sodp_wire_flags
 * @wr: enum sodp_wr_opcode of the request that it is part of; for FIRST and
 *	MIDDLE of a SEND or WRITE the plain one
 * @ext: enum sodp_ext
 * @len: bytes of BTH and extension headers
 * @type: enum ib_qp_type that uses it; XRC opcodes: IB_QPT_XRC_INI
 * @name: for debug messages
 */
struct sodp_wire_op {
	u8 flags;
	u8 wr;
	u16 ext;
	u8 len;
	u8 type;
	const char *name;
};

extern const struct sodp_wire_op sodp_wire_ops[256];

/**
 * struct sodp_pkt - a packet, its headers decoded to host order
 * @op: its opcode's properties
 * @opcode: BTH opcode
 * @solicited: SE bit
 * @ack_req: A bit
 * @migrated: MigReq bit
 * @pad: bytes of padding behind the payload
 * @pkey: P_Key
 * @qpn: destination
 * @psn: PSN, 24 bits
 * @srqn: XRCETH
 * @qkey: DETH
 * @src_qpn: DETH
 * @remote_addr: RETH or AtomicETH
 * @rkey: RETH or AtomicETH
 * @dma_len: RETH
 * @swap_add: AtomicETH
 * @compare: AtomicETH
 * @syndrome: AETH
 * @msn: AETH, 24 bits
 * @orig: AtomicAckETH
 * @ex: ImmDt as on the wire (big endian), or IETH in host order
 * @flush_type: FETH placement type
 * @flush_level: FETH selectivity level
 * @payload: offset of the payload in the skb
 * @length: bytes of payload, padding and ICRC left out
 */
struct sodp_pkt {
	const struct sodp_wire_op *op;
	u8 opcode;
	bool solicited;
	bool ack_req;
	bool migrated;
	u8 pad;
	u16 pkey;
	u32 qpn;
	u32 psn;
	u32 srqn;
	u32 qkey;
	u32 src_qpn;
	u64 remote_addr;
	u32 rkey;
	u32 dma_len;
	u64 swap_add;
	u64 compare;
	u8 syndrome;
	u32 msn;
	u64 orig;
	u32 ex;
	u8 flush_type;
	u8 flush_level;
	u32 payload;
	u32 length;
};

/* AETH syndrome: kind in bits 6:5, value in 4:0. IBA 9.7.5.2.4 */
enum sodp_aeth_kind {
	SODP_AETH_ACK		= 0x00,	/* value: credits, 31: no credits */
	SODP_AETH_RNR_NAK	= 0x20,	/* value: timer */
	SODP_AETH_NAK		= 0x60,	/* value: enum sodp_nak_code */
	SODP_AETH_KIND_MASK	= 0x60,
	SODP_AETH_VALUE_MASK	= 0x1f,
	SODP_AETH_NO_CREDITS	= 0x1f,
};

enum sodp_nak_code {
	SODP_NAK_PSN_SEQUENCE	= 0,
	SODP_NAK_INV_REQ	= 1,
	SODP_NAK_REM_ACCESS	= 2,
	SODP_NAK_REM_OP		= 3,
	SODP_NAK_INV_RD		= 4,
};

int sodp_pkt_parse(struct sk_buff *skb, u32 off, u32 len,
		   struct sodp_pkt *pkt);
u32 sodp_pkt_build(u8 *buf, const struct sodp_pkt *pkt);
u64 sodp_rnr_code_ns(u8 code);

static inline u32 sodp_psn_add(u32 psn, u32 n)
{
	return (psn + n) & 0xffffff;
}

/* a - b in 24-bit PSN arithmetic, -2^23 to 2^23 - 1. IBA 9.7.2 */
static inline s32 sodp_psn_diff(u32 a, u32 b)
{
	return (s32)((a - b) << 8) >> 8;
}

#endif /* SODP_HDR_H */
