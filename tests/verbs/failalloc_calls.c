// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Objects, memory and what is done with them, for failalloc */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>

#include "failalloc.h"

#define ODP (T_ACCESS_ALL | IBV_ACCESS_ON_DEMAND)

void fa_open(struct fa_scene *s)
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_RC,
		.cap = { 4, 4, 1, 1, 0 },
	};

	memset(s, 0, sizeof(*s));
	t_duo_open(&s->duo, FA_LEN, T_EXPLICIT, NULL);
	init.send_cq = s->duo.a.scq;
	init.recv_cq = s->duo.a.scq;
	s->qp = ibv_create_qp(s->duo.dev.pd, &init);
	T_ASSERT(s->qp, "ibv_create_qp: %s", t_errname(errno));
	s->ah.is_global = 1;
	s->ah.port_num = T_PORT;
	s->ah.grh.sgid_index = s->duo.dev.gid_index;
	s->ah.grh.dgid = s->duo.dev.gid;
	s->ah.grh.hop_limit = 8;
}

/* Calls that return an object: made, or why not */
static int made(struct fa_scene *s, void *object)
{
	s->object = object;
	return object ? 0 : errno;
}

static int make_context(struct fa_scene *s)
{
	return made(s, ibv_open_device(s->duo.dev.ctx->device));
}

static void drop_context(struct fa_scene *s)
{
	T_OK(ibv_close_device(s->object));
}

static int make_pd(struct fa_scene *s)
{
	return made(s, ibv_alloc_pd(s->duo.dev.ctx));
}

static void drop_pd(struct fa_scene *s)
{
	T_OK(ibv_dealloc_pd(s->object));
}

static int make_cq(struct fa_scene *s)
{
	return made(s, ibv_create_cq(s->duo.dev.ctx, 500, NULL, NULL, 0));
}

static void drop_cq(struct fa_scene *s)
{
	T_OK(ibv_destroy_cq(s->object));
}

static int resize_cq(struct fa_scene *s)
{
	int ret = make_cq(s);

	if (ret)
		return ret;
	ret = ibv_resize_cq(s->object, 2000);
	if (ret)
		drop_cq(s);
	return ret;
}

static int make_qp(struct fa_scene *s, enum ibv_qp_type type)
{
	struct ibv_qp_init_attr init = {
		.qp_type = type,
		.send_cq = s->duo.a.scq,
		.recv_cq = s->duo.a.scq,
		.cap = { 64, 64, 4, 4, 64 },
	};

	return made(s, ibv_create_qp(s->duo.dev.pd, &init));
}

static int make_rc(struct fa_scene *s)
{
	return make_qp(s, IBV_QPT_RC);
}

static int make_uc(struct fa_scene *s)
{
	return make_qp(s, IBV_QPT_UC);
}

static int make_ud(struct fa_scene *s)
{
	return make_qp(s, IBV_QPT_UD);
}

static void drop_qp(struct fa_scene *s)
{
	T_OK(ibv_destroy_qp(s->object));
}

static int make_srq(struct fa_scene *s)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 100,
						    .max_sge = 4 } };

	return made(s, ibv_create_srq(s->duo.dev.pd, &init));
}

static void drop_srq(struct fa_scene *s)
{
	T_OK(ibv_destroy_srq(s->object));
}

static int resize_srq(struct fa_scene *s)
{
	struct ibv_srq_attr attr = { .max_wr = 3000 };
	int ret = make_srq(s);

	if (ret)
		return ret;
	ret = ibv_modify_srq(s->object, &attr, IBV_SRQ_MAX_WR);
	if (ret)
		drop_srq(s);
	return ret;
}

static int make_xrcd(struct fa_scene *s)
{
	struct ibv_xrcd_init_attr init = {
		.comp_mask = IBV_XRCD_INIT_ATTR_FD | IBV_XRCD_INIT_ATTR_OFLAGS,
		.fd = -1,
		.oflags = O_CREAT,
	};

	return made(s, ibv_open_xrcd(s->duo.dev.ctx, &init));
}

static void drop_xrcd(struct fa_scene *s)
{
	T_OK(ibv_close_xrcd(s->object));
}

static int make_ah(struct fa_scene *s)
{
	return made(s, ibv_create_ah(s->duo.dev.pd, &s->ah));
}

static void drop_ah(struct fa_scene *s)
{
	T_OK(ibv_destroy_ah(s->object));
}

static int make_mw(struct fa_scene *s)
{
	return made(s, ibv_alloc_mw(s->duo.dev.pd, IBV_MW_TYPE_1));
}

static void drop_mw(struct fa_scene *s)
{
	T_OK(ibv_dealloc_mw(s->object));
}

static int make_dm(struct fa_scene *s)
{
	struct ibv_alloc_dm_attr attr = { .length = FA_LEN };

	return made(s, ibv_alloc_dm(s->duo.dev.ctx, &attr));
}

static void drop_dm(struct fa_scene *s)
{
	T_OK(ibv_free_dm(s->object));
}

static union ibv_gid group = {
	.raw = { 0xff, 0x0e, [10] = 0xff, 0xff, 239, 1, 2, 3 },
};

static int join_group(struct fa_scene *s)
{
	int ret;

	if (make_ud(s))
		return ENOMEM;
	s->second = s->object;
	ret = ibv_attach_mcast(s->second, &group, 0);
	if (ret)
		drop_qp(s);
	return ret;
}

static void leave_group(struct fa_scene *s)
{
	T_OK(ibv_detach_mcast(s->object, &group, 0));
	drop_qp(s);
}

static int to_rts(struct fa_scene *s)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = T_PORT,
		.qp_access_flags = T_ACCESS_ALL,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = s->duo.b.qp->qp_num,
		.max_dest_rd_atomic = 16,
		.max_rd_atomic = 16,
		.min_rnr_timer = 1,
		.timeout = 14,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.ah_attr = s->ah,
	};
	int ret;

	ret = ibv_modify_qp(s->qp, &attr,
			    IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				    IBV_QP_ACCESS_FLAGS);
	if (ret)
		return ret;
	attr.qp_state = IBV_QPS_RTR;
	ret = ibv_modify_qp(s->qp, &attr,
			    IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
				    IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
				    IBV_QP_MAX_DEST_RD_ATOMIC |
				    IBV_QP_MIN_RNR_TIMER);
	if (ret)
		return ret;
	attr.qp_state = IBV_QPS_RTS;
	return ibv_modify_qp(s->qp, &attr,
			     IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT |
				     IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
				     IBV_QP_MAX_QP_RD_ATOMIC);
}

static void to_reset(struct fa_scene *s)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	T_OK(ibv_modify_qp(s->qp, &attr, IBV_QP_STATE));
}

static int connect_qp(struct fa_scene *s)
{
	int ret = to_rts(s);

	if (ret)
		to_reset(s);
	return ret;
}

const struct fa_call fa_objects[] = {
	{ "ibv_open_device", make_context, drop_context },
	{ "ibv_alloc_pd", make_pd, drop_pd },
	{ "ibv_create_cq", make_cq, drop_cq },
	{ "ibv_resize_cq", resize_cq, drop_cq },
	{ "ibv_create_qp RC", make_rc, drop_qp },
	{ "ibv_create_qp UC", make_uc, drop_qp },
	{ "ibv_create_qp UD", make_ud, drop_qp },
	{ "ibv_create_srq", make_srq, drop_srq },
	{ "ibv_modify_srq", resize_srq, drop_srq },
	{ "ibv_open_xrcd", make_xrcd, drop_xrcd },
	{ "ibv_create_ah", make_ah, drop_ah },
	{ "ibv_alloc_mw", make_mw, drop_mw },
	{ "ibv_alloc_dm", make_dm, drop_dm },
	{ "ibv_attach_mcast", join_group, leave_group },
	{ "ibv_modify_qp", connect_qp, to_reset },
};

const size_t fa_nr_objects = T_ARRAY_SIZE(fa_objects);

static int reg(struct fa_scene *s, void *addr, size_t len, int access)
{
	return made(s, ibv_reg_mr(s->duo.dev.pd, addr, len, access));
}

static int reg_pinned(struct fa_scene *s)
{
	return reg(s, s->duo.abuf, FA_LEN, T_ACCESS_ALL);
}

static int reg_odp(struct fa_scene *s)
{
	return reg(s, s->duo.abuf, FA_LEN, ODP);
}

static int reg_implicit(struct fa_scene *s)
{
	return reg(s, NULL, SIZE_MAX, ODP);
}

static void drop_mr(struct fa_scene *s)
{
	T_OK(ibv_dereg_mr(s->object));
}

static int rereg(struct fa_scene *s)
{
	int ret = reg_odp(s);

	if (ret)
		return ret;
	errno = 0;
	ret = ibv_rereg_mr(s->object,
			   IBV_REREG_MR_CHANGE_TRANSLATION |
				   IBV_REREG_MR_CHANGE_ACCESS,
			   s->duo.dev.pd, s->duo.bbuf, FA_LEN, T_ACCESS_ALL);
	if (!ret)
		return 0;
	ret = errno;
	drop_mr(s);
	return ret;
}

static int reg_dm(struct fa_scene *s)
{
	int ret = make_dm(s);
	struct ibv_mr *mr;

	if (ret)
		return ret;
	s->second = s->object;
	mr = ibv_reg_dm_mr(s->duo.dev.pd, s->second, 0, FA_LEN,
			   T_ACCESS_ALL | IBV_ACCESS_ZERO_BASED);
	ret = made(s, mr);
	if (ret)
		T_OK(ibv_free_dm(s->second));
	return ret;
}

static void drop_dm_mr(struct fa_scene *s)
{
	drop_mr(s);
	T_OK(ibv_free_dm(s->second));
}

void fa_cool(char *buf)
{
	T_ASSERT(!madvise(buf, FA_LEN, MADV_DONTNEED), "madvise: %s",
		 t_errname(errno));
}

static int advise(struct fa_scene *s, enum ibv_advise_mr_advice advice,
		  uint32_t flags)
{
	struct ibv_sge sge = t_duo_sge(&s->duo, 0, FA_LEN);

	fa_cool(s->duo.abuf);
	return ibv_advise_mr(s->duo.dev.pd, advice, flags, &sge, 1);
}

static int prefetch(struct fa_scene *s)
{
	return advise(s, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
		      IBV_ADVISE_MR_FLAG_FLUSH);
}

static int prefetch_later(struct fa_scene *s)
{
	return advise(s, IBV_ADVISE_MR_ADVICE_PREFETCH, 0);
}

static int prefetch_there(struct fa_scene *s)
{
	return advise(s, IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT,
		      IBV_ADVISE_MR_FLAG_FLUSH);
}

/* Memory that a region has pages of goes, all of it and one page */
static int invalidate(struct fa_scene *s)
{
	int ret = prefetch(s);

	if (ret)
		return ret;
	T_ASSERT(!madvise(s->duo.abuf + T_PAGE, T_PAGE, MADV_DONTNEED),
		 "madvise: %s", t_errname(errno));
	fa_cool(s->duo.abuf);
	return 0;
}

/* Who posts fetches what he can; the rest is a worker's */
static int post(struct fa_scene *s)
{
	struct t_duo *d = &s->duo;

	fa_cool(d->abuf);
	fa_cool(d->bbuf);
	t_post(&d->a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(d, 0, FA_LEN),
	       t_remote(d, 0), d->bmr->rkey);
	t_want_wc(d->a.scq, 1, IBV_WC_SUCCESS);
	return 0;
}

const struct fa_call fa_memory[] = {
	{ "ibv_reg_mr pinned", reg_pinned, drop_mr },
	{ "ibv_reg_mr on demand", reg_odp, drop_mr },
	{ "ibv_reg_mr implicit", reg_implicit, drop_mr },
	{ "ibv_rereg_mr", rereg, drop_mr },
	{ "ibv_reg_dm_mr", reg_dm, drop_dm_mr },
	{ "ibv_advise_mr", prefetch, NULL },
	{ "ibv_advise_mr later", prefetch_later, NULL },
	{ "ibv_advise_mr no fault", prefetch_there, NULL },
	{ "madvise", invalidate, NULL },
	{ "ibv_post_send", post, NULL },
};

const size_t fa_nr_memory = T_ARRAY_SIZE(fa_memory);
