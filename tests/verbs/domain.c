// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Parent domains, thread domains, and what other contexts import */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/t_duo.h"

#define LEN (16 * T_PAGE)

static struct {
	struct ibv_pd *pd;
	void *context;
	unsigned int allocs;
	unsigned int frees;
	unsigned int mode; /* 0: memory, 1: use the default, 2: refuse */
} hook;

static void *hook_alloc(struct ibv_pd *pd, void *pd_context, size_t size,
			size_t alignment, uint64_t resource_type)
{
	void *ptr;

	T_ASSERT(pd == hook.pd && pd_context == hook.context, "pd %p ctx %p",
		 (void *)pd, pd_context);
	T_ASSERT(resource_type >> 32, "resource type %#llx of no driver",
		 (unsigned long long)resource_type);
	if (hook.mode == 1)
		return IBV_ALLOCATOR_USE_DEFAULT;
	if (hook.mode == 2)
		return NULL;
	hook.allocs++;
	T_ASSERT(!posix_memalign(&ptr, alignment, size), "no memory");
	memset(ptr, 0, size);
	return ptr;
}

static void hook_free(struct ibv_pd *pd, void *pd_context, void *ptr,
		      uint64_t resource_type)
{
	T_ASSERT(pd == hook.pd && pd_context == hook.context, "pd %p ctx %p",
		 (void *)pd, pd_context);
	hook.frees++;
	free(ptr);
}

static struct ibv_pd *make_parent(struct t_dev *dev, struct ibv_td *td,
				  bool allocators)
{
	struct ibv_parent_domain_init_attr attr = { .pd = dev->pd, .td = td };

	if (allocators) {
		attr.comp_mask = IBV_PARENT_DOMAIN_INIT_ATTR_ALLOCATORS |
				 IBV_PARENT_DOMAIN_INIT_ATTR_PD_CONTEXT;
		attr.alloc = hook_alloc;
		attr.free = hook_free;
		attr.pd_context = &hook;
		hook.context = &hook;
	}
	hook.pd = ibv_alloc_parent_domain(dev->ctx, &attr);
	T_ASSERT(hook.pd, "ibv_alloc_parent_domain: %s", t_errname(errno));
	return hook.pd;
}

/* A domain stays as long as something of it does */
static void lifetimes(void)
{
	struct ibv_parent_domain_init_attr attr = { 0 };
	struct ibv_td_init_attr td_attr = { 0 };
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_pd *parent;
	struct ibv_td *td;
	struct t_dev dev;
	struct t_ep ep;

	t_open(&dev);
	T_NULL_ERRNO(ibv_alloc_parent_domain(dev.ctx, &attr), EINVAL);
	attr.pd = dev.pd;
	attr.comp_mask = 1u << 20;
	T_NULL_ERRNO(ibv_alloc_parent_domain(dev.ctx, &attr), EOPNOTSUPP);
	attr.comp_mask = IBV_PARENT_DOMAIN_INIT_ATTR_ALLOCATORS;
	attr.alloc = hook_alloc;
	T_NULL_ERRNO(ibv_alloc_parent_domain(dev.ctx, &attr), EINVAL);
	td_attr.comp_mask = 1;
	T_NULL_ERRNO(ibv_alloc_td(dev.ctx, &td_attr), EOPNOTSUPP);
	td_attr.comp_mask = 0;
	td = ibv_alloc_td(dev.ctx, &td_attr);
	T_ASSERT(td, "ibv_alloc_td: %s", t_errname(errno));
	parent = make_parent(&dev, td, false);
	T_ERR(ibv_dealloc_td(td), EBUSY);
	T_ERR(ibv_dealloc_pd(dev.pd), EBUSY);
	opt.pd = parent;
	t_ep_open(&ep, &dev, &opt);
	T_ERR(ibv_dealloc_pd(parent), EBUSY);
	t_ep_close(&ep);
	T_OK(ibv_dealloc_pd(parent));
	T_OK(ibv_dealloc_td(td));
	T_OK(ibv_dealloc_pd(dev.pd));
}

/* It is interchangeable with the PD it extends, for traffic too */
static void same_pd(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_mr *mr;
	struct t_dev dev;
	struct t_duo d;

	t_open(&dev);
	memset(&d, 0, sizeof(d));
	d.dev = dev;
	opt.pd = make_parent(&dev, NULL, false);
	t_duo_make(&d, LEN, T_PINNED, T_ACCESS_ALL, T_ACCESS_ALL, &opt);
	t_duo_works(&d);
	mr = t_reg(opt.pd, d.abuf, LEN, T_ACCESS_ALL);
	t_fill(d.abuf, LEN, 3);
	t_post(&d.a, IBV_WR_RDMA_WRITE, 3, t_sge(mr, d.abuf, LEN),
	       t_remote(&d, 0), d.bmr->rkey);
	t_want_wc(d.a.scq, 3, IBV_WC_SUCCESS);
	t_want_data(d.bbuf, LEN, 3);
}

/* A CQ may be of a parent domain, and of no other */
static void cq_of_domain(void)
{
	struct ibv_cq_init_attr_ex attr = {
		.cqe = 4,
		.wc_flags = IBV_WC_EX_WITH_BYTE_LEN,
		.comp_mask = IBV_CQ_INIT_ATTR_MASK_PD,
	};
	struct ibv_td_init_attr td_attr = { 0 };
	struct ibv_cq_ex *cq;
	struct ibv_td *td;
	struct t_dev dev;

	t_open(&dev);
	T_NULL_ERRNO(ibv_create_cq_ex(dev.ctx, &attr), EINVAL);
	attr.parent_domain = dev.pd;
	T_NULL_ERRNO(ibv_create_cq_ex(dev.ctx, &attr), EINVAL);
	td = ibv_alloc_td(dev.ctx, &td_attr);
	T_ASSERT(td, "ibv_alloc_td: %s", t_errname(errno));
	attr.parent_domain = make_parent(&dev, td, false);
	cq = ibv_create_cq_ex(dev.ctx, &attr);
	T_ASSERT(cq, "ibv_create_cq_ex: %s", t_errname(errno));
	T_ERR(ibv_dealloc_pd(attr.parent_domain), EBUSY);
	T_OK(ibv_destroy_cq(ibv_cq_ex_to_cq(cq)));
	T_OK(ibv_dealloc_pd(attr.parent_domain));
	T_OK(ibv_dealloc_td(td));
}

static void xrc_srq_of_domain(void)
{
	struct ibv_xrcd_init_attr xrcd_attr = {
		.comp_mask = IBV_XRCD_INIT_ATTR_FD | IBV_XRCD_INIT_ATTR_OFLAGS,
		.fd = -1,
		.oflags = O_CREAT,
	};
	struct ibv_srq_init_attr_ex init = {
		.attr = { .max_wr = 4, .max_sge = 1 },
		.comp_mask = IBV_SRQ_INIT_ATTR_TYPE | IBV_SRQ_INIT_ATTR_PD |
			     IBV_SRQ_INIT_ATTR_XRCD | IBV_SRQ_INIT_ATTR_CQ,
		.srq_type = IBV_SRQT_XRC,
	};
	struct ibv_srq *srq;
	struct t_dev dev;

	t_open(&dev);
	if (!(dev.attr.orig_attr.device_cap_flags & IBV_DEVICE_XRC))
		t_skip("no XRC");
	init.xrcd = ibv_open_xrcd(dev.ctx, &xrcd_attr);
	T_ASSERT(init.xrcd, "ibv_open_xrcd: %s", t_errname(errno));
	init.cq = ibv_create_cq(dev.ctx, 4, NULL, NULL, 0);
	T_ASSERT(init.cq, "ibv_create_cq: %s", t_errname(errno));
	init.pd = make_parent(&dev, NULL, false);
	srq = ibv_create_srq_ex(dev.ctx, &init);
	T_ASSERT(srq, "ibv_create_srq_ex: %s", t_errname(errno));
	T_ASSERT(srq->pd == init.pd, "srq->pd %p", (void *)srq->pd);
	T_ERR(ibv_dealloc_pd(init.pd), EBUSY);
	T_OK(ibv_destroy_srq(srq));
	T_OK(ibv_dealloc_pd(init.pd));
	T_OK(ibv_destroy_cq(init.cq));
	T_OK(ibv_close_xrcd(init.xrcd));
}

static void allocators(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct t_dev dev;
	struct t_ep ep;

	t_open(&dev);
	opt.pd = make_parent(&dev, NULL, true);
	opt.wr_ops = IBV_QP_EX_WITH_SEND;
	t_ep_open(&ep, &dev, &opt);
	T_ASSERT(hook.allocs && !hook.frees, "%u allocations, %u freed",
		 hook.allocs, hook.frees);
	t_ep_close(&ep);
	T_ASSERT(hook.allocs == hook.frees, "%u allocations, %u freed",
		 hook.allocs, hook.frees);
	hook.mode = 1;
	hook.allocs = 0;
	hook.frees = 0;
	t_ep_open(&ep, &dev, &opt);
	t_ep_close(&ep);
	T_ASSERT(!hook.frees, "freed what was not its own");
	hook.mode = 2;
	{
		struct ibv_cq *cq = ibv_create_cq(dev.ctx, 4, NULL, NULL, 0);
		struct ibv_qp_init_attr_ex init = {
			.qp_type = IBV_QPT_RC,
			.send_cq = cq,
			.recv_cq = cq,
			.cap = { .max_send_wr = 1, .max_recv_wr = 1,
				 .max_send_sge = 1, .max_recv_sge = 1 },
			.comp_mask = IBV_QP_INIT_ATTR_PD |
				     IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
			.pd = opt.pd,
			.send_ops_flags = IBV_QP_EX_WITH_SEND,
		};

		T_NULL_ERRNO(ibv_create_qp_ex(dev.ctx, &init), ENOMEM);
		T_OK(ibv_destroy_cq(cq));
	}
	T_OK(ibv_dealloc_pd(opt.pd));
}

static void send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec iov = { .iov_base = &fd, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	T_ASSERT(sendmsg(sock, &msg, 0) == 1, "sendmsg: %s", t_errname(errno));
}

static int recv_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))];
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	T_ASSERT(recvmsg(sock, &msg, 0) == 1, "recvmsg: %s", t_errname(errno));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

struct handles {
	uint32_t pd;
	uint32_t mr;
	uint64_t addr;
	uint64_t len;
};

/*
 * A process that was given the file: its QPs in the owner's PD reach the
 * owner's memory, and keys of it, by handle alone.
 */
static void importer(int sock, bool owner_lives)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct t_dev dev = { .name = "imported" };
	struct t_ep a, b;
	struct handles h;
	struct ibv_mr *mr;
	uint32_t word = 0;
	int fd;

	fd = recv_fd(sock);
	t_msg_recv(sock, &h, sizeof(h));
	dev.ctx = ibv_import_device(fd);
	T_ASSERT(dev.ctx, "ibv_import_device: %s", t_errname(errno));
	T_OK(ibv_query_device_ex(dev.ctx, NULL, &dev.attr));
	T_OK(ibv_query_port(dev.ctx, T_PORT, &dev.port));
	dev.gid_index = atoi(getenv("SODP_GID_INDEX") ?: "0");
	T_OK(ibv_query_gid(dev.ctx, T_PORT, dev.gid_index, &dev.gid));
	dev.pd = ibv_import_pd(dev.ctx, h.pd);
	T_ASSERT(dev.pd, "ibv_import_pd: %s", t_errname(errno));
	T_ASSERT(!ibv_import_mr(dev.pd, h.mr + 1000), "imported nothing");
	mr = ibv_import_mr(dev.pd, h.mr);
	T_ASSERT(mr, "ibv_import_mr: %s", t_errname(errno));
	T_ASSERT(mr->length == h.len, "length %zu", mr->length);
	t_pair(&dev, &a, &b, &opt);
	/* The owner's first half to its second */
	t_post(&a, IBV_WR_RDMA_WRITE, 1,
	       t_sge(mr, (void *)(uintptr_t)h.addr, h.len / 2),
	       h.addr + h.len / 2, mr->rkey);
	t_want_wc(a.scq, 1, IBV_WC_SUCCESS);
	t_msg_send(sock, &word, sizeof(word));
	t_msg_recv(sock, &word, sizeof(word));
	if (!owner_lives) {
		/* Its MR is gone by now, its keys with it */
		t_post(&a, IBV_WR_RDMA_WRITE, 2,
		       t_sge(mr, (void *)(uintptr_t)h.addr, 8), h.addr + 8,
		       mr->rkey);
		t_want_wc(a.scq, 2, IBV_WC_LOC_PROT_ERR);
	}
	ibv_unimport_mr(mr);
	t_ep_close(&a);
	t_ep_close(&b);
	ibv_unimport_pd(dev.pd);
	T_OK(ibv_close_device(dev.ctx));
	_exit(0);
}

static void import_in(enum t_kind kind, bool owner_lives)
{
	struct handles h = { .len = LEN };
	struct t_dev dev;
	struct ibv_mr *mr;
	uint32_t word;
	int sock[2];
	char *buf;
	pid_t pid;

	t_msg_pair(sock);
	pid = t_fork();
	if (!pid)
		importer(sock[1], owner_lives);
	t_open(&dev);
	if (!t_can_kind(&dev, kind))
		kind = T_PINNED;
	buf = t_map(LEN);
	mr = t_reg_kind(&dev, kind, buf, LEN, T_ACCESS_ALL);
	t_fill(buf, LEN / 2, 11);
	h.pd = dev.pd->handle;
	h.mr = mr->handle;
	h.addr = (uintptr_t)buf;
	send_fd(sock[0], dev.ctx->cmd_fd);
	t_msg_send(sock[0], &h, sizeof(h));
	t_msg_recv(sock[0], &word, sizeof(word));
	t_want_data(buf + LEN / 2, LEN / 2, 11);
	/* The importer's QPs are of the PD */
	T_ERR(ibv_dealloc_pd(dev.pd), EBUSY);
	if (!owner_lives)
		T_OK(ibv_dereg_mr(mr));
	t_msg_send(sock[0], &word, sizeof(word));
	t_reap(pid);
	if (owner_lives)
		T_OK(ibv_dereg_mr(mr));
	T_OK(ibv_dealloc_pd(dev.pd));
	T_OK(ibv_close_device(dev.ctx));
}

static void import_process(void)
{
	t_case("pinned");
	import_in(T_PINNED, true);
	t_case("on demand");
	import_in(T_EXPLICIT, true);
	t_case("the MR goes first");
	import_in(T_EXPLICIT, false);
}

/* A context that was imported lives on when the first is closed */
static void import_outlives(void)
{
	struct ibv_context *ctx;
	struct t_dev dev;
	struct t_duo d;

	t_open(&dev);
	ctx = ibv_import_device(dup(dev.ctx->cmd_fd));
	T_ASSERT(ctx, "ibv_import_device: %s", t_errname(errno));
	T_OK(ibv_dealloc_pd(dev.pd));
	T_OK(ibv_close_device(dev.ctx));
	memset(&d, 0, sizeof(d));
	d.dev = dev;
	d.dev.ctx = ctx;
	d.dev.pd = ibv_alloc_pd(ctx);
	T_ASSERT(d.dev.pd, "ibv_alloc_pd: %s", t_errname(errno));
	t_duo_make(&d, LEN, T_PINNED, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
	t_duo_works(&d);
	T_NULL_ERRNO(ibv_import_device(-1), EINVAL);
}

static const struct t_test tests[] = {
	{ "lifetimes", lifetimes },
	{ "same_pd", same_pd },
	{ "cq_of_domain", cq_of_domain },
	{ "xrc_srq_of_domain", xrc_srq_of_domain },
	{ "allocators", allocators },
	{ "import_process", import_process },
	{ "import_outlives", import_outlives },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
