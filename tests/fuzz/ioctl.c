// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* uverbs methods by ioctl(2), and the device's own doorbell */

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/rdma_user_ioctl_cmds.h>
#include <rdma/sodp-abi.h>

#include "fuzz.h"

#define MOST_ATTRS 16

/*
 * Attributes in the order of their numbers, a character each: N new object,
 * h handle, a address, l length, n number, m bits, 8 a number of 8 bytes,
 * c descriptor, o answer of 4 or 8 bytes, w of more, s scatter-gather
 * entries, p capabilities of a queue pair, - none.  driver: the numbers begin
 * where a driver's do.
 */
struct method {
	uint16_t object;
	uint16_t method;
	const char *attrs;
	bool driver;
};

static const struct method methods[] = {
	{ UVERBS_OBJECT_DEVICE, UVERBS_METHOD_INFO_HANDLES, "nww" },
	{ UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_PORT, "nw" },
	{ UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_CONTEXT, "oo" },
	{ UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_GID_TABLE, "8mwo" },
	{ UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_GID_ENTRY, "nnmw" },
	{ UVERBS_OBJECT_CQ, UVERBS_METHOD_CQ_CREATE, "Nn8cnmo" },
	{ UVERBS_OBJECT_CQ, UVERBS_METHOD_CQ_DESTROY, "hw" },
	{ UVERBS_OBJECT_QP, UVERBS_METHOD_QP_CREATE, "N-hhhh-8pnm--ww" },
	{ UVERBS_OBJECT_QP, UVERBS_METHOD_QP_DESTROY, "hw" },
	{ UVERBS_OBJECT_SRQ, UVERBS_METHOD_SRQ_CREATE, "Nh--8nnn-n-ooo" },
	{ UVERBS_OBJECT_SRQ, UVERBS_METHOD_SRQ_DESTROY, "hw" },
	{ UVERBS_OBJECT_PD, UVERBS_METHOD_PD_DESTROY, "h" },
	{ UVERBS_OBJECT_AH, UVERBS_METHOD_AH_DESTROY, "h" },
	{ UVERBS_OBJECT_MW, UVERBS_METHOD_MW_DESTROY, "h" },
	{ UVERBS_OBJECT_XRCD, UVERBS_METHOD_XRCD_DESTROY, "h" },
	{ UVERBS_OBJECT_MR, UVERBS_METHOD_DM_MR_REG, "N8lhmhoo" },
	{ UVERBS_OBJECT_MR, UVERBS_METHOD_MR_DESTROY, "h" },
	{ UVERBS_OBJECT_MR, UVERBS_METHOD_ADVISE_MR, "hnms" },
	{ UVERBS_OBJECT_MR, UVERBS_METHOD_ADVISE_MR, "hnms" },
	{ UVERBS_OBJECT_MR, UVERBS_METHOD_QUERY_MR, "hoooo" },
	{ UVERBS_OBJECT_MR, UVERBS_METHOD_REG_DMABUF_MR, "Nh8lacmoo" },
	{ UVERBS_OBJECT_DM, UVERBS_METHOD_DM_ALLOC, "Nln" },
	{ UVERBS_OBJECT_DM, UVERBS_METHOD_DM_FREE, "h" },
	{ UVERBS_OBJECT_DM, SODP_METHOD_DM_QUERY, "hw", true },
	{ UVERBS_OBJECT_ASYNC_EVENT, UVERBS_METHOD_ASYNC_EVENT_ALLOC, "N" },
	{ SODP_OBJECT_DOORBELL, SODP_METHOD_DOORBELL_ALLOC, "N", true },
};

struct request {
	struct ib_uverbs_ioctl_hdr hdr;
	struct ib_uverbs_attr attrs[MOST_ATTRS];
	struct ib_uverbs_sge sge[4];
	uint32_t cap[5];
	uint64_t in[8];
};

static void make_sges(struct fz_thread *t, struct request *q)
{
	unsigned int i;

	for (i = 0; i < 4; i++) {
		q->sge[i].addr = fz_addr(t);
		q->sge[i].length = fz_length(t);
		/* Keys are an index and a byte of which little is in use */
		q->sge[i].lkey = fz_below(&t->rand, 4096);
	}
}

static void set_attr(struct fz_thread *t, struct request *q,
		     struct ib_uverbs_attr *a, char what)
{
	struct fz_rand *r = &t->rand;

	switch (what) {
	case 'h':
		a->data = fz_handle(t);
		break;
	case 'a':
	case 'l':
		a->len = 8;
		a->data = what == 'a' ? fz_addr(t) : fz_length(t);
		break;
	case 'n':
	case 'm':
		a->len = fz_one_in(r, 10) ? 8 : 4;
		a->data = fz_one_in(r, 8) ? fz_odd(r) : fz_below(r, 9);
		break;
	case '8':
		a->len = 8;
		a->data = fz_one_in(r, 3) ? fz_odd(r) : fz_below(r, 65536);
		break;
	case 'c':
		a->data_s64 = t->channel;
		if (fz_one_in(r, 2))
			a->data_s64 = fz_below(r, 30);
		break;
	case 'o':
	case 'w':
		a->len = what == 'w' ? 256 : 4U << fz_below(r, 2);
		a->data = (uintptr_t)t->resp;
		break;
	case 's':
		make_sges(t, q);
		a->len = sizeof(q->sge[0]) * (1 + fz_below(r, 4));
		a->data = (uintptr_t)q->sge;
		break;
	case 'p':
		a->len = sizeof(q->cap);
		a->data = (uintptr_t)q->cap;
		break;
	default:
		break;
	}
}

/* Anything, and the order need not be right either */
static void any_attr(struct fz_thread *t, struct request *q,
		     struct ib_uverbs_attr *a)
{
	struct fz_rand *r = &t->rand;

	a->attr_id = fz_below(r, 20) | (fz_one_in(r, 4) ? 1 << 12 : 0);
	a->len = fz_one_in(r, 6) ? fz_rand(r) : 4U << fz_below(r, 6);
	a->flags = fz_below(r, 4);
	a->data = a->len > 8 ? (uintptr_t)q->in : fz_odd(r);
	if (fz_one_in(r, 20))
		a->data = fz_addr(t);
}

static void fill(struct fz_thread *t, struct request *q,
		 const struct method *m)
{
	struct ib_uverbs_attr *a = q->attrs;
	const char *what;
	unsigned int i;

	for (i = 0; i < 5; i++)
		q->cap[i] = fz_below(&t->rand, 40);
	for (i = 0; i < 8; i++)
		q->in[i] = fz_odd(&t->rand);
	for (i = 0, what = m->attrs; what[i]; i++) {
		if (what[i] == '-' || fz_one_in(&t->rand, 30))
			continue;
		a->attr_id = (m->driver ? SODP_ID_NS : 0) + i;
		a->flags = UVERBS_ATTR_F_MANDATORY;
		set_attr(t, q, a++, what[i]);
	}
	/* Driver data, out and in */
	if (fz_one_in(&t->rand, 2)) {
		a->attr_id = UVERBS_ATTR_UHW_IN;
		a->len = 16;
		a++->data = (uintptr_t)q->in;
		a->attr_id = UVERBS_ATTR_UHW_OUT;
		a->len = 96;
		a++->data = (uintptr_t)t->resp;
	}
	while (a < q->attrs + MOST_ATTRS && fz_one_in(&t->rand, 12))
		any_attr(t, q, a++);
	q->hdr.object_id = m->object;
	q->hdr.method_id = m->method;
	q->hdr.num_attrs = a - q->attrs;
}

int fz_ioctl(struct fz_thread *t)
{
	struct fz_rand *r = &t->rand;
	struct request q;
	const struct method *m =
		&methods[fz_below(r, sizeof(methods) / sizeof(*methods))];

	memset(&q, 0, sizeof(q));
	fill(t, &q, m);
	q.hdr.driver_id = SODP_DRIVER_ID;
	if (fz_one_in(r, 30))
		q.hdr.object_id = fz_below(r, 24) | (fz_rand(r) & 1 << 12);
	if (fz_one_in(r, 30))
		q.hdr.method_id = fz_below(r, 12) | (fz_rand(r) & 1 << 12);
	if (fz_one_in(r, 30))
		any_attr(t, &q, &q.attrs[fz_below(r, MOST_ATTRS)]);
	q.hdr.length = sizeof(q.hdr) + q.hdr.num_attrs * sizeof(q.attrs[0]);
	if (fz_one_in(r, 50))
		q.hdr.length = fz_rand(r);
	if (fz_one_in(r, 50))
		q.hdr.num_attrs = fz_rand(r);
	if (ioctl(fz_fd(t), RDMA_VERBS_IOCTL, &q.hdr))
		return -1;
	if (q.hdr.object_id == SODP_OBJECT_DOORBELL &&
	    q.attrs[0].attr_id == SODP_ATTR_DOORBELL_ALLOC_FD) {
		if (t->bell >= 0)
			close(t->bell);
		t->bell = q.attrs[0].data;
	} else if (q.hdr.object_id == UVERBS_OBJECT_ASYNC_EVENT &&
		   q.attrs[0].attr_id == 0) {
		close(q.attrs[0].data);
	}
	return 0;
}

int fz_bell(struct fz_thread *t)
{
	struct fz_rand *r = &t->rand;
	unsigned long command = fz_one_in(r, 3) ? SODP_IOC_RING_RQ :
						  SODP_IOC_RING_SQ;

	if (fz_one_in(r, 30))
		command = fz_odd(r);
	return ioctl(fz_one_in(r, 30) ? fz_fd(t) : t->bell, command,
		     (unsigned long)fz_qpn(t));
}
