/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The wire: paths, bursts of packets going out, packets coming in, and what
 * a QP keeps when its peer is on another host.
 *
 *	net.c		namespaces and their sockets
 *	net_tx.c	routes, bursts, skbs
 *	net_rx.c	ICRC check, dispatch to QPs
 *	hdr.c, icrc.c	headers, invariant CRC
 *	wire_req.c ...	requester: packets out, answers in, retries
 *	wire_way.c	what all QPs know of the way to an address
 *	wire_rxq.c	packets that wait; payer.c: who is charged for them
 *	wire_resp.c ...	responder: requests in, acknowledges and data out
 *	ud.c, ah.c	datagrams; ud_local.c: those for this host
 *	gid.c		who on this host has an address
 */
#ifndef SODP_WIRE_H
#define SODP_WIRE_H

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <linux/udp.h>
#include <net/dst.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <rdma/ib_addr.h>

#include "hdr.h"
#include "sodp.h"
#include "wire_policy.h"

/*
 * Packets that wait for one side of one QP, by truesize; more are dropped
 * (counted)
 */
#define SODP_RXQ_MAX_BYTES	SZ_4M
#define SODP_RXQ_MAX_SKBS	2048
/*
 * UC has no window: what comes while a page is waited for has to fit. Packets
 * of 4 KiB that a virtual NIC did not merge hold up to 10 KiB each.
 */
#define SODP_RXQ_MAX_UC_BYTES	SZ_32M
/* What a queue may have whatever the others of the device have: a train */
#define SODP_RXQ_OWN_BYTES	SZ_128K
/* All queues of a device, beyond that: a share of memory, within limits */
#define SODP_RXQ_DEV_SHARE	32
#define SODP_RXQ_DEV_LEAST	SZ_16M
#define SODP_RXQ_DEV_MOST	SZ_512M
/* Runs of memory that a packet's payload may be in */
#define SODP_RX_MAX_BUFS	8
/* Pages that trains of packets are made in */
#define SODP_TXPAGE_ORDER	get_order(SZ_64K)
/* Bytes of a QP handed to the stack and not freed by it yet */
#define SODP_TX_MAX_BYTES	SZ_1M

/* Packets of a train: what peers and virtio take */
#define SODP_BURST_MAX_PKTS	64

/**
 * struct sodp_icrc - IP and UDP header of a train, masked for the ICRC
 * @hdr: they, and room for a BTH
 * @ip_len: bytes of the IP header
 * @ipv6: which
 */
struct sodp_icrc {
	u8 hdr[sizeof(struct ipv6hdr) + sizeof(struct udphdr) +
	       SODP_BTH_BYTES] __aligned(8);
	u8 ip_len;
	bool ipv6;
};

/**
 * struct sodp_path - where packets of a QP or an address handle go
 * @dev: device they leave from
 * @oif: index of the netdev that the source GID is of, which may be a VLAN
 * @family: AF_INET or AF_INET6
 * @tclass: TOS or traffic class without the ECN bits, which are the flow's
 * @priority: of its skbs: the class that it has on the link
 * @ttl: TTL or hop limit, never 0
 * @flow_label: IPv6
 * @sport: UDP source port, host order
 * @saddr: source address; IPv4 as a mapped address
 * @daddr: destination
 * @dst_lock: guards @dst; in struct sodp_av, @peer_dev_id and @gids too
 * @dst: route in use, looked up anew when it is obsolete
 * @dst_cookie: for dst_check()
 * @ip_id: next IPv4 identification
 *
 * Addresses are read by softirq without a lock while modify writes them: a
 * packet of that moment may be dropped.
 */
struct sodp_path {
	struct sodp_dev *dev;
	int oif;
	u8 family;
	u8 tclass;
	u32 priority;
	u8 ttl;
	u32 flow_label;
	u16 sport;
	struct in6_addr saddr;
	struct in6_addr daddr;
	spinlock_t dst_lock;	/* dst, dst_cookie */
	struct dst_entry *dst;
	u32 dst_cookie;
	atomic_t ip_id;
};

int sodp_path_init(struct sodp_path *path, struct sodp_dev *dev,
		   const struct rdma_ah_attr *attr, u16 sport);
void sodp_path_release(struct sodp_path *path);

/**
 * struct sodp_flow - packets that must not overtake each other
 * @qp: whose they are; an skb in the stack has a reference on it
 * @bytes: handed to the stack and not freed by it yet
 * @ecn: INET_ECN_ECT_0 if who sends them reacts to CNPs and loss, else 0
 * @cpu: whose transmit queue they take, plus one; 0: to be chosen
 * @last: jiffies when one was handed to the stack last
 * @left: jiffies when the stack freed one last
 *
 * A QP has one for its requests and one for its answers. Those who send
 * write @cpu and @last, under exec_mutex or resp_mutex; the stack's
 * destructors write @left and @bytes.
 */
struct sodp_flow {
	struct sodp_qp *qp;
	atomic_t bytes;
	u8 ecn;
	u32 cpu;
	unsigned long last;
	unsigned long left;
};

/* The stack has enough of them: whoever sends is run when half are gone */
static inline bool sodp_flow_full(const struct sodp_flow *flow)
{
	return atomic_read(&flow->bytes) > SODP_TX_MAX_BYTES;
}

/**
 * struct sodp_av - what an address handle stands for
 * @ref: the handle, and every WQE being sent by it
 * @rcu: frees it
 * @number: in dev->avs; what a WQE says
 * @pd: of the handle, to be compared only
 * @attr: for queries
 * @path: the address
 * @group: it is a multicast group's
 * @peer_dev_id: device of this host that owns it, or 0, as found at @gids
 * @gids: sodp_gids_count() of then, 0: not looked for yet
 */
struct sodp_av {
	refcount_t ref;
	struct rcu_head rcu;
	u32 number;
	struct ib_pd *pd;
	struct rdma_ah_attr attr;
	struct sodp_path path;
	bool group;
	u64 peer_dev_id;
	u32 gids;
};

u64 sodp_av_peer(struct sodp_av *av);

/**
 * struct sodp_burst - packets of one path on their way to one skb
 * @path: where to
 * @flow: which they are part of and count in, or NULL
 * @page: compound page that holds the UDP payloads back to back
 * @skb: holds the payload instead, when it is small
 * @buf: start of either
 * @cap: bytes there
 * @used: bytes of finished packets
 * @seg_len: UDP payload of every packet but the last, which may be shorter
 * @nr: packets finished
 * @closed: the last one was shorter: no packet can follow
 * @refused: the stack had no room for the skb sent last: see
 *	sodp_burst_send()
 * @twice: the next packet gets the ICRC that rdma_rxe gives a FLUSH
 * @ip_id: IPv4 identification of the first packet; the others count on
 * @icrc: header of these packets
 * @unsent: sodp_burst_take() will have its one packet: it needs no ICRC
 * @near: the sender runs the responder that the packets reach on this host
 * @near_qp: the one that they reached, referenced; for sodp_near_run()
 * @near_bytes: sent since it was run
 *
 * Several packets leave as one skb with UDP segmentation; each carries its
 * own BTH and ICRC already. The stack, the netdev, or nobody (veth, lo) cuts
 * them apart. One user at a time; lives on the stack.
 */
struct sodp_burst {
	struct sodp_path *path;
	struct sodp_flow *flow;
	struct page *page;
	struct sk_buff *skb;
	u8 *buf;
	u32 cap;
	u32 used;
	u32 seg_len;
	u32 nr;
	bool closed;
	bool refused;
	bool twice;
	bool unsent;
	u16 ip_id;
	struct sodp_icrc icrc;
	bool near;
	struct sodp_qp *near_qp;
	u32 near_bytes;
};

void sodp_burst_init(struct sodp_burst *burst, struct sodp_path *path,
		     struct sodp_flow *flow);
u8 *sodp_burst_reserve(struct sodp_burst *burst, u32 len, u32 more);
void sodp_burst_commit(struct sodp_burst *burst, u32 len);
void sodp_burst_send(struct sodp_burst *burst);
bool sodp_tx_sealed(const struct sk_buff *skb);

/**
 * struct sodp_rx_cb - in skb->cb of a packet train handed to a QP
 * @seg_len: bytes from one BTH to the next
 * @next: first one not consumed yet
 * @nr: the one behind the last; from next to here all are well-formed, for
 *	one QP, all requests or all responses, ICRC good
 * @type: enum ib_qp_type of their opcodes
 * @request: they are requests, not responses
 * @ipv6: which IP header skb_network_header() is
 * @answers: some are requests whose answers carry more than an acknowledge
 * @vlan: VLAN_CFI_MASK | id of the VLAN that it came by (QP 1: of its GID),
 *	or 0
 * @psn: of the first
 * @last_psn: of the last
 * @last_read: bytes that the last asks for, if that is a READ, or 0
 * @held: what it counts as in the queue that it waits in
 * @seq: RC requests: which of those that were queued
 * @run: RC requests: how often the peer had gone back by then
 *
 * skb->data is at the BTH of packet 0, which need not be one of ours.
 */
struct sodp_rx_cb {
	u32 seg_len;
	u16 nr;
	u16 next;
	u8 type;
	bool request;
	bool ipv6;
	bool answers;
	u16 vlan;
	u32 psn;
	u32 last_psn;
	u32 last_read;
	u32 held;
	u32 seq;
	u32 run;
};

static inline struct sodp_rx_cb *sodp_rx_cb(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct sodp_rx_cb) > sizeof(skb->cb));
	return (struct sodp_rx_cb *)skb->cb;
}

bool sodp_rx_parse(struct sk_buff *skb, u32 index, struct sodp_pkt *pkt);
bool sodp_rx_peek(struct sk_buff *skb, struct sodp_pkt *pkt);
u32 sodp_rx_bufs(struct sk_buff *skb, const struct sodp_pkt *pkt,
		 struct sodp_buf *bufs, u32 max);

/* wire_rxq.c, wire_ack.c: from softirq; they take the skb over */
void sodp_wire_rx_requests(struct sodp_qp *qp, struct sk_buff *skb);
void sodp_wire_rx_responses(struct sodp_qp *qp, struct sk_buff *skb);

/* The smallest there is also where the netdev has no room for it */
static inline enum ib_mtu sodp_active_mtu(const struct sodp_dev *dev)
{
	return iboe_get_mtu(READ_ONCE(dev->ndev->mtu)) ? : IB_MTU_256;
}

static inline enum ib_port_state sodp_port_state(const struct sodp_dev *dev)
{
	return netif_running(dev->ndev) && netif_carrier_ok(dev->ndev) ?
	       IB_PORT_ACTIVE : IB_PORT_DOWN;
}

/* A multicast group's address? IPv4 as a mapped one */
static inline bool sodp_is_group(const struct in6_addr *addr)
{
	if (ipv6_addr_v4mapped(addr))
		return ipv4_is_multicast(addr->s6_addr32[3]);
	return ipv6_addr_is_multicast(addr);
}

/* mcast.c */
struct sodp_mcast;
struct sodp_mcast *sodp_mcast_next(struct sodp_dev *dev,
				   const struct in6_addr *addr,
				   struct sodp_mcast *last);
struct sodp_qp *sodp_mcast_qp(struct sodp_mcast *mcast);

/* gid.c */
struct sodp_qp *sodp_gsi_get(struct sodp_net *sn, const struct in6_addr *addr,
			     struct net_device *in, u16 *vlan);
bool sodp_gid_came_by(struct sodp_dev *dev, const struct in6_addr *addr,
		      struct net_device *in);

/* net_tx.c */
struct sk_buff *sodp_burst_take(struct sodp_burst *burst);

/* ud_local.c */
bool sodp_ud_stays(struct sodp_av *av);
void sodp_ud_local(struct sodp_av *av, const struct sodp_pkt *pkt,
		   struct sk_buff *skb);

/* ud.c */
void sodp_ud_rx(struct sodp_qp *qp, struct sk_buff *skb);

/**
 * struct sodp_net - the sockets of a network namespace
 * @net: it, NULL when it is gone; sodp_net_mutex
 * @users: devices; sodp_net_mutex
 * @devs: of sodp_dev.net_node, for softirq
 * @sock4: IPv4, NULL while another has the port
 * @sock6: IPv6
 * @hooks: takes GSO trains, which the stack would cut for such sockets
 * @hooked: @hooks are registered; sodp_net_mutex, others READ_ONCE
 * @error: why not, at the last try; likewise
 */
struct sodp_net {
	struct net *net;
	u32 users;
	struct list_head devs;
	struct socket *sock4;
	struct socket *sock6;
	struct nf_hook_ops hooks[2];
	bool hooked;
	int error;
};

/* Do packets for this namespace's devices come to us? */
static inline bool sodp_net_is_open(const struct sodp_net *sn)
{
	return READ_ONCE(sn->hooked);
}

/* net.c */
int sodp_net_get(struct sodp_dev *dev);
void sodp_net_put(struct sodp_dev *dev);
void sodp_net_retry(struct sodp_dev *dev);
int sodp_net_reach(struct sodp_dev *dev, const struct in6_addr *addr);
int sodp_net_init(void);
void sodp_net_exit(void);

/* net_rx.c */
int sodp_net_rx(struct sock *sk, struct sk_buff *skb);
unsigned int sodp_net_rx_hook(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state);

/* icrc.c */
int sodp_icrc_init(void);
void sodp_icrc_exit(void);
void sodp_icrc_begin(struct sodp_icrc *icrc, const void *ip_hdr, bool ipv6,
		     u16 sport);
u32 sodp_icrc_packet(struct sodp_icrc *icrc, u16 ip_id, u32 len,
		     const u8 *bth);
u32 sodp_icrc_add(u32 crc, const void *data, u32 len);

/**
 * struct sodp_rxq - packets that wait for one side of a QP
 * @skbs: trains, from softirq; its lock guards the rest
 * @qp: the QP
 * @bytes: what the packets hold, by truesize
 * @paid: what the QP's payer is charged for: whole pages, no less than @bytes
 * @most: limit of @bytes
 */
struct sodp_rxq {
	struct sk_buff_head skbs;
	struct sodp_qp *qp;
	u32 bytes;
	u32 paid;
	u32 most;
};

/* A READ or atomic carried out, kept for duplicates of its request */
struct sodp_resource {
	bool valid;
	u8 opcode;		/* enum sodp_wr_opcode */
	u32 first_psn;
	u32 last_psn;
	u32 rkey;
	u32 srqn;		/* XRC only */
	u64 remote_addr;	/* READ */
	u64 length;		/* READ */
	u64 orig;		/* atomics: the answer */
	/* READ: the answer last begun, see again_absorbed() */
	u32 from;		/* its PSNs */
	u32 to;
	u32 by;			/* sodp_rx_cb.seq of what it was begun for */
	u32 at;			/* that of what had come by then */
};

/* A READ whose data is being sent */
struct sodp_read {
	bool active;
	bool partial;		/* the peer has the beginning of it */
	u32 psn;		/* of the next response packet */
	u32 end;		/* behind the last one */
	u32 until;		/* behind those of READs to be answered anew */
	u32 rkey;
	u32 srqn;		/* XRC only */
	u64 remote_addr;
	u64 length;
	u64 done;
	u32 skb_psn;		/* where the skb being filled begins */
	u64 skb_done;
};

/* What softirq tells a responder; bits of sodp_wire_resp.notes */
enum sodp_note {
	SODP_NOTE_GAP,		/* packets are missing at gap_psn */
	SODP_NOTE_KNOWN,	/* what came is done, or waits, already */
	SODP_NOTE_AGAIN,	/* a READ was asked for again */
};

/**
 * struct sodp_wire_resp - the responder of a QP with a peer elsewhere
 * @qp: the QP that it is part of
 * @queue: trains of request packets, from softirq
 * @notes: enum sodp_note, set under the lock of @queue
 * @work: takes them from @queue
 * @wait: for a page that a request needs
 * @patience: runs when that wait has become too long for the peer
 *
 * Under the lock of @queue (wire_rxq.c):
 *
 * @tail: PSN behind what is done and what waits in @queue
 * @last_end: PSN behind what came last
 * @gap_psn: @tail when something came that is beyond it
 * @seq: trains queued; read by the worker without the lock
 * @run: how often the peer went back
 * @known: packets of SODP_NOTE_KNOWN
 *
 * The rest is under resp_mutex:
 *
 * @cur: the message under way
 * @msg_off: bytes of it in packets that are done
 * @in_message: between FIRST and LAST
 * @nak_sent: nothing but the expected PSN is listened to
 * @ack_owed: packets were carried out that no answer covers
 * @ack_due: the peer asked for an answer, or repeated a request
 * @acked: the packet in hand is acknowledged already
 * @unanswered: packets done since the last answer
 * @told_rnr: the peer was sent away while parked
 * @rnr_code: AETH timer it is given next time
 * @fault_ret: what the fault for the first packet of @queue ended with
 * @read: the READ being answered
 * @res: ring of the last READs and atomics
 * @res_size: its entries
 * @res_next: entry to use next
 */
struct sodp_wire_resp {
	struct sodp_qp *qp;
	struct sodp_rxq queue;
	unsigned long notes;
	struct work_struct work;
	struct sodp_wait wait;
	struct delayed_work patience;
	u32 tail;
	u32 last_end;
	u32 gap_psn;
	u32 seq;
	u32 run;
	u32 known;
	struct sodp_request cur;
	u64 msg_off;
	bool in_message;
	bool nak_sent;
	bool ack_owed;
	bool ack_due;
	bool acked;
	u32 unanswered;
	bool told_rnr;
	u8 rnr_code;
	int fault_ret;
	struct sodp_read read;
	struct sodp_resource *res;
	u32 res_size;
	u32 res_next;
};

/* The peer, or the network, said so, and it has not been acted on */
enum sodp_congested {
	SODP_CONGESTED_REQUESTS,	/* wire_req.c looks at it */
	SODP_CONGESTED_ANSWERS,		/* wire_hold.c */
	SODP_CONGESTED_PEER,		/* it is owed a CNP: sodp_cnp_pay() */
};

/**
 * struct sodp_pace - READ data that may leave by and by
 * @rate: bytes in a millisecond; 0: there is no limit
 * @left: of them, in this one
 * @until: when this one ends, ns
 */
struct sodp_pace {
	u32 rate;
	u32 left;
	u64 until;
};

/**
 * struct sodp_wire - what a QP with a peer elsewhere has beside struct sodp_qp
 * @path: where its packets go
 * @way: what is known of how they get there
 * @requests: what the requester sends
 * @answers: what the responder sends
 * @hold_timer: ends @hold
 * @hold: the responder sends no READ data for now
 * @pace: how much of it may leave; under resp_mutex
 * @congested: enum sodp_congested; atomic bit operations
 * @cnp_ns: when the peer was sent a CNP last; under either mutex
 * @ack_queue: trains of responses, from softirq, for the requester
 * @req: the requester's own state, under exec_mutex
 * @resp: the responder's
 *
 * Made by the modify that first sets a path to another host, freed with the
 * QP; softirq finds it through a referenced QP (READ_ONCE of qp->wire).
 */
struct sodp_wire {
	struct sodp_path path;
	struct sodp_way *way;
	struct sodp_flow requests;
	struct sodp_flow answers;
	struct hrtimer hold_timer;
	bool hold;
	struct sodp_pace pace;
	unsigned long congested;
	atomic64_t cnp_ns;
	struct sodp_rxq ack_queue;
	struct sodp_wire_req *req;
	struct sodp_wire_resp resp;
};

/* wire.c */
int sodp_wire_init(void);
void sodp_wire_exit(void);

/* payer.c */
bool sodp_payer_claim(struct sodp_payer *payer, u32 bytes);
void sodp_payer_return(struct sodp_payer *payer, u32 bytes);

/* wire_rxq.c: packets that wait for one side of a QP */
int sodp_rxq_init(struct sodp_rxq *q, struct sodp_qp *qp, u32 most);
void sodp_rxq_free(struct sodp_rxq *q);
bool sodp_rxq_add(struct sodp_rxq *q, struct sk_buff *skb);
void sodp_rxq_consume(struct sodp_rxq *q, struct sk_buff *skb);
void sodp_rxq_purge(struct sodp_rxq *q);
void sodp_rxq_close(struct sodp_rxq *q);
void sodp_rxq_device_init(struct sodp_dev *dev);
void sodp_wresp_rewind_tail(struct sodp_qp *qp);
bool sodp_wresp_take_gap(struct sodp_qp *qp);
void sodp_wresp_take_known(struct sodp_qp *qp);
void sodp_wresp_forget_notes(struct sodp_wire_resp *resp);

/*
 * The first one that waits, NULL: none; under the mutex of that side, which
 * alone takes packets away
 */
static inline struct sk_buff *sodp_rxq_peek(struct sodp_rxq *q)
{
	/* And what is in it: pairs with smp_wmb() in rxq_add_locked() */
	struct sk_buff *skb = smp_load_acquire(&q->skbs.next);

	return skb == (struct sk_buff *)&q->skbs ? NULL : skb;
}

/* wire_way.c */
struct sodp_way;
int sodp_way_init(void);
void sodp_way_exit(void);
struct sodp_way *sodp_way_get(const struct sodp_path *path);
void sodp_way_put(struct sodp_way *way);
u64 sodp_way_sample(struct sodp_way *way, u64 rtt, u64 now, bool *drain);

/* wire_hold.c */
void sodp_wresp_hold_init(struct sodp_wire *wire);
void sodp_wresp_hold(struct sodp_qp *qp, u64 ns);
bool sodp_wresp_held(const struct sodp_qp *qp);
void sodp_wresp_pace(struct sodp_qp *qp, u32 bytes);

/* wire_cnp.c */
void sodp_cnp_send(struct sodp_qp *qp);
void sodp_cnp_rx(struct sodp_qp *qp);
void sodp_ce_rx(struct sodp_qp *qp, u32 nr, bool request);

static inline void sodp_cnp_pay(struct sodp_qp *qp)
{
	if (unlikely(test_bit(SODP_CONGESTED_PEER, &qp->wire->congested)))
		sodp_cnp_send(qp);
}

/* wire_resp.c: the responder's part of making, resetting and freeing */
int sodp_wresp_init(struct sodp_qp *qp, struct sodp_wire_resp *resp);
int sodp_wresp_connect(struct sodp_qp *qp, u8 max_dest_rd_atomic);
void sodp_wresp_reset(struct sodp_qp *qp);
void sodp_wresp_free(struct sodp_wire_resp *resp);
void sodp_wresp_kick(struct sodp_qp *qp);
void sodp_wresp_rescue(struct sodp_qp *qp);
void sodp_wresp_run(struct sodp_qp *qp, u64 *bytes, struct sodp_turn *turn);

/* Enough to run the responder for; it finds it in the CPU's cache */
#define SODP_NEAR_BYTES		SZ_32K

/* wire_near.c */
void sodp_near_begin(struct sodp_burst *burst);
void sodp_near_end(struct sodp_burst *burst);
bool sodp_near_take(struct sodp_qp *qp);

static inline bool sodp_near_enough(const struct sodp_burst *burst)
{
	return burst->near_qp && burst->near_bytes >= SODP_NEAR_BYTES;
}

/* txpage.c */
int sodp_txpage_init(void);
struct page *sodp_txpage_get(void);
void sodp_txpage_exit(void);

/* wire_park.c */
void sodp_wresp_park_init(struct sodp_qp *qp, struct sodp_wire_resp *resp);
void sodp_wresp_park(struct sodp_qp *qp, const struct odp_miss *miss);
void sodp_wresp_unpark(struct sodp_qp *qp);
void sodp_wresp_send_away(struct sodp_qp *qp);

static inline bool sodp_is_uc(const struct sodp_qp *qp)
{
	return qp->type == IB_QPT_UC;
}

/* wire_answer.c */
void sodp_wresp_ack(struct sodp_qp *qp, u8 syndrome, u32 psn);
void sodp_wresp_ack_alive(struct sodp_qp *qp, u32 psn);
void sodp_wresp_flush_ack(struct sodp_qp *qp);
void sodp_wresp_answer_empty(struct sodp_qp *qp, u32 psn);
void sodp_wresp_answer_atomic(struct sodp_qp *qp, u32 psn, u64 orig);
enum sodp_verdict sodp_wresp_read_slice(struct sodp_qp *qp, u64 *budget,
					struct sodp_stop *stop);

/* wire_again.c */
void sodp_wresp_keep(struct sodp_qp *qp, const struct sodp_request *req,
		     u32 seq);
bool sodp_wresp_replay(struct sodp_qp *qp, const struct sodp_pkt *pkt,
		       u32 seq);
bool sodp_wresp_knows_read(struct sodp_qp *qp, const struct sodp_pkt *pkt);
void sodp_wresp_look_again(struct sodp_qp *qp);
bool sodp_wresp_owes_data(struct sodp_qp *qp);
void sodp_wresp_next_answer(struct sodp_qp *qp);

static inline bool sodp_noted(const struct sodp_wire_resp *resp,
			      enum sodp_note note)
{
	return unlikely(test_bit(note, &resp->notes));
}

#endif /* SODP_WIRE_H */
