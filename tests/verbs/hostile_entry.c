// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Entries that libibverbs would not write: opcodes that the type of the QP has
 * not, bits and fields that mean nothing. Each is completed with an error.
 */

#include <stddef.h>
#include <sys/ioctl.h>

#include "hostile.h"

#define LEN T_PAGE
#define MAX_RINGS 64
#define MAGIC 0x7e57000000000000ULL

/* A queue of a QP, as it lies in memory */
struct queue {
	struct sodp_qp_page *page;
	char *first;
	size_t stride;
	uint32_t posted;
	uint32_t qpn;
	int bell;
};

/* The entry with a wr_id, behind the indices of a QP; CQs begin before that */
static char *find_entry(const struct ring *ring, uint64_t wr_id)
{
	size_t off;

	for (off = sizeof(struct sodp_qp_page); off + 64 <= ring->size;
	     off += 16)
		if (!memcmp(ring->mem + off, &wr_id, 8))
			return ring->mem + off;
	return NULL;
}

/* The first two entries of the queue were posted with MAGIC and MAGIC + 1 */
static void find_queue(struct queue *q, const struct ibv_qp *qp)
{
	struct ring rings[MAX_RINGS];
	unsigned int nr = hostile_rings(rings, MAX_RINGS);
	char *second = NULL;
	unsigned int i;

	memset(q, 0, sizeof(*q));
	for (i = 0; i < nr && !second; i++) {
		q->first = find_entry(&rings[i], MAGIC);
		if (!q->first)
			continue;
		q->page = (struct sodp_qp_page *)rings[i].mem;
		second = find_entry(&rings[i], MAGIC + 1);
	}
	T_ASSERT(second, "entries are in no ring");
	q->stride = second - q->first;
	q->posted = 2;
	q->qpn = qp->qp_num;
	q->bell = hostile_bell(qp);
}

static struct sodp_sqe *next_sqe(struct queue *q, uint8_t opcode)
{
	struct sodp_sqe *sqe;

	sqe = (struct sodp_sqe *)(q->first + q->posted * q->stride);
	memset(sqe, 0, q->stride);
	sqe->wr_id = q->posted;
	sqe->opcode = opcode;
	return sqe;
}

static void ring(struct queue *q)
{
	__atomic_store_n(&q->page->sq_pi, ++q->posted, __ATOMIC_RELEASE);
	T_ASSERT(!ioctl(q->bell, SODP_IOC_RING_SQ, (unsigned long)q->qpn),
		 "doorbell: %s", t_errname(errno));
}

/* What a test does to an entry; NULL ends a list of them */
struct spoiler {
	const char *name;
	uint8_t opcode;
	size_t off;
	size_t size;
};

#define FIELD(name, opcode, field)                                        \
	{                                                                 \
		name, opcode, offsetof(struct sodp_sqe, field),           \
			sizeof(((struct sodp_sqe *)0)->field)             \
	}

/* New QPs, of which the first has posted two requests */
static void rc_renew(struct t_duo *d, struct queue *q)
{
	unsigned int i;

	t_duo_renew(d);
	for (i = 0; i < 2; i++) {
		t_post(&d->a, IBV_WR_RDMA_WRITE, MAGIC + i,
		       t_duo_sge(d, 0, 8), t_remote(d, 0), d->bmr->rkey);
		t_want_wc(d->a.scq, MAGIC + i, IBV_WC_SUCCESS);
	}
	find_queue(q, d->a.qp);
}

/* Something that would be done if nothing were wrong with it */
static void fill(const struct t_duo *d, struct sodp_sqe *sqe)
{
	switch (sqe->opcode) {
	case SODP_WR_ATOMIC_CMP_AND_SWP:
		sqe->atomic.remote_addr = t_remote(d, 0);
		sqe->atomic.rkey = d->bmr->rkey;
		break;
	case SODP_WR_ATOMIC_WRITE:
		sqe->atomic_write.remote_addr = t_remote(d, 0);
		sqe->atomic_write.rkey = d->bmr->rkey;
		return;
	default:
		sqe->rdma.remote_addr = t_remote(d, 0);
		sqe->rdma.rkey = d->bmr->rkey;
		break;
	}
	sqe->num_sge = 1;
	*(struct sodp_sge *)(sqe + 1) = (struct sodp_sge){
		.addr = (uintptr_t)d->abuf, .length = 8, .lkey = d->amr->lkey
	};
}

void hostile_reserved(void)
{
	static const struct spoiler spoilers[] = {
		FIELD("a flag", SODP_WR_RDMA_WRITE, flags),
		FIELD("a flag of a LOCAL_INV", SODP_WR_LOCAL_INV, flags),
		FIELD("a WRITE's field", SODP_WR_RDMA_WRITE, rdma.reserved_a0),
		FIELD("a READ's field", SODP_WR_RDMA_READ, rdma.reserved_a0),
		FIELD("an atomic's field", SODP_WR_ATOMIC_CMP_AND_SWP,
		      atomic.reserved_a0),
		FIELD("an ATOMIC WRITE's field", SODP_WR_ATOMIC_WRITE,
		      atomic_write.reserved_a0),
	};
	struct sodp_sqe *sqe;
	struct ibv_wc wc;
	struct queue q;
	struct t_duo d;
	size_t i;
	int bad;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	for (i = 0; i < T_ARRAY_SIZE(spoilers); i++)
		for (bad = 0; bad < 2; bad++) {
			t_case("%s, %s", spoilers[i].name,
			       bad ? "set" : "clear");
			if (!bad && spoilers[i].opcode == SODP_WR_LOCAL_INV)
				continue;
			rc_renew(&d, &q);
			sqe = next_sqe(&q, spoilers[i].opcode);
			fill(&d, sqe);
			sqe->flags = SODP_SEND_SIGNALED;
			if (bad)
				((char *)sqe)[spoilers[i].off +
					      spoilers[i].size - 1] = 0x40;
			ring(&q);
			wc = t_want_wc(d.a.scq, 2, bad ? IBV_WC_LOC_QP_OP_ERR :
							 IBV_WC_SUCCESS);
			T_ASSERT(!bad || wc.vendor_err == SODP_ERR_RESERVED,
				 "vendor_err %#x", wc.vendor_err);
		}
}

/*
 * Entries of which one was refused, for want of a receive, and is another by
 * the time that it is repeated. Those behind it have been looked at since.
 */
void hostile_repeated(void)
{
	uint64_t naks, end = t_now_ns() + T_WAIT_MS * 1000000ULL;
	struct t_qp_opt opt = T_QP_OPT;
	struct sodp_sqe *sqe;
	struct sodp_sge *sge;
	struct queue q;
	struct t_duo d;

	if (!t_wire_only()) {
		t_note("nothing is sent to a QP of the same host");
		return;
	}
	opt.min_rnr = 26; /* 82 ms */
	t_duo_open(&d, LEN, T_PINNED, &opt);
	rc_renew(&d, &q);
	naks = t_counter(&d.dev, "rnr_naks");
	sqe = next_sqe(&q, SODP_WR_SEND);
	sqe->flags = SODP_SEND_SIGNALED;
	sqe->num_sge = 1;
	sge = (struct sodp_sge *)(sqe + 1);
	*sge = (struct sodp_sge){
		.addr = (uintptr_t)d.abuf, .length = 8, .lkey = d.amr->lkey
	};
	q.posted++;
	sqe = next_sqe(&q, SODP_WR_RDMA_WRITE);
	fill(&d, sqe);
	ring(&q);
	while (t_counter(&d.dev, "rnr_naks") == naks) {
		T_ASSERT(t_now_ns() < end, "no RNR NAK");
		t_sleep_ms(1);
	}
	sge->length = 16;
	t_post_recv(&d.b, 1, t_sge(d.bmr, d.bbuf, LEN));
	t_want_wc(d.a.scq, 2, IBV_WC_LOC_QP_OP_ERR);
}

/* The receiver's fault: it is told, and so is the sender */
void hostile_reserved_recv(void)
{
	struct sodp_rqe *rqe;
	struct queue q;
	struct t_duo d;
	unsigned int i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	for (i = 0; i < 2; i++)
		t_post_recv(&d.b, MAGIC + i, t_sge(d.bmr, d.bbuf, 8));
	find_queue(&q, d.b.qp);
	rqe = (struct sodp_rqe *)(q.first + q.stride);
	rqe->reserved_60 = 1;
	t_post(&d.a, IBV_WR_SEND, 1, t_duo_sge(&d, 0, 8), 0, 0);
	t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
	t_want_wc(d.b.rcq, MAGIC, IBV_WC_SUCCESS);
	t_post(&d.a, IBV_WR_SEND, 2, t_duo_sge(&d, 0, 8), 0, 0);
	t_want_wc(d.a.scq, 2, IBV_WC_REM_OP_ERR);
	t_want_wc(d.b.rcq, MAGIC + 1, IBV_WC_LOC_QP_OP_ERR);
}

/* Binds that libibverbs would not post */
void hostile_binds(void)
{
	static const struct {
		const char *name;
		uint32_t more_access;
		uint32_t other_key;
		enum ibv_wc_status status;
	} cases[] = {
		{ "as it should be", 0, 0, IBV_WC_SUCCESS },
		{ "a right of regions only", IBV_ACCESS_LOCAL_WRITE, 0,
		  IBV_WC_MW_BIND_ERR },
		{ "a right of later", 1u << 31, 0, IBV_WC_MW_BIND_ERR },
		{ "the index of another", 0, 0x100, IBV_WC_MW_BIND_ERR },
	};
	struct sodp_sqe *sqe;
	struct ibv_mr *mr;
	struct ibv_mw *mw;
	struct queue q;
	struct t_duo d;
	size_t i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	mr = t_reg(d.dev.pd, d.abuf, LEN, T_ACCESS_ALL | IBV_ACCESS_MW_BIND);
	for (i = 0; i < T_ARRAY_SIZE(cases); i++) {
		t_case("%s", cases[i].name);
		rc_renew(&d, &q);
		mw = ibv_alloc_mw(d.dev.pd, IBV_MW_TYPE_1);
		T_ASSERT(mw, "ibv_alloc_mw: %s", t_errname(errno));
		sqe = next_sqe(&q, SODP_WR_BIND_MW);
		sqe->flags = SODP_SEND_SIGNALED;
		sqe->bind.addr = (uintptr_t)d.abuf;
		sqe->bind.length = LEN;
		sqe->bind.mr_lkey = mr->lkey;
		sqe->bind.mw_rkey = mw->rkey;
		sqe->bind.new_rkey = ibv_inc_rkey(mw->rkey) ^
				     cases[i].other_key;
		sqe->bind.access = IBV_ACCESS_REMOTE_READ |
				   cases[i].more_access;
		ring(&q);
		t_want_wc(d.a.scq, 2, cases[i].status);
		T_OK(ibv_dealloc_mw(mw));
	}
}

struct other {
	struct t_dev dev;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct queue q;
};

static void modify(struct other *o, enum ibv_qp_type type)
{
	bool ud = type == IBV_QPT_UD;
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = T_PORT,
		.qkey = 0x1234,
		.path_mtu = o->dev.port.active_mtu,
		.dest_qp_num = o->qp->qp_num,
		.ah_attr = {
			.is_global = 1,
			.port_num = T_PORT,
			.grh = {
				.dgid = o->dev.gid,
				.sgid_index = o->dev.gid_index,
				.hop_limit = 64,
			},
		},
	};

	T_OK(ibv_modify_qp(o->qp, &attr,
			   IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				   (ud ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS)));
	attr.qp_state = IBV_QPS_RTR;
	T_OK(ibv_modify_qp(o->qp, &attr,
			   IBV_QP_STATE | (ud ? 0 :
						IBV_QP_AV | IBV_QP_PATH_MTU |
						IBV_QP_DEST_QPN |
						IBV_QP_RQ_PSN)));
	attr.qp_state = IBV_QPS_RTS;
	T_OK(ibv_modify_qp(o->qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN));
}

/* A QP of its own in RTS, and two requests of no bytes posted to it */
static void other_open(struct other *o, enum ibv_qp_type type)
{
	struct ibv_qp_init_attr init = {
		.qp_type = type,
		.cap = { 16, 16, 1, 1, 0 },
		.sq_sig_all = 1,
	};
	struct ibv_ah_attr ah_attr = {
		.is_global = 1,
		.port_num = T_PORT,
	};
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND };
	struct ibv_send_wr *bad;
	unsigned int i;

	o->cq = ibv_create_cq(o->dev.ctx, 64, NULL, NULL, 0);
	T_ASSERT(o->cq, "ibv_create_cq: %s", t_errname(errno));
	init.send_cq = o->cq;
	init.recv_cq = o->cq;
	o->qp = ibv_create_qp(o->dev.pd, &init);
	T_ASSERT(o->qp, "ibv_create_qp: %s", t_errname(errno));
	modify(o, type);
	ah_attr.grh.dgid = o->dev.gid;
	ah_attr.grh.sgid_index = o->dev.gid_index;
	ah_attr.grh.hop_limit = 64;
	if (type == IBV_QPT_UD) {
		wr.wr.ud.ah = ibv_create_ah(o->dev.pd, &ah_attr);
		T_ASSERT(wr.wr.ud.ah, "ibv_create_ah: %s", t_errname(errno));
		wr.wr.ud.remote_qpn = 0xfffff0;
	}
	for (i = 0; i < 2; i++) {
		wr.wr_id = MAGIC + i;
		T_OK(ibv_post_send(o->qp, &wr, &bad));
		t_want_wc(o->cq, MAGIC + i, IBV_WC_SUCCESS);
	}
	find_queue(&o->q, o->qp);
}

/* Opcodes that the type of the QP has not, or nobody has */
void hostile_opcodes(void)
{
	static const struct {
		const char *name;
		enum ibv_qp_type type;
		uint32_t allowed;
	} types[] = {
		{ "UD", IBV_QPT_UD,
		  1 << SODP_WR_SEND | 1 << SODP_WR_SEND_WITH_IMM },
		{ "UC", IBV_QPT_UC,
		  1 << SODP_WR_SEND | 1 << SODP_WR_SEND_WITH_IMM |
			  1 << SODP_WR_RDMA_WRITE |
			  1 << SODP_WR_RDMA_WRITE_WITH_IMM |
			  1 << SODP_WR_LOCAL_INV | 1 << SODP_WR_BIND_MW },
	};
	struct t_duo d;
	struct queue q;
	struct other o;
	unsigned int op;
	size_t i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	o.dev = d.dev;
	for (i = 0; i < T_ARRAY_SIZE(types); i++)
		for (op = 0; op < 32; op++) {
			if (types[i].allowed >> op & 1)
				continue;
			t_case("opcode %u, %s", op, types[i].name);
			other_open(&o, types[i].type);
			next_sqe(&o.q, op);
			ring(&o.q);
			t_want_wc(o.cq, 2, IBV_WC_LOC_QP_OP_ERR);
			T_OK(ibv_destroy_qp(o.qp));
			T_OK(ibv_destroy_cq(o.cq));
		}
	for (op = 10; op < 256; op += op < 32 ? 1 : 37) {
		if (op == SODP_WR_FLUSH || op == SODP_WR_ATOMIC_WRITE)
			continue;
		t_case("opcode %u, RC", op);
		rc_renew(&d, &q);
		next_sqe(&q, op);
		ring(&q);
		t_want_wc(d.a.scq, 2, IBV_WC_LOC_QP_OP_ERR);
	}
}
