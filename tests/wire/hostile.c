// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Hostile packets. What must be ignored comes while honest traffic goes on
 * between the same queue pairs; every byte and every completion of that must
 * be right, and memory that no honest packet names must stay as it was.
 * What a peer may believe kills one QP, with the right status, and no other.
 *
 *	$SODP_SEED: of the forgeries, printed; $SODP_PACKETS: how many
 */

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include "hostile.h"

#define KIB 1024UL
#define SRC 0
#define WRITTEN (64 * KIB)
#define RECEIVED (128 * KIB)
#define READ_SRC (160 * KIB)
#define READ_DST (192 * KIB)
#define COUNTER (224 * KIB)
#define MAX_MSG 6000
#define SLAB_LIMIT_KB (24 * KIB)

static uint64_t env_number(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : fallback;
}

static void guards_open(struct scene *s)
{
	struct guards *g = &s->guards;
	struct ibv_mr *stale;

	g->map = t_map(7 * T_PAGE);
	t_fill_background(g->map, 7 * T_PAGE);
	g->ro = t_reg(s->a.pd, g->map + T_PAGE, T_PAGE, IBV_ACCESS_REMOTE_READ);
	g->local = t_reg(s->a.pd, g->map + 3 * T_PAGE, T_PAGE,
			 IBV_ACCESS_LOCAL_WRITE);
	stale = t_reg(s->a.pd, g->map + 5 * T_PAGE, T_PAGE, T_ACCESS_ALL);
	g->keys[1] = (struct attack_key){ "read only", g->ro->rkey,
					  (uintptr_t)g->map + T_PAGE, T_PAGE };
	g->keys[2] = (struct attack_key){ "local", g->local->rkey,
					  (uintptr_t)g->map + 3 * T_PAGE,
					  T_PAGE };
	g->keys[3] = (struct attack_key){ "stale", stale->rkey,
					  (uintptr_t)g->map + 5 * T_PAGE,
					  T_PAGE };
	t_dereg(stale);
}

void scene_open(struct scene *s, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	leg_devices(&s->a, &s->b);
	guards_open(s);
	t_diag("seed %llu", (unsigned long long)seed);
	attack_open(&s->at, seed, s->b.gid.raw, s->a.gid.raw);
	s->at.mtu = 1024;
	s->at.keys = s->guards.keys + 1;
	s->at.nr_keys = 3;
}

void pair_quiet(struct pair *p)
{
	t_fill_background(p->a.buf + HOST_HALF, HOST_HALF);
	t_fill_background(p->b.buf + HOST_HALF, HOST_HALF);
	t_fill_data(p->a.buf + READ_SRC, MAX_MSG, 77, 0);
	t_fill_data(p->b.buf + READ_SRC, MAX_MSG, 77, 0);
}

void pair_open(struct scene *s, struct pair *p, const struct leg_opt *opt)
{
	struct leg_opt victim = *opt;

	if (opt->type == IBV_QPT_XRC_SEND)
		victim.type = IBV_QPT_XRC_RECV;
	leg_open(&p->a, &s->a, HOST_LEN, &victim);
	leg_open(&p->b, &s->b, HOST_LEN, opt);
	pair_quiet(p);
	leg_join(&p->a, &p->b);
}

void pair_aim(struct scene *s, const struct pair *p)
{
	static const unsigned int transports[] = {
		[IBV_QPT_RC] = ROCE_RC,
		[IBV_QPT_UC] = ROCE_UC,
		[IBV_QPT_UD] = ROCE_UD,
		[IBV_QPT_XRC_RECV] = ROCE_XRC,
	};
	struct aim *aim = &s->at.aims[s->at.nr_aims++];

	*aim = (struct aim){
		.transport = transports[p->a.opt.type],
		.qpn = p->a.qp->qp_num,
		.peer_qpn = p->b.qp->qp_num,
		.next = p->b.opt.psn,
		.sent = roce_psn_add(p->a.opt.psn, -1),
		.qkey = LEG_QKEY,
		.srqn = p->a.srqn,
	};
	if (p->a.opt.type != IBV_QPT_RC)
		return;
	/* The right key too: of memory that honest packets leave alone */
	s->guards.keys[0] = (struct attack_key){ "all", p->a.mr->rkey,
						 leg_addr(&p->a, HOST_HALF),
						 HOST_HALF };
	s->at.keys = s->guards.keys;
	s->at.nr_keys = 4;
}

void scene_check(struct scene *s, const struct pair *p)
{
	int64_t off = t_check_background(s->guards.map, 7 * T_PAGE);

	T_ASSERT(off < 0, "byte %lld of the guards was written",
		 (long long)off);
	off = t_check_background(p->a.buf + HOST_HALF, HOST_HALF);
	T_ASSERT(off < 0, "byte %lld of the quiet half was written",
		 (long long)off);
	off = t_check_background(p->b.buf + HOST_HALF, HOST_HALF);
	T_ASSERT(off < 0, "byte %lld of the peer's quiet half was written",
		 (long long)off);
}

static uint32_t honest_len(uint64_t round, unsigned int what)
{
	struct t_rand r = { .state = round * 8 + what };

	return 1 + t_rand_below(&r, MAX_MSG);
}

static void honest_rc(struct leg *from, struct leg *to, uint64_t round)
{
	struct ibv_qp_ex *qpx;

	t_fill_data(from->buf + SRC, MAX_MSG, round, 0);
	leg_recv(to, 10, RECEIVED, MAX_MSG);
	qpx = leg_begin(from, 1);
	ibv_wr_rdma_write(qpx, to->mr->rkey, leg_addr(to, WRITTEN));
	leg_end(from, to, SRC, honest_len(round, 0));
	qpx = leg_begin(from, 2);
	ibv_wr_send(qpx);
	leg_end(from, to, SRC, honest_len(round, 1));
	qpx = leg_begin(from, 3);
	ibv_wr_rdma_read(qpx, to->mr->rkey, leg_addr(to, READ_SRC));
	leg_end(from, to, READ_DST, honest_len(round, 2));
	qpx = leg_begin(from, 4);
	ibv_wr_atomic_fetch_add(qpx, to->mr->rkey, leg_addr(to, COUNTER), 1);
	leg_end(from, to, COUNTER + 64, 8);
}

static void honest_rc_done(struct leg *from, struct leg *to, uint64_t round)
{
	uint64_t *was = (uint64_t *)(from->buf + COUNTER + 64);
	uint64_t *is = (uint64_t *)(to->buf + COUNTER);
	struct ibv_wc wc;
	unsigned int i;

	for (i = 1; i <= 4; i++)
		t_want_wc(from->scq, i, IBV_WC_SUCCESS);
	wc = t_want_wc(to->rcq, 10, IBV_WC_SUCCESS);
	T_ASSERT(wc.byte_len == honest_len(round, 1), "SEND of %u bytes",
		 wc.byte_len);
	T_ASSERT(t_check_data(to->buf + WRITTEN, honest_len(round, 0), round,
			      0) < 0,
		 "data of a WRITE");
	T_ASSERT(t_check_data(to->buf + RECEIVED, wc.byte_len, round, 0) < 0,
		 "data of a SEND");
	T_ASSERT(t_check_data(from->buf + READ_DST, honest_len(round, 2), 77,
			      0) < 0,
		 "data of a READ");
	T_ASSERT(*is == *was + 1, "counter %llu, was %llu",
		 (unsigned long long)*is, (unsigned long long)*was);
	memset(from->buf + READ_DST, 0, MAX_MSG);
}

/* Unreliable: what comes must be right, most of it must come */
static unsigned int datagrams, datagrams_lost;

static void honest_send(struct leg *from, struct leg *to, uint64_t round)
{
	uint32_t len = 1 + honest_len(round, 0) % 1000;
	struct ibv_qp_ex *qpx;

	t_fill_data(from->buf + SRC, len, round, 0);
	leg_recv(to, 10, RECEIVED, MAX_MSG);
	qpx = leg_begin(from, 1);
	ibv_wr_send(qpx);
	leg_end(from, to, SRC, len);
	t_want_wc(from->scq, 1, IBV_WC_SUCCESS);
}

static void honest_send_done(struct leg *from, struct leg *to, uint64_t round)
{
	size_t off = to->opt.type == IBV_QPT_UD ? 40 : 0;
	uint32_t len = 1 + honest_len(round, 0) % 1000;
	struct ibv_wc wc;

	datagrams++;
	if (!t_poll_for(to->rcq, &wc, 500)) {
		datagrams_lost++;
		leg_reset(to); /* the receive goes */
		leg_reset(from);
		leg_join(from, to);
		return;
	}
	T_ASSERT(wc.status == IBV_WC_SUCCESS, "%s", t_wc_name(wc.status));
	T_ASSERT(wc.byte_len == len + off, "%u bytes of %u", wc.byte_len, len);
	T_ASSERT(t_check_data(to->buf + RECEIVED + off, len, round, 0) < 0,
		 "data");
}

void honest_post(struct pair *p, uint64_t round)
{
	if (p->a.opt.type == IBV_QPT_RC) {
		honest_rc(&p->a, &p->b, round);
		honest_rc(&p->b, &p->a, round + 1);
	} else if (p->a.opt.type == IBV_QPT_XRC_RECV) {
		honest_rc(&p->b, &p->a, round);
	} else {
		honest_send(&p->b, &p->a, round);
	}
}

void honest_wait(struct pair *p, uint64_t round)
{
	t_case("honest traffic, round %llu", (unsigned long long)round);
	if (p->a.opt.type == IBV_QPT_RC) {
		honest_rc_done(&p->a, &p->b, round);
		honest_rc_done(&p->b, &p->a, round + 1);
	} else if (p->a.opt.type == IBV_QPT_XRC_RECV) {
		honest_rc_done(&p->b, &p->a, round);
	} else {
		honest_send_done(&p->b, &p->a, round);
	}
}

static uint64_t slab_kb(void)
{
	char line[128];
	uint64_t kb = 0;
	FILE *f = fopen("/proc/meminfo", "r");

	T_ASSERT(f, "meminfo");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "SUnreclaim: %lu", &kb) == 1)
			break;
	fclose(f);
	return kb;
}

static void want_bounded(uint64_t before)
{
	uint64_t after = 0;
	unsigned int tries;

	/* RCU and delayed work take their time */
	for (tries = 0; tries < 50; tries++) {
		after = slab_kb();
		if (after < before + SLAB_LIMIT_KB)
			return;
		t_sleep_ms(100);
	}
	t_fail("slab grew from %llu to %llu KiB", (unsigned long long)before,
	       (unsigned long long)after);
}

static uint64_t how_many(uint64_t normal)
{
	return env_number("SODP_PACKETS",
			  t_quick ? normal / 10 : t_full ? 50 * normal :
							   normal);
}

static void say_counts(struct scene *s, uint64_t began)
{
	uint64_t ms = (t_now_ns() - began) / 1000000 + 1;
	unsigned int i;

	attack_flush(&s->at);
	for (i = 0; i < attack_nr; i++)
		if (attack_counts[i])
			t_diag("%-20s %llu", attack_names[i],
			       (unsigned long long)attack_counts[i]);
	t_note("%llu hostile packets, %llu/s, %llu not sent",
	       (unsigned long long)s->at.sent,
	       (unsigned long long)(s->at.sent * 1000 / ms),
	       (unsigned long long)s->at.lost);
}

/* Pages that the device has to fault in again while the packets come */
static void make_cold(struct scene *s, struct pair *p)
{
	if (!p->a.opt.odp || !t_has_odp(&s->a, 0))
		return;
	T_OK(madvise(p->a.buf, HOST_HALF, MADV_DONTNEED));
	T_OK(madvise(p->b.buf, HOST_HALF, MADV_DONTNEED));
	t_fill_data(p->a.buf + READ_SRC, MAX_MSG, 77, 0);
	t_fill_data(p->b.buf + READ_SRC, MAX_MSG, 77, 0);
}

/* Packets that the victim's device threw away, and of how many at least one */
static const struct {
	const char *name;
	unsigned int of;
} refusals[] = {
	{ "rx_icrc_errors", 100 },
	{ "rx_malformed", 4 },
	{ "rx_drops", 20 },
};

struct refused {
	bool counted;
	uint64_t value[T_ARRAY_SIZE(refusals)];
};

static struct refused refused_now(const struct scene *s)
{
	struct refused r = { .counted = true };
	unsigned int i;

	for (i = 0; i < T_ARRAY_SIZE(refusals); i++)
		r.counted &= t_read_counter(&s->a, refusals[i].name,
					   &r.value[i]);
	return r;
}

/* Sockets take trains of UDP since 6.2 */
static bool takes_trains(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	T_ASSERT(!uname(&name) &&
			 sscanf(name.release, "%u.%u", &major, &minor) == 2,
		 "kernel release");
	return major > 6 || (major == 6 && minor >= 2);
}

/* The forgeries came as far as the device, or nothing was tested */
static void want_refused(const struct scene *s, const struct refused *before)
{
	struct refused now = refused_now(s);
	uint64_t n, sum = 0, lost = s->at.lost;
	unsigned int i;

	if (!takes_trains())
		lost -= attack_counts[attack_nr - 1];
	T_ASSERT(lost * 20 <= s->at.sent, "%llu not sent, %llu sent",
		 (unsigned long long)lost, (unsigned long long)s->at.sent);
	if (!now.counted || getenv("SODP_ATTACK_ONLY"))
		return;
	for (i = 0; i < T_ARRAY_SIZE(refusals); i++) {
		n = now.value[i] - before->value[i];
		sum += n;
		t_diag("%-20s %llu", refusals[i].name, (unsigned long long)n);
		T_ASSERT(n * refusals[i].of >= s->at.sent,
			 "%s grew by %llu only", refusals[i].name,
			 (unsigned long long)n);
	}
	T_ASSERT(sum * 2 >= s->at.sent, "%llu of %llu were refused",
		 (unsigned long long)sum, (unsigned long long)s->at.sent);
}

/* Rounds of honest traffic, a batch of hostile packets in each */
static void survive(struct scene *s, struct pair *pairs, unsigned int nr,
		    uint64_t packets)
{
	uint64_t began = t_now_ns(), slab = slab_kb();
	struct refused before = refused_now(s);
	unsigned int i;

	while (s->at.sent < packets) {
		s->round += 2;
		for (i = 0; i < nr; i++) {
			if (s->round % 8 == 0)
				make_cold(s, &pairs[i]);
			honest_post(&pairs[i], s->round);
		}
		attack_listen(&s->at);
		for (i = 0; i < ATTACK_BATCH; i++)
			attack_harmless(&s->at);
		attack_flush(&s->at);
		for (i = 0; i < nr; i++)
			honest_wait(&pairs[i], s->round);
		if (s->round % 128 == 0)
			for (i = 0; i < nr; i++)
				scene_check(s, &pairs[i]);
	}
	say_counts(s, began);
	want_refused(s, &before);
	for (i = 0; i < nr; i++) {
		t_case("afterwards, pair %u", i);
		scene_check(s, &pairs[i]);
		T_ASSERT(leg_state(&pairs[i].a) == IBV_QPS_RTS &&
				 leg_state(&pairs[i].b) == IBV_QPS_RTS,
			 "a QP left RTS");
		t_want_none(pairs[i].a.scq);
		t_want_none(pairs[i].a.rcq);
	}
	T_ASSERT(datagrams_lost * 4 <= datagrams, "%u of %u datagrams lost",
		 datagrams_lost, datagrams);
	want_bounded(slab);
}

static struct scene scene;

/* An RC pair alone; then with pairs of all kinds beside it, and ODP */
static void survive_rc(void)
{
	struct leg_opt opt = LEG_OPT;
	static struct pair pair;

	scene_open(&scene, env_number("SODP_SEED", 1));
	pair_open(&scene, &pair, &opt);
	pair_aim(&scene, &pair);
	survive(&scene, &pair, 1, how_many(30000));
}

static void survive_mixed(void)
{
	static const enum ibv_qp_type types[] = { IBV_QPT_RC, IBV_QPT_UC,
						  IBV_QPT_UD,
						  IBV_QPT_XRC_SEND };
	static struct pair pairs[T_ARRAY_SIZE(types)];
	unsigned int i, nr = T_ARRAY_SIZE(types);
	struct leg_opt opt = LEG_OPT;

	scene_open(&scene, env_number("SODP_SEED", 2));
	if (!(scene.a.attr.orig_attr.device_cap_flags & IBV_DEVICE_XRC))
		nr--;
	opt.odp = true;
	for (i = 0; i < nr; i++) {
		opt.type = types[i];
		pair_open(&scene, &pairs[i], &opt);
		pair_aim(&scene, &pairs[i]);
	}
	survive(&scene, pairs, nr, how_many(20000));
}

/* A device on which there is no QP but the GSI's */
static void no_qp(void)
{
	uint64_t began, packets = how_many(20000), slab;
	struct aim aim = { .transport = ROCE_RC, .qpn = 0x11 };

	scene_open(&scene, env_number("SODP_SEED", 3));
	scene.at.aims[scene.at.nr_aims++] = aim;
	aim.transport = ROCE_UD;
	aim.qkey = 0x80010000;
	aim.qpn = 1;
	scene.at.aims[scene.at.nr_aims++] = aim;
	slab = slab_kb();
	began = t_now_ns();
	while (scene.at.sent < packets)
		attack_harmless(&scene.at);
	say_counts(&scene, began);
	T_ASSERT(t_check_background(scene.guards.map, 7 * T_PAGE) < 0,
		 "the guards were written");
	want_bounded(slab);
}

static const struct t_test tests[] = {
	{ "survive_rc", survive_rc, 1800 },
	{ "survive_mixed", survive_mixed, 1800 },
	{ "no_qp", no_qp, 600 },
	{ "responder", hostile_responder, 120 },
	{ "responder_storm", hostile_responder_storm, 600 },
	{ "uc_twice", hostile_uc_twice },
	{ "uc_refused", hostile_uc_refused },
	{ "requester", hostile_requester, 120 },
	{ "requester_storm", hostile_requester_storm, 600 },
	{ "dup_atomic", dup_atomic },
	{ "dup_read", dup_read },
	{ "dup_message", dup_message },
	{ "dup_inside", dup_inside },
	{ "partial_icrc", partial_icrc },
	{ "read_lost", read_lost, 120 },
	{ "read_late", read_late, 120 },
	{ "rd_limit", watch_rd_limit },
	{ "credits", watch_credits },
	{ "acks", watch_acks },
	{ "small", watch_small },
	{ "gap", watch_gap },
	{ "ports", watch_ports },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
