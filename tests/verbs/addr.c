// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Addresses that lead nowhere: what a QP that is to be connected and an
 * address handle say to them, and that nothing is the worse for it
 */

#include "common/t_duo.h"
#include "common/t_netdev.h"
#include "common/t_tool.h"

#define LEN T_PAGE
#define GRH 40
/* Of the device's netdev too, so that nobody else's are touched */
#define ADDR4 "10.66.6.1"
#define ADDR6 "fd66:6::1"
#define GROUP4 "239.66.6.1"
#define GROUP6 "ff0e::66:6"

struct scene {
	struct t_duo d;
	char netdev[IF_NAMESIZE];
	int index4;
	int index6;
	struct ibv_qp *ud;
};

static int find_gid(struct t_dev *dev, const char *text)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;
	union ibv_gid gid = t_gid_of(text);
	struct ibv_gid_entry table[256];
	ssize_t nr, i;

	do {
		nr = ibv_query_gid_table(dev->ctx, table, T_ARRAY_SIZE(table),
					 0);
		for (i = 0; i < nr; i++)
			if (!memcmp(&table[i].gid, &gid, sizeof(gid)) &&
			    table[i].gid_type == IBV_GID_TYPE_ROCE_V2)
				return table[i].gid_index;
		t_sleep_ms(10);
	} while (t_now_ns() < end);
	t_fail("no GID for %s", text);
}

static void make_ud(struct scene *s)
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_UD,
		.cap = { 4, 1, 1, 1, 0 },
	};
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = T_PORT,
		.qkey = 1,
	};

	init.send_cq = s->d.a.scq;
	init.recv_cq = s->d.a.scq;
	s->ud = ibv_create_qp(s->d.dev.pd, &init);
	T_ASSERT(s->ud, "ibv_create_qp: %s", t_errname(errno));
	T_OK(ibv_modify_qp(s->ud, &attr,
			   IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				   IBV_QP_QKEY));
	attr.qp_state = IBV_QPS_RTR;
	T_OK(ibv_modify_qp(s->ud, &attr, IBV_QP_STATE));
	attr.qp_state = IBV_QPS_RTS;
	T_OK(ibv_modify_qp(s->ud, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN));
}

static void scene_open(struct scene *s)
{
	t_duo_open(&s->d, LEN, T_PINNED, NULL);
	t_netdev(&s->d.dev, s->netdev);
	T_ASSERT(!t_system("ip addr replace " ADDR4 "/24 dev %s && "
			   "ip addr replace " ADDR6 "/64 dev %s nodad",
			   s->netdev, s->netdev),
		 "no addresses for %s", s->netdev);
	make_ud(s);
	s->index4 = find_gid(&s->d.dev, ADDR4);
	s->index6 = find_gid(&s->d.dev, ADDR6);
}

static void scene_close(struct scene *s)
{
	T_ASSERT(!t_system("ip addr del " ADDR4 "/24 dev %s && "
			   "ip addr del " ADDR6 "/64 dev %s",
			   s->netdev, s->netdev),
		 "the addresses are gone");
}

static struct ibv_ah_attr ah_attr(const char *to, int index)
{
	struct ibv_ah_attr attr = {
		.is_global = 1,
		.port_num = T_PORT,
		.grh = {
			.dgid = t_gid_of(to),
			.sgid_index = index,
			.hop_limit = 64,
		},
	};

	return attr;
}

static int connect_to(struct t_ep *ep, const struct ibv_ah_attr *ah)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = ep->qp->qp_num,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 1,
		.ah_attr = *ah,
	};

	return ibv_modify_qp(ep->qp, &attr,
			     IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
				     IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
				     IBV_QP_MAX_DEST_RD_ATOMIC |
				     IBV_QP_MIN_RNR_TIMER);
}

/* A datagram to it is lost, and that is nothing the sender hears of. */
static int send_to(struct scene *s, const struct ibv_ah_attr *attr)
{
	struct ibv_sge sge = t_duo_sge(&s->d, 0, 8);
	struct ibv_send_wr wr = {
		.wr_id = 1,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = &sge,
		.num_sge = 1,
		.wr.ud = { .remote_qpn = s->ud->qp_num, .remote_qkey = 1 },
	};
	struct ibv_send_wr *bad;

	errno = 0;
	wr.wr.ud.ah = ibv_create_ah(s->d.dev.pd, (struct ibv_ah_attr *)attr);
	if (!wr.wr.ud.ah)
		return errno;
	T_OK(ibv_post_send(s->ud, &wr, &bad));
	t_want_wc(s->d.a.scq, 1, IBV_WC_SUCCESS);
	T_OK(ibv_destroy_ah(wr.wr.ud.ah));
	return 0;
}

/* A request to it is never answered. */
static void want_no_answer(struct scene *s)
{
	s->d.a.opt.timeout = 12;
	s->d.a.opt.retry_cnt = 1;
	t_ep_rts(&s->d.a);
	t_post(&s->d.a, IBV_WR_RDMA_WRITE, 2, t_duo_sge(&s->d, 0, 8),
	       t_remote(&s->d, 0), s->d.bmr->rkey);
	t_want_wc(s->d.a.scq, 2, IBV_WC_RETRY_EXC_ERR);
}

/* The QP that has tried serves as if it had not. */
static void want_usable(struct scene *s)
{
	s->d.a.opt.timeout = s->d.b.opt.timeout;
	s->d.a.opt.retry_cnt = s->d.b.opt.retry_cnt;
	t_ep_reset(&s->d.b);
	if (t_ep_state(&s->d.a) == IBV_QPS_ERR)
		t_ep_reset(&s->d.a);
	t_join(&s->d.a, &s->d.b);
	t_duo_works(&s->d);
	t_ep_reset(&s->d.a);
}

static const struct row {
	const char *name;
	bool from6;
	const char *to;
	int err;
} rows[] = {
	{ "no route, IPv6", true, "2001:db8::1", ENETUNREACH },
	/* IPv4 takes it for one of the source's network */
	{ "no route, IPv4", false, "198.51.100.1", 0 },
	{ "IPv6 from IPv4", false, "fd66:6::2", EINVAL },
	{ "IPv4 from IPv6", true, "10.66.6.2", EINVAL },
	{ "zeros from IPv4", false, "::", EINVAL },
	{ "zeros from IPv6", true, "::", ENETUNREACH },
	{ "0.0.0.0", false, "0.0.0.0", ENODEV },
	{ "::1", true, "::1", ENETUNREACH },
	{ "127.0.0.1", false, "127.0.0.1", 0 },
	{ "broadcast", false, "255.255.255.255", 0 },
	{ "net broadcast", false, "10.66.6.255", 0 },
	{ "group, IPv4", false, GROUP4, 0 },
	{ "group, IPv6", true, GROUP6, 0 },
	{ "IPv6 group from IPv4", false, GROUP6, EINVAL },
	{ "IPv4 group from IPv6", true, GROUP4, EINVAL },
};

static void nowhere(void)
{
	struct ibv_ah_attr attr;
	struct scene s;
	unsigned int i;

	scene_open(&s);
	t_ep_reset(&s.d.a);
	for (i = 0; i < T_ARRAY_SIZE(rows); i++) {
		t_case("%s", rows[i].name);
		attr = ah_attr(rows[i].to,
			       rows[i].from6 ? s.index6 : s.index4);
		t_ep_init(&s.d.a);
		T_ERR(connect_to(&s.d.a, &attr), rows[i].err);
		if (rows[i].err)
			T_ASSERT(t_ep_state(&s.d.a) == IBV_QPS_INIT,
				 "left INIT");
		else
			want_no_answer(&s);
		T_ERR(send_to(&s, &attr), rows[i].err);
		want_usable(&s);
	}
	scene_close(&s);
}

static void malformed(void)
{
	struct ibv_ah_attr good, attr;
	struct scene s;

	scene_open(&s);
	t_ep_reset(&s.d.a);
	t_ep_init(&s.d.a);
	good = ah_attr("10.66.6.2", s.index4);
	t_case("no GRH");
	attr = good;
	attr.is_global = 0;
	T_ERR(connect_to(&s.d.a, &attr), EINVAL);
	T_ERR(send_to(&s, &attr), EINVAL);
	t_case("no such source GID");
	attr = good;
	attr.grh.sgid_index = s.d.dev.port.gid_tbl_len - 1;
	T_ERR(connect_to(&s.d.a, &attr), ENODATA);
	T_ERR(send_to(&s, &attr), ENODATA);
	t_case("beyond the table");
	attr.grh.sgid_index = 255;
	T_ERR(connect_to(&s.d.a, &attr), EINVAL);
	T_ERR(send_to(&s, &attr), EINVAL);
	t_case("port 2");
	attr = good;
	attr.port_num = 2;
	T_ERR(connect_to(&s.d.a, &attr), EINVAL);
	T_ERR(send_to(&s, &attr), EINVAL);
	T_ASSERT(t_ep_state(&s.d.a) == IBV_QPS_INIT, "left INIT");
	want_usable(&s);
	scene_close(&s);
}

static uint64_t drops(const struct scene *s)
{
	char text[16384];

	T_ASSERT(!t_output(text, sizeof(text),
			   "rdma statistic show link %s/1", s->d.dev.name),
		 "rdma statistic: %s", text);
	return t_number(text, "tx_drops");
}

/* There was a route when the QP and the address handle were made. */
static void route_lost(void)
{
	struct ibv_ah_attr attr;
	uint64_t before;
	struct scene s;

	scene_open(&s);
	t_ep_reset(&s.d.a);
	t_ep_init(&s.d.a);
	attr = ah_attr("fd66:6::2", s.index6);
	T_OK(connect_to(&s.d.a, &attr));
	before = drops(&s);
	T_OK(send_to(&s, &attr));
	T_ASSERT(drops(&s) == before, "dropped though there is a route");
	T_ASSERT(!t_system("ip -6 route del fd66:6::/64 dev %s", s.netdev),
		 "ip route del");
	want_no_answer(&s);
	T_ASSERT(drops(&s) > before, "no drop is counted");
	want_usable(&s);
	scene_close(&s);
}

/* Sends a datagram to the sender. */
static void send_to_self(struct scene *s, const char *to, int index)
{
	struct ibv_sge sge = { .addr = (uintptr_t)s->d.bbuf, .length = LEN,
			       .lkey = s->d.bmr->lkey };
	struct ibv_recv_wr wr = { .wr_id = 2, .sg_list = &sge, .num_sge = 1 };
	struct ibv_ah_attr attr = ah_attr(to, index);
	struct ibv_recv_wr *bad;

	T_OK(ibv_post_recv(s->ud, &wr, &bad));
	T_OK(send_to(s, &attr));
}

/*
 * The service level of a datagram's completion says which IP stands in front
 * of it, as mlx5 has it: UCX up to 1.18 looks there, and drops every packet
 * that it takes for one of the other kind.
 */
static void header_type(void)
{
	struct scene s;
	struct ibv_wc wc;
	unsigned int i;

	scene_open(&s);
	for (i = 0; i < 4; i++) {
		t_case("IPv%c", i & 1 ? '6' : '4');
		send_to_self(&s, i & 1 ? ADDR6 : ADDR4,
			     i & 1 ? s.index6 : s.index4);
		wc = t_want_wc(s.d.a.scq, 2, IBV_WC_SUCCESS);
		T_ASSERT(wc.wc_flags & IBV_WC_GRH && wc.byte_len == GRH + 8,
			 "flags %#x, %u bytes", wc.wc_flags, wc.byte_len);
		T_ASSERT(wc.sl == (i & 1 ? 8 + 1 : 8 + 2), "sl %u", wc.sl);
		/* The version is where that says that the header is */
		T_ASSERT((s.d.bbuf[i & 1 ? 0 : 20] >> 4 & 0xf) ==
				 (i & 1 ? 6 : 4), "no such header");
	}
	scene_close(&s);
}

static const struct t_test tests[] = {
	{ "nowhere", nowhere, 120 },
	{ "malformed", malformed },
	{ "route_lost", route_lost },
	{ "header_type", header_type },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
