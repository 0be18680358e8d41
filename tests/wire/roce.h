/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * roce.h - RoCEv2 packets in user space: build, take apart, judge
 *
 * Written from the specification alone (IBA volume 1: 9.2 to 9.6, annexes
 * A14 XRC, A17 RoCEv2, A19 FLUSH and ATOMIC WRITE), so that it can judge what
 * the kernel part sends. The ICRC is a plain CRC, one bit at a time.
 */
#ifndef ROCE_H
#define ROCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROCE_PORT 4791
#define ROCE_BTH_LEN 12
#define ROCE_ICRC_LEN 4
#define ROCE_MAX_HDR 48
/* IPv6, UDP, the longest headers, 4 KiB, padding, ICRC; and some more */
#define ROCE_MAX_FRAME 9216

enum roce_ext {
	ROCE_DETH = 1 << 0,
	ROCE_XRCETH = 1 << 1,
	ROCE_FETH = 1 << 2,
	ROCE_RETH = 1 << 3,
	ROCE_ATOMICETH = 1 << 4,
	ROCE_AETH = 1 << 5,
	ROCE_ATOMICACKETH = 1 << 6,
	ROCE_IMMDT = 1 << 7,
	ROCE_IETH = 1 << 8,
};

enum roce_transport {
	ROCE_RC = 0,
	ROCE_UC = 1,
	ROCE_UD = 3,
	ROCE_CNP = 4,
	ROCE_XRC = 5,
};

/* Bits 4:0 of an opcode. IBA table 38, A19.4 */
enum roce_kind {
	ROCE_SEND_FIRST,
	ROCE_SEND_MIDDLE,
	ROCE_SEND_LAST,
	ROCE_SEND_LAST_IMM,
	ROCE_SEND_ONLY,
	ROCE_SEND_ONLY_IMM,
	ROCE_WRITE_FIRST,
	ROCE_WRITE_MIDDLE,
	ROCE_WRITE_LAST,
	ROCE_WRITE_LAST_IMM,
	ROCE_WRITE_ONLY,
	ROCE_WRITE_ONLY_IMM,
	ROCE_READ_REQ,
	ROCE_READ_FIRST,
	ROCE_READ_MIDDLE,
	ROCE_READ_LAST,
	ROCE_READ_ONLY,
	ROCE_ACK,
	ROCE_ATOMIC_ACK,
	ROCE_CMP_SWAP,
	ROCE_FETCH_ADD,
	ROCE_SEND_LAST_INV = 0x16,
	ROCE_SEND_ONLY_INV = 0x17,
	ROCE_FLUSH = 0x1c,
	ROCE_ATOMIC_WRITE = 0x1d,
	ROCE_KINDS = 0x20,
};

#define ROCE_OPCODE(transport, kind) ((uint8_t)((transport) << 5 | (kind)))
#define ROCE_KIND(opcode) ((opcode) & 0x1f)
#define ROCE_TRANSPORT(opcode) ((opcode) >> 5)
#define ROCE_OP_CNP 0x81

enum roce_payload {
	ROCE_PAYLOAD_NONE,
	ROCE_PAYLOAD_MTU, /* FIRST, MIDDLE: the path MTU exactly */
	ROCE_PAYLOAD_SOME, /* LAST: at least a byte, at most the path MTU */
	ROCE_PAYLOAD_ANY, /* ONLY */
	ROCE_PAYLOAD_8, /* ATOMIC WRITE */
	ROCE_PAYLOAD_CNP, /* 16 reserved bytes */
};

struct roce_op {
	const char *name; /* NULL: reserved */
	uint16_t ext;
	uint8_t payload;
	bool request;
};

const struct roce_op *roce_op(uint8_t opcode);
/* Bytes of BTH and extension headers */
size_t roce_hdr_len(uint8_t opcode);

/* Everything in host order */
struct roce_pkt {
	/* IP and UDP */
	bool ipv6;
	uint8_t src[16];
	uint8_t dst[16];
	uint8_t tos;
	uint8_t ttl;
	uint16_t ip_id;
	uint32_t flow_label;
	uint16_t sport;
	uint16_t dport;
	uint16_t udp_csum;
	/* BTH */
	uint8_t opcode;
	bool solicited;
	bool migreq;
	uint8_t pad;
	uint8_t tver;
	uint16_t pkey;
	uint8_t resv8a; /* FECN, BECN, six reserved bits */
	uint32_t qpn;
	bool ack_req;
	uint8_t resv7;
	uint32_t psn;
	/* extension headers */
	uint32_t qkey;
	uint32_t src_qpn;
	uint32_t srqn;
	uint8_t flush_type;
	uint8_t flush_level;
	uint64_t va;
	uint32_t rkey;
	uint32_t dma_len;
	uint64_t swap_add;
	uint64_t compare;
	uint8_t syndrome;
	uint32_t msn;
	uint64_t orig;
	uint32_t imm;
	uint32_t inv_rkey;
	/* what follows */
	const uint8_t *payload;
	size_t len; /* without padding */
	uint32_t icrc; /* as a CRC register; on the wire little endian */
};

enum roce_verdict {
	ROCE_GOOD,
	ROCE_FOREIGN, /* not UDP to port 4791 */
	ROCE_BAD_IP,
	ROCE_BAD_UDP,
	ROCE_SHORT,
	ROCE_BAD_VERSION,
	ROCE_BAD_OPCODE,
	ROCE_BAD_LENGTH,
	ROCE_BAD_PAD,
	ROCE_BAD_RESERVED,
	ROCE_BAD_ICRC,
};

extern const char *const roce_verdict_names[];

/*
 * Take apart what begins with an IP header. The length may be that of a
 * frame with trailing bytes. Fills pkt as far as it got.
 */
enum roce_verdict roce_parse(const uint8_t *ip, size_t len,
			     struct roce_pkt *pkt);
/* True when the UDP checksum is 0 (none) or right */
bool roce_udp_csum_good(const uint8_t *ip, size_t len);

/*
 * IP header to ICRC into out, which has room for ROCE_MAX_FRAME; returns the
 * length. Reserved opcodes get a BTH only. Nothing is checked: nonsense can
 * be built.
 */
size_t roce_build(uint8_t *out, const struct roce_pkt *pkt);
/* Corrects lengths and checksums of IP and UDP, then the ICRC, after edits */
void roce_finish(uint8_t *ip, size_t len);
/* Length and checksum of the IP header only */
void roce_ip_length(uint8_t *ip, size_t len);
/* The ICRC only */
void roce_sign(uint8_t *ip, size_t len);

/* ICRC of what begins with an IP header and ends before the ICRC */
uint32_t roce_icrc(const uint8_t *ip, size_t len);
/* One bit at a time; begin with ~0, complement what comes out */
uint32_t roce_crc32(uint32_t crc, const uint8_t *data, size_t len);
/* The same by a table that is made of it; for who sends a million packets */
extern bool roce_fast_crc;

static inline uint32_t roce_psn_add(uint32_t psn, int32_t n)
{
	return (psn + n) & 0xffffff;
}

/* a - b, from -2^23 to 2^23 - 1 */
static inline int32_t roce_psn_diff(uint32_t a, uint32_t b)
{
	int32_t d = (a - b) & 0xffffff;

	return d >= 0x800000 ? d - 0x1000000 : d;
}

#endif /* ROCE_H */
