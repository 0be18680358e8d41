/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The wire: paths, bursts of packets going out, packets coming in, and what
 * a QP keeps when its peer is on another host.
 *
 *	net.c		sockets, routes, skbs, ICRC check, dispatch to QPs
 *	hdr.c, icrc.c	headers, invariant CRC
 *	wire_req.c ...	requester: packets out, answers in, retries
 *	wire_resp.c ...	responder: requests in, acknowledges and data out
 *	ud.c, ah.c	datagrams
 */
#ifndef SODP_WIRE_H
#define SODP_WIRE_H

#include <linux/in6.h>
#include <linux/skbuff.h>
#include <net/dst.h>

#include "hdr.h"
#include "sodp.h"

/* Packets that wait for one side of one QP; more are dropped (counted) */
#define SODP_RXQ_MAX_BYTES	SZ_4M
#define SODP_RXQ_MAX_SKBS	2048
/* Bytes of a QP handed to the stack and not freed by it yet */
#define SODP_TX_MAX_BYTES	SZ_1M

/**
 * struct sodp_path - where packets of a QP or an address handle go
 * @dev: device they leave from
 * @family: AF_INET or AF_INET6
 * @tclass: TOS or traffic class, ECN bits included
 * @ttl: TTL or hop limit, never 0
 * @flow_label: IPv6
 * @sport: UDP source port, host order
 * @saddr: source address; IPv4 as a mapped address
 * @daddr: destination
 * @dst_lock: guards @dst
 * @dst: route in use, looked up anew when it is obsolete
 * @dst_cookie: for dst_check()
 * @ip_id: next IPv4 identification
 */
struct sodp_path {
	struct sodp_dev *dev;
	u8 family;
	u8 tclass;
	u8 ttl;
	u32 flow_label;
	u16 sport;
	struct in6_addr saddr;
	struct in6_addr daddr;
	spinlock_t dst_lock;
	struct dst_entry *dst;
	u32 dst_cookie;
	atomic_t ip_id;
};

int sodp_path_init(struct sodp_path *path, struct sodp_dev *dev,
		   const struct rdma_ah_attr *attr, u16 sport);
void sodp_path_release(struct sodp_path *path);

/**
 * struct sodp_burst - packets of one path on their way to one skb
 * @path: where to
 * @qp: whose in-flight bytes they count in (a reference per skb), or NULL
 * @page: compound page that holds the UDP payloads back to back
 * @cap: its bytes
 * @used: bytes of finished packets
 * @seg_len: UDP payload of every packet but the last, which may be shorter
 * @nr: packets finished
 * @closed: the last one was shorter: no packet can follow
 * @ip_id: IPv4 identification of the first packet; the others count on
 *
 * Several packets leave as one skb with UDP segmentation; each carries its
 * own BTH and ICRC already. The stack, the netdev, or nobody (veth, lo) cuts
 * them apart. One user at a time; lives on the stack.
 */
struct sodp_burst {
	struct sodp_path *path;
	struct sodp_qp *qp;
	struct page *page;
	u32 cap;
	u32 used;
	u32 seg_len;
	u32 nr;
	bool closed;
	u16 ip_id;
};

void sodp_burst_init(struct sodp_burst *burst, struct sodp_path *path,
		     struct sodp_qp *qp);
u8 *sodp_burst_reserve(struct sodp_burst *burst, u32 len, u32 more);
void sodp_burst_commit(struct sodp_burst *burst, u32 len);
int sodp_burst_send(struct sodp_burst *burst);

/**
 * struct sodp_rx_cb - in skb->cb of a packet train handed to a QP
 * @seg_len: bytes from one BTH to the next
 * @nr: packets in it, all to one QP, all requests or all responses, ICRC good
 * @next: first one not consumed yet
 * @ecn: IP header said "congestion experienced"
 * @net_off: offset of the IP header from skb->data is negative; UD copies it
 *
 * skb->data is at the BTH of the first packet.
 */
struct sodp_rx_cb {
	u32 seg_len;
	u16 nr;
	u16 next;
	bool ecn;
};

static inline struct sodp_rx_cb *sodp_rx_cb(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct sodp_rx_cb) > sizeof(skb->cb));
	return (struct sodp_rx_cb *)skb->cb;
}

bool sodp_rx_peek(struct sk_buff *skb, struct sodp_pkt *pkt);
u32 sodp_rx_bufs(struct sk_buff *skb, const struct sodp_pkt *pkt,
		 struct sodp_buf *bufs, u32 max);

/* wire_resp.c, wire_ack.c: from softirq; they take the skb over */
void sodp_wire_rx_requests(struct sodp_qp *qp, struct sk_buff *skb);
void sodp_wire_rx_responses(struct sodp_qp *qp, struct sk_buff *skb);
/* ud.c */
void sodp_ud_rx(struct sodp_qp *qp, struct sk_buff *skb);

/* net.c: a netns has sockets while it has links */
int sodp_net_get(struct net *net);
void sodp_net_put(struct net *net);
int sodp_net_init(void);
void sodp_net_exit(void);

/* icrc.c */
int sodp_icrc_init(void);
void sodp_icrc_exit(void);
u32 sodp_icrc_seed(const void *ip_hdr, bool ipv6, u16 sport, u16 udp_len);
u32 sodp_icrc_add(u32 crc, const void *data, u32 len);
u32 sodp_icrc_bth(u32 crc, const u8 *bth);

/* A response that the responder owes or may have to repeat */
struct sodp_resource {
	u8 kind;		/* enum sodp_wr_opcode: READ, atomics, FLUSH */
	bool replay;		/* a duplicate request asked for it again */
	u32 first_psn;
	u32 last_psn;
	u32 next_psn;		/* READ: of the next response packet */
	u32 msn;
	u32 rkey;
	u64 va;			/* READ: of byte 0 of the request */
	u64 length;
	u64 done;		/* READ: bytes sent */
	u64 orig;		/* atomics */
};

/**
 * struct sodp_wire - what a QP with a peer elsewhere has beside struct sodp_qp
 *
 * Made by the modify that sets a path to another host, freed with the QP.
 */
struct sodp_wire {
	struct sodp_path path;
	atomic_t tx_bytes;	/* handed to the stack, not yet freed */
	bool tx_waiting;	/* who is to be kicked when tx_bytes falls */

	/* Responses and acknowledges in, for the requester; own locks */
	struct sk_buff_head ack_queue;
	/* Requests in, for the responder */
	struct sk_buff_head req_queue;
	atomic_t rx_bytes;	/* in both */

	/* The rest of the requester's state, under exec_mutex */
	struct sodp_wire_req *req;

	/* The responder's, under resp_mutex */
	struct work_struct resp_work;
	struct work_struct resp_fault_work;
	struct sodp_miss resp_miss;
	bool resp_parked;	/* waits for resp_fault_work */
	bool nak_sent;		/* sequence error: until the PSN arrives */
	bool in_message;	/* between FIRST and LAST */
	u8 first_opcode;	/* BTH opcode that began it */
	struct sodp_request cur;
	struct sodp_resource *res;	/* ring of max_dest_rd_atomic */
	u32 res_head;
	u32 res_tail;
	u32 res_size;
};

#endif /* SODP_WIRE_H */
