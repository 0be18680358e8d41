/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* What a QP does to a network that others use too: all of it in one place */
#ifndef SODP_WIRE_POLICY_H
#define SODP_WIRE_POLICY_H

#include <linux/compiler.h>
#include <linux/sizes.h>
#include <linux/time64.h>
#include <linux/types.h>

/**
 * struct sodp_policy - how much, how fast, and when less
 * @window: PSNs on their way and not acknowledged, at most
 * @window_first: likewise at the start, and after a rest: it doubles with
 *	every round trip from there on, until something is in its way
 * @window_least: never less, whatever the network says
 * @ack_every: packets that leave without asking for an acknowledge
 * @read_chunk: packets of a READ asked for with one request, at most
 * @hold: a small message posted while so many PSNs are on their way goes out
 *	with others, when the answer to those is taken
 * @hold_ns: but only where answers can come sooner than this
 * @records: WQEs begun and not completed
 * @loss_keep: sixteenths of the window that a loss leaves
 * @cnp_keep: and a CNP, or CE on answers; either counts once a round trip
 * @delay_ns: packets that wait longer than this in queues on the way are too
 *	many: the window shrinks as if to take that time back
 * @base_ns: what a round trip takes without queues is looked at anew after
 *	so long
 * @cnp_gap_ns: between two CNPs of one QP
 * @rxq_cnp_bytes: requests waiting to be carried out; beyond that the peer is
 *	sent CNPs, long before they have to be dropped
 * @pace_first: READ data of one QP in a millisecond, from the first CNP on
 * @pace_least: each further millisecond with a CNP halves it, as far as this
 * @pace_most: each one without adds an eighth; beyond this there is no limit
 */
struct sodp_policy {
	u32 window;
	u32 window_first;
	u32 window_least;
	u32 ack_every;
	u32 read_chunk;
	u32 hold;
	u32 hold_ns;
	u32 records;
	u32 loss_keep;
	u32 cnp_keep;
	u64 delay_ns;
	u64 base_ns;
	u64 cnp_gap_ns;
	u32 rxq_cnp_bytes;
	u32 pace_first;
	u32 pace_least;
	u32 pace_most;
};

static const struct sodp_policy __maybe_unused sodp_policy = {
	.window = 256,
	.window_first = 16,
	.window_least = 2,
	.ack_every = 16,
	.read_chunk = 128,
	.hold = 16,
	.hold_ns = 500 * NSEC_PER_USEC,
	.records = 256,
	.loss_keep = 11,
	.cnp_keep = 12,
	.delay_ns = 10 * NSEC_PER_MSEC,
	.base_ns = 10 * NSEC_PER_SEC,
	.cnp_gap_ns = 50 * NSEC_PER_USEC,
	.rxq_cnp_bytes = 3 * SZ_1M,
	.pace_first = SZ_128K,
	.pace_least = SZ_4K,
	.pace_most = SZ_16M,
};

#endif /* SODP_WIRE_POLICY_H */
