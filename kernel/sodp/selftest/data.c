// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * data.c - SEND, WRITE and READ on kernel memory
 */
#include <linux/irqflags.h>
#include <linux/string.h>

#include "kt.h"

/* A message gathered from three pieces, scattered to two */
static int data_send(struct kt_pair *p, u32 len, u32 seed)
{
	u8 *from = p->a.buf + 3, *to = p->b.buf + 5;
	u32 third = len / 3, half = len / 2;
	struct ib_sge out[3] = {
		kt_sge(p, from, third), kt_sge(p, from + third, third),
		kt_sge(p, from + 2 * third, len - 2 * third),
	};
	struct ib_sge in[2] = {
		kt_sge(p, to, half), kt_sge(p, to + half, len - half),
	};
	struct ib_send_wr send = {
		.opcode = IB_WR_SEND_WITH_IMM,
		.sg_list = out,
		.num_sge = 3,
		.ex.imm_data = cpu_to_be32(0x1000 + seed),
	};
	struct kt_wr recv;

	kt_fill(from, len, seed);
	memset(p->b.buf, 0xee, len + 16);
	KT_EXPECT(!kt_recv(&p->b, &recv, in, 2));
	KT_EXPECT(!kt_run(&p->a, &send));
	KT_EXPECT(!kt_wait(&recv));
	KT_EXPECT(recv.opcode == IB_WC_RECV && recv.byte_len == len);
	KT_EXPECT(recv.flags == IB_WC_WITH_IMM);
	KT_EXPECT(be32_to_cpu((__force __be32)recv.ex) == 0x1000 + seed);
	KT_EXPECT(kt_filled(to, len, seed));
	KT_EXPECT(to[-1] == 0xee && to[len] == 0xee);
	return 0;
}

static int data_send_sizes(struct kt_pair *p)
{
	static const u32 lens[] = { 1, 7, 1024, 4097, 100001, 250000 };
	int ret = 0;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(lens) && !ret; i++)
		ret = data_send(p, lens[i], i);
	return ret;
}

static int data_with_pair(struct ib_device *dev, enum ib_poll_context context,
			  int (*run)(struct kt_pair *p))
{
	struct kt_pair p;
	int ret;

	ret = kt_pair_open(&p, dev, context, false);
	if (!ret)
		ret = run(&p);
	kt_pair_close(&p);
	return ret;
}

static int data_send_direct(struct ib_device *dev)
{
	return data_with_pair(dev, IB_POLL_DIRECT, data_send_sizes);
}

static int data_send_softirq(struct ib_device *dev)
{
	return data_with_pair(dev, IB_POLL_SOFTIRQ, data_send_sizes);
}

static int data_send_workqueue(struct ib_device *dev)
{
	return data_with_pair(dev, IB_POLL_WORKQUEUE, data_send_sizes);
}

static int inline_run(struct kt_pair *p)
{
	u8 text[128];
	struct ib_sge out = { .addr = (uintptr_t)text, .length = sizeof(text) };
	struct ib_sge in = kt_sge(p, p->b.buf, sizeof(text));
	struct ib_send_wr send = {
		.opcode = IB_WR_SEND, .sg_list = &out, .num_sge = 1,
		.send_flags = IB_SEND_INLINE,
	};
	struct kt_wr recv, sent;

	kt_fill(text, sizeof(text), 9);
	KT_EXPECT(!kt_post(&p->a, &sent, &send));
	/* It was copied when it was posted */
	memset(text, 0, sizeof(text));
	KT_EXPECT(!kt_recv(&p->b, &recv, &in, 1));
	KT_EXPECT(!kt_wait(&sent));
	KT_EXPECT(!kt_wait(&recv));
	KT_EXPECT(kt_filled(p->b.buf, sizeof(text), 9));
	out.length = SZ_64K;
	KT_EXPECT(kt_post(&p->a, &sent, &send));
	return 0;
}

static int data_inline(struct ib_device *dev)
{
	return data_with_pair(dev, IB_POLL_SOFTIRQ, inline_run);
}

static int rdma_run(struct kt_pair *p)
{
	u32 rkey = p->pd->unsafe_global_rkey;
	static const u32 lens[] = { 1, 4096, 65537, 200000 };
	u32 i, n;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		n = lens[i];
		kt_fill(p->a.buf, n, i);
		memset(p->b.buf, 0, KT_BUF_SIZE);
		KT_EXPECT(!kt_rdma(&p->a, IB_WR_RDMA_WRITE, p->a.buf, n,
				   (uintptr_t)p->b.buf + 9, rkey));
		KT_EXPECT(kt_filled(p->b.buf + 9, n, i));
		KT_EXPECT(!p->b.buf[9 + n]);
		memset(p->a.buf, 0, KT_BUF_SIZE);
		KT_EXPECT(!kt_rdma(&p->a, IB_WR_RDMA_READ, p->a.buf + 2, n,
				   (uintptr_t)p->b.buf + 9, rkey));
		KT_EXPECT(kt_filled(p->a.buf + 2, n, i));
	}
	return 0;
}

static int data_rdma(struct ib_device *dev)
{
	return data_with_pair(dev, IB_POLL_SOFTIRQ, rdma_run);
}

/* The global rkey names what is memory, and refuses what is not */
static int nowhere_run(struct kt_pair *p)
{
	static const u64 places[] = { 0, 0x1000, 0xdead000000000000ULL };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		KT_EXPECT(kt_rdma(&p->a, IB_WR_RDMA_WRITE, p->a.buf, 64,
				  places[i], p->pd->unsafe_global_rkey) ==
			  IB_WC_REM_ACCESS_ERR);
		KT_EXPECT(!kt_pair_reconnect(p));
		KT_EXPECT(kt_rdma(&p->a, IB_WR_RDMA_READ, p->a.buf, 64,
				  places[i], p->pd->unsafe_global_rkey) ==
			  IB_WC_REM_ACCESS_ERR);
		KT_EXPECT(!kt_pair_reconnect(p));
	}
	KT_EXPECT(kt_rdma(&p->a, IB_WR_RDMA_READ, p->a.buf, 64,
			  (uintptr_t)p->b.buf, 0) == IB_WC_REM_ACCESS_ERR);
	return 0;
}

static int data_nowhere(struct ib_device *dev)
{
	return data_with_pair(dev, IB_POLL_WORKQUEUE, nowhere_run);
}

/* Post with interrupts off, as a storage driver may */
static int irqsoff_run(struct kt_pair *p)
{
	struct ib_sge out = kt_sge(p, p->a.buf, 5000);
	struct ib_sge in = kt_sge(p, p->b.buf, 5000);
	struct ib_send_wr send = {
		.opcode = IB_WR_SEND, .sg_list = &out, .num_sge = 1,
	};
	struct kt_wr recv, sent;
	unsigned long flags;
	int ret;

	kt_fill(p->a.buf, 5000, 4);
	local_irq_save(flags);
	ret = kt_recv(&p->b, &recv, &in, 1) ? : kt_post(&p->a, &sent, &send);
	local_irq_restore(flags);
	KT_EXPECT(!ret);
	KT_EXPECT(!kt_wait(&sent));
	KT_EXPECT(!kt_wait(&recv));
	KT_EXPECT(kt_filled(p->b.buf, 5000, 4));
	return 0;
}

static int data_irqsoff(struct ib_device *dev)
{
	return data_with_pair(dev, IB_POLL_SOFTIRQ, irqsoff_run);
}

const struct kt_case kt_data_cases[] = {
	{ "send, CQ polled directly", data_send_direct },
	{ "send, CQ polled in softirq", data_send_softirq },
	{ "send, CQ polled by a workqueue", data_send_workqueue },
	{ "inline send", data_inline },
	{ "WRITE and READ by a DMA MR", data_rdma },
	{ "DMA MR where no memory is", data_nowhere },
	{ "post with interrupts off", data_irqsoff },
	{ }
};
