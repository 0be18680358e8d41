/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What QPs do to a network, a host and its memory that others use too: all of
 * it in one place
 */
#ifndef SODP_POLICY_H
#define SODP_POLICY_H

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
 * @queue_bytes: packets that wait for one side of a QP, by truesize; more are
 *	dropped (counted)
 * @queue_skbs: likewise, by number
 * @queue_unacked: @queue_bytes where nobody answers, and so without a window:
 *	what comes while a page is waited for has to fit. Packets of 4 KiB that
 *	a virtual NIC did not merge hold up to 10 KiB each
 * @queue_own: bytes that a queue may have whatever others have: a train
 * @queues_share: all queues of a device beyond that: such a part of memory
 * @queues_least: but so much at least
 * @queues_most: and at most
 * @turn_packets: taken from a queue in one turn, before others get theirs
 * @turn_unacked: bytes sent in one turn where nobody answers: nothing else lets
 *	the receiver keep up
 * @ack_packets: an acknowledge that was asked for is sent after so many
 * @near_bytes: sent to a QP of this host by way of the stack, then its
 *	responder is run: it finds them in the CPU's cache
 * @look_back: trains in a queue among which the beginning of a repetition is
 *	looked for
 * @refused_ns: what the stack had no room for is tried again after so long
 * @refused_steps: it doubles so often
 * @retry_least_ns: what a host can be late without being gone, whatever the
 *	timeout says
 * @stuck_ms: a queue of this host that sends nothing for so long is no queue
 * @patience_ms: a wait for a page that is longer would run into peers'
 *	timeouts
 * @alive_per_timeout: a peer with our own timeout hears of us so many times
 *	in it,
 * @alive_most_ms: but no more seldom than this
 * @rnr_first: AETH timer that a peer is sent away with: 5.12 ms,
 * @rnr_step: then longer,
 * @rnr_last: to 327.68 ms
 * @probe_trips: round trips of a moment without packets in queues: to be told
 *	of it, and to see the queues gone
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
	u32 queue_bytes;
	u32 queue_skbs;
	u32 queue_unacked;
	u32 queue_own;
	u32 queues_share;
	u64 queues_least;
	u64 queues_most;
	u32 turn_packets;
	u64 turn_unacked;
	u32 ack_packets;
	u32 near_bytes;
	u32 look_back;
	u64 refused_ns;
	u8 refused_steps;
	u64 retry_least_ns;
	u32 stuck_ms;
	u32 patience_ms;
	u32 alive_per_timeout;
	u32 alive_most_ms;
	u8 rnr_first;
	u8 rnr_step;
	u8 rnr_last;
	u32 probe_trips;
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
	.queue_bytes = SZ_4M,
	.queue_skbs = 2048,
	.queue_unacked = SZ_32M,
	.queue_own = SZ_128K,
	.queues_share = 32,
	.queues_least = SZ_16M,
	.queues_most = SZ_512M,
	.turn_packets = 1024,
	.turn_unacked = SZ_1M,
	.ack_packets = 64,
	.near_bytes = SZ_32K,
	.look_back = 64,
	.refused_ns = NSEC_PER_MSEC,
	.refused_steps = 5,
	.retry_least_ns = NSEC_PER_MSEC,
	.stuck_ms = 2 * MSEC_PER_SEC,
	.patience_ms = 4,
	.alive_per_timeout = 4,
	.alive_most_ms = 250,
	.rnr_first = 18,
	.rnr_step = 4,
	.rnr_last = 30,
	.probe_trips = 3,
	.pace_first = SZ_128K,
	.pace_least = SZ_4K,
	.pace_most = SZ_16M,
};

#endif /* SODP_POLICY_H */
