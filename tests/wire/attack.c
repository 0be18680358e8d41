// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Raw sockets in the peer's namespace, and packets to send by them */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "attack.h"

#define BUFFER (8 << 20)
#define UDP_LEN 8

/* A namespace of /run/netns for this thread; "" is the one of process 1 */
static void enter(const char *netns)
{
	char path[128] = "/proc/1/ns/net";
	int fd;

	if (netns && *netns)
		snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	T_ASSERT(fd >= 0 && !setns(fd, CLONE_NEWNET), "%s: %s", path,
		 t_errname(errno));
	close(fd);
}

static int packet_socket(const char *netns, const char *netdev, uint8_t *mac)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
	};
	struct ifreq ifr = { 0 };
	int on = 1, size = BUFFER;
	int fd;

	enter(netns);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	T_ASSERT(fd >= 0, "AF_PACKET: %s", t_errname(errno));
	addr.sll_ifindex = if_nametoindex(netdev);
	T_ASSERT(addr.sll_ifindex, "no device %s", netdev);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	T_ASSERT(!setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)),
		 "PACKET_VNET_HDR: %s", t_errname(errno));
	T_ASSERT(!bind(fd, (struct sockaddr *)&addr, sizeof(addr)),
		 "bind: %s", t_errname(errno));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", netdev);
	T_ASSERT(!ioctl(fd, SIOCGIFHWADDR, &ifr), "SIOCGIFHWADDR: %s",
		 t_errname(errno));
	memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
	enter(NULL);
	return fd;
}

static const char *want_env(const char *name)
{
	const char *text = getenv(name);

	if (!text)
		t_skip("%s is not set", name);
	return text;
}

void attack_open(struct attack *at, uint64_t seed, const uint8_t *src,
		 const uint8_t *dst)
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };
	int other;

	memset(at, 0, sizeof(*at));
	roce_fast_crc = true;
	at->rand.state = seed;
	memcpy(at->src, src, 16);
	memcpy(at->dst, dst, 16);
	at->ipv6 = memcmp(src, mapped, 12);
	other = packet_socket(want_env("SODP_NETNS_A"),
			      want_env("SODP_NETDEV_A"), at->eth);
	close(other);
	at->fd = packet_socket(want_env("SODP_NETNS_B"),
			       want_env("SODP_NETDEV_B"), at->eth + 6);
	at->eth[12] = at->ipv6 ? 0x86 : 0x08;
	at->eth[13] = at->ipv6 ? 0xdd : 0x00;
}

void attack_close(struct attack *at)
{
	close(at->fd);
}

/* How many PSNs a request takes */
static uint32_t psns_of(const struct attack *at, const struct roce_pkt *pkt)
{
	if (ROCE_KIND(pkt->opcode) != ROCE_READ_REQ || !pkt->dma_len)
		return 1;
	return (pkt->dma_len + at->mtu - 1) / at->mtu;
}

/* A PSN that is newer than the one known */
static void advance(uint32_t *known, uint32_t psn)
{
	if (roce_psn_diff(psn, *known) > 0)
		*known = psn;
}

static void keep(struct attack *at, const uint8_t *ip, size_t len)
{
	unsigned int slot = at->nr_kept < ATTACK_KEPT ?
				    at->nr_kept++ :
				    t_rand_below(&at->rand, ATTACK_KEPT);

	memcpy(at->kept[slot], ip, len);
	at->kept_len[slot] = len;
}

static void learn(struct attack *at, const uint8_t *ip, size_t len)
{
	struct roce_pkt pkt;
	bool to_victim, again = false;
	unsigned int i;

	if (len > ROCE_MAX_FRAME || roce_parse(ip, len, &pkt) != ROCE_GOOD ||
	    pkt.ttl == ATTACK_TTL)
		return;
	to_victim = !memcmp(pkt.dst, at->dst, 16);
	for (i = 0; i < at->nr_aims; i++) {
		struct aim *aim = &at->aims[i];

		if (pkt.qpn != (to_victim ? aim->qpn : aim->peer_qpn))
			continue;
		if (at->seen)
			at->seen(aim, &pkt);
		/* The unreliable transports take a packet twice */
		again = aim->transport == ROCE_RC || aim->transport == ROCE_XRC;
		if (!roce_op(pkt.opcode)->request)
			continue;
		if (to_victim)
			advance(&aim->next,
				roce_psn_add(pkt.psn, psns_of(at, &pkt)));
		else
			advance(&aim->sent,
				roce_psn_add(pkt.psn,
					     psns_of(at, &pkt) - 1));
	}
	if (to_victim && again)
		keep(at, ip, len);
}

void attack_listen(struct attack *at)
{
	static uint8_t buf[sizeof(struct virtio_net_hdr) + 65536 + 64];
	const size_t skip = sizeof(struct virtio_net_hdr) + 14;
	ssize_t len;

	while ((len = recv(at->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		if ((size_t)len > skip)
			learn(at, buf + skip, len - skip);
}

struct roce_pkt attack_pkt(struct attack *at, const struct aim *aim,
			   uint8_t opcode)
{
	struct t_rand *r = &at->rand;
	struct roce_pkt pkt = {
		.ipv6 = at->ipv6,
		.tos = t_rand(r),
		.ttl = ATTACK_TTL,
		.ip_id = t_rand(r),
		.flow_label = t_rand(r) & 0xfffff,
		.sport = 0xc000 | (t_rand(r) & 0x3fff),
		.dport = ROCE_PORT,
		.opcode = opcode,
		.migreq = true,
		.ack_req = t_rand_below(r, 2),
		.solicited = t_rand_below(r, 2),
		.pkey = 0xffff,
		.qpn = aim->qpn,
		.src_qpn = aim->peer_qpn,
		.qkey = aim->qkey,
		.srqn = aim->srqn,
		.psn = roce_op(opcode)->request ? aim->next : aim->sent,
		.swap_add = t_rand(r),
		.compare = t_rand(r),
		.orig = t_rand(r),
		.imm = t_rand(r),
		.inv_rkey = t_rand(r),
		.msn = t_rand(r) & 0xffffff,
		.syndrome = 0x1f,
		.flush_type = t_rand_below(r, 16),
		.flush_level = t_rand_below(r, 4),
	};

	memcpy(pkt.src, at->src, 16);
	memcpy(pkt.dst, at->dst, 16);
	attack_key(at, &pkt);
	return pkt;
}

void attack_payload(struct attack *at, struct roce_pkt *pkt, size_t len)
{
	static uint8_t evil[8192];

	if (!evil[0])
		memset(evil, ATTACK_BYTE, sizeof(evil));
	pkt->payload = evil;
	pkt->len = len;
	pkt->pad = -len & 3;
	/* Say so in the RETH too, mostly */
	if (t_rand_below(&at->rand, 4))
		pkt->dma_len = len;
}

static uint32_t odd_length(struct t_rand *r)
{
	static const uint32_t odd[] = { 0,	    1,	    7,
					8,	    1024,   4096,
					0x7fffffff, 0x80000000, 0x80000001,
					0xffffffff };

	return t_rand_below(r, 3) ? t_rand_below(r, 5000) :
				    odd[t_rand_below(r, T_ARRAY_SIZE(odd))];
}

void attack_key(struct attack *at, struct roce_pkt *pkt)
{
	struct t_rand *r = &at->rand;
	const struct attack_key *key;

	pkt->dma_len = odd_length(r);
	pkt->rkey = t_rand(r);
	pkt->va = t_rand(r) >> t_rand_below(r, 64);
	if (!at->nr_keys || !t_rand_below(r, 16))
		return;
	key = &at->keys[t_rand_below(r, at->nr_keys)];
	pkt->rkey = key->rkey;
	switch (t_rand_below(r, 8)) {
	case 0: /* ends behind its end */
		pkt->va = key->addr + key->len - t_rand_below(r, 4096);
		break;
	case 1: /* begins before its beginning */
		pkt->va = key->addr - 1 - t_rand_below(r, 4096);
		break;
	case 2: /* wraps */
		pkt->va = -t_rand_below(r, 8192);
		break;
	case 3: /* a kernel address */
		pkt->va = 0xffff888000000000ULL + t_rand(r) % (1 << 30);
		break;
	case 4: /* the version of its key before, or after */
		pkt->rkey = (key->rkey & ~0xffU) |
			    ((key->rkey + (t_rand(r) & 1 ? 1 : -1)) & 0xff);
		pkt->va = key->addr;
		break;
	default:
		pkt->va = key->addr + t_rand_below(r, key->len);
		break;
	}
}

uint8_t *attack_slot(struct attack *at)
{
	return at->out[at->nr_out];
}

void attack_push(struct attack *at, size_t len)
{
	at->out_len[at->nr_out++] = len;
	if (at->nr_out == ATTACK_BATCH)
		attack_flush(at);
}

void attack_add(struct attack *at, const struct roce_pkt *pkt)
{
	attack_push(at, roce_build(attack_slot(at), pkt));
}

void attack_flush(struct attack *at)
{
	static const struct virtio_net_hdr none;
	struct mmsghdr msgs[ATTACK_BATCH] = { 0 };
	struct iovec iov[ATTACK_BATCH][3];
	unsigned int i, done = 0;
	int ret;

	for (; at->judge && done < at->nr_out; done++)
		at->judge(at, at->out[done], at->out_len[done], true);
	at->sent += done;
	for (i = done; i < at->nr_out; i++) {
		iov[i][0] = (struct iovec){ (void *)&none, sizeof(none) };
		iov[i][1] = (struct iovec){ at->eth, sizeof(at->eth) };
		iov[i][2] = (struct iovec){ at->out[i], at->out_len[i] };
		msgs[i].msg_hdr.msg_iov = iov[i];
		msgs[i].msg_hdr.msg_iovlen = 3;
	}
	while (done < at->nr_out) {
		ret = sendmmsg(at->fd, msgs + done, at->nr_out - done, 0);
		if (ret > 0) {
			at->sent += ret;
			done += ret;
		} else { /* longer than the device takes */
			at->lost++;
			done++;
		}
	}
	at->nr_out = 0;
}

void attack_partial(struct attack *at, uint8_t *ip, size_t len)
{
	size_t udp = at->ipv6 ? 40 : 20;
	struct virtio_net_hdr vnet = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.hdr_len = sizeof(at->eth) + udp + UDP_LEN,
		.csum_start = sizeof(at->eth) + udp,
		.csum_offset = 6,
	};
	struct iovec iov[] = {
		{ &vnet, sizeof(vnet) },
		{ at->eth, sizeof(at->eth) },
		{ ip, len },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };

	T_ASSERT(sendmsg(at->fd, &msg, 0) > 0, "sendmsg: %s",
		 t_errname(errno));
	at->sent++;
}

/* The packets that a train will be cut into */
static void judge_train(struct attack *at, const uint8_t *frame, size_t hdr,
			size_t used, uint16_t gso_size)
{
	uint8_t one[ROCE_MAX_FRAME];
	size_t off, n;

	for (off = 0; off < used; off += n) {
		n = used - off < gso_size ? used - off : gso_size;
		memcpy(one, frame, hdr);
		memcpy(one + hdr, frame + hdr + off, n);
		one[hdr - UDP_LEN + 4] = (n + UDP_LEN) >> 8;
		one[hdr - UDP_LEN + 5] = n + UDP_LEN;
		roce_ip_length(one, hdr + n);
		at->judge(at, one, hdr + n, false);
	}
}

void attack_train(struct attack *at, const struct roce_pkt *pkts,
		  unsigned int nr, uint16_t gso_size)
{
	static uint8_t frame[65536 + ROCE_MAX_FRAME], one[ROCE_MAX_FRAME];
	size_t hdr = (at->ipv6 ? 40 : 20) + UDP_LEN;
	struct virtio_net_hdr vnet = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = 5, /* VIRTIO_NET_HDR_GSO_UDP_L4 */
		.hdr_len = sizeof(at->eth) + hdr,
		.gso_size = gso_size,
		.csum_start = sizeof(at->eth) + hdr - UDP_LEN,
		.csum_offset = 6,
	};
	struct iovec iov[] = {
		{ &vnet, sizeof(vnet) },
		{ at->eth, sizeof(at->eth) },
		{ frame, 0 },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };
	size_t len, used = 0;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct roce_pkt pkt = pkts[i];

		/* Each as it would be when cut: the identification counts */
		pkt.ip_id = pkts[0].ip_id + i;
		pkt.sport = pkts[0].sport;
		pkt.flow_label = pkts[0].flow_label;
		len = roce_build(one, &pkt);
		if (!i)
			memcpy(frame, one, hdr);
		if (hdr + used + len - hdr > 65000)
			break;
		memcpy(frame + hdr + used, one + hdr, len - hdr);
		used += len - hdr;
	}
	if (at->judge) {
		judge_train(at, frame, hdr, used, gso_size);
		at->sent += nr;
		return;
	}
	/* Lengths of the whole; ICRCs stay, so no roce_finish() */
	len = hdr + used;
	frame[hdr - UDP_LEN + 4] = (used + UDP_LEN) >> 8;
	frame[hdr - UDP_LEN + 5] = used + UDP_LEN;
	roce_ip_length(frame, len);
	iov[2].iov_len = len;
	if (sendmsg(at->fd, &msg, 0) > 0)
		at->sent += nr;
	else
		at->lost++;
}
