// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Device memory: bounds, data both ways, who may still use it */

#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "common/t_duo.h"

#define LEN (16 * T_PAGE)
#define DM_ACCESS (T_ACCESS_ALL | IBV_ACCESS_ZERO_BASED)

static void open_dev(struct t_dev *dev)
{
	t_open(dev);
	if (!dev->attr.max_dm_size)
		t_skip("no device memory");
}

static struct ibv_dm *alloc(struct t_dev *dev, size_t length)
{
	struct ibv_alloc_dm_attr attr = { .length = length };
	struct ibv_dm *dm = ibv_alloc_dm(dev->ctx, &attr);

	T_ASSERT(dm, "ibv_alloc_dm(%zu): %s", length, t_errname(errno));
	return dm;
}

static struct ibv_mr *reg(struct t_dev *dev, struct ibv_dm *dm, size_t off,
			  size_t length)
{
	struct ibv_mr *mr = ibv_reg_dm_mr(dev->pd, dm, off, length, DM_ACCESS);

	T_ASSERT(mr, "ibv_reg_dm_mr(%zu, %zu): %s", off, length,
		 t_errname(errno));
	return mr;
}

/* As much as the device says, all users together; it comes back when freed */
static void amount(void)
{
	struct ibv_alloc_dm_attr attr = { 0 };
	struct ibv_dm *half, *rest;
	struct t_dev dev;
	uint64_t max;
	int i;

	open_dev(&dev);
	max = dev.attr.max_dm_size;
	T_NULL_ERRNO(ibv_alloc_dm(dev.ctx, &attr), EINVAL);
	attr.length = max + 1;
	T_NULL_ERRNO(ibv_alloc_dm(dev.ctx, &attr), EINVAL);
	attr.length = 64;
	attr.comp_mask = 1;
	T_NULL_ERRNO(ibv_alloc_dm(dev.ctx, &attr), EOPNOTSUPP);
	attr.comp_mask = 0;
	attr.log_align_req = 40;
	T_NULL_ERRNO(ibv_alloc_dm(dev.ctx, &attr), EOPNOTSUPP);
	attr.log_align_req = 0;
	for (i = 0; i < 3; i++) {
		t_case("round %d", i);
		half = alloc(&dev, max / 2);
		rest = alloc(&dev, max - max / 2);
		T_NULL_ERRNO(ibv_alloc_dm(dev.ctx, &attr), ENOMEM);
		T_OK(ibv_free_dm(half));
		half = alloc(&dev, max / 2);
		T_OK(ibv_free_dm(half));
		T_OK(ibv_free_dm(rest));
	}
}

static void copies(void)
{
	struct ibv_dm *dm;
	struct t_dev dev;
	char buf[256];

	open_dev(&dev);
	dm = alloc(&dev, 200);
	T_OK(ibv_memcpy_from_dm(buf, dm, 0, 200));
	T_ASSERT(t_check_byte(buf, 200, 0) < 0, "not zeroed");
	t_fill(buf, 200, 1);
	T_OK(ibv_memcpy_to_dm(dm, 0, buf, 200));
	memset(buf, 0, sizeof(buf));
	T_OK(ibv_memcpy_from_dm(buf, dm, 0, 200));
	t_want_data(buf, 200, 1);
	T_ERR(ibv_memcpy_to_dm(dm, 0, buf, 204), EFAULT);
	T_ERR(ibv_memcpy_from_dm(buf, dm, 200, 4), EFAULT);
	T_ERR(ibv_memcpy_from_dm(buf, dm, UINT64_MAX - 3, 8), EFAULT);
	T_ERR(ibv_memcpy_to_dm(dm, 2, buf, 4), EINVAL);
	T_ERR(ibv_memcpy_to_dm(dm, 4, buf, 3), EINVAL);
	T_OK(ibv_free_dm(dm));
}

/* MRs are zero-based, lie inside, and keep the memory */
static void regions(void)
{
	struct ibv_mr *mr, *empty;
	struct ibv_dm *dm;
	struct t_dev dev;

	open_dev(&dev);
	dm = alloc(&dev, 5000);
	T_NULL_ERRNO(ibv_reg_dm_mr(dev.pd, dm, 0, 64, T_ACCESS_ALL), EINVAL);
	T_NULL_ERRNO(ibv_reg_dm_mr(dev.pd, dm, 0, 5001, DM_ACCESS), EINVAL);
	T_NULL_ERRNO(ibv_reg_dm_mr(dev.pd, dm, 4999, 2, DM_ACCESS), EINVAL);
	T_NULL_ERRNO(ibv_reg_dm_mr(dev.pd, dm, 8, UINT64_MAX - 4, DM_ACCESS),
		     EINVAL);
	errno = 0;
	T_ASSERT(!ibv_reg_dm_mr(dev.pd, dm, 0, 64,
				DM_ACCESS | IBV_ACCESS_ON_DEMAND),
		 "ODP on device memory");
	empty = reg(&dev, dm, 5000, 0);
	mr = reg(&dev, dm, 100, 4900);
	T_ERR(ibv_free_dm(dm), EBUSY);
	T_OK(ibv_dereg_mr(empty));
	T_ERR(ibv_free_dm(dm), EBUSY);
	T_OK(ibv_dereg_mr(mr));
	T_OK(ibv_free_dm(dm));
}

static void want_dm(struct ibv_dm *dm, size_t off, size_t len, uint64_t seed)
{
	static char buf[LEN];

	T_OK(ibv_memcpy_from_dm(buf, dm, off, len));
	t_want_data(buf, len, seed);
}

static void copy_op(struct t_duo *d, enum ibv_wr_opcode op, uint64_t id,
		    struct ibv_sge sge, uint64_t remote, uint32_t rkey)
{
	t_post(&d->a, op, id, sge, remote, rkey);
	t_want_wc(d->a.scq, id, IBV_WC_SUCCESS);
}

/* To, from and between device memory; the other side pinned or on demand */
static void traffic(void)
{
	struct ibv_sge sge;
	struct ibv_mr *mr;
	struct ibv_dm *dm;
	enum t_kind kind;
	struct t_dev dev;
	struct t_duo d;
	char *at;

	open_dev(&dev);
	for (kind = 0; kind < T_NR_KINDS; kind++) {
		t_case("%s", t_kind_names[kind]);
		if (!t_can_kind(&dev, kind))
			continue;
		memset(&d, 0, sizeof(d));
		d.dev = dev;
		t_duo_make(&d, LEN, kind, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
		dm = alloc(&dev, LEN);
		mr = reg(&dev, dm, 4, LEN - 4);
		t_fill(d.abuf, LEN - 4, 1);
		copy_op(&d, IBV_WR_RDMA_WRITE, 1, t_sge(d.amr, d.abuf, LEN - 4),
			0, mr->rkey);
		want_dm(dm, 4, LEN - 4, 1);
		/* From it into memory, then within itself */
		sge = t_sge(mr, NULL, LEN - 4);
		copy_op(&d, IBV_WR_RDMA_WRITE, 2, sge, t_remote(&d, 0),
			d.bmr->rkey);
		t_want_data(d.bbuf, LEN - 4, 1);
		memset(d.bbuf, 0, LEN);
		copy_op(&d, IBV_WR_RDMA_READ, 3, t_sge(d.amr, d.abuf + 4, 4096),
			0, mr->rkey);
		t_want_data(d.abuf + 4, 4096, 1);
		sge = t_sge(mr, NULL, 4000);
		copy_op(&d, IBV_WR_RDMA_WRITE, 4, sge, 8192, mr->rkey);
		want_dm(dm, 8196, 4000, 1);
		/* A SEND from it, and a receive into it */
		t_post_recv(&d.b, 5, t_sge(mr, (void *)16384, 4096));
		copy_op(&d, IBV_WR_SEND, 5, t_sge(mr, NULL, 4096), 0, 0);
		t_want_wc(d.b.rcq, 5, IBV_WC_SUCCESS);
		want_dm(dm, 16388, 4096, 1);
		/* One byte too far */
		at = (char *)(uintptr_t)(LEN - 4 - 63);
		t_post(&d.a, IBV_WR_RDMA_WRITE, 6, t_sge(d.amr, d.abuf, 64),
		       (uintptr_t)at, mr->rkey);
		t_want_wc(d.a.scq, 6, IBV_WC_REM_ACCESS_ERR);
		t_duo_renew(&d);
		t_post(&d.a, IBV_WR_RDMA_WRITE, 7, t_sge(mr, at, 64),
		       t_remote(&d, 0), d.bmr->rkey);
		t_want_wc(d.a.scq, 7, IBV_WC_LOC_PROT_ERR);
		T_OK(ibv_dereg_mr(mr));
		T_OK(ibv_free_dm(dm));
	}
}

static void atomics(void)
{
	uint64_t value = 40;
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD,
		.send_flags = IBV_SEND_SIGNALED,
		.num_sge = 1,
	};
	struct ibv_sge sge;
	struct ibv_mr *mr;
	struct ibv_dm *dm;
	struct t_dev dev;
	struct t_duo d;

	open_dev(&dev);
	memset(&d, 0, sizeof(d));
	d.dev = dev;
	t_duo_make(&d, LEN, T_PINNED, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
	dm = alloc(&dev, 64);
	mr = reg(&dev, dm, 8, 56);
	T_OK(ibv_memcpy_to_dm(dm, 16, &value, sizeof(value)));
	sge = t_duo_sge(&d, 0, 8);
	wr.sg_list = &sge;
	wr.wr.atomic.remote_addr = 8;
	wr.wr.atomic.compare_add = 2;
	wr.wr.atomic.rkey = mr->rkey;
	T_OK(t_try_post(&d.a, &wr));
	t_want_wc(d.a.scq, 0, IBV_WC_SUCCESS);
	T_OK(ibv_memcpy_from_dm(&value, dm, 16, sizeof(value)));
	T_ASSERT(value == 42 && *(uint64_t *)d.abuf == 40, "%llu after %llu",
		 (unsigned long long)value,
		 *(unsigned long long *)d.abuf);
}

/* An import sees the same bytes; a mapping outlives what it is of */
static void import(void)
{
	struct ibv_context *ctx;
	struct ibv_dm *dm, *twin;
	struct t_dev dev;
	char buf[4096];

	open_dev(&dev);
	dm = alloc(&dev, sizeof(buf));
	ctx = ibv_import_device(dup(dev.ctx->cmd_fd));
	T_ASSERT(ctx, "ibv_import_device: %s", t_errname(errno));
	T_ASSERT(!ibv_import_dm(ctx, dm->handle + 1000), "imported nothing");
	/* A PD's handle is no device memory's */
	T_ASSERT(!ibv_import_dm(ctx, dev.pd->handle), "imported a PD");
	twin = ibv_import_dm(ctx, dm->handle);
	T_ASSERT(twin, "ibv_import_dm: %s", t_errname(errno));
	t_fill(buf, sizeof(buf), 9);
	T_OK(ibv_memcpy_to_dm(dm, 0, buf, sizeof(buf)));
	memset(buf, 0, sizeof(buf));
	T_OK(ibv_memcpy_from_dm(buf, twin, 0, sizeof(buf)));
	t_want_data(buf, sizeof(buf), 9);
	T_OK(ibv_free_dm(dm));
	/* Stale, but the bytes are still there and nothing breaks */
	T_OK(ibv_memcpy_from_dm(buf, twin, 0, sizeof(buf)));
	t_want_data(buf, sizeof(buf), 9);
	ibv_unimport_dm(twin);
	T_OK(ibv_close_device(ctx));
	T_OK(ibv_free_dm(alloc(&dev, dev.attr.max_dm_size)));
}

static const struct t_test tests[] = {
	{ "amount", amount },
	{ "copies", copies },
	{ "regions", regions },
	{ "traffic", traffic },
	{ "atomics", atomics },
	{ "import", import },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
