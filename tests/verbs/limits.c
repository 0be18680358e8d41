// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What query_device says that there is, there is, and no more: each limit is
 * reached and then exceeded. Makes a device of its own, which has few objects
 * by the module's parameter.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/t_duo.h"
#include "common/t_netdev.h"

#define DEV "sodp4"
#define NETDEV "sodplm4"
#define ADDR "10.99.4.1"
#define PARAMETER "/sys/module/sodp/parameters/max_objects"
#define OBJECTS 64
/* What the device itself uses of each, at most: MAD, CM, and our own PD */
#define OTHERS 8

struct scene {
	struct t_dev dev;
	struct ibv_cq *cq;
	struct ibv_mr *mr;
	struct ibv_xrcd *xrcd;
	char *page;
};

static void remove_all(void)
{
	t_system("rdma link delete " DEV " 2>/dev/null;"
		 "ip link delete " NETDEV " 2>/dev/null");
}

/* A device with OBJECTS of each kind */
static void scene_open(struct scene *s)
{
	const char *name = getenv("SODP_DEV");
	char before[32];
	int ret;

	memset(s, 0, sizeof(*s));
	if (!name || strncmp(name, "sodp", 4))
		t_skip("not a sodp device");
	remove_all();
	T_ASSERT(!t_system("ip link add " NETDEV " type dummy && "
			   "ip address add " ADDR "/24 dev " NETDEV " && "
			   "ip link set " NETDEV " mtu 9000 up"),
		 "no dummy netdev can be made");
	T_ASSERT(t_read_file(PARAMETER, before, sizeof(before)), PARAMETER);
	T_ASSERT(!t_write_file(PARAMETER, "64"), PARAMETER);
	ret = t_system("rdma link add " DEV " type sodp netdev " NETDEV);
	t_write_file(PARAMETER, before);
	T_ASSERT(!ret, "rdma link add");
	t_sleep_ms(100);
	t_open_name(&s->dev, DEV, 0);
}

/* What all kinds may need; these count */
static void scene_fill(struct scene *s)
{
	struct ibv_xrcd_init_attr xrcd = {
		.comp_mask = IBV_XRCD_INIT_ATTR_FD | IBV_XRCD_INIT_ATTR_OFLAGS,
		.fd = -1,
		.oflags = O_CREAT,
	};

	s->page = t_map(T_PAGE);
	s->cq = ibv_create_cq(s->dev.ctx, 8, NULL, NULL, 0);
	T_ASSERT(s->cq, "ibv_create_cq: %s", t_errname(errno));
	s->mr = t_reg(s->dev.pd, s->page, T_PAGE, T_ACCESS_ALL);
	s->xrcd = ibv_open_xrcd(s->dev.ctx, &xrcd);
	T_ASSERT(s->xrcd, "ibv_open_xrcd: %s", t_errname(errno));
}

static void *make_pd(struct scene *s)
{
	return ibv_alloc_pd(s->dev.ctx);
}

static int drop_pd(void *object)
{
	return ibv_dealloc_pd(object);
}

static void *make_cq(struct scene *s)
{
	return ibv_create_cq(s->dev.ctx, 1, NULL, NULL, 0);
}

static int drop_cq(void *object)
{
	return ibv_destroy_cq(object);
}

static void *make_qp_of(struct scene *s, enum ibv_qp_type type)
{
	struct ibv_qp_init_attr init = {
		.qp_type = type,
		.send_cq = s->cq,
		.recv_cq = s->cq,
		.cap = { 1, 1, 1, 1, 0 },
	};

	return ibv_create_qp(s->dev.pd, &init);
}

static void *make_qp(struct scene *s)
{
	return make_qp_of(s, IBV_QPT_RC);
}

static void *make_ud_qp(struct scene *s)
{
	return make_qp_of(s, IBV_QPT_UD);
}

static void *make_target(struct scene *s)
{
	struct ibv_qp_init_attr_ex init = {
		.qp_type = IBV_QPT_XRC_RECV,
		.comp_mask = IBV_QP_INIT_ATTR_XRCD,
		.xrcd = s->xrcd,
	};

	return ibv_create_qp_ex(s->dev.ctx, &init);
}

static int drop_qp(void *object)
{
	return ibv_destroy_qp(object);
}

static void *make_srq(struct scene *s)
{
	struct ibv_srq_init_attr init = { .attr = { 1, 1, 0 } };

	return ibv_create_srq(s->dev.pd, &init);
}

static void *make_xrc_srq(struct scene *s)
{
	struct ibv_srq_init_attr_ex init = {
		.attr = { 1, 1, 0 },
		.comp_mask = IBV_SRQ_INIT_ATTR_TYPE | IBV_SRQ_INIT_ATTR_PD |
			     IBV_SRQ_INIT_ATTR_XRCD | IBV_SRQ_INIT_ATTR_CQ,
		.srq_type = IBV_SRQT_XRC,
		.pd = s->dev.pd,
		.xrcd = s->xrcd,
		.cq = s->cq,
	};

	return ibv_create_srq_ex(s->dev.ctx, &init);
}

static int drop_srq(void *object)
{
	return ibv_destroy_srq(object);
}

static void *make_mr(struct scene *s)
{
	return ibv_reg_mr(s->dev.pd, s->page, T_PAGE, IBV_ACCESS_LOCAL_WRITE);
}

static void *make_odp_mr(struct scene *s)
{
	return ibv_reg_mr(s->dev.pd, s->page, T_PAGE, IBV_ACCESS_ON_DEMAND);
}

static int drop_mr(void *object)
{
	return ibv_dereg_mr(object);
}

static void *make_mw(struct scene *s)
{
	return ibv_alloc_mw(s->dev.pd, IBV_MW_TYPE_2);
}

static int drop_mw(void *object)
{
	return ibv_dealloc_mw(object);
}

static void *make_ah(struct scene *s)
{
	struct ibv_ah_attr attr = {
		.is_global = 1,
		.port_num = T_PORT,
		.grh = { .dgid = t_gid_of("10.99.4.2"), .hop_limit = 1 },
	};

	/* An IPv4 source, which is not the first of the table */
	for (attr.grh.sgid_index = 0; attr.grh.sgid_index < 4;
	     attr.grh.sgid_index++) {
		union ibv_gid gid;

		if (!ibv_query_gid(s->dev.ctx, T_PORT, attr.grh.sgid_index,
				   &gid) &&
		    gid.raw[10] == 0xff)
			break;
	}
	return ibv_create_ah(s->dev.pd, &attr);
}

static int drop_ah(void *object)
{
	return ibv_destroy_ah(object);
}

static void *make_xrcd(struct scene *s)
{
	struct ibv_xrcd_init_attr init = {
		.comp_mask = IBV_XRCD_INIT_ATTR_FD | IBV_XRCD_INIT_ATTR_OFLAGS,
		.fd = -1,
		.oflags = O_CREAT,
	};

	return ibv_open_xrcd(s->dev.ctx, &init);
}

static int drop_xrcd(void *object)
{
	return ibv_close_xrcd(object);
}

static const struct kind {
	const char *name;
	void *(*make)(struct scene *s);
	int (*drop)(void *object);
} kinds[] = {
	{ "PD", make_pd, drop_pd },
	{ "CQ", make_cq, drop_cq },
	{ "RC QP", make_qp, drop_qp },
	{ "UD QP", make_ud_qp, drop_qp },
	{ "XRC target", make_target, drop_qp },
	{ "SRQ", make_srq, drop_srq },
	{ "XRC SRQ", make_xrc_srq, drop_srq },
	{ "MR", make_mr, drop_mr },
	{ "ODP MR", make_odp_mr, drop_mr },
	{ "MW", make_mw, drop_mw },
	{ "AH", make_ah, drop_ah },
	{ "XRC domain", make_xrcd, drop_xrcd },
};

/* As many as said, then ENOMEM, and one more for each that goes */
static void exceed(struct scene *s, const struct kind *kind)
{
	void *objects[OBJECTS];
	void *more;
	unsigned int round, nr, i;

	for (round = 0; round < 2; round++) {
		t_case("%s, round %u", kind->name, round);
		for (nr = 0; nr < OBJECTS; nr++) {
			errno = 0;
			objects[nr] = kind->make(s);
			if (!objects[nr])
				break;
		}
		if (nr < OBJECTS)
			T_ASSERT(errno == ENOMEM, "after %u: %s", nr,
				 t_errname(errno));
		T_ASSERT(nr >= OBJECTS - OTHERS, "only %u", nr);
		T_NULL_ERRNO(kind->make(s), ENOMEM);
		T_OK(kind->drop(objects[--nr]));
		more = kind->make(s);
		T_ASSERT(more, "none, though one has gone: %s",
			 t_errname(errno));
		T_NULL_ERRNO(kind->make(s), ENOMEM);
		T_OK(kind->drop(more));
		for (i = 0; i < nr; i++)
			T_OK(kind->drop(objects[i]));
	}
}

static void objects(void)
{
	const struct ibv_device_attr *attr;
	struct scene s;
	unsigned int i;

	scene_open(&s);
	attr = &s.dev.attr.orig_attr;
	T_ASSERT(attr->max_pd == OBJECTS && attr->max_cq == OBJECTS &&
			 attr->max_qp == OBJECTS && attr->max_srq == OBJECTS &&
			 attr->max_mr == OBJECTS && attr->max_mw == OBJECTS &&
			 attr->max_ah == OBJECTS,
		 "says that it has others: %d PDs, %d QPs", attr->max_pd,
		 attr->max_qp);
	scene_fill(&s);
	for (i = 0; i < T_ARRAY_SIZE(kinds); i++)
		exceed(&s, &kinds[i]);
	remove_all();
}

/* Another device has what it said before. */
static void own_device(void)
{
	struct scene s;
	struct t_duo d;

	scene_open(&s);
	scene_fill(&s);
	while (make_cq(&s))
		;
	t_duo_open(&d, T_PAGE, T_PINNED, NULL);
	T_ASSERT(d.dev.attr.orig_attr.max_cq > OBJECTS, "max_cq %d",
		 d.dev.attr.orig_attr.max_cq);
	t_duo_works(&d);
	remove_all();
}

static void set_group(union ibv_gid *gid, unsigned int nr)
{
	*gid = t_gid_of("239.99.0.0");
	gid->raw[14] = nr >> 8;
	gid->raw[15] = nr;
}

static int attach(struct ibv_qp *qp, unsigned int group)
{
	union ibv_gid gid;

	set_group(&gid, group);
	return ibv_attach_mcast(qp, &gid, 0);
}

static void multicast(void)
{
	const struct ibv_device_attr *attr;
	unsigned int nr_qps, i, k, sum;
	struct ibv_qp *qps[80];
	union ibv_gid gid;
	struct scene s;

	memset(&s, 0, sizeof(s));
	t_open(&s.dev);
	scene_fill(&s);
	attr = &s.dev.attr.orig_attr;
	nr_qps = attr->max_mcast_qp_attach + 1;
	T_ASSERT(nr_qps <= T_ARRAY_SIZE(qps), "%u QPs in a group", nr_qps);
	for (i = 0; i < nr_qps; i++) {
		qps[i] = make_ud_qp(&s);
		T_ASSERT(qps[i], "ibv_create_qp: %s", t_errname(errno));
	}
	t_case("QPs in a group");
	for (i = 0; i < nr_qps - 1; i++)
		T_OK(attach(qps[i], 1));
	T_ERR(attach(qps[i], 1), ENOMEM);
	T_OK(attach(qps[0], 1));
	set_group(&gid, 1);
	T_OK(ibv_detach_mcast(qps[0], &gid, 0));
	T_OK(attach(qps[i], 1));
	T_ERR(attach(qps[0], 1), ENOMEM);
	t_case("groups");
	for (i = 2; i <= (unsigned int)attr->max_mcast_grp; i++)
		T_OK(attach(qps[0], i));
	T_ERR(attach(qps[0], i), ENOMEM);
	T_ERR(attach(qps[1], i), ENOMEM);
	T_OK(attach(qps[1], i - 1));
	t_case("both");
	sum = nr_qps - 1 + attr->max_mcast_grp - 1 + 1;
	for (k = 2; sum < (unsigned int)attr->max_total_mcast_qp_attach; k++)
		for (i = 2; i <= (unsigned int)attr->max_mcast_grp &&
			    sum < (unsigned int)attr->max_total_mcast_qp_attach;
		     i++, sum++)
			T_OK(attach(qps[k], i));
	T_ERR(attach(qps[k], 2), ENOMEM);
	t_case("all have left");
	for (i = 0; i < nr_qps; i++)
		for (k = 1; k <= (unsigned int)attr->max_mcast_grp; k++) {
			set_group(&gid, k);
			sum -= !ibv_detach_mcast(qps[i], &gid, 0);
		}
	T_ASSERT(!sum, "%u are left", sum);
	T_OK(attach(qps[0], 2000));
}

static int create_qp(struct scene *s, struct ibv_qp_cap cap)
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_RC,
		.send_cq = s->cq,
		.recv_cq = s->cq,
		.cap = cap,
	};
	struct ibv_qp *qp;

	errno = 0;
	qp = ibv_create_qp(s->dev.pd, &init);
	if (!qp)
		return errno;
	T_ASSERT(init.cap.max_send_wr >= cap.max_send_wr &&
			 init.cap.max_recv_wr >= cap.max_recv_wr &&
			 init.cap.max_send_sge >= cap.max_send_sge &&
			 init.cap.max_recv_sge >= cap.max_recv_sge,
		 "got less than asked for");
	T_OK(ibv_destroy_qp(qp));
	return 0;
}

static void qp_caps(void)
{
	const struct ibv_device_attr *attr;
	uint32_t wr, sge;
	struct scene s;

	memset(&s, 0, sizeof(s));
	t_open(&s.dev);
	scene_fill(&s);
	attr = &s.dev.attr.orig_attr;
	wr = attr->max_qp_wr;
	sge = attr->max_sge;
	T_OK(create_qp(&s, (struct ibv_qp_cap){ wr, 1, 1, 1, 0 }));
	T_OK(create_qp(&s, (struct ibv_qp_cap){ 1, wr, 1, 1, 0 }));
	T_OK(create_qp(&s, (struct ibv_qp_cap){ 1, 1, sge, sge, 0 }));
	T_ERR(create_qp(&s, (struct ibv_qp_cap){ wr + 1, 1, 1, 1, 0 }),
	      EINVAL);
	T_ERR(create_qp(&s, (struct ibv_qp_cap){ 1, wr + 1, 1, 1, 0 }),
	      EINVAL);
	T_ERR(create_qp(&s, (struct ibv_qp_cap){ 1, 1, sge + 1, 1, 0 }),
	      EINVAL);
	T_ERR(create_qp(&s, (struct ibv_qp_cap){ 1, 1, 1, sge + 1, 0 }),
	      EINVAL);
	T_ERR(create_qp(&s, (struct ibv_qp_cap){ 1, 1, 1, 1, 1 << 20 }),
	      EINVAL);
}

static void queue_caps(void)
{
	struct ibv_srq_init_attr init = { .attr = { 1, 1, 0 } };
	const struct ibv_device_attr *attr;
	struct ibv_srq_attr change;
	struct ibv_srq *srq;
	struct ibv_cq *cq;
	struct scene s;

	memset(&s, 0, sizeof(s));
	t_open(&s.dev);
	attr = &s.dev.attr.orig_attr;
	cq = ibv_create_cq(s.dev.ctx, attr->max_cqe, NULL, NULL, 0);
	T_ASSERT(cq, "max_cqe: %s", t_errname(errno));
	T_ASSERT(cq->cqe >= attr->max_cqe, "%d entries", cq->cqe);
	T_ERR(ibv_resize_cq(cq, attr->max_cqe + 1), EINVAL);
	T_OK(ibv_destroy_cq(cq));
	T_NULL_ERRNO(ibv_create_cq(s.dev.ctx, attr->max_cqe + 1, NULL, NULL,
				   0), EINVAL);
	T_NULL_ERRNO(ibv_create_cq(s.dev.ctx, 1, NULL, NULL,
				   s.dev.ctx->num_comp_vectors), EINVAL);
	init.attr.max_wr = attr->max_srq_wr;
	srq = ibv_create_srq(s.dev.pd, &init);
	T_ASSERT(srq, "max_srq_wr: %s", t_errname(errno));
	change.max_wr = attr->max_srq_wr + 1;
	T_ERR(ibv_modify_srq(srq, &change, IBV_SRQ_MAX_WR), EINVAL);
	change.srq_limit = attr->max_srq_wr + 1;
	T_ERR(ibv_modify_srq(srq, &change, IBV_SRQ_LIMIT), EINVAL);
	T_OK(ibv_destroy_srq(srq));
	init.attr.max_wr = attr->max_srq_wr + 1;
	T_NULL_ERRNO(ibv_create_srq(s.dev.pd, &init), EINVAL);
	init.attr.max_wr = 1;
	init.attr.max_sge = attr->max_srq_sge;
	srq = ibv_create_srq(s.dev.pd, &init);
	T_ASSERT(srq, "max_srq_sge: %s", t_errname(errno));
	T_OK(ibv_destroy_srq(srq));
	init.attr.max_sge = attr->max_srq_sge + 1;
	T_NULL_ERRNO(ibv_create_srq(s.dev.pd, &init), EINVAL);
}

/* To RTS with as many READs and atomics as may be, and one more */
static void rd_atomic(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	const struct ibv_device_attr *attr;
	struct ibv_qp_attr change = { .qp_state = IBV_QPS_INIT,
				      .port_num = T_PORT };
	struct t_ep a, b;
	struct t_dev dev;

	t_open(&dev);
	attr = &dev.attr.orig_attr;
	T_ASSERT(attr->max_res_rd_atom >= attr->max_qp_rd_atom,
		 "max_res_rd_atom %d", attr->max_res_rd_atom);
	opt.rd_atomic = attr->max_qp_init_rd_atom;
	opt.dest_rd_atomic = attr->max_qp_rd_atom;
	t_pair(&dev, &a, &b, &opt);
	change.qp_state = IBV_QPS_RTS;
	change.max_dest_rd_atomic = attr->max_qp_rd_atom + 1;
	T_ERR(ibv_modify_qp(a.qp, &change,
			    IBV_QP_STATE | IBV_QP_MAX_DEST_RD_ATOMIC),
	      EINVAL);
	change.max_rd_atomic = attr->max_qp_init_rd_atom + 1;
	T_ERR(ibv_modify_qp(a.qp, &change,
			    IBV_QP_STATE | IBV_QP_MAX_QP_RD_ATOMIC), EINVAL);
	t_ep_reset(&a);
	change.qp_state = IBV_QPS_INIT;
	change.pkey_index = attr->max_pkeys;
	T_ERR(ibv_modify_qp(a.qp, &change,
			    IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				    IBV_QP_ACCESS_FLAGS), EINVAL);
}

/* What there is none of */
static void none(void)
{
	struct ibv_wq_init_attr wq = { .wq_type = IBV_WQT_RQ, .max_wr = 1,
				       .max_sge = 1 };
	struct ibv_alloc_dm_attr dm = { 0 };
	struct scene s;
	struct ibv_dm *all;

	memset(&s, 0, sizeof(s));
	t_open(&s.dev);
	scene_fill(&s);
	T_ASSERT(!s.dev.attr.max_wq_type_rq && !s.dev.attr.orig_attr.max_fmr &&
			 !s.dev.attr.orig_attr.max_raw_ipv6_qp &&
			 !s.dev.attr.orig_attr.max_ee &&
			 !s.dev.attr.orig_attr.max_rdd, "what is not there");
	wq.pd = s.dev.pd;
	wq.cq = s.cq;
	T_NULL_ERRNO(ibv_create_wq(s.dev.ctx, &wq), EOPNOTSUPP);
	dm.length = s.dev.attr.max_dm_size;
	all = ibv_alloc_dm(s.dev.ctx, &dm);
	T_ASSERT(all, "max_dm_size: %s", t_errname(errno));
	dm.length++;
	T_NULL_ERRNO(ibv_alloc_dm(s.dev.ctx, &dm), EINVAL);
	dm.length = 1;
	T_NULL_ERRNO(ibv_alloc_dm(s.dev.ctx, &dm), ENOMEM);
	T_OK(ibv_free_dm(all));
}

static const struct t_test tests[] = {
	{ "objects", objects },
	{ "own_device", own_device },
	{ "multicast", multicast },
	{ "qp_caps", qp_caps },
	{ "queue_caps", queue_caps },
	{ "rd_atomic", rd_atomic },
	{ "none", none },
};

int main(int argc, char **argv)
{
	int ret = t_main(argc, argv, tests, T_ARRAY_SIZE(tests));

	if (ret == T_EXIT_FAIL)
		remove_all();
	return ret;
}
