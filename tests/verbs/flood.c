// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Datagrams in numbers to a queue pair that does not take them: they are lost,
 * and neither their sender nor those that it also sends to are held up. And
 * one that cannot be sent
 */

#include <stdlib.h>
#include <sys/mman.h>

#include "common/t_mem.h"
#include "common/t_rdma.h"
#include "common/t_uffd.h"

#define QKEY 0x666
#define BYTES 512
#define GRH 40
#define CHAIN 32
/* More than a queue pair's queue takes: sodp_policy.queue_skbs */
#define CHAINS 80
#define QUEUE 2048

/* A UD queue pair with a page for data and one for receives */
struct end {
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_mr *mr;
	char *buf;
};

struct scene {
	struct t_dev dev;
	struct ibv_ah *ah;
	struct end from;
	struct end stuck;
	struct end good;
};

static void end_states(struct end *end)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = T_PORT,
		.qkey = QKEY,
	};

	T_OK(ibv_modify_qp(end->qp, &attr,
			   IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				   IBV_QP_QKEY));
	attr.qp_state = IBV_QPS_RTR;
	T_OK(ibv_modify_qp(end->qp, &attr, IBV_QP_STATE));
	attr.qp_state = IBV_QPS_RTS;
	T_OK(ibv_modify_qp(end->qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN));
}

static void end_open(struct scene *s, struct end *end, unsigned int access)
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_UD,
		.cap = { 2 * CHAIN, 4, 1, 1, 0 },
	};

	end->cq = ibv_create_cq(s->dev.ctx, 4 * CHAIN, NULL, NULL, 0);
	T_ASSERT(end->cq, "ibv_create_cq: %s", t_errname(errno));
	init.send_cq = end->cq;
	init.recv_cq = end->cq;
	end->qp = ibv_create_qp(s->dev.pd, &init);
	T_ASSERT(end->qp, "ibv_create_qp: %s", t_errname(errno));
	end->buf = t_map(2 * T_PAGE);
	end->mr = t_reg(s->dev.pd, end->buf, 2 * T_PAGE,
			IBV_ACCESS_LOCAL_WRITE | access);
	end_states(end);
}

static void scene_open(struct scene *s, bool odp)
{
	struct ibv_ah_attr attr = { .is_global = 1, .port_num = T_PORT };

	memset(s, 0, sizeof(*s));
	t_open(&s->dev);
	if (odp)
		t_need_odp(&s->dev);
	attr.grh.dgid = s->dev.gid;
	attr.grh.sgid_index = s->dev.gid_index;
	attr.grh.hop_limit = 1;
	s->ah = ibv_create_ah(s->dev.pd, &attr);
	T_ASSERT(s->ah, "ibv_create_ah: %s", t_errname(errno));
	end_open(s, &s->from, 0);
	end_open(s, &s->stuck, odp ? IBV_ACCESS_ON_DEMAND : 0);
	end_open(s, &s->good, 0);
}

static void end_recv(struct end *end)
{
	struct ibv_sge sge = t_sge(end->mr, end->buf + T_PAGE, GRH + BYTES);
	struct ibv_recv_wr wr = { .wr_id = 1, .sg_list = &sge, .num_sge = 1 };
	struct ibv_recv_wr *bad;

	T_OK(ibv_post_recv(end->qp, &wr, &bad));
}

/* @nr of them in one call; the last one is waited for */
static void send_to(struct scene *s, const struct end *to, unsigned int nr)
{
	struct ibv_sge sge = t_sge(s->from.mr, s->from.buf, BYTES);
	struct ibv_send_wr wr[CHAIN] = {};
	struct ibv_send_wr *bad;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		wr[i].wr_id = i;
		wr[i].next = i + 1 < nr ? &wr[i + 1] : NULL;
		wr[i].opcode = IBV_WR_SEND;
		wr[i].send_flags = i + 1 < nr ? 0 : IBV_SEND_SIGNALED;
		wr[i].sg_list = &sge;
		wr[i].num_sge = 1;
		wr[i].wr.ud.ah = s->ah;
		wr[i].wr.ud.remote_qpn = to->qp->qp_num;
		wr[i].wr.ud.remote_qkey = QKEY;
	}
	T_OK(ibv_post_send(s->from.qp, wr, &bad));
	t_want_wc(s->from.cq, nr - 1, IBV_WC_SUCCESS);
}

static unsigned long drops(const struct scene *s)
{
	char path[128], line[32];

	snprintf(path, sizeof(path),
		 "/sys/class/infiniband/%s/ports/1/hw_counters/rx_drops",
		 s->dev.name);
	T_ASSERT(t_read_file(path, line, sizeof(line)), "%s", path);
	return strtoul(line, NULL, 10);
}

/* The good one gets its own in between, whole */
static void flood(struct scene *s)
{
	char *got = s->good.buf + T_PAGE + GRH;
	struct ibv_wc wc;
	unsigned int i;

	for (i = 0; i < CHAINS; i++) {
		send_to(s, &s->stuck, CHAIN);
		t_fill_data(s->from.buf, BYTES, i, 0);
		end_recv(&s->good);
		send_to(s, &s->good, 1);
		wc = t_want_wc(s->good.cq, 1, IBV_WC_SUCCESS);
		T_ASSERT(wc.byte_len == GRH + BYTES, "%u bytes", wc.byte_len);
		T_ASSERT(t_check_data(got, BYTES, i, 0) < 0, "wrong bytes");
	}
}

static void want_drops(const struct scene *s, unsigned long nr)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;

	while (drops(s) < nr) {
		T_ASSERT(t_now_ns() < end, "%lu drops, want %lu", drops(s),
			 nr);
		t_sleep_ms(10);
	}
}

static void no_receive(void)
{
	unsigned long before;
	struct scene s;

	scene_open(&s, false);
	before = drops(&s);
	flood(&s);
	want_drops(&s, before + CHAIN * CHAINS);
	/* The flood is over, and nothing of it is left */
	end_recv(&s.stuck);
	send_to(&s, &s.stuck, 1);
	t_want_wc(s.stuck.cq, 1, IBV_WC_SUCCESS);
}

/* What fits waits with it, the rest is lost; destroying it waits for none */
static void no_page(void)
{
	unsigned long before;
	struct scene s;

	scene_open(&s, true);
	t_uffd(s.stuck.buf + T_PAGE, T_PAGE);
	end_recv(&s.stuck);
	before = drops(&s);
	flood(&s);
	want_drops(&s, before + CHAIN * CHAINS - QUEUE);
	t_want_none(s.stuck.cq);
	T_OK(ibv_destroy_qp(s.stuck.qp));
}

/* The address handle of another domain leads nowhere */
static void foreign_handle(void)
{
	struct ibv_ah_attr attr = { .is_global = 1, .port_num = T_PORT };
	struct ibv_send_wr wr = {
		.wr_id = 8,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	};
	struct ibv_send_wr *bad;
	struct ibv_pd *pd;
	struct scene s;

	scene_open(&s, false);
	pd = ibv_alloc_pd(s.dev.ctx);
	T_ASSERT(pd, "ibv_alloc_pd: %s", t_errname(errno));
	attr.grh.dgid = s.dev.gid;
	attr.grh.sgid_index = s.dev.gid_index;
	wr.wr.ud.ah = ibv_create_ah(pd, &attr);
	T_ASSERT(wr.wr.ud.ah, "ibv_create_ah: %s", t_errname(errno));
	wr.wr.ud.remote_qpn = s.good.qp->qp_num;
	wr.wr.ud.remote_qkey = QKEY;
	end_recv(&s.good);
	T_OK(ibv_post_send(s.from.qp, &wr, &bad));
	t_want_wc(s.from.cq, 8, IBV_WC_LOC_QP_OP_ERR);
	t_want_none(s.good.cq);
}

/* What its process has taken away ends the request, as any queue pair's */
static void no_source(void)
{
	struct scene s;
	struct ibv_sge sge;
	struct ibv_send_wr wr = {
		.wr_id = 7,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = &sge,
		.num_sge = 1,
	};
	struct ibv_send_wr *bad;

	scene_open(&s, true);
	sge = t_sge(s.stuck.mr, s.stuck.buf, BYTES);
	wr.wr.ud.ah = s.ah;
	wr.wr.ud.remote_qpn = s.good.qp->qp_num;
	wr.wr.ud.remote_qkey = QKEY;
	T_ASSERT(!munmap(s.stuck.buf, T_PAGE), "munmap: %s",
		 t_errname(errno));
	T_OK(ibv_post_send(s.from.qp, &wr, &bad));
	t_want_wc(s.from.cq, 7, IBV_WC_LOC_PROT_ERR);
}

static const struct t_test tests[] = {
	{ "no_receive", no_receive },
	{ "no_page", no_page },
	{ "no_source", no_source },
	{ "foreign_handle", foreign_handle },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
