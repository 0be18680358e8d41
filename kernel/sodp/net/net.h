/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Packets: paths, bursts going out, trains coming in.
 *
 *	net.c		namespaces and their sockets
 *	tx.c		routes, bursts, skbs
 *	rx.c		packets in, ICRC check
 *	hdr.c, icrc.c	headers, invariant CRC
 *	gid.c		who on this host has an address
 *	payer.c		who is charged for packets that wait
 */
#ifndef SODP_NET_H
#define SODP_NET_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ipv6.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/refcount.h>
#include <linux/skbuff.h>
#include <linux/udp.h>
#include <net/dst.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <rdma/ib_addr.h>

#include "base/sodp.h"
#include "net/hdr.h"

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
 * @ref: of who sends them; each skb in the stack has one
 * @left_stack: one has left it, which ends with dropping that reference; and
 *	there may be room again for who stopped because there was none. Any
 *	context
 * @bytes: handed to the stack and not freed by it yet
 * @ecn: INET_ECN_ECT_0 if who sends them reacts to CNPs and loss, else 0
 * @cpu: whose transmit queue they take, plus one; 0: to be chosen
 * @last: jiffies when one was handed to the stack last
 * @left: jiffies when the stack freed one last
 *
 * A QP has one for its requests and one for its answers. Those who send
 * write @cpu and @last, under a mutex of theirs; the stack's destructors write
 * @left and @bytes.
 */
struct sodp_flow {
	refcount_t *ref;
	void (*left_stack)(struct sodp_flow *flow, bool room);
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
 * @handing: NULL, or called before and after an skb is handed to the stack,
 *	which may bring it to this host's receivers meanwhile
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
	void (*handing)(struct sodp_burst *burst, bool over);
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

/**
 * struct sodp_came - how packets came
 * @sn: namespace
 * @in: netdev
 * @saddr: source address, IPv4 as a mapped one
 * @daddr: destination
 * @ce: a switch on the way had too much to carry
 */
struct sodp_came {
	struct sodp_net *sn;
	struct net_device *in;
	struct in6_addr saddr;
	struct in6_addr daddr;
	bool ce;
};

/*
 * Did they come in by the device's netdev, or by one above it? A VLAN, a
 * bridge that it is a port of, a bond: their addresses are the device's GIDs.
 */
static inline bool sodp_came_by(const struct sodp_came *came,
				const struct sodp_dev *dev)
{
	return likely(came->in == dev->ndev) ||
	       netdev_has_upper_dev_all_rcu(dev->ndev, came->in);
}

/**
 * struct sodp_receiver - who packets are for
 * @wants: would anybody take a packet with such headers? Asked before more
 *	is spent on it; true may be wrong
 * @take: have a train, all of it good and with headers as in @pkt; all of
 *	struct sodp_rx_cb is filled in but for what waiting and order need.
 *	True: taken over
 *
 * Context: softirq.
 */
struct sodp_receiver {
	bool (*wants)(const struct sodp_came *came,
		      const struct sodp_pkt *pkt);
	bool (*take)(const struct sodp_came *came, const struct sodp_pkt *pkt,
		     struct sk_buff *skb);
};

/* net.c */
int sodp_net_get(struct sodp_dev *dev);
void sodp_net_put(struct sodp_dev *dev);
void sodp_net_retry(struct sodp_dev *dev);
int sodp_net_reach(struct sodp_dev *dev, const struct in6_addr *addr);
int sodp_net_init(const struct sodp_receiver *receiver);
void sodp_net_exit(void);

/* rx.c */
void sodp_net_rx_init(const struct sodp_receiver *receiver);
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

/* gid.c */
struct in6_addr;
void sodp_gids_changed(void);
u32 sodp_gids_count(void);
void sodp_gids_settle(void);
const struct ib_gid_attr *sodp_gid_find(struct sodp_dev *dev,
					const struct in6_addr *addr,
					struct net_device *ndev);
u64 sodp_device_by_gid(struct sodp_dev *from, const struct in6_addr *addr);
const struct ib_gid_attr *sodp_gid_find_by(struct sodp_dev *dev,
					   const struct in6_addr *addr,
					   struct net_device *in);
bool sodp_gid_came_by(struct sodp_dev *dev, const struct in6_addr *addr,
		      struct net_device *in);

/* payer.c */
struct sodp_payer *sodp_payer_get(struct ib_ucontext *ucontext);
void sodp_payer_put(struct sodp_payer *payer);
bool sodp_payer_claim(struct sodp_payer *payer, u32 bytes);
void sodp_payer_return(struct sodp_payer *payer, u32 bytes);

/* tx.c */
struct sk_buff *sodp_burst_take(struct sodp_burst *burst);

/* txpage.c */
int sodp_txpage_init(void);
struct page *sodp_txpage_get(void);
void sodp_txpage_exit(void);

#endif /* SODP_NET_H */
