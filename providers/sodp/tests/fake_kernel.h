/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * fake_kernel.h - the other end of the rings, in the test program
 *
 * The linker's --wrap puts these functions where the provider calls libibverbs
 * and libc, so that the provider's own create, post, poll and destroy run.
 */
#ifndef SODP_FAKE_KERNEL_H
#define SODP_FAKE_KERNEL_H

#include "../sodp.h"

#define FAKE_QPN       0x123
#define FAKE_SQ_DEPTH  8
#define FAKE_RQ_DEPTH  4
#define FAKE_SQ_STRIDE 128
#define FAKE_RQ_STRIDE 48
#define FAKE_CQ_DEPTH  8
#define FAKE_INLINE    64
#define FAKE_SGE       2

struct fake_kernel {
	uint8_t *qp_mem;
	struct sodp_qp_page *qp_page;
	uint8_t *cq_mem;
	struct sodp_cq_page *cq_page;
	struct sodp_cqe *cqes;
	uint32_t cq_depth;
	uint32_t cq_pi;
	uint32_t first_index; /* where the indices start */
	unsigned int sq_bells;
	unsigned int rq_bells;
	unsigned long bell_arg;
	uint32_t seen_pi; /* of the queue, when its bell rang */
	int ioctl_errno;
	int destroyed;
	uint64_t sq_cookie;
	uint64_t rq_cookie;
};

/* Does not know of cookies; for what is made from then on */
extern bool fake_is_old;

extern struct fake_kernel fake;

void fake_start(uint32_t first_index);
struct sodp_sqe *fake_sqe(uint32_t index);
struct sodp_rqe *fake_rqe(uint32_t index);
void fake_complete(uint32_t qpn, uint64_t wr_id);
void fake_complete_entry(enum sodp_wc_opcode opcode, uint64_t queue,
			 uint32_t index);

#endif /* SODP_FAKE_KERNEL_H */
