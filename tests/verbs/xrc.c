// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* XRC: domains shared by processes, SRQs by number, whose keys count */

#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/t_mem.h"

#define LEN (64 * T_PAGE)
#define NR_RECVS 16

/* A domain with one SRQ, and an initiator connected to a target in it */
struct scene {
	struct t_dev dev;
	int fd;
	struct ibv_xrcd *xrcd;
	struct ibv_pd *srq_pd; /* of the SRQ: requests' keys are of it */
	struct ibv_cq *cq;
	struct ibv_srq *srq;
	uint32_t srqn;
	struct t_ep ini;
	struct t_ep tgt;
	char *abuf;
	char *bbuf;
	struct ibv_mr *amr;
	struct ibv_mr *bmr;
};

static struct ibv_xrcd *open_xrcd(struct t_dev *dev, int fd)
{
	struct ibv_xrcd_init_attr init = {
		.comp_mask = IBV_XRCD_INIT_ATTR_FD | IBV_XRCD_INIT_ATTR_OFLAGS,
		.fd = fd,
		.oflags = O_CREAT,
	};
	struct ibv_xrcd *xrcd;

	if (!(dev->attr.orig_attr.device_cap_flags & IBV_DEVICE_XRC))
		t_skip("no XRC");
	xrcd = ibv_open_xrcd(dev->ctx, &init);
	T_ASSERT(xrcd, "ibv_open_xrcd: %s", t_errname(errno));
	return xrcd;
}

static struct ibv_srq *make_srq(struct t_dev *dev, struct ibv_xrcd *xrcd,
				struct ibv_pd *pd, struct ibv_cq *cq,
				uint32_t *srqn)
{
	struct ibv_srq_init_attr_ex init = {
		.attr = { .max_wr = NR_RECVS, .max_sge = 2 },
		.comp_mask = IBV_SRQ_INIT_ATTR_TYPE | IBV_SRQ_INIT_ATTR_PD |
			     IBV_SRQ_INIT_ATTR_XRCD | IBV_SRQ_INIT_ATTR_CQ,
		.srq_type = IBV_SRQT_XRC,
		.pd = pd,
		.xrcd = xrcd,
		.cq = cq,
	};
	struct ibv_srq *srq = ibv_create_srq_ex(dev->ctx, &init);

	T_ASSERT(srq, "ibv_create_srq_ex: %s", t_errname(errno));
	T_OK(ibv_get_srq_num(srq, srqn));
	T_ASSERT(*srqn, "SRQ number 0");
	return srq;
}

static void make_qp(struct t_dev *dev, struct t_ep *ep, enum ibv_qp_type type,
		    struct ibv_xrcd *xrcd)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_qp_init_attr_ex init = { .qp_type = type };

	memset(ep, 0, sizeof(*ep));
	ep->dev = dev;
	ep->opt = opt;
	if (type == IBV_QPT_XRC_RECV) {
		init.comp_mask = IBV_QP_INIT_ATTR_XRCD;
		init.xrcd = xrcd;
	} else {
		ep->scq = ibv_create_cq(dev->ctx, 64, NULL, NULL, 0);
		T_ASSERT(ep->scq, "ibv_create_cq: %s", t_errname(errno));
		init.comp_mask = IBV_QP_INIT_ATTR_PD;
		init.pd = dev->pd;
		init.send_cq = ep->scq;
		init.cap.max_send_wr = opt.sq;
		init.cap.max_send_sge = opt.sge;
	}
	ep->qp = ibv_create_qp_ex(dev->ctx, &init);
	T_ASSERT(ep->qp, "ibv_create_qp_ex(%d): %s", type, t_errname(errno));
}

static void open_buffers(struct scene *s, enum t_kind kind)
{
	struct t_dev srq_dev = s->dev;

	srq_dev.pd = s->srq_pd;
	s->abuf = t_map(LEN);
	s->bbuf = t_map(LEN);
	s->amr = t_reg_kind(&s->dev, kind, s->abuf, LEN, T_ACCESS_ALL);
	s->bmr = t_reg_kind(&srq_dev, kind, s->bbuf, LEN, T_ACCESS_ALL);
}

static void scene_open(struct scene *s, enum t_kind kind)
{
	memset(s, 0, sizeof(*s));
	t_open(&s->dev);
	s->fd = memfd_create("xrcd", 0);
	T_ASSERT(s->fd >= 0, "memfd_create: %s", t_errname(errno));
	s->xrcd = open_xrcd(&s->dev, s->fd);
	s->srq_pd = ibv_alloc_pd(s->dev.ctx);
	s->cq = ibv_create_cq(s->dev.ctx, 256, NULL, NULL, 0);
	T_ASSERT(s->srq_pd && s->cq, "PD, CQ: %s", t_errname(errno));
	s->srq = make_srq(&s->dev, s->xrcd, s->srq_pd, s->cq, &s->srqn);
	make_qp(&s->dev, &s->ini, IBV_QPT_XRC_SEND, NULL);
	make_qp(&s->dev, &s->tgt, IBV_QPT_XRC_RECV, s->xrcd);
	t_join(&s->ini, &s->tgt);
	if (t_can_kind(&s->dev, kind))
		open_buffers(s, kind);
}

static void scene_rejoin(struct scene *s)
{
	t_ep_reset(&s->ini);
	t_ep_reset(&s->tgt);
	t_join(&s->ini, &s->tgt);
}

/* A request to an SRQ; @size bytes of abuf, and of bbuf if it is RDMA */
static void post(struct scene *s, enum ibv_wr_opcode opcode, uint64_t id,
		 uint32_t srqn, size_t off, uint32_t size, uint32_t rkey)
{
	struct ibv_sge sge = t_sge(s->amr, s->abuf + off, size);
	struct ibv_send_wr wr = {
		.wr_id = id,
		.opcode = opcode,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = &sge,
		.num_sge = 1,
		.imm_data = htobe32(0x12345678),
		.wr.rdma.remote_addr = (uintptr_t)s->bbuf + off,
		.wr.rdma.rkey = rkey,
		.qp_type.xrc.remote_srqn = srqn,
	};

	if (opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		wr.wr.atomic.remote_addr = (uintptr_t)s->bbuf + off;
		wr.wr.atomic.compare_add = 5;
		wr.wr.atomic.rkey = rkey;
	}
	T_OK(t_try_post(&s->ini, &wr));
}

static void recv_at(struct scene *s, uint64_t id, size_t off, uint32_t size)
{
	t_post_srq(s->srq, id, t_sge(s->bmr, s->bbuf + off, size));
}

static void want_recv(struct scene *s, uint64_t id, enum ibv_wc_opcode opcode,
		      uint32_t size)
{
	struct ibv_wc wc = t_want_wc(s->cq, id, IBV_WC_SUCCESS);

	T_ASSERT(wc.opcode == opcode && wc.byte_len == size &&
			 wc.qp_num == s->tgt.qp->qp_num &&
			 wc.src_qp == s->ini.qp->qp_num,
		 "opcode %d byte_len %u qp %#x src %#x", wc.opcode,
		 wc.byte_len, wc.qp_num, wc.src_qp);
	if (opcode == IBV_WC_RECV_RDMA_WITH_IMM)
		T_ASSERT(wc.imm_data == htobe32(0x12345678), "immediate %#x",
			 be32toh(wc.imm_data));
}

static void send_works(struct scene *s, uint64_t id, size_t off,
		       uint32_t size)
{
	t_fill(s->abuf + off, size, id);
	memset(s->bbuf, 0, LEN);
	recv_at(s, id, off, size);
	post(s, IBV_WR_SEND, id, s->srqn, off, size, 0);
	t_want_wc(s->ini.scq, id, IBV_WC_SUCCESS);
	want_recv(s, id, IBV_WC_RECV, size);
	t_want_data(s->bbuf + off, size, id);
	T_ASSERT(t_check_byte(s->bbuf, off, 0) < 0 &&
			 t_check_byte(s->bbuf + off + size, LEN - off - size,
				      0) < 0,
		 "bytes beside the message were written");
}

static void rdma_works(struct scene *s, uint64_t id, size_t off,
		       uint32_t size)
{
	t_fill(s->abuf + off, size, id);
	memset(s->bbuf, 0, LEN);
	recv_at(s, id, 0, 1);
	post(s, IBV_WR_RDMA_WRITE_WITH_IMM, id, s->srqn, off, size,
	     s->bmr->rkey);
	t_want_wc(s->ini.scq, id, IBV_WC_SUCCESS);
	want_recv(s, id, IBV_WC_RECV_RDMA_WITH_IMM, size);
	t_want_data(s->bbuf + off, size, id);
	memset(s->abuf, 0, LEN);
	post(s, IBV_WR_RDMA_READ, id, s->srqn, off, size, s->bmr->rkey);
	t_want_wc(s->ini.scq, id, IBV_WC_SUCCESS);
	t_want_data(s->abuf + off, size, id);
}

static void atomic_works(struct scene *s)
{
	uint64_t *remote = (void *)s->bbuf;

	*remote = 37;
	post(s, IBV_WR_ATOMIC_FETCH_AND_ADD, 1, s->srqn, 0, 8, s->bmr->rkey);
	t_want_wc(s->ini.scq, 1, IBV_WC_SUCCESS);
	T_ASSERT(*remote == 42 && *(uint64_t *)s->abuf == 37,
		 "%" PRIu64 " after %" PRIu64, *remote, *(uint64_t *)s->abuf);
}

/* Every kind of memory on both sides; ODP pages are dropped each time. */
static void transfers(void)
{
	static const uint32_t sizes[] = { 1, 77, 4096, 4097, 100001 };
	enum t_kind kind;
	struct scene s;
	unsigned int i;

	for (kind = 0; kind < T_NR_KINDS; kind++) {
		scene_open(&s, kind);
		if (!s.bmr)
			continue;
		for (i = 0; i < T_ARRAY_SIZE(sizes); i++) {
			t_case("%s, %u bytes", t_kind_names[kind], sizes[i]);
			if (kind != T_PINNED) {
				madvise(s.abuf, LEN, MADV_DONTNEED);
				madvise(s.bbuf, LEN, MADV_DONTNEED);
			}
			send_works(&s, i, 333, sizes[i]);
			rdma_works(&s, i + 100, 4099, sizes[i]);
		}
		atomic_works(&s);
	}
}

static void want_refused(struct scene *s, uint64_t id,
			 enum ibv_wc_status status)
{
	t_want_wc(s->ini.scq, id, status);
	t_want_state(&s->ini, IBV_QPS_ERR);
	t_want_state(&s->tgt, IBV_QPS_ERR);
	t_want_none(s->cq);
	scene_rejoin(s);
}

/* Keys are checked with the PD of the SRQ that the request names. */
static void whose_keys(void)
{
	uint32_t other_srqn;
	struct ibv_srq *other;
	struct scene s;

	scene_open(&s, T_PINNED);
	other = make_srq(&s.dev, s.xrcd, s.dev.pd, s.cq, &other_srqn);
	t_case("rkey of the initiator's PD");
	post(&s, IBV_WR_RDMA_WRITE, 1, s.srqn, 0, 8, s.amr->rkey);
	want_refused(&s, 1, IBV_WC_REM_ACCESS_ERR);
	t_case("rkey of the SRQ's PD, but by way of the other SRQ");
	post(&s, IBV_WR_RDMA_WRITE, 2, other_srqn, 0, 8, s.bmr->rkey);
	want_refused(&s, 2, IBV_WC_REM_ACCESS_ERR);
	t_case("lkey of another PD in the receive");
	t_post_srq(other, 3, t_sge(s.bmr, s.bbuf, 64));
	post(&s, IBV_WR_SEND, 3, other_srqn, 0, 8, 0);
	t_want_wc(s.ini.scq, 3, IBV_WC_REM_OP_ERR);
	t_want_wc(s.cq, 3, IBV_WC_LOC_PROT_ERR);
	scene_rejoin(&s);
	t_case("the right ones");
	rdma_works(&s, 4, 0, 4096);
	T_OK(ibv_destroy_srq(other));
}

/* What is not an XRC SRQ of the target's domain is no SRQ at all. */
static void wrong_srq(void)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 1,
						    .max_sge = 1 } };
	struct ibv_xrcd *other_xrcd;
	struct ibv_async_event event;
	uint32_t other_srqn, num;
	struct ibv_srq *other;
	struct ibv_srq *basic;
	struct scene s;

	scene_open(&s, T_PINNED);
	other_xrcd = open_xrcd(&s.dev, -1);
	other = make_srq(&s.dev, other_xrcd, s.srq_pd, s.cq, &other_srqn);
	T_ERR(ibv_close_xrcd(other_xrcd), EBUSY);
	T_ERR(ibv_close_xrcd(s.xrcd), EBUSY);
	t_case("SRQ of another domain");
	post(&s, IBV_WR_SEND, 1, other_srqn, 0, 8, 0);
	event = t_want_event(&s.dev, IBV_EVENT_QP_REQ_ERR);
	T_ASSERT(event.element.qp == s.tgt.qp, "event of another QP");
	want_refused(&s, 1, IBV_WC_REM_INV_REQ_ERR);
	t_case("the same for a WRITE");
	post(&s, IBV_WR_RDMA_WRITE, 2, other_srqn, 0, 8, s.bmr->rkey);
	want_refused(&s, 2, IBV_WC_REM_INV_REQ_ERR);
	T_OK(ibv_destroy_srq(other));
	T_OK(ibv_close_xrcd(other_xrcd));
	t_case("a number of none");
	post(&s, IBV_WR_SEND, 3, other_srqn, 0, 8, 0);
	want_refused(&s, 3, IBV_WC_REM_INV_REQ_ERR);
	post(&s, IBV_WR_SEND, 4, 0xffffffff, 0, 8, 0);
	want_refused(&s, 4, IBV_WC_REM_INV_REQ_ERR);
	basic = ibv_create_srq(s.dev.pd, &init);
	T_ASSERT(basic, "ibv_create_srq: %s", t_errname(errno));
	T_ERR(ibv_get_srq_num(basic, &num), EOPNOTSUPP);
	t_case("the right one");
	send_works(&s, 5, 0, 4096);
}

/*
 * An initiator that waits for a receive learns that the SRQ went away, and what
 * the SRQ has received and nobody polled goes with it.
 */
static void destroyed_srq(void)
{
	struct scene s;

	scene_open(&s, T_PINNED);
	recv_at(&s, 1, 0, 8);
	post(&s, IBV_WR_SEND, 1, s.srqn, 0, 8, 0);
	t_want_wc(s.ini.scq, 1, IBV_WC_SUCCESS);
	post(&s, IBV_WR_SEND, 1, s.srqn, 0, 8, 0);
	T_ASSERT(!t_poll_for(s.ini.scq, &(struct ibv_wc){ 0 }, T_QUIET_MS),
		 "completed without a receive");
	T_OK(ibv_destroy_srq(s.srq));
	t_want_none(s.cq);
	want_refused(&s, 1, IBV_WC_REM_INV_REQ_ERR);
	T_OK(ibv_destroy_qp(s.tgt.qp));
	T_OK(ibv_close_xrcd(s.xrcd));
	T_OK(ibv_destroy_cq(s.cq));
	T_OK(ibv_dereg_mr(s.bmr));
	T_OK(ibv_dealloc_pd(s.srq_pd));
}

static struct {
	struct scene *s;
	volatile bool stop;
} chaos;

/* Sends to whatever SRQ there is, and joins again after every error */
static void *chaos_sender(void *arg)
{
	struct scene *s = chaos.s;
	struct ibv_wc wc;
	unsigned int i;

	for (i = 0; !chaos.stop; i++) {
		memset(s->abuf, i, LEN);
		post(s, IBV_WR_SEND, 1, s->srqn, 0, LEN, 0);
		while (!t_poll_for(s->ini.scq, &wc, 10) && !chaos.stop)
			;
		if (t_ep_state(&s->ini) != IBV_QPS_RTS)
			scene_rejoin(s);
	}
	return NULL;
}

/* What is gone is not written to any more, as soon as that is said */
static void want_untouched(const struct scene *s)
{
	static char now[LEN];

	memcpy(now, s->bbuf, LEN);
	usleep(500);
	T_ASSERT(!memcmp(now, s->bbuf, LEN), "a receive that is gone is filled");
}

/* SRQs and their CQs go away in the middle of messages. */
static void destroy_race(void)
{
	unsigned int rounds = t_quick ? 30 : 200;
	pthread_t thread;
	struct scene s;
	unsigned int i, j;

	scene_open(&s, T_EXPLICIT);
	if (!s.bmr)
		open_buffers(&s, T_PINNED);
	chaos.s = &s;
	T_ASSERT(!pthread_create(&thread, NULL, chaos_sender, NULL), "thread");
	for (i = 0; i < rounds; i++) {
		t_case("round %u", i);
		for (j = 0; j < NR_RECVS; j++)
			recv_at(&s, j, 0, LEN);
		if (i & 1)
			madvise(s.bbuf, LEN, MADV_DONTNEED);
		usleep(i * 50 % 4000);
		T_OK(ibv_destroy_srq(s.srq));
		want_untouched(&s);
		T_OK(ibv_destroy_cq(s.cq));
		s.cq = ibv_create_cq(s.dev.ctx, 256, NULL, NULL, 0);
		T_ASSERT(s.cq, "ibv_create_cq: %s", t_errname(errno));
		s.srq = make_srq(&s.dev, s.xrcd, s.srq_pd, s.cq, &s.srqn);
	}
	chaos.stop = true;
	pthread_join(thread, NULL);
	T_OK(ibv_destroy_qp(s.tgt.qp));
	T_OK(ibv_destroy_qp(s.ini.qp));
	T_OK(ibv_destroy_srq(s.srq));
	T_OK(ibv_destroy_cq(s.cq));
}

/* Another process: its own SRQ in the domain, and the target by number */
static void other_process(struct scene *s, int msg)
{
	struct ibv_qp_open_attr attr = {
		.comp_mask = IBV_QP_OPEN_ATTR_NUM | IBV_QP_OPEN_ATTR_XRCD |
			     IBV_QP_OPEN_ATTR_TYPE,
		.qp_num = s->tgt.qp->qp_num,
		.qp_type = IBV_QPT_XRC_RECV,
	};
	uint32_t tgt_qpn = s->tgt.qp->qp_num;
	struct scene mine = { .fd = s->fd };
	struct ibv_wc wc;
	uint32_t word;

	t_open(&mine.dev);
	mine.xrcd = open_xrcd(&mine.dev, s->fd);
	mine.srq_pd = mine.dev.pd;
	mine.cq = ibv_create_cq(mine.dev.ctx, 16, NULL, NULL, 0);
	mine.srq = make_srq(&mine.dev, mine.xrcd, mine.dev.pd, mine.cq,
			    &mine.srqn);
	open_buffers(&mine, T_PINNED);
	attr.xrcd = mine.xrcd;
	mine.tgt.qp = ibv_open_qp(mine.dev.ctx, &attr);
	T_ASSERT(mine.tgt.qp, "ibv_open_qp: %s", t_errname(errno));
	mine.tgt.dev = &mine.dev;
	T_ASSERT(t_ep_state(&mine.tgt) == IBV_QPS_RTS, "target not in RTS");
	recv_at(&mine, 1, 0, 4096);
	recv_at(&mine, 2, 4096, 4096);
	t_msg_send(msg, &mine.srqn, sizeof(mine.srqn));
	for (word = 1; word <= 2; word++) {
		wc = t_want_wc(mine.cq, word, IBV_WC_SUCCESS);
		T_ASSERT(wc.qp_num == tgt_qpn, "QP %#x", wc.qp_num);
		t_want_data(mine.bbuf + (word - 1) * 4096, 4096, word);
		t_msg_send(msg, &word, sizeof(word));
	}
	t_msg_recv(msg, &word, sizeof(word));
	T_OK(ibv_destroy_qp(mine.tgt.qp));
	t_msg_send(msg, &word, sizeof(word));
	t_msg_recv(msg, &word, sizeof(word));
	_exit(0);
}

/* A target lives as long as one process has it open. */
static void shared_domain(void)
{
	uint32_t srqn, word;
	struct scene s;
	int msg[2];
	pid_t pid;

	scene_open(&s, T_PINNED);
	t_msg_pair(msg);
	pid = t_fork();
	if (!pid)
		other_process(&s, msg[1]);
	t_msg_recv(msg[0], &srqn, sizeof(srqn));
	T_ASSERT(srqn != s.srqn, "two SRQs of one number");
	for (word = 1; word <= 2; word++) {
		t_case("message %u to the other process", word);
		t_fill(s.abuf, 4096, word);
		post(&s, IBV_WR_SEND, word, srqn, 0, 4096, 0);
		t_want_wc(s.ini.scq, word, IBV_WC_SUCCESS);
		t_msg_recv(msg[0], &(uint32_t){ 0 }, sizeof(word));
		/* Its SRQ, its CQ: nothing of it comes here */
		t_want_none(s.cq);
		if (word == 1)
			T_OK(ibv_destroy_qp(s.tgt.qp));
	}
	t_case("nobody has the target any more");
	t_msg_send(msg[0], &word, sizeof(word));
	t_msg_recv(msg[0], &word, sizeof(word));
	post(&s, IBV_WR_SEND, 3, srqn, 0, 8, 0);
	t_want_wc(s.ini.scq, 3, IBV_WC_RETRY_EXC_ERR);
	t_msg_send(msg[0], &word, sizeof(word));
	t_reap(pid);
}

/* Events of the SRQ and of the target */
static void events(void)
{
	struct ibv_srq_attr attr = { .srq_limit = 2 };
	struct ibv_async_event event;
	struct ibv_recv_wr wr = { 0 }, *bad;
	struct scene s;

	scene_open(&s, T_PINNED);
	recv_at(&s, 1, 0, 64);
	recv_at(&s, 2, 0, 64);
	T_OK(ibv_modify_srq(s.srq, &attr, IBV_SRQ_LIMIT));
	post(&s, IBV_WR_SEND, 1, s.srqn, 0, 8, 0);
	want_recv(&s, 1, IBV_WC_RECV, 8);
	event = t_want_event(&s.dev, IBV_EVENT_SRQ_LIMIT_REACHED);
	T_ASSERT(event.element.srq == s.srq, "event of another SRQ");
	t_want_wc(s.ini.scq, 1, IBV_WC_SUCCESS);
	/* Too long: the receive ends in error on the SRQ's CQ */
	post(&s, IBV_WR_SEND, 2, s.srqn, 0, 65, 0);
	t_want_wc(s.ini.scq, 2, IBV_WC_REM_INV_REQ_ERR);
	t_want_wc(s.cq, 2, IBV_WC_LOC_LEN_ERR);
	event = t_want_event(&s.dev, IBV_EVENT_QP_LAST_WQE_REACHED);
	T_ASSERT(event.element.qp == s.tgt.qp, "event of another QP");
	t_want_state(&s.tgt, IBV_QPS_ERR);
	/* These have no receive queue, and a target no send queue */
	T_ERR(ibv_post_recv(s.ini.qp, &wr, &bad), EINVAL);
	T_ERR(ibv_post_recv(s.tgt.qp, &wr, &bad), EINVAL);
	T_ERR(t_try_post(&s.tgt, &(struct ibv_send_wr){ 0 }), EINVAL);
}

/* PD and CQs that the type has not may go first: the QP is not of them */
static void unused_attrs(void)
{
	struct ibv_qp_init_attr_ex init = { .qp_type = IBV_QPT_XRC_RECV };
	struct ibv_qp *tgt, *ini;
	struct scene s;

	scene_open(&s, T_PINNED);
	init.comp_mask = IBV_QP_INIT_ATTR_XRCD;
	init.xrcd = s.xrcd;
	init.pd = ibv_alloc_pd(s.dev.ctx);
	init.send_cq = ibv_create_cq(s.dev.ctx, 16, NULL, NULL, 0);
	init.recv_cq = ibv_create_cq(s.dev.ctx, 16, NULL, NULL, 0);
	T_ASSERT(init.pd && init.send_cq && init.recv_cq, "PD, CQs: %s",
		 t_errname(errno));
	tgt = ibv_create_qp_ex(s.dev.ctx, &init);
	T_ASSERT(tgt, "target: %s", t_errname(errno));
	T_OK(ibv_dealloc_pd(init.pd));
	T_OK(ibv_destroy_cq(init.send_cq));

	init.qp_type = IBV_QPT_XRC_SEND;
	init.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_CREATE_FLAGS;
	init.pd = s.dev.pd;
	init.send_cq = s.cq;
	init.cap.max_send_wr = 1;
	init.cap.max_send_sge = 1;
	ini = ibv_create_qp_ex(s.dev.ctx, &init);
	T_ASSERT(ini, "initiator: %s", t_errname(errno));
	T_OK(ibv_destroy_cq(init.recv_cq));
	T_ASSERT(!tgt->pd && !tgt->send_cq && !tgt->recv_cq && !ini->recv_cq,
		 "what the type has not is kept");
	T_OK(ibv_destroy_qp(ini));
	T_OK(ibv_destroy_qp(tgt));
}

static const struct t_test tests[] = {
	{ "transfers", transfers },
	{ "whose_keys", whose_keys },
	{ "wrong_srq", wrong_srq },
	{ "destroyed_srq", destroyed_srq },
	{ "destroy_race", destroy_race },
	{ "shared_domain", shared_domain },
	{ "events", events },
	{ "unused_attrs", unused_attrs },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
