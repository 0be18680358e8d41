// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The invariant CRC of RoCEv2: a CRC-32 over the packet from the IP header
 * to the padding, with what routers change taken as ones. IBA A17.3.4.
 */
#include <crypto/hash.h>
#include <linux/crc32.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "compat.h"
#include "net/net.h"

/* CRC of 8 bytes of ones, which stand for the LRH that RoCE has not */
#define ICRC_SEED	0xdebb20e3

#ifdef HAVE_CRC32_OPTIMIZATIONS
int sodp_icrc_init(void)
{
	return 0;
}

void sodp_icrc_exit(void)
{
}

u32 sodp_icrc_add(u32 crc, const void *data, u32 len)
{
	return crc32_le(crc, data, len);
}
#else
/* Below this, getting at the vector unit costs more than it saves */
#define ICRC_MIN_ACCEL	128

static struct crypto_shash *icrc_tfm;

/**
 * sodp_icrc_init() - find the CPU's own way to do CRC-32
 *
 * Context: process, may sleep.
 * Return: 0; the absence of any but the library's is no error.
 */
int sodp_icrc_init(void)
{
	struct crypto_shash *tfm = crypto_alloc_shash("crc32", 0, 0);

	if (IS_ERR(tfm))
		return 0;
	if (crypto_shash_descsize(tfm) == sizeof(u32) &&
	    crypto_shash_statesize(tfm) == sizeof(u32))
		icrc_tfm = tfm;
	else
		crypto_free_shash(tfm);
	return 0;
}

void sodp_icrc_exit(void)
{
	if (icrc_tfm)
		crypto_free_shash(icrc_tfm);
	icrc_tfm = NULL;
}

/**
 * sodp_icrc_add() - go on with a CRC
 * @crc: so far
 * @data: what follows
 * @len: bytes of it
 *
 * Context: any.
 * Return: the CRC, not yet inverted.
 */
u32 sodp_icrc_add(u32 crc, const void *data, u32 len)
{
	if (len >= ICRC_MIN_ACCEL && icrc_tfm) {
		SHASH_DESC_ON_STACK(desc, icrc_tfm);
		u32 state = crc;

		desc->tfm = icrc_tfm;
		if (!crypto_shash_import(desc, &state) &&
		    !crypto_shash_update(desc, data, len) &&
		    !crypto_shash_export(desc, &state))
			return state;
	}
	return crc32_le(crc, data, len);
}
#endif

/**
 * sodp_icrc_begin() - mask the headers that packets of a train share
 * @icrc: result
 * @ip_hdr: IP header, without options
 * @ipv6: which
 * @sport: UDP source port, host order
 *
 * Context: any.
 */
void sodp_icrc_begin(struct sodp_icrc *icrc, const void *ip_hdr, bool ipv6,
		     u16 sport)
{
	struct udphdr *udp;

	icrc->ipv6 = ipv6;
	if (ipv6) {
		struct ipv6hdr *ip6 = (struct ipv6hdr *)icrc->hdr;

		icrc->ip_len = sizeof(*ip6);
		memcpy(ip6, ip_hdr, sizeof(*ip6));
		/* Traffic class, flow label, hop limit */
		*(__be32 *)ip6 |= htonl(0x0fffffff);
		ip6->hop_limit = 0xff;
	} else {
		struct iphdr *ip = (struct iphdr *)icrc->hdr;

		icrc->ip_len = sizeof(*ip);
		memcpy(ip, ip_hdr, sizeof(*ip));
		ip->tos = 0xff;
		ip->ttl = 0xff;
		ip->check = ~(__force __sum16)0;
	}
	udp = (struct udphdr *)(icrc->hdr + icrc->ip_len);
	udp->source = htons(sport);
	udp->dest = htons(SODP_UDP_PORT);
	udp->check = ~(__force __sum16)0;
}

/**
 * sodp_icrc_packet() - CRC of one packet's IP, UDP and BTH
 * @icrc: from sodp_icrc_begin()
 * @ip_id: its IPv4 identification, host order
 * @len: its bytes from the BTH to the padding, ICRC left out
 * @bth: its BTH
 *
 * Context: any.
 * Return: to be continued by sodp_icrc_add() with what follows the BTH; the
 * ICRC is the complement of that, little endian.
 */
u32 sodp_icrc_packet(struct sodp_icrc *icrc, u16 ip_id, u32 len,
		     const u8 *bth)
{
	u32 udp_len = sizeof(struct udphdr) + len + SODP_ICRC_BYTES;
	struct udphdr *udp = (struct udphdr *)(icrc->hdr + icrc->ip_len);
	u8 *masked = (u8 *)(udp + 1);

	if (icrc->ipv6) {
		struct ipv6hdr *ip6 = (struct ipv6hdr *)icrc->hdr;

		ip6->payload_len = htons(udp_len);
	} else {
		struct iphdr *ip = (struct iphdr *)icrc->hdr;

		ip->tot_len = htons(sizeof(*ip) + udp_len);
		ip->id = htons(ip_id);
	}
	udp->len = htons(udp_len);
	memcpy(masked, bth, SODP_BTH_BYTES);
	/* FECN, BECN and reserved bits */
	masked[4] = 0xff;
	return crc32_le(ICRC_SEED, icrc->hdr, icrc->ip_len + sizeof(*udp) +
			SODP_BTH_BYTES);
}
