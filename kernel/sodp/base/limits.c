// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * How many objects a device has, and what query_device says of that. Memory
 * of objects is charged to who makes them; these are what keeps one user of a
 * device from leaving no numbers to the others.
 *
 * Numbers of QPs, and of SRQs of XRC, are of the host and not of a device or
 * namespace: a packet is given to the QP that its number names, and only then
 * asked for its namespace and peer, so a number that is known is of no use,
 * as no other is that can be tried. There are 2^24: as many as 16 devices
 * have that are full, and more than fit into most hosts' memory. Whoever makes
 * QPs sees by their numbers how many were made meanwhile, elsewhere too, as on
 * a card that several containers share.
 */
#include <linux/moduleparam.h>

#include "base/sodp.h"

/* Of one kind; the device's own work (MAD, CM) takes some of them */
#define LIMIT_MAX_OBJECTS	SZ_1M
#define LIMIT_MIN_OBJECTS	64

static unsigned int limit_objects = LIMIT_MAX_OBJECTS;
module_param_named(max_objects, limit_objects, uint, 0644);
MODULE_PARM_DESC(max_objects,
		 "Objects of each kind on a device made from now on, 64 to 1048576");

static const char *const limit_names[] = {
	[SODP_LIMIT_PD] = "PDs",
	[SODP_LIMIT_QP] = "QPs",
	[SODP_LIMIT_CQ] = "CQs",
	[SODP_LIMIT_SRQ] = "SRQs",
	[SODP_LIMIT_MR] = "MRs",
	[SODP_LIMIT_MW] = "MWs",
	[SODP_LIMIT_AH] = "AHs",
	[SODP_LIMIT_XRCD] = "XRC domains",
};

static_assert(ARRAY_SIZE(limit_names) == SODP_NR_LIMITS);

/**
 * sodp_limits_init() - what a new device will have, at most
 * @dev: the device
 */
void sodp_limits_init(struct sodp_dev *dev)
{
	/* The administrator may write to it meanwhile */
	dev->max_objects = clamp_t(unsigned int, READ_ONCE(limit_objects),
				   LIMIT_MIN_OBJECTS, LIMIT_MAX_OBJECTS);
}

/**
 * sodp_limit_take() - count one more object
 * @dev: the device
 * @what: its kind
 *
 * Context: any.
 * Return: 0; -ENOMEM: there are as many as query_device says.
 */
int sodp_limit_take(struct sodp_dev *dev, enum sodp_limit what)
{
	if (likely(atomic_add_unless(&dev->objects[what], 1,
				     dev->max_objects)))
		return 0;
	ibdev_dbg(&dev->base_dev, "%u %s are all that it has\n",
		  dev->max_objects, limit_names[what]);
	return -ENOMEM;
}

/**
 * sodp_limit_give() - undo sodp_limit_take()
 * @dev: the device
 * @what: the kind
 *
 * Context: any.
 */
void sodp_limit_give(struct sodp_dev *dev, enum sodp_limit what)
{
	WARN_ON_ONCE(atomic_dec_return(&dev->objects[what]) < 0);
}

/**
 * sodp_limits_fill() - what query_device says
 * @dev: the device
 * @attr: result
 */
void sodp_limits_fill(const struct sodp_dev *dev, struct ib_device_attr *attr)
{
	attr->max_mr_size = U64_MAX;
	attr->page_size_cap = PAGE_SIZE | SZ_2M | SZ_1G;
	attr->max_qp = dev->max_objects;
	attr->max_qp_wr = SODP_MAX_QP_WR;
	attr->max_send_sge = SODP_MAX_SGE;
	attr->max_recv_sge = SODP_MAX_SGE;
	attr->max_sge_rd = SODP_MAX_SGE;
	attr->max_cq = dev->max_objects;
	attr->max_cqe = SODP_MAX_CQE;
	attr->max_mr = dev->max_objects;
	attr->max_mw = dev->max_objects;
	attr->max_pd = dev->max_objects;
	attr->max_qp_rd_atom = SODP_MAX_RD_ATOMIC;
	attr->max_qp_init_rd_atom = SODP_MAX_RD_ATOMIC;
	attr->max_res_rd_atom = dev->max_objects * SODP_MAX_RD_ATOMIC;
	attr->max_srq = dev->max_objects;
	attr->max_srq_wr = SODP_MAX_SRQ_WR;
	attr->max_srq_sge = SODP_MAX_SGE;
	attr->max_pkeys = 1;
	/* 134 ms: what a busy host may take to answer, pages not counted */
	attr->local_ca_ack_delay = 15;
	attr->max_ah = dev->max_objects;
	attr->max_mcast_grp = SODP_MAX_MCAST_GROUPS;
	attr->max_mcast_qp_attach = SODP_MAX_MCAST_QPS;
	attr->max_total_mcast_qp_attach = SODP_MAX_MCASTS;
	attr->max_fast_reg_page_list_len = SODP_MAX_FRMR_PAGES;
	attr->max_dm_size = SODP_MAX_DM_BYTES;
	attr->cq_caps.max_cq_moderation_count = U16_MAX;
	attr->cq_caps.max_cq_moderation_period = U16_MAX;
}
