// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * fake_kernel.c - rings in plain memory, and the calls that lead to them
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fake_kernel.h"

#define QP_MEM_SIZE   8192
#define QP_RING	      256
#define CQ_MEM_SIZE   8192
#define CQ_RING	      128
#define QP_OFFSET     0x1000
#define CQ_OFFSET     0x2000
#define NEW_CQ_OFFSET 0x3000

struct fake_kernel fake;
bool fake_is_old;
static uint8_t *new_cq_mem;

int __wrap_ioctl(int fd, unsigned long cmd, ...);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd,
		  off_t offset);
int __wrap_munmap(void *addr, size_t len);
int __wrap_ibv_cmd_create_cq(struct ibv_context *context, int cqe,
			     struct ibv_comp_channel *channel, int vector,
			     struct ibv_cq *cq, struct ibv_create_cq *cmd,
			     size_t cmd_size,
			     struct ib_uverbs_create_cq_resp *resp,
			     size_t resp_size);
int __wrap_ibv_cmd_resize_cq(struct ibv_cq *cq, int cqe,
			     struct ibv_resize_cq *cmd, size_t cmd_size,
			     struct ib_uverbs_resize_cq_resp *resp,
			     size_t resp_size);
int __wrap_ibv_cmd_destroy_cq(struct ibv_cq *cq);
int __wrap_ibv_cmd_create_qp_ex(struct ibv_context *context,
				struct verbs_qp *qp,
				struct ibv_qp_init_attr_ex *attr,
				struct ibv_create_qp *cmd, size_t cmd_size,
				struct ib_uverbs_create_qp_resp *resp,
				size_t resp_size);
int __wrap_ibv_cmd_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr,
			     int attr_mask, struct ibv_modify_qp *cmd,
			     size_t cmd_size);
int __wrap_ibv_cmd_destroy_qp(struct ibv_qp *qp);

static void *zeroed(size_t size)
{
	void *mem = aligned_alloc(4096, size);

	if (!mem)
		abort();
	return memset(mem, 0, size);
}

static void use_cq_mem(uint8_t *mem, uint32_t depth)
{
	fake.cq_mem = mem;
	fake.cq_page = (struct sodp_cq_page *)mem;
	fake.cqes = (struct sodp_cqe *)(mem + CQ_RING);
	fake.cq_depth = depth;
}

void fake_start(uint32_t first_index)
{
	free(fake.qp_mem);
	free(fake.cq_mem);
	fake = (struct fake_kernel){ .first_index = first_index };
	fake.qp_mem = zeroed(QP_MEM_SIZE);
	fake.qp_page = (struct sodp_qp_page *)fake.qp_mem;
	use_cq_mem(zeroed(CQ_MEM_SIZE), FAKE_CQ_DEPTH);
}

struct sodp_sqe *fake_sqe(uint32_t index)
{
	return (struct sodp_sqe *)(fake.qp_mem + QP_RING +
				   index % FAKE_SQ_DEPTH * FAKE_SQ_STRIDE);
}

struct sodp_rqe *fake_rqe(uint32_t index)
{
	return (struct sodp_rqe *)(fake.qp_mem + QP_RING +
				   FAKE_SQ_DEPTH * FAKE_SQ_STRIDE +
				   index % FAKE_RQ_DEPTH * FAKE_RQ_STRIDE);
}

/* Every field is told apart by its value */
void fake_complete(uint32_t qpn, uint64_t wr_id)
{
	fake.cqes[fake.cq_pi % fake.cq_depth] = (struct sodp_cqe){
		.wr_id = wr_id,
		.status = IBV_WC_REM_ACCESS_ERR,
		.opcode = SODP_WC_RECV_RDMA_WITH_IMM,
		.flags = SODP_WC_WITH_IMM,
		.vendor_err = 11,
		.byte_len = 12,
		.ex = 13,
		.qpn = qpn,
		.src_qp = 14,
		.timestamp = 15,
		.pkey_index = 16,
		.slid = 17,
		.sl = 18,
		.dlid_path_bits = 19,
	};
	fake.cq_pi++;
	__atomic_store_n(&fake.cq_page->pi, fake.cq_pi, __ATOMIC_RELEASE);
}

/* The completion of an entry of the QP, or of a receive of @queue */
void fake_complete_entry(enum sodp_wc_opcode opcode, uint64_t queue,
			 uint32_t index)
{
	struct sodp_cqe *cqe = &fake.cqes[fake.cq_pi % fake.cq_depth];

	fake_complete(FAKE_QPN, index);
	cqe->opcode = opcode;
	cqe->queue = queue;
	cqe->index = index + 1;
}

int __wrap_ioctl(int fd, unsigned long cmd, ...)
{
	va_list args;

	va_start(args, cmd);
	fake.bell_arg = va_arg(args, unsigned long);
	va_end(args);

	if (fake.ioctl_errno) {
		errno = fake.ioctl_errno;
		return -1;
	}
	if (cmd == SODP_IOC_RING_SQ) {
		fake.sq_bells++;
		fake.seen_pi = fake.qp_page->sq_pi;
	} else if (cmd == SODP_IOC_RING_RQ) {
		fake.rq_bells++;
		fake.seen_pi = fake.qp_page->rq_pi;
	}
	return 0;
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd,
		  off_t offset)
{
	switch (offset) {
	case QP_OFFSET:
		return fake.qp_mem;
	case CQ_OFFSET:
		return fake.cq_mem;
	case NEW_CQ_OFFSET:
		return new_cq_mem;
	default:
		errno = EINVAL;
		return MAP_FAILED;
	}
}

int __wrap_munmap(void *addr, size_t len)
{
	return 0;
}

int __wrap_ibv_cmd_create_cq(struct ibv_context *context, int cqe,
			     struct ibv_comp_channel *channel, int vector,
			     struct ibv_cq *cq, struct ibv_create_cq *cmd,
			     size_t cmd_size,
			     struct ib_uverbs_create_cq_resp *resp,
			     size_t resp_size)
{
	struct sodp_create_cq_cmd_resp *full = (void *)resp;

	cq->context = context;
	full->drv.mmap_offset = CQ_OFFSET;
	full->drv.mmap_size = CQ_MEM_SIZE;
	full->drv.depth = FAKE_CQ_DEPTH;
	full->drv.ring_offset = CQ_RING;
	return resp_size == sizeof(*full) ? 0 : EINVAL;
}

int __wrap_ibv_cmd_resize_cq(struct ibv_cq *cq, int cqe,
			     struct ibv_resize_cq *cmd, size_t cmd_size,
			     struct ib_uverbs_resize_cq_resp *resp,
			     size_t resp_size)
{
	struct sodp_resize_cq_cmd_resp *full = (void *)resp;
	struct fake_kernel old = fake;
	uint32_t i;

	new_cq_mem = zeroed(CQ_MEM_SIZE);
	use_cq_mem(new_cq_mem, cqe);
	for (i = old.cq_page->ci; i != fake.cq_pi; i++)
		fake.cqes[i % cqe] = old.cqes[i % old.cq_depth];
	fake.cq_page->pi = fake.cq_pi;
	fake.cq_page->arm = old.cq_page->arm;

	full->drv.mmap_offset = NEW_CQ_OFFSET;
	full->drv.mmap_size = CQ_MEM_SIZE;
	full->drv.depth = cqe;
	full->drv.ring_offset = CQ_RING;
	full->drv.ci = old.cq_page->ci;
	memset(old.cq_mem, 0xee, CQ_MEM_SIZE);
	free(old.cq_mem);
	return 0;
}

int __wrap_ibv_cmd_destroy_cq(struct ibv_cq *cq)
{
	fake.destroyed++;
	return 0;
}

int __wrap_ibv_cmd_create_qp_ex(struct ibv_context *context,
				struct verbs_qp *qp,
				struct ibv_qp_init_attr_ex *attr,
				struct ibv_create_qp *cmd, size_t cmd_size,
				struct ib_uverbs_create_qp_resp *resp,
				size_t resp_size)
{
	struct sodp_create_qp_cmd_resp *full = (void *)resp;
	struct sodp_create_qp_cmd_req *req = (void *)cmd;

	if (cmd_size != sizeof(*req))
		return EINVAL;
	/* What libibverbs refuses */
	if (attr->comp_mask & IBV_QP_INIT_ATTR_CREATE_FLAGS)
		return EINVAL;

	qp->qp.context = context;
	qp->qp.qp_num = FAKE_QPN;
	qp->qp.qp_type = attr->qp_type;
	qp->qp.pd = attr->pd;
	qp->qp.send_cq = attr->send_cq;
	qp->qp.recv_cq = attr->recv_cq;
	attr->cap.max_send_sge = FAKE_SGE;
	attr->cap.max_recv_sge = FAKE_SGE;
	full->drv = (struct sodp_create_qp_resp){
		.mmap_offset = QP_OFFSET,
		.mmap_size = QP_MEM_SIZE,
		.qpn = FAKE_QPN,
		.sq_depth = FAKE_SQ_DEPTH,
		.sq_stride = FAKE_SQ_STRIDE,
		.sq_offset = QP_RING,
		.rq_depth = FAKE_RQ_DEPTH,
		.rq_stride = FAKE_RQ_STRIDE,
		.rq_offset = QP_RING + FAKE_SQ_DEPTH * FAKE_SQ_STRIDE,
		.max_inline = FAKE_INLINE,
		.max_send_sge = FAKE_SGE,
		.max_recv_sge = FAKE_SGE,
	};
	if (!fake_is_old) {
		full->drv.comp_mask = SODP_CREATE_QP_COOKIES;
		fake.sq_cookie = req->drv.sq_cookie;
		fake.rq_cookie = req->drv.rq_cookie;
	}
	return resp_size == sizeof(*full) ? 0 : EINVAL;
}

int __wrap_ibv_cmd_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr,
			     int attr_mask, struct ibv_modify_qp *cmd,
			     size_t cmd_size)
{
	if ((attr_mask & IBV_QP_STATE) && attr->qp_state == IBV_QPS_RESET) {
		fake.qp_page->sq_ci = fake.first_index;
		fake.qp_page->rq_ci = fake.first_index;
	}
	return 0;
}

int __wrap_ibv_cmd_destroy_qp(struct ibv_qp *qp)
{
	fake.destroyed++;
	return 0;
}
