// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * fastreg.c - fast registration: REG_MR, LOCAL_INV, SEND_WITH_INV
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "kt.h"

#define FR_PAGES	16
#define FR_FIRST	512	/* offset in the first page */
#define FR_LEN		(FR_PAGES * PAGE_SIZE - FR_FIRST - 100)

#define FR_ACCESS (IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_READ | \
		   IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_ATOMIC)

/* Pages of the B side, in an order that no one else would put them in */
struct fr {
	struct kt_pair p;
	struct kt_side c;	/* connected to itself */
	struct ib_mr *mr;
	u8 *pages[FR_PAGES];
	struct scatterlist sg[FR_PAGES];
};

static void fr_close(struct fr *fr)
{
	int i;

	if (fr->mr)
		ib_dereg_mr(fr->mr);
	kt_side_close(&fr->c);
	kt_pair_close(&fr->p);
	for (i = 0; i < FR_PAGES; i++)
		free_page((unsigned long)fr->pages[i]);
	kfree(fr);
}

static struct fr *fr_open(struct ib_device *dev)
{
	struct fr *fr = kzalloc(sizeof(*fr), GFP_KERNEL);
	struct ib_mr *mr;
	int i, k;

	if (!fr)
		return NULL;
	if (kt_pair_open(&fr->p, dev, IB_POLL_SOFTIRQ, false))
		goto err_close;
	if (kt_side_open(&fr->p, &fr->c, IB_POLL_SOFTIRQ) ||
	    kt_connect(fr->c.qp, fr->c.qp->qp_num))
		goto err_close;
	mr = ib_alloc_mr(fr->p.pd, IB_MR_TYPE_MEM_REG, FR_PAGES);
	if (IS_ERR(mr))
		goto err_close;
	fr->mr = mr;
	for (i = 0; i < FR_PAGES; i++) {
		k = (i * 5 + 3) % FR_PAGES;
		fr->pages[k] = (u8 *)__get_free_page(GFP_KERNEL);
		if (!fr->pages[k])
			goto err_close;
	}
	sg_init_table(fr->sg, FR_PAGES);
	for (i = 0; i < FR_PAGES; i++)
		sg_set_buf(&fr->sg[i], fr->pages[i] + (i ? 0 : FR_FIRST),
			   i == FR_PAGES - 1 ? PAGE_SIZE - 100 :
			   i ? PAGE_SIZE : PAGE_SIZE - FR_FIRST);
	if (ib_dma_map_sg(dev, fr->sg, FR_PAGES, DMA_BIDIRECTIONAL) ==
	    FR_PAGES)
		return fr;
err_close:
	fr_close(fr);
	return NULL;
}

/* REG_MR under the next key, on B's QP */
static int fr_register(struct fr *fr)
{
	struct ib_reg_wr wr = {
		.wr.opcode = IB_WR_REG_MR,
		.mr = fr->mr,
		.access = FR_ACCESS,
	};

	ib_update_fast_reg_key(fr->mr, ib_inc_rkey(fr->mr->rkey));
	wr.key = fr->mr->rkey;
	return kt_run(&fr->p.b, &wr.wr);
}

static int fr_invalidate(struct fr *fr, struct kt_side *side, u32 rkey)
{
	struct ib_send_wr wr = {
		.opcode = IB_WR_LOCAL_INV,
		.ex.invalidate_rkey = rkey,
	};

	return kt_run(side, &wr);
}

static bool fr_holds(struct fr *fr, u32 seed)
{
	u8 *flat = fr->p.b.buf;
	size_t at = 0;
	int i;

	for (i = 0; i < FR_PAGES; i++) {
		memcpy(flat + at, sg_virt(&fr->sg[i]), fr->sg[i].length);
		at += fr->sg[i].length;
	}
	return at == FR_LEN && kt_filled(flat, FR_LEN, seed);
}

static int fr_write(struct fr *fr, u32 seed, u64 addr, u32 rkey)
{
	kt_fill(fr->p.a.buf, FR_LEN, seed);
	return kt_rdma(&fr->p.a, IB_WR_RDMA_WRITE, fr->p.a.buf, FR_LEN, addr,
		       rkey);
}

static int basic_run(struct fr *fr)
{
	struct ib_mr *mr = fr->mr;
	u32 old;

	/* Closed as it is made */
	KT_EXPECT(fr_write(fr, 1, (uintptr_t)fr->pages[0], mr->rkey) ==
		  IB_WC_REM_ACCESS_ERR);
	KT_EXPECT(!kt_pair_reconnect(&fr->p));
	KT_EXPECT(ib_map_mr_sg(mr, fr->sg, FR_PAGES, NULL, PAGE_SIZE) ==
		  FR_PAGES);
	KT_EXPECT(mr->length == FR_LEN);
	KT_EXPECT(!fr_register(fr));
	KT_EXPECT(!fr_write(fr, 2, mr->iova, mr->rkey));
	KT_EXPECT(fr_holds(fr, 2));
	memset(fr->p.a.buf, 0, KT_BUF_SIZE);
	KT_EXPECT(!kt_rdma(&fr->p.a, IB_WR_RDMA_READ, fr->p.a.buf, FR_LEN,
			   mr->iova, mr->rkey));
	KT_EXPECT(kt_filled(fr->p.a.buf, FR_LEN, 2));
	/* One byte too far */
	KT_EXPECT(fr_write(fr, 3, mr->iova + 1, mr->rkey) ==
		  IB_WC_REM_ACCESS_ERR);
	KT_EXPECT(fr_holds(fr, 2));
	KT_EXPECT(!kt_pair_reconnect(&fr->p));
	/* Open already: a second REG_MR is an error */
	old = mr->rkey;
	KT_EXPECT(fr_register(fr) == IB_WC_LOC_QP_OP_ERR);
	KT_EXPECT(!kt_pair_reconnect(&fr->p));
	ib_update_fast_reg_key(mr, old);
	KT_EXPECT(!fr_invalidate(fr, &fr->p.b, old));
	KT_EXPECT(fr_write(fr, 4, mr->iova, old) == IB_WC_REM_ACCESS_ERR);
	KT_EXPECT(fr_holds(fr, 2));
	KT_EXPECT(!kt_pair_reconnect(&fr->p));
	/* The next key is good, the one before is not */
	KT_EXPECT(!fr_register(fr));
	KT_EXPECT(!fr_write(fr, 5, mr->iova, mr->rkey));
	KT_EXPECT(fr_holds(fr, 5));
	KT_EXPECT(fr_write(fr, 6, mr->iova, old) == IB_WC_REM_ACCESS_ERR);
	return 0;
}

static int fr_with(struct ib_device *dev, int (*run)(struct fr *fr))
{
	struct fr *fr = fr_open(dev);
	int ret;

	if (!fr)
		return -ENOMEM;
	ret = run(fr);
	fr_close(fr);
	return ret;
}

static int fastreg_basic(struct ib_device *dev)
{
	return fr_with(dev, basic_run);
}

/* The consumer says how long it is: up to the last page's end */
static int length_run(struct fr *fr)
{
	const u64 most = FR_PAGES * PAGE_SIZE - FR_FIRST;
	struct ib_mr *mr = fr->mr;

	KT_EXPECT(ib_map_mr_sg(mr, fr->sg, FR_PAGES, NULL, PAGE_SIZE) ==
		  FR_PAGES);
	mr->length = most;
	KT_EXPECT(!fr_register(fr));
	KT_EXPECT(!fr_invalidate(fr, &fr->p.b, mr->rkey));
	mr->length = most + 1;
	KT_EXPECT(fr_register(fr) == IB_WC_LOC_QP_OP_ERR);
	return 0;
}

static int fastreg_length(struct ib_device *dev)
{
	return fr_with(dev, length_run);
}

/* The consumer names the first byte as it likes; atomics; local use */
static int iova_run(struct fr *fr)
{
	struct ib_mr *mr = fr->mr;
	struct ib_sge sge = { .length = 8000 };
	struct ib_sge in = kt_sge(&fr->p, fr->p.a.buf, 8000);
	struct ib_send_wr send = {
		.opcode = IB_WR_SEND, .sg_list = &sge, .num_sge = 1,
	};
	struct kt_wr recv;

	KT_EXPECT(ib_map_mr_sg_zbva(mr, fr->sg, FR_PAGES, NULL, PAGE_SIZE) ==
		  FR_PAGES);
	KT_EXPECT(!fr_register(fr));
	KT_EXPECT(!fr_write(fr, 7, 0, mr->rkey));
	KT_EXPECT(fr_holds(fr, 7));
	KT_EXPECT(!fr_invalidate(fr, &fr->p.b, mr->rkey));

	KT_EXPECT(ib_map_mr_sg(mr, fr->sg, FR_PAGES, NULL, PAGE_SIZE) ==
		  FR_PAGES);
	mr->iova = (mr->iova & 0xffffffff) | 0x1234567800000000ULL;
	KT_EXPECT(!fr_register(fr));
	KT_EXPECT(!fr_write(fr, 8, mr->iova, mr->rkey));
	KT_EXPECT(fr_holds(fr, 8));
	/* From B by its lkey */
	sge.addr = mr->iova;
	sge.lkey = mr->lkey;
	KT_EXPECT(!kt_recv(&fr->p.a, &recv, &in, 1));
	KT_EXPECT(!kt_run(&fr->p.b, &send));
	KT_EXPECT(!kt_wait(&recv));
	KT_EXPECT(kt_filled(fr->p.a.buf, 8000, 8));
	return 0;
}

static int fastreg_iova(struct ib_device *dev)
{
	return fr_with(dev, iova_run);
}

/* A DMA MR of ib_core's does not grant these */
static int atomic_run(struct fr *fr)
{
	struct ib_sge sge = kt_sge(&fr->p, fr->p.a.buf, sizeof(u64));
	u64 *target = (u64 *)(sg_virt(&fr->sg[2]) + 8);
	u64 *old = (u64 *)fr->p.a.buf;
	struct ib_atomic_wr wr = {
		.wr = { .opcode = IB_WR_ATOMIC_FETCH_AND_ADD,
			.sg_list = &sge, .num_sge = 1 },
		.compare_add = 5,
	};

	KT_EXPECT(ib_map_mr_sg(fr->mr, fr->sg, FR_PAGES, NULL, PAGE_SIZE) ==
		  FR_PAGES);
	KT_EXPECT(!fr_register(fr));
	wr.remote_addr = fr->mr->iova + 2 * PAGE_SIZE - FR_FIRST + 8;
	wr.rkey = fr->mr->rkey;
	*target = 100;
	KT_EXPECT(!kt_run(&fr->p.a, &wr.wr));
	KT_EXPECT(*target == 105 && *old == 100);
	wr.wr.opcode = IB_WR_ATOMIC_CMP_AND_SWP;
	wr.compare_add = 104;
	wr.swap = 7;
	KT_EXPECT(!kt_run(&fr->p.a, &wr.wr));
	KT_EXPECT(*target == 105 && *old == 105);
	wr.compare_add = 105;
	KT_EXPECT(!kt_run(&fr->p.a, &wr.wr));
	KT_EXPECT(*target == 7 && *old == 105);
	wr.remote_addr += 4;
	KT_EXPECT(kt_run(&fr->p.a, &wr.wr) == IB_WC_REM_INV_REQ_ERR);
	KT_EXPECT(!kt_pair_reconnect(&fr->p));
	wr.remote_addr -= 4;
	wr.rkey = fr->p.pd->unsafe_global_rkey;
	KT_EXPECT(kt_run(&fr->p.a, &wr.wr) == IB_WC_REM_ACCESS_ERR);
	return 0;
}

static int fastreg_atomic(struct ib_device *dev)
{
	return fr_with(dev, atomic_run);
}

static int remote_run(struct fr *fr)
{
	struct ib_mr *mr = fr->mr;
	struct ib_sge in = kt_sge(&fr->p, fr->p.b.buf, 64);
	struct ib_send_wr send = { .opcode = IB_WR_SEND_WITH_INV };
	struct kt_wr recv;

	KT_EXPECT(ib_map_mr_sg(mr, fr->sg, FR_PAGES, NULL, PAGE_SIZE) ==
		  FR_PAGES);
	KT_EXPECT(!fr_register(fr));
	KT_EXPECT(!kt_recv(&fr->p.b, &recv, &in, 1));
	send.ex.invalidate_rkey = mr->rkey;
	KT_EXPECT(!kt_run(&fr->p.a, &send));
	KT_EXPECT(!kt_wait(&recv));
	KT_EXPECT(recv.flags == IB_WC_WITH_INVALIDATE && recv.ex == mr->rkey);
	/* It is open no more; closing it once more does no harm */
	KT_EXPECT(!fr_invalidate(fr, &fr->p.b, mr->rkey));
	KT_EXPECT(fr_write(fr, 9, mr->iova, mr->rkey) ==
		  IB_WC_REM_ACCESS_ERR);
	KT_EXPECT(!kt_pair_reconnect(&fr->p));
	/* A peer that closes what is closed is told so */
	KT_EXPECT(!kt_recv(&fr->p.b, &recv, &in, 1));
	KT_EXPECT(kt_run(&fr->p.a, &send) == IB_WC_REM_ACCESS_ERR);
	KT_EXPECT(kt_wait(&recv) == IB_WC_LOC_ACCESS_ERR);
	return 0;
}

static int fastreg_remote_inv(struct ib_device *dev)
{
	return fr_with(dev, remote_run);
}

/* A chain as rdma_rw posts it: invalidate, register, send */
static int chain_run(struct fr *fr)
{
	struct ib_mr *mr = fr->mr;
	struct ib_sge out = kt_sge(&fr->p, fr->p.b.buf, 64);
	struct ib_sge in = kt_sge(&fr->p, fr->p.a.buf, 64);
	struct ib_send_wr send = {
		.opcode = IB_WR_SEND, .sg_list = &out, .num_sge = 1,
	};
	struct ib_reg_wr reg = {
		.wr.opcode = IB_WR_REG_MR, .wr.next = &send, .mr = mr,
		.access = FR_ACCESS,
	};
	struct ib_send_wr inv = {
		.opcode = IB_WR_LOCAL_INV, .next = &reg.wr,
	};
	struct kt_wr recv, sent;
	u32 i;

	KT_EXPECT(ib_map_mr_sg(mr, fr->sg, FR_PAGES, NULL, PAGE_SIZE) ==
		  FR_PAGES);
	KT_EXPECT(!fr_register(fr));
	for (i = 0; i < 20; i++) {
		/* The next list is gathered while the last one is open */
		KT_EXPECT(ib_map_mr_sg(mr, fr->sg, FR_PAGES, NULL,
				       PAGE_SIZE) == FR_PAGES);
		inv.ex.invalidate_rkey = mr->rkey;
		ib_update_fast_reg_key(mr, ib_inc_rkey(mr->rkey));
		reg.key = mr->rkey;
		KT_EXPECT(!kt_recv(&fr->p.a, &recv, &in, 1));
		kt_wr_init(&sent, &fr->p.b);
		send.wr_cqe = &sent.cqe;
		send.send_flags = IB_SEND_SIGNALED;
		KT_EXPECT(!ib_post_send(fr->p.b.qp, &inv, NULL));
		KT_EXPECT(!kt_wait(&sent));
		KT_EXPECT(!kt_wait(&recv));
		KT_EXPECT(!fr_write(fr, i, mr->iova, mr->rkey));
		KT_EXPECT(fr_holds(fr, i));
	}
	return 0;
}

static int fastreg_chain(struct ib_device *dev)
{
	return fr_with(dev, chain_run);
}

#define FENCE_SGES	4
#define FENCE_LEN	(FENCE_SGES * KT_BUF_SIZE)
#define FENCE_PAGES	(FENCE_LEN / PAGE_SIZE)
#define FENCE_WRITES	4
#define FENCE_MARK	0x5a

/* WRITEs of all of the MR, which has each page several times */
struct fence {
	struct fr *fr;
	struct scatterlist sg[FENCE_PAGES];
	struct kt_wr writes[FENCE_WRITES];
	unsigned int posted;
};

static int fence_thread(void *data)
{
	struct fence *f = data;
	struct ib_sge sge[FENCE_SGES];
	struct fr *fr = f->fr;
	struct ib_rdma_wr write = {
		.wr = { .opcode = IB_WR_RDMA_WRITE, .sg_list = sge,
			.num_sge = FENCE_SGES },
		.remote_addr = fr->mr->iova,
		.rkey = fr->mr->rkey,
	};
	int i;

	for (i = 0; i < FENCE_SGES; i++)
		sge[i] = kt_sge(&fr->p, fr->p.a.buf, KT_BUF_SIZE);
	while (f->posted < FENCE_WRITES &&
	       !kt_post(&fr->p.a, &f->writes[f->posted], &write.wr))
		f->posted++;
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static void fence_mark(struct fr *fr)
{
	int i;

	for (i = 0; i < FR_PAGES; i++)
		memset(fr->pages[i], FENCE_MARK, PAGE_SIZE);
}

static bool fence_marked(struct fr *fr)
{
	int i;

	for (i = 0; i < FR_PAGES; i++)
		if (memchr_inv(fr->pages[i], FENCE_MARK, PAGE_SIZE))
			return false;
	return true;
}

/*
 * When LOCAL_INV has completed, nothing touches the pages any more, whatever
 * other QPs of the PD were in the middle of. It is posted to a QP that their
 * errors do not break.
 */
static int fence_round(struct fence *f)
{
	unsigned long until = jiffies + 10 * HZ;
	struct task_struct *task;
	struct fr *fr = f->fr;
	int status, inv;
	unsigned int i;

	fence_mark(fr);
	f->posted = 0;
	task = kthread_run(fence_thread, f, "sodp_fence");
	KT_EXPECT(!IS_ERR(task));
	while (!memchr_inv(fr->pages[0], FENCE_MARK, PAGE_SIZE) &&
	       time_before(jiffies, until))
		cond_resched();
	inv = fr_invalidate(fr, &fr->c, fr->mr->rkey);
	fence_mark(fr);
	kthread_stop(task);
	KT_EXPECT(!inv && f->posted == FENCE_WRITES);
	for (i = 0; i < FENCE_WRITES; i++) {
		status = kt_wait(&f->writes[i]);
		KT_EXPECT(!status || status == IB_WC_REM_ACCESS_ERR ||
			  status == IB_WC_WR_FLUSH_ERR);
	}
	KT_EXPECT(fence_marked(fr));
	return 0;
}

static int fence_use(struct fence *f)
{
	struct fr *fr = f->fr;
	int ret = 0;
	u32 i;

	sg_init_table(f->sg, FENCE_PAGES);
	for (i = 0; i < FENCE_PAGES; i++)
		sg_set_buf(&f->sg[i], fr->pages[i % FR_PAGES], PAGE_SIZE);
	KT_EXPECT(ib_dma_map_sg(fr->mr->device, f->sg, FENCE_PAGES,
				DMA_BIDIRECTIONAL) == FENCE_PAGES);
	kt_fill(fr->p.a.buf, KT_BUF_SIZE, 1);
	for (i = 0; i < 50 && !ret; i++) {
		KT_EXPECT(ib_map_mr_sg(fr->mr, f->sg, FENCE_PAGES, NULL,
				       PAGE_SIZE) == FENCE_PAGES);
		KT_EXPECT(!fr_register(fr));
		ret = fence_round(f);
		if (!ret)
			ret = kt_pair_reconnect(&fr->p);
	}
	return ret;
}

static int fence_run(struct fr *fr)
{
	struct fence *f = kvzalloc(sizeof(*f), GFP_KERNEL);
	struct ib_mr *mr;
	int ret = -ENOMEM;

	if (!f)
		return ret;
	f->fr = fr;
	mr = ib_alloc_mr(fr->p.pd, IB_MR_TYPE_MEM_REG, FENCE_PAGES);
	if (!IS_ERR(mr)) {
		ib_dereg_mr(fr->mr);
		fr->mr = mr;
		ret = fence_use(f);
	}
	kvfree(f);
	return ret;
}

static int fastreg_fence(struct ib_device *dev)
{
	return fr_with(dev, fence_run);
}

/* Register all of @sg, @max entries, and write to the last page */
static int longest_use(struct fr *fr, struct scatterlist *sg, u32 max)
{
	u64 last = (u64)(max - 1) * PAGE_SIZE;
	u32 i;

	sg_init_table(sg, max);
	for (i = 0; i < max; i++)
		sg_set_buf(&sg[i], fr->pages[i % FR_PAGES], PAGE_SIZE);
	KT_EXPECT(ib_dma_map_sg(fr->mr->device, sg, max,
				DMA_BIDIRECTIONAL) == max);
	KT_EXPECT(ib_map_mr_sg(fr->mr, sg, max, NULL, PAGE_SIZE) == max);
	KT_EXPECT(!fr_register(fr));
	kt_fill(fr->p.a.buf, PAGE_SIZE, 9);
	KT_EXPECT(!kt_rdma(&fr->p.a, IB_WR_RDMA_WRITE, fr->p.a.buf, PAGE_SIZE,
			   fr->mr->iova + last, fr->mr->rkey));
	KT_EXPECT(kt_filled(fr->pages[(max - 1) % FR_PAGES], PAGE_SIZE, 9));
	KT_EXPECT(!fr_invalidate(fr, &fr->p.b, fr->mr->rkey));
	return 0;
}

static int longest_run(struct fr *fr)
{
	u32 max = fr->mr->device->attrs.max_fast_reg_page_list_len;
	struct scatterlist *sg;
	struct ib_mr *mr;
	int ret;

	KT_EXPECT(max >= 4096);
	mr = ib_alloc_mr(fr->p.pd, IB_MR_TYPE_MEM_REG, max + 1);
	KT_EXPECT(mr == ERR_PTR(-EINVAL));
	mr = ib_alloc_mr(fr->p.pd, IB_MR_TYPE_MEM_REG, max);
	KT_EXPECT(!IS_ERR(mr));
	ib_dereg_mr(fr->mr);
	fr->mr = mr;
	sg = kvcalloc(max, sizeof(*sg), GFP_KERNEL);
	if (!sg)
		return -ENOMEM;
	ret = longest_use(fr, sg, max);
	kvfree(sg);
	return ret;
}

/* As many pages as the device says, and no more */
static int fastreg_longest(struct ib_device *dev)
{
	return fr_with(dev, longest_run);
}

const struct kt_case kt_fastreg_cases[] = {
	{ "REG_MR and LOCAL_INV", fastreg_basic },
	{ "REG_MR of more than there is", fastreg_length },
	{ "fast-reg: iova chosen, zero based, local use", fastreg_iova },
	{ "atomics", fastreg_atomic },
	{ "the longest list", fastreg_longest },
	{ "SEND_WITH_INV", fastreg_remote_inv },
	{ "LOCAL_INV, REG_MR, SEND in a chain", fastreg_chain },
	{ "LOCAL_INV waits for accesses", fastreg_fence },
	{ }
};
