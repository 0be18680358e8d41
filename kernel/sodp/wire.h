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
/* Runs of memory that a packet's payload may be in */
#define SODP_RX_MAX_BUFS	8
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

/* A READ or atomic carried out, kept for duplicates of its request */
struct sodp_resource {
	bool valid;
	u8 opcode;		/* enum sodp_wr_opcode */
	u32 first_psn;
	u32 last_psn;
	u32 rkey;
	u64 remote_addr;	/* READ */
	u64 length;		/* READ */
	u64 orig;		/* atomics: the answer */
};

/* A READ whose data is being sent */
struct sodp_read {
	bool active;
	u32 psn;		/* of the next response packet */
	u32 rkey;
	u32 srqn;		/* XRC only */
	u64 remote_addr;
	u64 length;
	u64 done;
};

/**
 * struct sodp_wire_resp - the responder of a QP with a peer elsewhere
 * @qp: the QP that it is part of
 * @queue: trains of request packets, from softirq; has its own lock
 * @work: takes them from @queue
 * @fault_work: waits for a page that a request needs, holding nothing
 * @patience: runs when that wait has become too long for the peer
 *
 * The rest is under resp_mutex:
 *
 * @cur: the message under way
 * @msg_off: bytes of it in packets that are done
 * @in_message: between FIRST and LAST
 * @dropping: UC: the rest of a message that is given up
 * @nak_sent: nothing but the expected PSN is listened to
 * @ack_owed: packets were carried out that no answer covers
 * @ack_due: the peer asked for an answer, or repeated a request
 * @parked: @fault_work is on its way
 * @told_rnr: the peer was sent away while parked
 * @rnr_code: AETH timer it is given next time
 * @fault_ret: what the fault for the first packet of @queue ended with
 * @park_gen: tells a wait from the ones before
 * @miss: what is waited for; holds a reference on the region
 * @read: the READ being answered
 * @res: ring of the last READs and atomics
 * @res_size: its entries
 * @res_next: entry to use next
 */
struct sodp_wire_resp {
	struct sodp_qp *qp;
	struct sk_buff_head queue;
	struct work_struct work;
	struct work_struct fault_work;
	struct delayed_work patience;
	struct sodp_request cur;
	u64 msg_off;
	bool in_message;
	bool dropping;
	bool nak_sent;
	bool ack_owed;
	bool ack_due;
	bool parked;
	bool told_rnr;
	u8 rnr_code;
	int fault_ret;
	u32 park_gen;
	struct sodp_miss miss;
	struct sodp_read read;
	struct sodp_resource *res;
	u32 res_size;
	u32 res_next;
};

/**
 * struct sodp_wire - what a QP with a peer elsewhere has beside struct sodp_qp
 * @path: where its packets go
 * @tx_bytes: handed to the stack and not freed by it yet
 * @rx_bytes: in ack_queue and resp.queue together
 * @ack_queue: trains of responses, from softirq, for the requester
 * @req: the requester's own state, under exec_mutex
 * @resp: the responder's
 *
 * Made by the modify that first sets a path to another host, freed with the
 * QP; softirq finds it through a referenced QP (READ_ONCE of qp->wire).
 */
struct sodp_wire {
	struct sodp_path path;
	atomic_t tx_bytes;
	atomic_t rx_bytes;
	struct sk_buff_head ack_queue;
	struct sodp_wire_req *req;
	struct sodp_wire_resp resp;
};

/* wire_resp.c: the responder's part of making, resetting and freeing */
void sodp_wresp_init(struct sodp_qp *qp, struct sodp_wire_resp *resp);
int sodp_wresp_connect(struct sodp_qp *qp, u8 max_dest_rd_atomic);
void sodp_wresp_reset(struct sodp_qp *qp);
void sodp_wresp_free(struct sodp_wire_resp *resp);
void sodp_wresp_kick(struct sodp_qp *qp);
void sodp_wresp_consume(struct sodp_qp *qp, struct sk_buff *skb);

/* wire_park.c */
void sodp_wresp_park_init(struct sodp_wire_resp *resp);
void sodp_wresp_park(struct sodp_qp *qp, const struct sodp_miss *miss);
void sodp_wresp_unpark(struct sodp_qp *qp);
void sodp_wresp_send_away(struct sodp_qp *qp);

static inline bool sodp_is_uc(const struct sodp_qp *qp)
{
	return qp->type == IB_QPT_UC;
}

/* wire_answer.c */
void sodp_wresp_ack(struct sodp_qp *qp, u8 syndrome, u32 psn);
void sodp_wresp_flush_ack(struct sodp_qp *qp);
void sodp_wresp_answer_empty(struct sodp_qp *qp, u32 psn);
void sodp_wresp_answer_atomic(struct sodp_qp *qp, u32 psn, u64 orig);
enum sodp_verdict sodp_wresp_read_slice(struct sodp_qp *qp, u64 *budget,
					struct sodp_stop *stop);
void sodp_wresp_keep(struct sodp_qp *qp, const struct sodp_request *req);
bool sodp_wresp_replay(struct sodp_qp *qp, const struct sodp_pkt *pkt);

#endif /* SODP_WIRE_H */
