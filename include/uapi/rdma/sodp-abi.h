/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR Linux-OpenIB) */
/*
 * sodp-abi.h - what sodp.ko and its rdma-core provider share
 *
 * Command structs follow the uverbs rules: sizes are multiples of 8, every
 * response starts with comp_mask, a new field gets a comp_mask bit, and the
 * version below is bumped only when an old peer would break.
 *
 * Rings live in kernel memory that the application maps. The kernel treats
 * all of it as hostile: it reads an index or an entry once, checks its copy,
 * and keeps the authoritative state elsewhere.
 */
#ifndef SODP_ABI_USER_H
#define SODP_ABI_USER_H

#include <linux/types.h>
#include <linux/ioctl.h>

#define SODP_UVERBS_ABI_VERSION	1

/* No number is free in enum rdma_driver_id: "SODP" in ASCII, little endian */
#define SODP_DRIVER_ID		0x50444f53

/*
 * The doorbell is an FD object of the uverbs file. Ring it with
 * ioctl(fd, SODP_IOC_RING_SQ, qpn): the kernel looks at the SQ producer index
 * of that QP. SODP_IOC_RING_RQ is needed only while SODP_QPF_RQ_BELL is set.
 * Errors: EINVAL unknown QP, EIO device gone, ENOTTY unknown command.
 */
#define SODP_IOC_MAGIC		0xB5
#define SODP_IOC_RING_SQ	_IO(SODP_IOC_MAGIC, 0x40)
#define SODP_IOC_RING_RQ	_IO(SODP_IOC_MAGIC, 0x41)

/* uverbs ioctl ids; the base is UVERBS_ID_NS_SHIFT's driver name space */
#define SODP_ID_NS		(1U << 12)

enum sodp_object {
	SODP_OBJECT_DOORBELL = SODP_ID_NS,
};

enum sodp_doorbell_method {
	SODP_METHOD_DOORBELL_ALLOC = SODP_ID_NS,
};

enum sodp_doorbell_alloc_attr {
	SODP_ATTR_DOORBELL_ALLOC_FD = SODP_ID_NS,
};

/* A method of UVERBS_OBJECT_DM; also finds out whether a handle is one */
enum sodp_dm_method {
	SODP_METHOD_DM_QUERY = SODP_ID_NS,
};

enum sodp_dm_query_attr {
	SODP_ATTR_DM_QUERY_HANDLE = SODP_ID_NS,
	SODP_ATTR_DM_QUERY_RESP,	/* struct sodp_dm_query_resp */
};

struct sodp_dm_query_resp {
	__aligned_u64 comp_mask;
	__aligned_u64 mmap_offset;
	__aligned_u64 mmap_size;
	__aligned_u64 length;
};

/* Same numbers as enum ibv_wr_opcode */
enum sodp_wr_opcode {
	SODP_WR_RDMA_WRITE		= 0,
	SODP_WR_RDMA_WRITE_WITH_IMM	= 1,
	SODP_WR_SEND			= 2,
	SODP_WR_SEND_WITH_IMM		= 3,
	SODP_WR_RDMA_READ		= 4,
	SODP_WR_ATOMIC_CMP_AND_SWP	= 5,
	SODP_WR_ATOMIC_FETCH_AND_ADD	= 6,
	SODP_WR_LOCAL_INV		= 7,
	SODP_WR_BIND_MW			= 8,
	SODP_WR_SEND_WITH_INV		= 9,
	/* Of the kernel's own QPs: no application's entry may say so */
	SODP_WR_REG_MR			= 13,
	SODP_WR_FLUSH			= 14,
	SODP_WR_ATOMIC_WRITE		= 15,
};

/* Same bits as enum ibv_send_flags */
enum sodp_send_flags {
	SODP_SEND_FENCE		= 1 << 0,
	SODP_SEND_SIGNALED	= 1 << 1,
	SODP_SEND_SOLICITED	= 1 << 2,
	SODP_SEND_INLINE	= 1 << 3,
};

struct sodp_sge {
	__aligned_u64 addr;
	__u32 length;
	__u32 lkey;
};

/*
 * Send queue entry: this header, then num_sge times struct sodp_sge or, with
 * SODP_SEND_INLINE, inline_len bytes of payload. The slot stride is in the
 * create-QP response.
 */
struct sodp_sqe {
	__aligned_u64 wr_id;
	__u8 opcode;
	__u8 num_sge;
	__u16 flags;
	__u32 ex;		/* immediate (big endian) or key to invalidate */
	__u32 inline_len;
	__u32 srqn;		/* XRC only: remote SRQ number */
	union {
		struct {
			__aligned_u64 remote_addr;
			__u32 rkey;
			__u32 reserved_a0;
		} rdma;
		struct {
			__aligned_u64 remote_addr;
			__aligned_u64 compare_add;
			__aligned_u64 swap;	/* CAS: new value */
			__u32 rkey;
			__u32 reserved_a0;
		} atomic;
		struct {
			__aligned_u64 remote_addr;
			__aligned_u64 value;	/* bytes as posted */
			__u32 rkey;
			__u32 reserved_a0;
		} atomic_write;
		struct {
			__aligned_u64 remote_addr;
			__aligned_u64 length;
			__u32 rkey;
			__u8 type;	/* enum ib_placement_type bits */
			__u8 level;	/* enum ib_selectivity_level */
			__u16 reserved_a0;
		} flush;
		struct {
			__u32 ah;	/* from the create-AH response */
			__u32 remote_qpn;
			__u32 remote_qkey;
			__u32 reserved_a0;
		} ud;
		struct {
			__aligned_u64 addr;
			__aligned_u64 length;
			__u32 mr_lkey;
			__u32 mw_rkey;	/* key the window has now */
			__u32 new_rkey;	/* same index, another low byte */
			__u32 access;	/* IBV_ACCESS_* */
		} bind;
		__u8 reserved_union[40];
	};
};

/* Receive queue entry (QP or SRQ): this header, then num_sge SGEs */
struct sodp_rqe {
	__aligned_u64 wr_id;
	__u32 num_sge;
	__u32 reserved_60;
};

/* Same numbers as enum ibv_wc_opcode, ibv_wc_status and ibv_wc_flags */
enum sodp_wc_opcode {
	SODP_WC_SEND		= 0,
	SODP_WC_RDMA_WRITE	= 1,
	SODP_WC_RDMA_READ	= 2,
	SODP_WC_COMP_SWAP	= 3,
	SODP_WC_FETCH_ADD	= 4,
	SODP_WC_BIND_MW		= 5,
	SODP_WC_LOCAL_INV	= 6,
	SODP_WC_FLUSH		= 8,
	SODP_WC_ATOMIC_WRITE	= 9,
	SODP_WC_RECV		= 128,
	SODP_WC_RECV_RDMA_WITH_IMM = 129,
};

enum sodp_wc_flags {
	SODP_WC_GRH		= 1 << 0,
	SODP_WC_WITH_IMM	= 1 << 1,
	SODP_WC_WITH_INV	= 1 << 3,
};

/*
 * sl of a datagram's receive: what stands in front of it, in the code that
 * mlx5 has for it and programs know. Bits 0 to 2: the header, 0 would be a GRH
 * on Ethernet; bit 3: UDP follows.
 */
enum sodp_wc_sl {
	SODP_WC_SL_IPV6		= 8 | 1,
	SODP_WC_SL_IPV4		= 8 | 2,
};

/*
 * vendor_err of a completion with an error: which check it was that failed.
 * What the peer refused is told by its NAK code, on one host as on the wire.
 */
enum sodp_vendor_err {
	SODP_ERR_NONE		= 0,
	SODP_ERR_FLUSHED	= 1,	/* the QP was in an error state */
	/* what the entry says */
	SODP_ERR_OPCODE		= 2,	/* unknown, or not of this QP type */
	SODP_ERR_RESERVED	= 3,	/* unknown flags, reserved fields */
	SODP_ERR_SGES		= 4,	/* too many, too much inline data */
	SODP_ERR_LENGTH		= 5,
	SODP_ERR_RD_ATOMIC	= 6,	/* max_rd_atomic is 0 */
	SODP_ERR_AH		= 7,	/* no such address handle */
	SODP_ERR_BIND		= 8,	/* BIND_MW or REG_MR not allowed */
	SODP_ERR_INVALIDATE	= 9,	/* key cannot be invalidated */
	/* what a key is good for */
	SODP_ERR_KEY		= 16,	/* not valid */
	SODP_ERR_KEY_PD		= 17,	/* of another domain, or QP (window) */
	SODP_ERR_KEY_ACCESS	= 18,	/* no such right */
	SODP_ERR_KEY_RANGE	= 19,	/* not all of these addresses */
	SODP_ERR_PAGE		= 20,	/* memory behind it is not there */
	/* what else a responder finds, told in its receive */
	SODP_ERR_TOO_LONG	= 24,	/* for the receive */
	SODP_ERR_REQUEST	= 25,	/* malformed */
	/* what the requester was told, or was not */
	SODP_ERR_NAK_REQUEST	= 0x101,	/* invalid request */
	SODP_ERR_NAK_ACCESS	= 0x102,	/* remote access error */
	SODP_ERR_NAK_OPERATION	= 0x103,	/* remote operational error */
	SODP_ERR_RNR_RETRY	= 0x120,	/* no receive, rnr_retry times */
	SODP_ERR_RETRY		= 0x121,	/* no answer, retry_cnt times */
	SODP_ERR_BAD_RESPONSE	= 0x122,	/* an answer makes no sense */
};

/* Completion queue entry, 64 bytes */
struct sodp_cqe {
	__aligned_u64 wr_id;
	__u8 status;		/* enum ibv_wc_status */
	__u8 opcode;		/* enum sodp_wc_opcode */
	__u16 flags;		/* enum sodp_wc_flags */
	__u32 vendor_err;	/* enum sodp_vendor_err */
	__u32 byte_len;
	__u32 ex;		/* immediate (big endian) or invalidated key */
	__u32 qpn;
	__u32 src_qp;
	__aligned_u64 timestamp;	/* CLOCK_MONOTONIC_RAW nanoseconds */
	__u16 pkey_index;
	__u16 slid;
	__u8 sl;		/* enum sodp_wc_sl */
	__u8 dlid_path_bits;
	__u16 vlan;	/* for consumers in the kernel only, else 0 */
	__u32 srqn;
	__u32 index;		/* entries of the queue below it are done */
	__aligned_u64 queue;	/* sq_cookie or rq_cookie of the queue */
};

/*
 * Ring indices run freely from 0 to 2^32-1; the slot is index modulo depth,
 * depth being a power of two. A line of 64 bytes has one writer.
 *
 * Publishing: the writer fills the slot, then stores its index with release
 * semantics; the reader loads it with acquire semantics.
 */

/* kernel -> application */
enum sodp_qp_flags {
	/*
	 * Somebody is working on the SQ and will look at sq_pi again: no
	 * doorbell is needed. Store sq_pi, full barrier, then read the flag.
	 */
	SODP_QPF_SQ_BUSY	= 1 << 0,
	/* Ring SODP_IOC_RING_RQ after posting receives (error state) */
	SODP_QPF_RQ_BELL	= 1 << 1,
};

/* First page of a QP mapping; offsets of the rings are in the response */
struct sodp_qp_page {
	/* written by the application */
	__u32 sq_pi;
	__u32 reserved_20[15];
	__u32 rq_pi;
	__u32 reserved_220[15];
	/* written by the kernel */
	__u32 sq_ci;		/* entries below it may be reused */
	__u32 rq_ci;
	__u32 flags;		/* enum sodp_qp_flags */
	__u32 reserved_460[13];
};

struct sodp_srq_page {
	/* written by the application */
	__u32 rq_pi;
	__u32 reserved_20[15];
	/* written by the kernel */
	__u32 rq_ci;
	__u32 rq_lost;		/* entries taken that nothing completes */
	__u32 reserved_240[14];
};

/*
 * Arming: the application stores a new value of arm, (count << 2) | kind,
 * count being one more than before, then a full barrier, then polls once
 * more. The kernel raises at most one event per value.
 */
enum sodp_cq_arm {
	SODP_CQ_ARM_SOLICITED	= 1,
	SODP_CQ_ARM_NEXT	= 2,
};

struct sodp_cq_page {
	/* written by the application */
	__u32 ci;
	__u32 arm;
	__u32 reserved_40[14];
	/* written by the kernel */
	__u32 pi;
	__u32 reserved_220[15];
};

struct sodp_alloc_ucontext_resp {
	__aligned_u64 comp_mask;
	__u32 max_inline;	/* most inline bytes a QP may ask for */
	__u32 max_sge;
};

struct sodp_create_cq_resp {
	__aligned_u64 comp_mask;
	__aligned_u64 mmap_offset;
	__aligned_u64 mmap_size;
	__u32 reserved;
	__u32 depth;		/* power of two, >= cqe */
	__u32 ring_offset;	/* of entry 0 from the start of the mapping */
	__u32 reserved_120;
};

struct sodp_resize_cq_resp {
	__aligned_u64 comp_mask;
	__aligned_u64 mmap_offset;
	__aligned_u64 mmap_size;
	__u32 depth;
	__u32 ring_offset;
	__u32 ci;		/* consumer index to go on from */
	__u32 reserved_100;
};

/*
 * What completions call the queue by. Who sends this clears the reserved fields
 * of entries, and is held to it (LOC_QP_OP_ERR). An older kernel does not look at it: it
 * leaves SODP_CREATE_SRQ_COOKIE out of comp_mask, and rq_lost at 0.
 */
struct sodp_create_srq_cmd {
	__aligned_u64 rq_cookie;
};

enum sodp_create_srq_comp {
	SODP_CREATE_SRQ_COOKIE	= 1 << 0,
};

struct sodp_create_srq_resp {
	__aligned_u64 comp_mask;
	__aligned_u64 mmap_offset;
	__aligned_u64 mmap_size;
	__u32 srqn;
	__u32 depth;
	__u32 stride;
	__u32 ring_offset;
	__u32 max_sge;
	__u32 reserved_160;
};

/*
 * Resizing (IBV_SRQ_MAX_WR): uverbs has no response for modify_srq, so the
 * kernel stores a struct sodp_modify_srq_resp at resp_addr. The application
 * does not post meanwhile. Entries not consumed keep their indices.
 */
struct sodp_modify_srq_cmd {
	__aligned_u64 resp_addr;
};

struct sodp_modify_srq_resp {
	__aligned_u64 comp_mask;
	__aligned_u64 mmap_offset;
	__aligned_u64 mmap_size;
	__u32 depth;
	__u32 ring_offset;
};

/* As above. A receive from an SRQ has the cookie of that, and index 0. */
struct sodp_create_qp_cmd {
	__aligned_u64 sq_cookie;
	__aligned_u64 rq_cookie;
};

enum sodp_create_qp_comp {
	SODP_CREATE_QP_COOKIES	= 1 << 0,
};

struct sodp_create_qp_resp {
	__aligned_u64 comp_mask;
	__aligned_u64 mmap_offset;
	__aligned_u64 mmap_size;
	__u32 qpn;
	__u32 sq_depth;		/* 0: the QP has no such ring */
	__u32 sq_stride;
	__u32 sq_offset;
	__u32 rq_depth;
	__u32 rq_stride;
	__u32 rq_offset;
	__u32 max_inline;
	__u32 max_send_sge;
	__u32 max_recv_sge;
};

/*
 * The one exception to the rule of sizes: it follows a response of the core
 * that is 4 bytes long, so nothing here may need more than that.
 */
struct sodp_create_ah_resp {
	__u32 comp_mask;
	__u32 ah;		/* what sodp_sqe.ud.ah names it by */
};

#endif /* SODP_ABI_USER_H */
