// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * On-demand memory on the wire: cold streams without a timeout, pages that
 * take seconds at either end, and what other queue pairs notice of them.
 */

#include <stdlib.h>

#include "wire.h"

#define COLD_SIZE (64UL << 20)
#define COLD_STEP (1UL << 20)
#define COLD_LONG (16UL << 20)
/* Of late pages; the rest of buffer 0 is for the other QPs */
#define LATE_SIZE (64UL << 10)
#define LATE_ROUNDS 3
/* Percent of their throughput that other QPs must keep, or $WIRE_KEEP */
#define BYSTANDER_MIN 80
/* Who is not let run for so long cannot tell a timeout from a stall */
#define STALL_MS (t_slow_kernel() ? 120 : 30)
#define OTHERS 3
#define OTHER_LEN (64U << 10)
#define OTHER_DEPTH 4
#define OTHER_BEGIN (LATE_SIZE + T_HUGE)
#define BUF_SIZE (OTHER_BEGIN + OTHERS * OTHER_DEPTH * OTHER_LEN)

static struct w_wire wire;

static void need_odp(const struct ibv_odp_caps *caps, const char *device,
		     enum t_kind kind)
{
	if (kind == T_PINNED)
		return;
	if (!(caps->general_caps & IBV_ODP_SUPPORT))
		t_skip("%s has no on-demand paging", w_kind_of(device));
	if (kind == T_IMPLICIT &&
	    !(caps->general_caps & IBV_ODP_SUPPORT_IMPLICIT))
		t_skip("%s has no implicit regions", w_kind_of(device));
}

static void open_all(uint64_t size, enum t_kind here, enum t_kind there,
		     unsigned int nr_qps)
{
	struct w_qp_opt opt = W_QP_OPT;
	unsigned int i;

	wire_open(&wire);
	need_odp(&wire.here.dev.attr.odp_caps, wire.here.dev.name, here);
	need_odp(&wire.there.odp, wire.there.device, there);
	wire_buf(&wire, 0, size, here, there, T_SMALL);
	/* The default of many applications: 67 ms; debug kernels need four */
	opt.timeout = t_slow_kernel() ? 16 : 14;
	for (i = 0; i < nr_qps; i++)
		wire_qp(&wire, i, &opt);
}

static void place_do(bool there, enum w_cmd cmd, const struct w_place *place)
{
	struct w_req req = { .cmd = cmd, .place = *place };
	struct w_rep rep = { 0 };

	if (there)
		peer_do(&wire.peer, &req, &rep);
	else
		end_do(&wire.here, &req, &rep);
	T_ASSERT(!rep.bad, "%s", rep.text);
}

static uint64_t counter_of(bool there, const char *name)
{
	struct w_req req = { .cmd = W_COUNTER };
	struct w_rep rep = { 0 };

	snprintf(req.name, sizeof(req.name), "%s", name);
	if (there)
		peer_do(&wire.peer, &req, &rep);
	else
		end_do(&wire.here, &req, &rep);
	T_ASSERT(!rep.bad, "no counter %s", name);
	return rep.value;
}

static void swap_do(bool there, bool on)
{
	struct w_req req = { .cmd = W_SWAP, .value = on };
	struct w_rep rep = { 0 };

	if (there)
		peer_do(&wire.peer, &req, &rep);
	else
		end_do(&wire.here, &req, &rep);
}

/* --- cold streams --- */

struct cold {
	enum t_kind here;
	enum t_kind there;
	enum ibv_wr_opcode opcode;
	enum w_cold source;
	enum w_cold target; /* W_GONE: fresh memory of the kernel */
	uint32_t step; /* bytes of a request; 0: COLD_STEP */
};

/* Pages that an end's device has had to ask for */
static uint64_t faulted(bool there)
{
	return counter_of(there, "page_fault_pages") +
	       counter_of(there, "page_prefetch_pages");
}

/* Each page of a cold end must have been brought back */
static void want_cold(const struct cold *c, bool there, uint64_t pages)
{
	bool source = there == (c->opcode == IBV_WR_RDMA_READ);
	enum w_cold cold = source ? c->source : c->target;
	enum t_kind kind = there ? c->there : c->here;

	if (kind == T_PINNED || cold == W_WARM)
		return;
	T_ASSERT(pages >= COLD_SIZE / T_PAGE, "%s: %llu pages of %lu were cold",
		 there ? "there" : "here", (unsigned long long)pages,
		 COLD_SIZE / T_PAGE);
}

/* One pass, up to four requests at a time; microseconds. */
static uint64_t cold_pass(const struct cold *c)
{
	uint32_t step = c->step ? c->step : COLD_STEP;
	uint64_t begin = t_now_ns();
	uint64_t posted = 0;
	uint64_t done = 0;

	while (done < COLD_SIZE / step) {
		while (posted < COLD_SIZE / step && posted - done < 4) {
			uint64_t off = posted * step;

			T_OK(wire_post(&wire, 0, c->opcode, posted, off, off,
				       step, 0));
			posted++;
		}
		t_want_wc(wire.here.qp[0].scq, done++, IBV_WC_SUCCESS);
	}
	return (t_now_ns() - begin) / 1000;
}

static void cold(void)
{
	const struct cold *c = t_this->arg;
	bool read = c->opcode == IBV_WR_RDMA_READ;
	uint64_t timeouts, again, parks[2], pages[2], cold_us, warm_us;
	struct w_place src = { .len = COLD_SIZE, .seed = 99 };
	struct w_place dst = src;

	src.cold = c->source;
	dst.cold = c->target;
	open_all(COLD_SIZE, c->here, c->there, 1);
	if (!w_counter(wire.here.dev.name, "timeouts", &timeouts))
		t_skip("%s does not count timeouts", wire.here.dev.name);
	if (src.cold == W_SWAPPED)
		swap_do(read, true);
	if (dst.cold == W_SWAPPED)
		swap_do(!read, true);
	place_do(read, W_SOURCE, &src);
	place_do(!read, W_TARGET, &dst);
	timeouts = counter_of(false, "timeouts");
	again = counter_of(false, "tx_retransmits");
	parks[0] = counter_of(false, "fault_parks");
	parks[1] = counter_of(true, "fault_parks");
	pages[0] = faulted(false);
	pages[1] = faulted(true);
	cold_us = cold_pass(c);
	timeouts = counter_of(false, "timeouts") - timeouts;
	again = counter_of(false, "tx_retransmits") - again;
	parks[0] = counter_of(false, "fault_parks") - parks[0];
	parks[1] = counter_of(true, "fault_parks") - parks[1];
	want_cold(c, false, faulted(false) - pages[0]);
	want_cold(c, true, faulted(true) - pages[1]);
	place_do(!read, W_CHECK, &dst);
	if (src.cold == W_SWAPPED)
		swap_do(read, false);
	if (dst.cold == W_SWAPPED)
		swap_do(!read, false);
	cold_pass(c);
	warm_us = cold_pass(c);
	T_ASSERT(!timeouts, "%llu timeouts in a cold stream",
		 (unsigned long long)timeouts);
	t_note("cold %llu ms, warm %llu ms, %llu packets sent again, "
	       "parked %llu times, peer %llu",
	       (unsigned long long)cold_us / 1000,
	       (unsigned long long)warm_us / 1000, (unsigned long long)again,
	       (unsigned long long)parks[0], (unsigned long long)parks[1]);
	wire_close(&wire);
}

static const struct cold colds[] = {
	{ T_PINNED, T_EXPLICIT, IBV_WR_RDMA_WRITE, W_WARM, W_GONE },
	{ T_EXPLICIT, T_IMPLICIT, IBV_WR_RDMA_WRITE, W_COLD, W_COLD },
	{ T_PINNED, T_EXPLICIT, IBV_WR_RDMA_READ, W_COLD, W_WARM },
	{ T_IMPLICIT, T_EXPLICIT, IBV_WR_RDMA_READ, W_COLD, W_GONE },
	{ T_PINNED, T_EXPLICIT, IBV_WR_RDMA_WRITE, W_WARM, W_SWAPPED },
	{ T_EXPLICIT, T_PINNED, IBV_WR_RDMA_WRITE, W_SWAPPED, W_WARM },
	{ T_EXPLICIT, T_IMPLICIT, IBV_WR_RDMA_READ, W_SWAPPED, W_GONE },
	/* In long requests, whose pages take longer than the timeout */
	{ T_PINNED, T_EXPLICIT, IBV_WR_RDMA_WRITE, W_WARM, W_GONE, COLD_LONG },
	{ T_EXPLICIT, T_EXPLICIT, IBV_WR_RDMA_READ, W_COLD, W_GONE, COLD_LONG },
	{ T_PINNED, T_EXPLICIT, IBV_WR_RDMA_WRITE, W_WARM, W_SWAPPED,
	  COLD_LONG },
};

/* --- pages that take seconds --- */

struct late {
	bool there;
	enum ibv_wr_opcode opcode;
	unsigned int ms;
	bool file;
};

/* Longest time that others_rate() itself stood still, ns */
static uint64_t stall;

static void note_stall(uint64_t *last)
{
	uint64_t now = t_now_ns();

	if (now - *last > stall)
		stall = now - *last;
	*last = now;
}

/* Bytes that the other QPs move in some time, bytes per second */
static uint64_t others_rate(unsigned int ms)
{
	uint64_t last = t_now_ns();
	uint64_t end = last + ms * 1000000ULL;
	unsigned int flying[OTHERS] = { 0 };
	uint64_t slot[OTHERS] = { 0 };
	uint64_t bytes = 0;
	unsigned int left;
	struct ibv_wc wc;
	unsigned int q;

	do {
		left = 0;
		note_stall(&last);
		for (q = 0; q < OTHERS; q++) {
			while (flying[q] < OTHER_DEPTH && t_now_ns() < end) {
				uint64_t n = q * OTHER_DEPTH +
					     slot[q]++ % OTHER_DEPTH;
				uint64_t off = OTHER_BEGIN + n * OTHER_LEN;

				T_OK(wire_post(&wire, q + 1,
					       IBV_WR_RDMA_WRITE, n, off, off,
					       OTHER_LEN, 0));
				flying[q]++;
			}
			while (ibv_poll_cq(wire.here.qp[q + 1].scq, 1, &wc)) {
				T_ASSERT(wc.status == IBV_WC_SUCCESS,
					 "another QP: '%s'",
					 t_wc_name(wc.status));
				bytes += OTHER_LEN;
				flying[q]--;
			}
			left += flying[q];
		}
	} while (left || t_now_ns() < end);
	return bytes * 1000 / ms;
}

static void late_delay(const struct late *l, uint64_t seed)
{
	struct w_req req = { .cmd = l->file ? W_DELAY_FILE : W_DELAY };
	struct w_rep rep = { 0 };

	req.ms = l->ms;
	req.place.len = LATE_SIZE;
	req.place.seed = seed;
	if (l->there)
		peer_do(&wire.peer, &req, &rep);
	else
		end_do(&wire.here, &req, &rep);
}

/* One round; what the others get meanwhile, in percent of what they got */
static unsigned int late_round(const struct late *l, uint64_t wr_id)
{
	bool read = l->opcode == IBV_WR_RDMA_READ;
	struct w_place src = { .len = LATE_SIZE, .seed = 7 };
	struct w_place dst = { .len = LATE_SIZE, .seed = 7 };
	bool source_late = read == l->there;
	uint64_t usual, meanwhile, begin;

	if (l->opcode == IBV_WR_SEND)
		dst.recv = W_RECV_MSG;
	place_do(read, W_SOURCE, &src);
	place_do(!read, W_TARGET, &dst);
	late_delay(l, source_late ? 7 : 8);
	usual = others_rate(1500);
	begin = t_now_ns();
	T_OK(wire_post(&wire, 0, l->opcode, wr_id, 0, 0, LATE_SIZE, 0));
	/* All of it within the delay */
	meanwhile = others_rate(1500);
	t_want_none(wire.here.qp[0].scq);
	t_want_wc(wire.here.qp[0].scq, wr_id, IBV_WC_SUCCESS);
	T_ASSERT(t_now_ns() - begin > (l->ms - 100) * 1000000ULL,
		 "pages were not late");
	place_do(!read, W_CHECK, &dst);
	t_diag("others: %llu kB/s, meanwhile %llu kB/s",
	       (unsigned long long)usual / 1000,
	       (unsigned long long)meanwhile / 1000);
	return usual ? meanwhile * 100 / usual : 0;
}

/*
 * A QP that waits for another one's page does not keep its share, and a
 * requester whose peer does not tell it in time that a page is late runs into
 * its timeout. The machine may have other things to do for longer than that:
 * the best of three rounds counts, and a round in which it stood still proves
 * nothing.
 */
static void late(void)
{
	unsigned int keep = w_env("WIRE_KEEP", BYSTANDER_MIN);
	const struct late *l = t_this->arg;
	uint64_t least = UINT64_MAX;
	unsigned int round, percent;
	unsigned int best = 0;
	unsigned int fair = 0;
	uint64_t timeouts;

	open_all(BUF_SIZE, T_EXPLICIT, T_EXPLICIT, 1 + OTHERS);
	others_rate(500);
	for (round = 0; round < LATE_ROUNDS && (best < keep || least);
	     round++) {
		stall = 0;
		timeouts = counter_of(false, "timeouts");
		percent = late_round(l, 2 * round);
		/* The connection goes on */
		T_OK(wire_post(&wire, 0, IBV_WR_RDMA_WRITE, 2 * round + 1, 0,
			       0, LATE_SIZE, 0));
		t_want_wc(wire.here.qp[0].scq, 2 * round + 1, IBV_WC_SUCCESS);
		timeouts = counter_of(false, "timeouts") - timeouts;
		t_diag("%u %%, %llu timeouts, stalls up to %llu ms", percent,
		       (unsigned long long)timeouts,
		       (unsigned long long)stall / 1000000);
		fair += stall < STALL_MS * 1000000ULL;
		if (percent > best)
			best = percent;
		if (timeouts < least)
			least = timeouts;
	}
	t_note("others keep %u %%, %llu timeouts, %u of %u rounds fair", best,
	       (unsigned long long)least, fair, round);
	T_ASSERT(best >= keep || !fair, "other QPs keep %u %%", best);
	T_ASSERT(!least || !fair, "%llu timeouts", (unsigned long long)least);
	wire_close(&wire);
}

static const struct late late_cases[] = {
	{ false, IBV_WR_RDMA_WRITE, 3000, false },
	{ false, IBV_WR_RDMA_READ, 3000, false },
	{ true, IBV_WR_RDMA_WRITE, 3000, false },
	{ true, IBV_WR_RDMA_READ, 3000, false },
	{ true, IBV_WR_SEND, 3000, false },
	{ true, IBV_WR_RDMA_WRITE, 5000, false },
	{ false, IBV_WR_SEND, 2000, true },
	{ true, IBV_WR_RDMA_READ, 2000, true },
	{ true, IBV_WR_RDMA_WRITE, 4000, true },
};

static const struct t_test tests[] = {
	{ "cold_write", cold, 240, &colds[0] },
	{ "cold_write_implicit", cold, 240, &colds[1] },
	{ "cold_read", cold, 240, &colds[2] },
	{ "cold_read_into", cold, 240, &colds[3] },
	{ "swapped_target", cold, 240, &colds[4] },
	{ "swapped_source", cold, 240, &colds[5] },
	{ "swapped_source_of_read", cold, 240, &colds[6] },
	{ "long_write", cold, 240, &colds[7] },
	{ "long_read", cold, 240, &colds[8] },
	{ "long_swapped_target", cold, 240, &colds[9] },
	{ "late_source", late, 120, &late_cases[0] },
	{ "late_sink_of_read", late, 120, &late_cases[1] },
	{ "late_target", late, 120, &late_cases[2] },
	{ "late_source_of_read", late, 120, &late_cases[3] },
	{ "late_receive", late, 120, &late_cases[4] },
	{ "late_target_5s", late, 120, &late_cases[5] },
	{ "slow_file_source", late, 120, &late_cases[6] },
	{ "slow_file_source_of_read", late, 120, &late_cases[7] },
	{ "slow_file_target", late, 120, &late_cases[8] },
};

int main(int argc, char **argv)
{
	t_patterns_init();
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
