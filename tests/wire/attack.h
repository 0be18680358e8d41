/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * attack.h - forged RoCEv2 packets from where the peer is
 *
 * The attacker has a raw socket on the peer's netdev: what it sends looks as
 * if the peer had sent it. It listens there too, so it knows the PSNs. Its
 * own packets have a TTL that nobody else uses.
 */
#ifndef ATTACK_H
#define ATTACK_H

#include "common/t.h"
#include "roce.h"

#define ATTACK_TTL 77
#define ATTACK_BATCH 64
#define ATTACK_KEPT 64
#define ATTACK_MAX_AIMS 8
/* What forged payloads are made of; honest data never has eight of them */
#define ATTACK_BYTE 0xe7

/* A queue pair of the victim, and what is known of it */
struct aim {
	unsigned int transport; /* enum roce_transport */
	uint32_t qpn;
	uint32_t peer_qpn;
	uint32_t next; /* PSN of the request that the victim expects */
	uint32_t sent; /* PSN of its own last request */
	uint32_t qkey;
	uint32_t srqn;
};

/* Memory of the victim that forged requests name */
struct attack_key {
	const char *name;
	uint32_t rkey;
	uint64_t addr;
	uint64_t len;
};

struct attack {
	struct t_rand rand;
	int fd;
	uint8_t eth[14];
	uint8_t src[16];
	uint8_t dst[16];
	bool ipv6;
	unsigned int mtu;
	struct aim aims[ATTACK_MAX_AIMS];
	unsigned int nr_aims;
	const struct attack_key *keys;
	unsigned int nr_keys;
	/* packets of others that went to the victim, for replays */
	uint8_t kept[ATTACK_KEPT][ROCE_MAX_FRAME];
	size_t kept_len[ATTACK_KEPT];
	unsigned int nr_kept;
	/* the batch that is being filled */
	uint8_t out[ATTACK_BATCH][ROCE_MAX_FRAME];
	size_t out_len[ATTACK_BATCH];
	unsigned int nr_out;
	uint64_t sent;
	uint64_t lost; /* the socket did not take them */
	/* If set, what others send to a QP of an aim is shown to it */
	void (*seen)(const struct aim *aim, const struct roce_pkt *pkt);
	/* If set, packets are shown to it, IP header on, and not sent */
	void (*judge)(struct attack *at, const uint8_t *ip, size_t len,
		      bool icrc_matters);
};

/*
 * From the netdev of the peer, $SODP_NETDEV_B in the namespace
 * $SODP_NETNS_B, to the victim's. Addresses are GIDs.
 */
void attack_open(struct attack *at, uint64_t seed, const uint8_t *src,
		 const uint8_t *dst);
void attack_close(struct attack *at);
/* Learn from what passed by since the last call */
void attack_listen(struct attack *at);

/* A packet as the peer would send it: a request, or a response */
struct roce_pkt attack_pkt(struct attack *at, const struct aim *aim,
			   uint8_t opcode);
/* Forged payload, of random length up to max, with its padding */
void attack_payload(struct attack *at, struct roce_pkt *pkt, size_t len);
/* RETH or AtomicETH: a key, and an address under it or beside it */
void attack_key(struct attack *at, struct roce_pkt *pkt);

/* Into the batch, which is sent when it is full */
void attack_add(struct attack *at, const struct roce_pkt *pkt);
/* The same, built by the caller: IP header on; nothing is corrected */
uint8_t *attack_slot(struct attack *at);
void attack_push(struct attack *at, size_t len);
void attack_flush(struct attack *at);
/* One packet, IP header on, whose UDP checksum is said to be still to be done */
void attack_partial(struct attack *at, uint8_t *ip, size_t len);
/* One skb of several packets, as if segmentation were still to be done */
void attack_train(struct attack *at, const struct roce_pkt *pkts,
		  unsigned int nr, uint16_t gso_size);

/* What a correct receiver takes no notice of; one packet, or a few */
void attack_harmless(struct attack *at);
/* The same, of the kind attack_names[which] */
void attack_forge(struct attack *at, unsigned int which);
extern const char *const attack_names[];
extern uint64_t attack_counts[];
extern const unsigned int attack_nr;

#endif /* ATTACK_H */
