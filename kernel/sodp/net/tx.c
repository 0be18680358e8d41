// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Packets out: paths with their routes, and bursts, which are trains of
 * packets that leave as one skb.
 */
#include <linux/hash.h>
#include <linux/if_vlan.h>
#include <linux/inetdevice.h>
#include <linux/once.h>
#include <net/addrconf.h>
#include <net/inet_ecn.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>
#include <net/udp.h>
#include <rdma/ib_cache.h>

#include "net/net.h"

/* Payload of a train: with all headers it is below the netdev's 64 KiB */
#define TX_MAX_BYTES		65280
/* What fits here needs no page of its own */
#define TX_SMALL_BYTES		512
/* What a small skb counts as against SODP_TX_MAX_BYTES */
#define TX_SMALL_CHARGE		1024

/*
 * In the page of a burst, behind the packets: for the skb's destructor. It
 * has a reference of its own on the page, as the skb may lose its pages
 * before: it is made linear for a netdev without scatter-gather.
 */
struct tx_mark {
	struct sodp_flow *flow;
	u32 charge;
	u64 seal;
};

/* A flow that rested for so long has no packets on their way any more */
#define TX_REST			(HZ / 10)

/**
 * sodp_path_init() - set a path up from an address vector
 * @path: result, nothing that has to be released
 * @dev: device
 * @attr: with a GRH
 * @sport: UDP source port
 *
 * Whether there is a route is found out when something is sent.
 *
 * Context: any.
 * Return: 0; -EINVAL no such source GID, or addresses of two families.
 */
int sodp_path_init(struct sodp_path *path, struct sodp_dev *dev,
		   const struct rdma_ah_attr *attr, u16 sport)
{
	const struct ib_global_route *grh = rdma_ah_read_grh(attr);
	const struct ib_gid_attr *sgid;
	struct net_device *ndev;

	sgid = rdma_get_gid_attr(&dev->base_dev, 1, grh->sgid_index);
	if (IS_ERR(sgid))
		return -EINVAL;
	memcpy(&path->saddr, &sgid->gid, sizeof(path->saddr));
	rcu_read_lock();
	ndev = rdma_read_gid_attr_ndev_rcu(sgid);
	path->oif = IS_ERR(ndev) ? dev->ndev->ifindex : ndev->ifindex;
	rcu_read_unlock();
	rdma_put_gid_attr(sgid);
	memcpy(&path->daddr, &grh->dgid, sizeof(path->daddr));
	if (ipv6_addr_v4mapped(&path->saddr) !=
	    ipv6_addr_v4mapped(&path->daddr))
		return -EINVAL;
	path->dev = dev;
	path->family = ipv6_addr_v4mapped(&path->daddr) ? AF_INET : AF_INET6;
	path->tclass = grh->traffic_class & ~INET_ECN_MASK;
	/* VLANs and classes of traffic map it to PCP and queue */
	path->priority = rdma_ah_get_sl(attr) ? : rt_tos2priority(path->tclass);
	path->ttl = grh->hop_limit ? : IPDEFTTL;
	path->flow_label = grh->flow_label & 0xfffff;
	path->sport = sport;
	spin_lock_init(&path->dst_lock);
	path->dst = NULL;
	atomic_set(&path->ip_id, get_random_u32());
	return 0;
}

/**
 * sodp_path_release() - let go of the route
 * @path: from sodp_path_init(), may be used again
 *
 * Context: any.
 */
void sodp_path_release(struct sodp_path *path)
{
	struct dst_entry *dst;
	unsigned long irq;

	/* ib_cm destroys address handles with interrupts off */
	spin_lock_irqsave(&path->dst_lock, irq);
	dst = path->dst;
	path->dst = NULL;
	spin_unlock_irqrestore(&path->dst_lock, irq);
	dst_release(dst);
}

/*
 * A destination on this host goes by lo, whatever netdev the source is of:
 * out of that netdev it would not come back.
 */
static struct dst_entry *tx_route4(struct net *net, struct sodp_path *path)
{
	struct flowi4 fl4 = {
		.flowi4_oif = path->oif,
		.flowi4_proto = IPPROTO_UDP,
		.saddr = path->saddr.s6_addr32[3],
		.daddr = path->daddr.s6_addr32[3],
		.fl4_sport = htons(path->sport),
		.fl4_dport = htons(SODP_UDP_PORT),
	};
	struct rtable *rt;

	if (inet_addr_type(net, fl4.daddr) == RTN_LOCAL)
		fl4.flowi4_oif = 0;
	rt = ip_route_output_flow(net, &fl4, NULL);
	return IS_ERR(rt) ? ERR_CAST(rt) : &rt->dst;
}

static struct dst_entry *tx_route6(struct net *net, struct sodp_path *path)
{
	struct flowi6 fl6 = {
		.flowi6_oif = path->oif,
		.flowi6_proto = IPPROTO_UDP,
		.flowlabel = ip6_make_flowinfo(path->tclass,
					       htonl(path->flow_label)),
		.saddr = path->saddr,
		.daddr = path->daddr,
		.fl6_sport = htons(path->sport),
		.fl6_dport = htons(SODP_UDP_PORT),
	};

	if (!(ipv6_addr_type(&fl6.daddr) & IPV6_ADDR_LINKLOCAL) &&
	    ipv6_chk_addr(net, &fl6.daddr, NULL, 0))
		fl6.flowi6_oif = 0;
	return ip6_dst_lookup_flow(net, NULL, &fl6, NULL);
}

/* The route in use, referenced; looked up when there is none that is valid */
static struct dst_entry *tx_dst_get(struct sodp_path *path)
{
	struct net *net = dev_net(path->dev->ndev);
	struct dst_entry *dst, *old;
	unsigned long irq;
	u32 cookie = 0;

	spin_lock_irqsave(&path->dst_lock, irq);
	dst = path->dst;
	if (likely(dst && dst_check(dst, path->dst_cookie))) {
		dst_hold(dst);
		spin_unlock_irqrestore(&path->dst_lock, irq);
		return dst;
	}
	spin_unlock_irqrestore(&path->dst_lock, irq);
	if (path->family == AF_INET)
		dst = tx_route4(net, path);
	else
		dst = tx_route6(net, path);
	if (IS_ERR(dst))
		return dst;
	if (path->family == AF_INET6)
		cookie = rt6_get_cookie(dst_rt6_info(dst));
	dst_hold(dst);
	spin_lock_irqsave(&path->dst_lock, irq);
	old = path->dst;
	path->dst = dst;
	path->dst_cookie = cookie;
	spin_unlock_irqrestore(&path->dst_lock, irq);
	dst_release(old);
	return dst;
}

static u8 tx_tos(const struct sodp_burst *burst)
{
	return burst->path->tclass | (burst->flow ? burst->flow->ecn : 0);
}

static void tx_put_ip4(const struct sodp_burst *burst, struct iphdr *ip)
{
	const struct sodp_path *path = burst->path;

	ip->version = 4;
	ip->ihl = 5;
	ip->tos = tx_tos(burst);
	ip->tot_len = 0;
	ip->id = htons(burst->ip_id);
	ip->frag_off = htons(IP_DF);
	ip->ttl = path->ttl;
	ip->protocol = IPPROTO_UDP;
	ip->check = 0;
	ip->saddr = path->saddr.s6_addr32[3];
	ip->daddr = path->daddr.s6_addr32[3];
}

static void tx_put_ip6(const struct sodp_burst *burst, u32 len,
		       struct ipv6hdr *ip6)
{
	const struct sodp_path *path = burst->path;

	ip6_flow_hdr(ip6, tx_tos(burst), htonl(path->flow_label));
	ip6->payload_len = htons(len);
	ip6->nexthdr = IPPROTO_UDP;
	ip6->hop_limit = path->ttl;
	ip6->saddr = path->saddr;
	ip6->daddr = path->daddr;
}

/* Numbers and masked headers for the packets of the next skb */
static void tx_begin_headers(struct sodp_burst *burst)
{
	struct sodp_path *path = burst->path;
	union {
		struct iphdr ip4;
		struct ipv6hdr ip6;
	} hdr;

	/* Two users of a path draw from it at once: enough for a train */
	burst->ip_id = atomic_add_return(SODP_BURST_MAX_PKTS, &path->ip_id);
	if (path->family == AF_INET)
		tx_put_ip4(burst, &hdr.ip4);
	else
		tx_put_ip6(burst, 0, &hdr.ip6);
	sodp_icrc_begin(&burst->icrc, &hdr, path->family == AF_INET6,
			path->sport);
}

/* Nothing is in it, of the next skb */
static void tx_empty(struct sodp_burst *burst)
{
	burst->page = NULL;
	burst->skb = NULL;
	burst->buf = NULL;
	burst->used = 0;
	burst->nr = 0;
	burst->closed = false;
}

/**
 * sodp_burst_init() - an empty burst
 * @burst: result
 * @path: where to
 * @flow: that the packets are part of, or NULL
 *
 * Context: any.
 */
void sodp_burst_init(struct sodp_burst *burst, struct sodp_path *path,
		     struct sodp_flow *flow)
{
	burst->path = path;
	burst->flow = flow;
	tx_empty(burst);
	burst->refused = false;
	burst->handing = NULL;
	burst->twice = false;
	burst->unsent = false;
}

static u32 tx_headroom(void)
{
	return LL_MAX_HEADER + sizeof(struct ipv6hdr) + sizeof(struct udphdr);
}

static bool tx_alloc_page(struct sodp_burst *burst, u32 want)
{
	u32 order = min_t(u32, get_order(want + sizeof(struct tx_mark)),
			  SODP_TXPAGE_ORDER);
	gfp_t gfp = GFP_NOWAIT | __GFP_NOWARN | __GFP_NORETRY | __GFP_COMP;

	if (order == SODP_TXPAGE_ORDER) {
		burst->page = sodp_txpage_get();
		if (!burst->page && order)
			order--;
	}
	while (!burst->page) {
		burst->page = alloc_pages(order ? gfp : GFP_ATOMIC, order);
		if (burst->page || !order)
			break;
		order--;
	}
	if (!burst->page)
		return false;
	burst->buf = page_address(burst->page);
	burst->cap = min_t(u32, (PAGE_SIZE << order) - sizeof(struct tx_mark),
			   TX_MAX_BYTES);
	return true;
}

static bool tx_alloc(struct sodp_burst *burst, u32 len, u32 more)
{
	tx_begin_headers(burst);
	if (len + more <= TX_SMALL_BYTES - SODP_ICRC_BYTES) {
		burst->skb = alloc_skb(tx_headroom() + TX_SMALL_BYTES +
				       sizeof(u64),
				       GFP_ATOMIC | __GFP_NOWARN);
		if (!burst->skb)
			return false;
		skb_reserve(burst->skb, tx_headroom());
		burst->buf = burst->skb->data;
		burst->cap = TX_SMALL_BYTES;
		return true;
	}
	/* Headers of the packets to come: one in eight is plenty */
	more = min_t(u32, more, TX_MAX_BYTES);
	if (!tx_alloc_page(burst, len + more + more / 8 + SODP_ICRC_BYTES))
		return false;
	if (burst->cap >= len + SODP_ICRC_BYTES)
		return true;
	put_page(burst->page);
	burst->page = NULL;
	return false;
}

/* Can a packet of @len bytes, ICRC included, follow in this skb? */
static bool tx_fits(const struct sodp_burst *burst, u32 len)
{
	if (!burst->nr)
		return len <= burst->cap;
	return !burst->closed && !burst->skb && len <= burst->seg_len &&
	       burst->used + len <= burst->cap &&
	       burst->nr < SODP_BURST_MAX_PKTS;
}

/**
 * sodp_burst_reserve() - room for a packet
 * @burst: the burst
 * @len: most bytes of it, from the BTH to the payload, without padding
 * @more: bytes that may follow in further packets, a hint
 *
 * If the packet cannot go into the skb under way, that is sent and another
 * begun. What was reserved and not committed is forgotten.
 *
 * Context: any.
 * Return: where to write the packet; NULL when memory is short: what was
 * committed is still to be sent.
 */
u8 *sodp_burst_reserve(struct sodp_burst *burst, u32 len, u32 more)
{
	if (burst->buf && !tx_fits(burst, ALIGN(len, 4) + SODP_ICRC_BYTES))
		sodp_burst_send(burst);
	if (!burst->buf && !tx_alloc(burst, ALIGN(len, 4), more))
		return NULL;
	return burst->buf + burst->used;
}

/**
 * sodp_burst_commit() - finish the packet in the room reserved
 * @burst: the burst
 * @len: its bytes, from the BTH to the payload, without padding
 *
 * Clears the padding and appends the ICRC.
 *
 * Context: any.
 */
void sodp_burst_commit(struct sodp_burst *burst, u32 len)
{
	u8 *bth = burst->buf + burst->used;
	u32 whole = ALIGN(len, 4);
	__le32 icrc;
	u32 crc;

	memset(bth + len, 0, whole - len);
	if (burst->unsent) {
		memset(bth + whole, 0, sizeof(icrc));
		goto out_count;
	}
	crc = sodp_icrc_packet(&burst->icrc, burst->ip_id + burst->nr, whole,
			       bth);
	crc = sodp_icrc_add(crc, bth + SODP_BTH_BYTES, whole - SODP_BTH_BYTES);
	if (unlikely(burst->twice))
		crc = sodp_icrc_add(crc, bth, whole);
	burst->twice = false;
	icrc = cpu_to_le32(~crc);
	memcpy(bth + whole, &icrc, sizeof(icrc));
out_count:
	whole += SODP_ICRC_BYTES;
	if (!burst->nr)
		burst->seg_len = whole;
	else if (whole < burst->seg_len)
		burst->closed = true;
	burst->used += whole;
	burst->nr++;
}

/* The stack is done with an skb: whoever stopped for it may go on */
static void tx_uncharge(struct sodp_flow *flow, u32 charge)
{
	u32 left;

	/* Before @bytes, which orders it: see wretry_leaves() */
	WRITE_ONCE(flow->left, jiffies);
	left = atomic_sub_return(charge, &flow->bytes);
	flow->left_stack(flow, left < SODP_TX_MAX_BYTES / 2 &&
			       left + charge >= SODP_TX_MAX_BYTES / 2);
}

static void tx_free_small(struct sk_buff *skb)
{
	tx_uncharge(skb_shinfo(skb)->destructor_arg, TX_SMALL_CHARGE);
}

static void tx_free_page(struct sk_buff *skb)
{
	struct tx_mark *mark = skb_shinfo(skb)->destructor_arg;
	struct sodp_flow *flow = mark->flow;
	u32 charge = mark->charge;

	put_page(virt_to_head_page(mark));
	/* Last: the module may go when the last reference has */
	tx_uncharge(flow, charge);
}

static void tx_charge(struct sodp_burst *burst, struct sk_buff *skb)
{
	struct sodp_flow *flow = burst->flow;
	u32 charge = TX_SMALL_CHARGE;
	struct tx_mark *mark;

	if (!flow)
		return;
	refcount_inc(flow->ref);
	if (burst->page) {
		charge = burst->used;
		mark = page_address(burst->page) + page_size(burst->page) -
		       sizeof(*mark);
		mark->flow = flow;
		mark->charge = charge;
		get_page(burst->page);
		skb_shinfo(skb)->destructor_arg = mark;
		skb->destructor = tx_free_page;
	} else {
		skb_shinfo(skb)->destructor_arg = flow;
		skb->destructor = tx_free_small;
	}
	atomic_add(charge, &flow->bytes);
}

/*
 * A QP's work moves between the poster and workers, its packets do not move
 * between transmit queues: by XPS they would take that of the CPU that sends
 * them, and overtake each other. Where there is no XPS the stack takes the
 * queue by a hash of the headers, which are the same for all of them.
 */
static void tx_choose_queue(struct sodp_flow *flow, struct sk_buff *skb)
{
	unsigned long now = jiffies;

	if (!flow)
		return;
	if (unlikely(!flow->cpu || time_after(now, flow->last + TX_REST)))
		flow->cpu = raw_smp_processor_id() + 1;
	/* Pairs with the READ_ONCE() in wretry_leaves() */
	WRITE_ONCE(flow->last, now);
#ifdef CONFIG_XPS
	skb->sender_cpu = flow->cpu;
#endif
}

/*
 * A seal says that packets were made here and came all the way in the memory
 * that they were made in. It is where only this kernel writes, behind the
 * packets' room in their page or their skb: a copy, a segment or what came by
 * a wire has none. What an earlier user of that memory left there is not one
 * either: it is for these headers and this length, and nobody can guess it.
 */
static u64 tx_seal(const u8 *bth, u32 len)
{
	static u64 secret __read_mostly;
	u64 first;
	u32 psn;

	BUILD_BUG_ON(sizeof(first) + sizeof(psn) != SODP_BTH_BYTES);
	get_random_once(&secret, sizeof(secret));
	memcpy(&first, bth, sizeof(first));
	memcpy(&psn, bth + sizeof(first), sizeof(psn));
	first = first * GOLDEN_RATIO_64 ^ ((u64)psn << 32 | len);
	return (first ^ secret) * GOLDEN_RATIO_64 + secret;
}

/* Where the seal of an skb is, NULL: it cannot have one */
static void *tx_seal_place(const struct sk_buff *skb)
{
	const struct skb_shared_info *info = skb_shinfo(skb);
	struct tx_mark *mark;
	struct page *page;

	if (!info->nr_frags)
		return skb_end_pointer(skb) - sizeof(u64);
	page = skb_frag_page(&info->frags[0]);
	if (!page || PageHighMem(page) || info->nr_frags > 1)
		return NULL;
	page = compound_head(page);
	mark = page_address(page) + page_size(page) - sizeof(*mark);
	return &mark->seal;
}

static void tx_put_seal(const struct sodp_burst *burst, struct sk_buff *skb)
{
	u64 seal = tx_seal(burst->buf, burst->used);

	memcpy(tx_seal_place(skb), &seal, sizeof(seal));
}

/**
 * sodp_tx_sealed() - was it made here, and has crossed no wire?
 * @skb: with data at the first BTH
 *
 * Whatever would damage a packet on its way (netem) finishes its checksum
 * first, and then it is not CHECKSUM_PARTIAL any more. That alone is no
 * proof: GRO for forwarding, tunnels and tun make packets so that come from
 * a wire or from another kernel.
 *
 * Context: softirq.
 * Return: true: its ICRC need not be looked at.
 */
bool sodp_tx_sealed(const struct sk_buff *skb)
{
	const void *bth, *place;
	u8 buf[SODP_BTH_BYTES];
	u64 seal;

	if (skb->ip_summed != CHECKSUM_PARTIAL)
		return false;
	bth = skb_header_pointer(skb, 0, sizeof(buf), buf);
	place = tx_seal_place(skb);
	if (!bth || !place)
		return false;
	memcpy(&seal, place, sizeof(seal));
	return seal == tx_seal(bth, skb->len);
}

/* The burst's payload as an skb without headers; the burst has none then */
static struct sk_buff *tx_take_skb(struct sodp_burst *burst)
{
	struct sk_buff *skb = burst->skb;

	if (skb) {
		skb_put(skb, burst->used);
		return skb;
	}
	skb = alloc_skb(tx_headroom(), GFP_ATOMIC | __GFP_NOWARN);
	if (!skb)
		return NULL;
	skb_reserve(skb, tx_headroom());
	skb_fill_page_desc(skb, 0, burst->page, 0, burst->used);
	skb->len = burst->used;
	skb->data_len = burst->used;
	skb->truesize += page_size(burst->page);
	if (burst->nr > 1) {
		skb_shinfo(skb)->gso_size = burst->seg_len;
		skb_shinfo(skb)->gso_segs = burst->nr;
		skb_shinfo(skb)->gso_type = SKB_GSO_UDP_L4;
	}
	return skb;
}

/* Does somebody below do checksums, or nobody look at them (veth, lo)? */
static bool tx_csum_offload(const struct sodp_burst *burst,
			    const struct dst_entry *dst)
{
	/* It may be replaced while the netdev goes, which waits for us then */
	netdev_features_t features =
		READ_ONCE(READ_ONCE(dst->dev)->features);

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "see tx_send()");
	if (features & NETIF_F_HW_CSUM)
		return true;
	return features & (burst->path->family == AF_INET ?
			   NETIF_F_IP_CSUM : NETIF_F_IPV6_CSUM);
}

/*
 * The ICRC covers all that a UDP checksum would, so a packet goes without
 * unless it costs nothing. Then CHECKSUM_PARTIAL also tells a receiver on
 * this host that nothing damaged it, see sodp_tx_sealed(). A train needs one:
 * the stack cannot cut it otherwise.
 */
static void tx_put_udp(struct sodp_burst *burst, struct sk_buff *skb,
		       const struct dst_entry *dst)
{
	const struct sodp_path *path = burst->path;
	struct udphdr *udp = skb_push(skb, sizeof(*udp));

	skb_reset_transport_header(skb);
	udp->source = htons(path->sport);
	udp->dest = htons(SODP_UDP_PORT);
	udp->len = htons(skb->len);
	udp->check = 0;
	if (!skb_is_gso(skb) && !tx_csum_offload(burst, dst))
		return;
	if (path->family == AF_INET)
		udp->check = ~udp_v4_check(skb->len, path->saddr.s6_addr32[3],
					   path->daddr.s6_addr32[3], 0);
	else
		udp->check = ~udp_v6_check(skb->len, &path->saddr,
					   &path->daddr, 0);
	skb->csum_start = skb_transport_header(skb) - skb->head;
	skb->csum_offset = offsetof(struct udphdr, check);
	skb->ip_summed = CHECKSUM_PARTIAL;
}

/* Return: 0; -ENOBUFS: a queue of this host was full, all of it is gone */
static int tx_hand_over(struct sodp_burst *burst, struct sk_buff *skb,
			struct dst_entry *dst)
{
	struct sodp_path *path = burst->path;
	struct net *net = dev_net(path->dev->ndev);
	u32 len;
	int ret;

	tx_choose_queue(burst->flow, skb);
	tx_put_udp(burst, skb, dst);
	len = skb->len;
	skb->priority = path->priority;
	skb_dst_set(skb, dst);
	if (path->family == AF_INET) {
		skb_push(skb, sizeof(struct iphdr));
		skb_reset_network_header(skb);
		tx_put_ip4(burst, ip_hdr(skb));
		ret = ip_local_out(net, NULL, skb);
	} else {
		skb_push(skb, sizeof(struct ipv6hdr));
		skb_reset_network_header(skb);
		tx_put_ip6(burst, len, ipv6_hdr(skb));
		skb->protocol = htons(ETH_P_IPV6);
		ret = ip6_local_out(net, NULL, skb);
	}
	/* What was dropped by others' choice (-EPERM) is lost, as on a wire */
	return ret == NET_XMIT_DROP || ret == -ENOBUFS ? -ENOBUFS : 0;
}

/* Return: 0; -ENOBUFS: likewise; another -errno: it cannot be sent */
static int tx_send_open(struct sodp_burst *burst)
{
	struct sodp_dev *dev = burst->path->dev;
	u32 headers = sizeof(struct udphdr) +
		      (burst->path->family == AF_INET ?
		       sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	struct dst_entry *dst = tx_dst_get(burst->path);
	struct sk_buff *skb;
	int ret;

	if (IS_ERR(dst)) {
		ibdev_dbg(&dev->base_dev, "no route to %pI6c: %ld\n",
			  &burst->path->daddr, PTR_ERR(dst));
		return PTR_ERR(dst);
	}
	if (unlikely(burst->seg_len + headers > dst_mtu(dst))) {
		ibdev_dbg(&dev->base_dev,
			  "packet of %u bytes, MTU to %pI6c is %u\n",
			  burst->seg_len + headers, &burst->path->daddr,
			  dst_mtu(dst));
		dst_release(dst);
		return -EMSGSIZE;
	}
	skb = tx_take_skb(burst);
	if (!skb) {
		dst_release(dst);
		return -ENOBUFS;
	}
	tx_charge(burst, skb);
	tx_put_seal(burst, skb);
	ret = tx_hand_over(burst, skb, dst);
	if (likely(!ret))
		sodp_count(dev, SODP_CNT_tx_packets, burst->nr);
	burst->skb = NULL;
	burst->page = NULL;
	return ret;
}

/*
 * When a namespace goes, its NIC goes back to the first one, and there it
 * must not send. net_close() waits for who found the namespace open.
 */
static int tx_send(struct sodp_burst *burst)
{
	int ret = -ENETDOWN;

	rcu_read_lock();
	if (likely(sodp_net_is_open(burst->path->dev->sn)))
		ret = tx_send_open(burst);
	rcu_read_unlock();
	return ret;
}

/**
 * sodp_burst_send() - send what was committed
 * @burst: is empty afterwards
 *
 * What cannot be sent at all is lost, as on a wire. But if a queue of this
 * host was full, or memory short, @burst->refused is set, and whoever can
 * repeat the packets of that skb (those since burst->nr was 0 last) does so
 * soon, before he sends others.
 *
 * Context: process or softirq; packets for this host are received before it
 * returns.
 */
void sodp_burst_send(struct sodp_burst *burst)
{
	int ret;

	if (burst->nr) {
		if (burst->handing)
			burst->handing(burst, false);
		ret = tx_send(burst);
		if (burst->handing)
			burst->handing(burst, true);
		if (unlikely(ret))
			sodp_count(burst->path->dev, ret == -ENOBUFS ?
				   SODP_CNT_tx_refused : SODP_CNT_tx_drops,
				   burst->nr);
		burst->refused |= ret == -ENOBUFS;
	}
	if (burst->page)
		put_page(burst->page);
	kfree_skb(burst->skb);
	tx_empty(burst);
}

/**
 * sodp_burst_take() - have the packet of a burst as if it had arrived
 * @burst: has one packet; is empty afterwards
 *
 * Context: any.
 * Return: data is at the BTH, the IP header where skb_network_header() says,
 * as complete as the stack would have made it; NULL when memory is short.
 */
struct sk_buff *sodp_burst_take(struct sodp_burst *burst)
{
	struct sodp_path *path = burst->path;
	struct sk_buff *skb = tx_take_skb(burst);
	u32 udp = sizeof(struct udphdr);
	u32 ip = path->family == AF_INET ? sizeof(struct iphdr) :
					   sizeof(struct ipv6hdr);

	if (!skb) {
		put_page(burst->page);
		tx_empty(burst);
		return NULL;
	}
	skb_push(skb, ip + udp);
	skb_reset_network_header(skb);
	if (path->family == AF_INET) {
		tx_put_ip4(burst, ip_hdr(skb));
		ip_hdr(skb)->tot_len = htons(skb->len);
		ip_send_check(ip_hdr(skb));
	} else {
		tx_put_ip6(burst, skb->len - ip, ipv6_hdr(skb));
	}
	skb_pull(skb, ip + udp);
	tx_empty(burst);
	return skb;
}
