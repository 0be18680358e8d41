// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Entries of receive queues, shared or not.
 */
#include <linux/string.h>

#include "queue/queue.h"

/**
 * sodp_rqe_copy() - copy an entry out of a ring and check the copy
 * @recv: the copy
 * @slot: the entry, in memory that the application may be changing
 * @max_sge: most SGEs the ring was made for
 * @strict: reserved fields have to be 0; if not, @recv is for nothing but to
 *	be completed with an error
 *
 * Context: any.
 * Return: 0, -EINVAL when there are more SGEs than that.
 */
int sodp_rqe_copy(struct sodp_recv *recv, const u8 *slot, u32 max_sge,
		  bool strict)
{
	struct sodp_rqe rqe;
	u32 i;

	memcpy(&rqe, slot, sizeof(rqe));
	/* The copy must not be re-read from the slot after the check */
	barrier_data(&rqe);
	recv->wr_id = rqe.wr_id;
	recv->fail_status = 0;
	recv->fail_why = 0;
	recv->num_sge = 0;
	recv->length = 0;
	if (rqe.num_sge > max_sge)
		return -EINVAL;
	if (unlikely(strict && rqe.reserved_60)) {
		recv->fail_status = IB_WC_LOC_QP_OP_ERR;
		recv->fail_why = SODP_ERR_RESERVED;
		return 0;
	}
	recv->num_sge = rqe.num_sge;
	memcpy(recv->sge, slot + sizeof(rqe),
	       rqe.num_sge * sizeof(struct sodp_sge));
	barrier_data(recv->sge);
	for (i = 0; i < recv->num_sge; i++)
		recv->length += recv->sge[i].length;
	return 0;
}
