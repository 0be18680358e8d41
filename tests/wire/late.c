// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pages that take seconds, for the transports that wire-paging has not. UC and
 * UD promise nothing of a message that meets such a page, but nothing else is
 * under way here: it waits and comes, and so does what follows.
 */

#include <sys/mman.h>

#include "common/t_uffd.h"
#include "leg.h"

#define LEN (1UL << 20)
#define LATE_OFF (LEN / 2)
#define LATE_MS 600
/* Of a datagram: GRH and this are below the path MTU's 1024 */
#define UD_BYTES 1000
#define BYTES (2 * T_PAGE)

static struct t_dev dev_a, dev_b;
static struct leg a, b;
static struct t_monitor monitor;

struct late {
	enum ibv_qp_type type;
	bool write; /* or messages */
	bool target; /* or the source is late */
};

static bool is_ud(void)
{
	return a.opt.type == IBV_QPT_UD;
}

static uint32_t length(void)
{
	return is_ud() ? UD_BYTES : BYTES;
}

static size_t grh(void)
{
	return is_ud() ? 40 : 0;
}

static void open_all(const struct late *l)
{
	struct leg_opt opt = LEG_OPT;

	leg_devices(&dev_a, &dev_b);
	t_need_odp(&dev_a);
	t_need_odp(&dev_b);
	opt.type = l->type;
	opt.odp = true;
	leg_open(&a, &dev_a, LEN, &opt);
	if (l->type == IBV_QPT_XRC_SEND)
		opt.type = IBV_QPT_XRC_RECV;
	leg_open(&b, &dev_b, LEN, &opt);
	leg_join(&a, &b);
}

static void post(const struct late *l, uint64_t wr_id, size_t off)
{
	struct ibv_qp_ex *qpx = leg_begin(&a, wr_id);

	if (l->write)
		ibv_wr_rdma_write_imm(qpx, b.mr->rkey, leg_addr(&b, off),
				      htobe32(wr_id));
	else
		ibv_wr_send_imm(qpx, htobe32(wr_id));
	leg_end(&a, &b, off, length());
}

static void post_recv(const struct late *l, size_t off)
{
	leg_recv(&b, off, l->write ? 0 : off, l->write ? 0 : length() + grh());
}

/* Message number wr_id, in the receive for @off; false: none came */
static bool received(uint64_t wr_id, size_t off, unsigned int ms)
{
	struct ibv_wc wc;

	if (!t_poll_for(b.rcq, &wc, ms))
		return false;
	T_ASSERT(wc.status == IBV_WC_SUCCESS && wc.wr_id == off &&
			 be32toh(wc.imm_data) == wr_id &&
			 wc.byte_len == length() + grh(),
		 "receive %llu of message %u, %u bytes: '%s'",
		 (unsigned long long)wc.wr_id, be32toh(wc.imm_data),
		 wc.byte_len, t_wc_name(wc.status));
	return true;
}

/* One that meets no late page */
static void want_message(const struct late *l, uint64_t wr_id, size_t off)
{
	post_recv(l, off);
	t_fill_data(a.buf + off, length(), wr_id, 0);
	post(l, wr_id, off);
	t_want_wc(a.scq, wr_id, IBV_WC_SUCCESS);
	T_ASSERT(received(wr_id, off, T_WAIT_MS), "message %llu did not come",
		 (unsigned long long)wr_id);
	T_ASSERT(t_check_data(b.buf + off + grh(), length(), wr_id, 0) < 0,
		 "message %llu", (unsigned long long)wr_id);
}

static void want_monitored(const char *p)
{
	unsigned char byte = 0x80 | ((uintptr_t)(a.buf + LATE_OFF) / T_PAGE &
				     0x7f);

	if (is_ud())
		T_ASSERT(t_check_byte(p, length(), byte) < 0,
			 "datagram from a late page");
	else
		t_want_monitored(p, a.buf + LATE_OFF, length() / T_PAGE);
}

static void late(void)
{
	const struct late *l = t_this->arg;
	struct leg *side = l->target ? &b : &a;
	uint64_t begin, took;
	unsigned int i;

	open_all(l);
	for (i = 1; i < 4; i++)
		want_message(l, i, i * (LEN / 8));
	if (l->target)
		t_fill_data(a.buf + LATE_OFF, length(), 9, 0);
	T_OK(madvise(side->buf + LATE_OFF, 16 * T_PAGE, MADV_DONTNEED));
	t_monitor_start(&monitor, side->buf + LATE_OFF, 16 * T_PAGE, LATE_MS);
	post_recv(l, LATE_OFF);
	begin = t_now_ns();
	post(l, 9, LATE_OFF);
	t_want_wc(a.scq, 9, IBV_WC_SUCCESS);
	T_ASSERT(received(9, LATE_OFF, 10 * LATE_MS + T_WAIT_MS),
		 "the message with late pages did not come");
	took = t_now_ns() - begin;
	T_ASSERT(took > LATE_MS * 1000000ULL, "pages were not late");
	if (l->target)
		T_ASSERT(t_check_data(b.buf + LATE_OFF + grh(), length(), 9,
				      0) < 0,
			 "the message with late pages");
	else
		want_monitored(b.buf + LATE_OFF + grh());
	for (i = 10; i < 14; i++)
		want_message(l, i, (i - 9) * (LEN / 16));
	t_note("%llu ms, %u pages late", (unsigned long long)took / 1000000,
	       monitor.served);
}

static const struct late cases[] = {
	{ IBV_QPT_UC, false, false },
	{ IBV_QPT_UC, false, true },
	{ IBV_QPT_UC, true, true },
	{ IBV_QPT_UD, false, false },
	{ IBV_QPT_UD, false, true },
	{ IBV_QPT_XRC_SEND, false, false },
	{ IBV_QPT_XRC_SEND, false, true },
	{ IBV_QPT_XRC_SEND, true, true },
};

static const struct t_test tests[] = {
	{ "uc_source", late, 120, &cases[0] },
	{ "uc_receive", late, 120, &cases[1] },
	{ "uc_target", late, 120, &cases[2] },
	{ "ud_source", late, 120, &cases[3] },
	{ "ud_receive", late, 120, &cases[4] },
	{ "xrc_source", late, 120, &cases[5] },
	{ "xrc_receive", late, 120, &cases[6] },
	{ "xrc_target", late, 120, &cases[7] },
};

int main(int argc, char **argv)
{
	t_patterns_init();
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
