// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Packets in: from the sockets and the hook of a namespace to whoever takes
 * them. A train of packets stays one skb as far as its packets are good and
 * for the same side of the same QP.
 *
 * The ICRC of an skb that was made here and crossed no wire is not looked at:
 * see sodp_tx_sealed(). That of others is, once it is known that a QP would
 * take them.
 */
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/netfilter.h>
#include <linux/udp.h>
#include <net/inet_ecn.h>
#include <net/ipv6.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/udp.h>
#include <net/xfrm.h>
#include <rdma/ib_mad.h>

#include "net/net.h"

/* A packet cannot be shorter */
#define RX_MIN_BYTES	(SODP_BTH_BYTES + SODP_ICRC_BYTES)

/**
 * struct rx_train - an skb on its way through here
 * @came: how it came
 * @skb: data is at the first BTH
 * @icrc: headers, when the ICRC is to be checked
 * @seg_len: bytes from one BTH to the next
 * @nr: packets
 * @ip_id: IPv4 identification of the first
 * @last_psn: of the last packet of the run that is being looked at
 * @last_read: bytes that it asks for, if it is a READ, or 0
 * @answers: one of the run is a request that data or a result answers
 * @ipv6: IP version
 * @check: ICRC has to be checked
 */
struct rx_train {
	struct sodp_came came;
	struct sk_buff *skb;
	struct sodp_icrc icrc;
	u32 seg_len;
	u32 nr;
	u32 last_psn;
	u32 last_read;
	u16 ip_id;
	bool answers;
	bool ipv6;
	bool check;
};

/* Constant while there are sockets */
static const struct sodp_receiver *rx_receiver;

void sodp_net_rx_init(const struct sodp_receiver *receiver)
{
	rx_receiver = receiver;
}

/* Where @len bytes from @off on are; 0 if in more than @max places */
static u32 rx_runs(const struct sk_buff *skb, u32 off, u32 len,
		   struct sodp_buf *bufs, u32 max)
{
	u32 end = skb_headlen(skb);
	u32 nr = 0;
	u32 i, n;

	if (off < end && len) {
		if (!max)
			return 0;
		n = min(len, end - off);
		bufs[nr].addr = skb->data + off;
		bufs[nr++].length = n;
		off += n;
		len -= n;
	}
	for (i = 0; i < skb_shinfo(skb)->nr_frags && len; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];
		u32 start = end;

		end += skb_frag_size(frag);
		if (off >= end)
			continue;
		if (nr == max)
			return 0;
		n = min(len, end - off);
		bufs[nr].addr = (u8 *)skb_frag_address(frag) + off - start;
		bufs[nr++].length = n;
		off += n;
		len -= n;
	}
	return len ? 0 : nr;
}

/**
 * sodp_rx_parse() - decode some packet of a train
 * @skb: the train, as it was handed to the QP
 * @index: which, less than sodp_rx_cb(skb)->nr
 * @pkt: result
 *
 * Pages may belong to somebody who still writes to them (sendfile()), so what
 * was checked when the skb came is checked again.
 *
 * Context: any.
 * Return: false: it is another packet now, to be skipped.
 */
bool sodp_rx_parse(struct sk_buff *skb, u32 index, struct sodp_pkt *pkt)
{
	const struct sodp_rx_cb *cb = sodp_rx_cb(skb);
	u32 off = index * cb->seg_len;
	u32 len = min(skb->len - off, cb->seg_len) - SODP_ICRC_BYTES;

	return likely(!sodp_pkt_parse(skb, off, len, pkt) &&
		      pkt->op->type == cb->type &&
		      !(pkt->op->flags & SODP_WIRE_REQUEST) == !cb->request);
}

/**
 * sodp_rx_peek() - decode the next packet of a train
 * @skb: the train, as it was handed to the QP
 * @pkt: result
 *
 * The caller moves sodp_rx_cb(skb)->next on.
 *
 * Context: any.
 * Return: false when there is none left.
 */
bool sodp_rx_peek(struct sk_buff *skb, struct sodp_pkt *pkt)
{
	struct sodp_rx_cb *cb = sodp_rx_cb(skb);

	for (; cb->next < cb->nr; cb->next++)
		if (sodp_rx_parse(skb, cb->next, pkt))
			return true;
	return false;
}

/**
 * sodp_rx_bufs() - where a packet's payload is
 * @skb: the train
 * @pkt: from sodp_rx_peek()
 * @bufs: result; valid while the skb is
 * @max: entries of it; SODP_RX_MAX_BUFS are enough for any packet
 *
 * Context: any.
 * Return: entries used; 0 if there is no payload, or @max was not enough.
 */
u32 sodp_rx_bufs(struct sk_buff *skb, const struct sodp_pkt *pkt,
		 struct sodp_buf *bufs, u32 max)
{
	return rx_runs(skb, pkt->payload, pkt->length, bufs, max);
}

/*
 * rdma_rxe's ICRC of a FLUSH goes over the headers, then over them again from
 * the BTH on. See also sodp_wreq_timeout().
 */
static bool rx_icrc_of_rxe(struct rx_train *train, u32 off, u32 len, u32 crc,
			   __le32 icrc)
{
	u8 buf[SODP_BTH_BYTES + SODP_FETH_BYTES + SODP_RETH_BYTES];

	if (len != sizeof(buf) ||
	    skb_copy_bits(train->skb, off, buf, sizeof(buf)) ||
	    buf[0] != SODP_BTH_RC_FLUSH)
		return false;
	return icrc == cpu_to_le32(~sodp_icrc_add(crc, buf, sizeof(buf)));
}

static bool rx_icrc_ok(struct rx_train *train, u32 i, u32 off, u32 len)
{
	struct sodp_buf bufs[SODP_RX_MAX_BUFS];
	u8 buf[SODP_BTH_BYTES];
	const u8 *bth;
	__le32 icrc;
	u32 nr, n;
	u32 crc;

	bth = skb_header_pointer(train->skb, off, sizeof(buf), buf);
	if (!bth || skb_copy_bits(train->skb, off + len, &icrc, sizeof(icrc)))
		return false;
	crc = sodp_icrc_packet(&train->icrc, train->ip_id + i, len, bth);
	nr = rx_runs(train->skb, off + SODP_BTH_BYTES, len - SODP_BTH_BYTES,
		     bufs, ARRAY_SIZE(bufs));
	for (n = 0; n < nr; n++)
		crc = sodp_icrc_add(crc, bufs[n].addr, bufs[n].length);
	return likely(icrc == cpu_to_le32(~crc)) ||
	       rx_icrc_of_rxe(train, off, len, crc, icrc);
}

/* The device that what is good for no QP is counted on */
static void rx_count(struct rx_train *train, enum sodp_counter counter, u32 n)
{
	struct sodp_dev *dev, *found = NULL;

	list_for_each_entry_rcu(dev, &train->came.sn->devs, net_node) {
		if (!found || dev->ndev == train->came.in)
			found = dev;
	}
	if (found)
		sodp_count(found, counter, n);
}

/* Hand packets @first up to @end over; they have the headers of @pkt */
static bool rx_deliver(const struct rx_train *train, u32 first, u32 end,
		       const struct sodp_pkt *pkt, struct sk_buff *skb)
{
	struct sodp_rx_cb *cb = sodp_rx_cb(skb);

	cb->seg_len = train->seg_len;
	cb->next = first;
	cb->nr = end;
	cb->type = pkt->op->type;
	cb->request = pkt->op->flags & SODP_WIRE_REQUEST;
	cb->ipv6 = train->ipv6;
	cb->vlan = 0;
	cb->answers = train->answers;
	cb->psn = pkt->psn;
	cb->last_psn = train->last_psn;
	cb->last_read = train->last_read;
	return rx_receiver->take(&train->came, pkt, skb);
}

/* A run of packets of a train; @last: nothing else of the train is wanted */
static void rx_run(struct rx_train *train, u32 first, u32 end,
		   const struct sodp_pkt *pkt, bool last)
{
	struct sk_buff *skb = train->skb;

	if (!last)
		skb = skb_clone(skb, GFP_ATOMIC);
	if (skb && rx_deliver(train, first, end, pkt, skb)) {
		if (last)
			train->skb = NULL;
		return;
	}
	if (!last)
		kfree_skb(skb);
	rx_count(train, SODP_CNT_rx_drops, end - first);
}

/*
 * Is the packet good? Then @pkt has its headers. @same: it has a taker, as
 * the one before it had.
 */
static bool rx_icrc_of(struct rx_train *train, u32 i, bool same,
		       struct sodp_pkt *pkt)
{
	u32 off = i * train->seg_len;
	u32 len = min(train->skb->len - off, train->seg_len);

	if (!train->check)
		return true;
	if (!same && !rx_receiver->wants(&train->came, pkt)) {
		rx_count(train, SODP_CNT_rx_drops, 1);
		return false;
	}
	if (unlikely(!rx_icrc_ok(train, i, off, len - SODP_ICRC_BYTES))) {
		rx_count(train, SODP_CNT_rx_icrc_errors, 1);
		return false;
	}
	return true;
}

static bool rx_headers(struct rx_train *train, u32 i, struct sodp_pkt *pkt)
{
	u32 off = i * train->seg_len;
	u32 len = min(train->skb->len - off, train->seg_len);

	if (len < RX_MIN_BYTES ||
	    sodp_pkt_parse(train->skb, off, len - SODP_ICRC_BYTES, pkt)) {
		rx_count(train, SODP_CNT_rx_malformed, 1);
		return false;
	}
	return true;
}

static bool rx_same_way(const struct sodp_pkt *a, const struct sodp_pkt *b)
{
	return a->qpn == b->qpn && a->op->type == b->op->type &&
	       a->pkey == b->pkey &&
	       !((a->op->flags ^ b->op->flags) &
		 (SODP_WIRE_REQUEST | SODP_WIRE_CNP));
}

/* A packet belongs to the run that is being looked at */
static void rx_note_last(struct rx_train *train, const struct sodp_pkt *pkt)
{
	const struct sodp_wire_op *op = pkt->op;

	train->last_psn = pkt->psn;
	train->last_read = 0;
	if (!(op->flags & SODP_WIRE_ASKS))
		return;
	train->answers = true;
	if (op->wr == SODP_WR_RDMA_READ)
		train->last_read = pkt->dma_len;
}

/* Cut the train where its packets do not belong together */
static void rx_split(struct rx_train *train)
{
	struct sodp_pkt head, pkt;
	u32 first = 0;
	bool run = false;
	bool good, same;
	u32 i;

	for (i = 0; i < train->nr; i++) {
		good = rx_headers(train, i, &pkt);
		same = good && run && rx_same_way(&head, &pkt);
		good = good && rx_icrc_of(train, i, same, &pkt);
		if (run && (!good || !same || head.op->type == IB_QPT_UD)) {
			rx_run(train, first, i, &head, false);
			run = false;
		}
		if (good && !run) {
			run = true;
			first = i;
			head = pkt;
			train->answers = false;
		}
		if (good)
			rx_note_last(train, &pkt);
	}
	if (run)
		rx_run(train, first, train->nr, &head, true);
}

/* Memory that can be read, in few enough pieces */
static bool rx_readable(struct sk_buff *skb)
{
	u32 i;

	if (skb_has_frag_list(skb) ||
	    skb_shinfo(skb)->nr_frags >= SODP_RX_MAX_BUFS)
		return !skb_linearize(skb);
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++)
		if (!skb_frag_page(&skb_shinfo(skb)->frags[i]) ||
		    PageHighMem(skb_frag_page(&skb_shinfo(skb)->frags[i])))
			return !skb_linearize(skb);
	return true;
}

/* skb->data is at the UDP header; takes the skb over */
static void rx_skb(struct sodp_net *sn, struct sk_buff *skb, bool ipv6)
{
	u16 sport = ntohs(((struct udphdr *)skb->data)->source);
	struct rx_train train = {
		.came = { .sn = sn, .in = skb->dev },
		.skb = skb,
		.ipv6 = ipv6,
	};

	__skb_pull(skb, sizeof(struct udphdr));
	train.check = !sodp_tx_sealed(skb);
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	train.nr = 1;
	train.seg_len = skb->len;
	if (skb_is_gso(skb)) {
		train.seg_len = skb_shinfo(skb)->gso_size;
		train.nr = DIV_ROUND_UP(skb->len, train.seg_len);
	}
	if (train.seg_len < RX_MIN_BYTES || !rx_readable(skb)) {
		rx_count(&train, SODP_CNT_rx_malformed, 1);
		goto out_free;
	}
	if (ipv6) {
		train.came.saddr = ipv6_hdr(skb)->saddr;
		train.came.daddr = ipv6_hdr(skb)->daddr;
		train.came.ce = INET_ECN_is_ce(ipv6_get_dsfield(ipv6_hdr(skb)));
	} else {
		/* With options the ICRC is not defined */
		if (ip_hdr(skb)->ihl != 5)
			goto out_free;
		train.ip_id = ntohs(ip_hdr(skb)->id);
		train.came.ce = INET_ECN_is_ce(ip_hdr(skb)->tos);
		ipv6_addr_set_v4mapped(ip_hdr(skb)->saddr, &train.came.saddr);
		ipv6_addr_set_v4mapped(ip_hdr(skb)->daddr, &train.came.daddr);
	}
	if (train.check)
		sodp_icrc_begin(&train.icrc, skb_network_header(skb), ipv6,
				sport);
	rx_split(&train);
out_free:
	kfree_skb(train.skb);
}

/**
 * sodp_net_rx() - a datagram to one of the sockets
 * @sk: the socket
 * @skb: with data at the UDP header
 *
 * Context: softirq.
 * Return: 0: taken over.
 */
int sodp_net_rx(struct sock *sk, struct sk_buff *skb)
{
	struct sodp_net *sn = rcu_dereference_sk_user_data(sk);

	if (!sn || !pskb_may_pull(skb, sizeof(struct udphdr))) {
		kfree_skb(skb);
		return 0;
	}
	rx_skb(sn, skb, sk->sk_family == AF_INET6);
	return 0;
}

/* To our port? skb->data is at the IP header, which has @off bytes */
static bool rx_hook_ours(struct sk_buff *skb, u32 off, bool ipv6)
{
	const struct udphdr *udp;

	if (!pskb_may_pull(skb, off + sizeof(*udp)))
		return false;
	if (ipv6 ? ipv6_hdr(skb)->nexthdr != IPPROTO_UDP :
		   ip_hdr(skb)->protocol != IPPROTO_UDP || ip_hdr(skb)->ihl != 5)
		return false;
	udp = (const struct udphdr *)(skb->data + off);
	return udp->dest == htons(SODP_UDP_PORT) &&
	       ntohs(udp->len) == skb->len - off;
}

/*
 * Connection tracking takes a flow up in a hook of the same, last priority,
 * which is behind this one if it was registered before. Its first train goes
 * on to there, and to the socket as packets.
 */
static bool rx_hook_untracked(const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	enum ip_conntrack_info info;
	const struct nf_conn *ct = nf_ct_get(skb, &info);

	return unlikely(ct) && !nf_ct_is_confirmed(ct);
#else
	return false;
#endif
}

/**
 * sodp_net_rx_hook() - everything that is delivered in this namespace
 * @priv: struct sodp_net
 * @skb: with data at the IP header
 * @state: tells the IP version
 *
 * Context: softirq.
 * Return: NF_STOLEN for trains to our port; NF_DROP for those that the
 * sockets would not take, as IPsec has to protect them; the rest is not for
 * us.
 */
unsigned int sodp_net_rx_hook(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	bool ipv6 = state->pf == NFPROTO_IPV6;
	u32 off = ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);

	/* A list of packets (SKB_GSO_FRAGLIST) is no train */
	if (likely(!skb_is_gso(skb) ||
		   (skb_shinfo(skb)->gso_type &
		    (SKB_GSO_UDP_L4 | SKB_GSO_FRAGLIST)) != SKB_GSO_UDP_L4))
		return NF_ACCEPT;
	if (!rx_hook_ours(skb, off, ipv6) || rx_hook_untracked(skb))
		return NF_ACCEPT;
	/* From a VRF: no socket of ours, unless udp_l3mdev_accept is set */
	if (!udp_sk_bound_dev_eq(state->net, 0, skb->dev->ifindex,
				 ipv6 ? inet6_sdif(skb) : inet_sdif(skb)))
		return NF_ACCEPT;
	if (ipv6 ? !xfrm6_policy_check(NULL, XFRM_POLICY_IN, skb) :
		   !xfrm4_policy_check(NULL, XFRM_POLICY_IN, skb))
		return NF_DROP;
	__skb_pull(skb, off);
	rx_skb(priv, skb, ipv6);
	return NF_STOLEN;
}
