// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The verbs device: what it says of itself, its contexts and protection
 * domains, and the table that ties the verbs to the files that implement them.
 */
#include <linux/netdevice.h>
#include <net/addrconf.h>
#include <rdma/uverbs_ioctl.h>

#include "mem/mem.h"
#include "net/net.h"
#include "queue/queue.h"
#include "verbs/shapes.h"
#include "xport/rc/wire.h"
#include "xport/ud/ud.h"

static void dev_fill_odp_caps(struct ib_odp_caps *caps)
{
	caps->general_caps = IB_ODP_SUPPORT | IB_ODP_SUPPORT_IMPLICIT;
	caps->per_transport_caps.rc_odp_caps =
		IB_ODP_SUPPORT_SEND | IB_ODP_SUPPORT_RECV |
		IB_ODP_SUPPORT_WRITE | IB_ODP_SUPPORT_READ |
		IB_ODP_SUPPORT_ATOMIC | IB_ODP_SUPPORT_SRQ_RECV |
		SODP_ODP_CAPS_FLUSH;
	caps->per_transport_caps.ud_odp_caps =
		IB_ODP_SUPPORT_SEND | IB_ODP_SUPPORT_RECV |
		IB_ODP_SUPPORT_SRQ_RECV;
	caps->per_transport_caps.uc_odp_caps =
		IB_ODP_SUPPORT_SEND | IB_ODP_SUPPORT_RECV |
		IB_ODP_SUPPORT_WRITE | IB_ODP_SUPPORT_SRQ_RECV;
	caps->per_transport_caps.xrc_odp_caps =
		caps->per_transport_caps.rc_odp_caps;
}

static int dev_query(struct ib_device *ibdev, struct ib_device_attr *attr,
		     struct ib_udata *udata)
{
	if (udata && (udata->inlen || udata->outlen))
		return -EINVAL;
	memset(attr, 0, sizeof(*attr));
	attr->sys_image_guid = ibdev->node_guid;
	attr->fw_ver = SODP_FW_VER;
	attr->vendor_id = SODP_VENDOR_ID;
	attr->vendor_part_id = SODP_UVERBS_ABI_VERSION;
	attr->device_cap_flags = IB_DEVICE_CURR_QP_STATE_MOD |
				 IB_DEVICE_RC_RNR_NAK_GEN |
				 IB_DEVICE_SRQ_RESIZE |
				 IB_DEVICE_SYS_IMAGE_GUID |
				 IB_DEVICE_PORT_ACTIVE_EVENT |
				 IB_DEVICE_MEM_WINDOW |
				 IB_DEVICE_MEM_WINDOW_TYPE_2B |
				 IB_DEVICE_MEM_MGT_EXTENSIONS |
				 IB_DEVICE_XRC |
				 SODP_DEVICE_FLUSH;
	attr->kernel_cap_flags = IBK_ON_DEMAND_PAGING | IBK_ALLOW_USER_UNREG |
				 IBK_LOCAL_DMA_LKEY;
	attr->atomic_cap = IB_ATOMIC_GLOB;
	/* A timestamp is CLOCK_MONOTONIC_RAW in nanoseconds */
	attr->timestamp_mask = U64_MAX;
	attr->hca_core_clock = 1000000;
	sodp_limits_fill(to_sodp_dev(ibdev), attr);
	dev_fill_odp_caps(&attr->odp_caps);
	return 0;
}

static int dev_alloc_ucontext(struct ib_ucontext *ucontext,
			      struct ib_udata *udata)
{
	struct sodp_alloc_ucontext_resp resp = {
		.max_inline = SODP_MAX_INLINE,
		.max_sge = SODP_MAX_SGE,
	};
	struct sodp_ucontext *context = to_sodp_ucontext(ucontext);
	int ret;

	ret = sodp_udata_check(ucontext->device, udata, 0);
	if (ret)
		return ret;
	/* Its regions have references of their own, but come and go */
	context->space = odp_space_get(to_sodp_dev(ucontext->device)->domain);
	if (IS_ERR(context->space))
		return PTR_ERR(context->space);
	ret = ib_copy_to_udata(udata, &resp,
			       min(sizeof(resp), udata->outlen));
	if (ret)
		odp_space_put(context->space);
	return ret;
}

static void dev_dealloc_ucontext(struct ib_ucontext *ucontext)
{
	struct sodp_ucontext *context = to_sodp_ucontext(ucontext);

	sodp_payer_put(context->payer);
	odp_space_put(context->space);
}

/* Its presence lets uverbs take the device away from open files */
static void dev_disassociate_ucontext(struct ib_ucontext *ucontext)
{
}

/* Its presence lets another process use a context by its file */
static int dev_query_ucontext(struct ib_ucontext *ucontext,
			      struct uverbs_attr_bundle *attrs)
{
	return 0;
}

static int dev_alloc_pd(struct ib_pd *pd, struct ib_udata *udata)
{
	int ret = sodp_udata_check(pd->device, udata, 0);

	return ret ? : sodp_limit_take(to_sodp_dev(pd->device), SODP_LIMIT_PD);
}

static int dev_dealloc_pd(struct ib_pd *pd, struct ib_udata *udata)
{
	sodp_limit_give(to_sodp_dev(pd->device), SODP_LIMIT_PD);
	return 0;
}

static void dev_fw_str(struct ib_device *ibdev, char *str)
{
	snprintf(str, IB_FW_VERSION_NAME_MAX, "%s", SODP_VERSION);
}

static void dev_dealloc_driver(struct ib_device *ibdev)
{
	sodp_device_remove(to_sodp_dev(ibdev));
}

static const struct ib_device_ops dev_ops = {
	.owner = THIS_MODULE,
	.driver_id = SODP_RDMA_DRIVER,
	.uverbs_abi_ver = SODP_UVERBS_ABI_VERSION,

	.advise_mr = sodp_mr_advise,
	.alloc_dm = sodp_dm_alloc,
	.alloc_hw_port_stats = sodp_alloc_port_stats,
	.alloc_mr = sodp_kmem_alloc_mr,
	.alloc_mw = sodp_mw_alloc,
	.alloc_pd = dev_alloc_pd,
	.alloc_ucontext = dev_alloc_ucontext,
	.alloc_xrcd = sodp_xrcd_alloc,
	.attach_mcast = sodp_mcast_attach,
	.counter_alloc_stats = sodp_counter_alloc_stats,
	.counter_bind_qp = sodp_compat_counter_bind_qp,
	.counter_dealloc = sodp_counter_dealloc,
	.counter_unbind_qp = sodp_compat_counter_unbind_qp,
	.counter_update_stats = sodp_counter_update_stats,
	.create_ah = sodp_ah_create,
	.create_cq = sodp_compat_create_cq,
	.create_qp = sodp_qp_create,
	.create_srq = sodp_srq_create,
	.create_user_ah = sodp_ah_create,
	.dealloc_dm = sodp_dm_dealloc,
	.dealloc_driver = dev_dealloc_driver,
	.dealloc_mw = sodp_mw_dealloc,
	.dealloc_pd = dev_dealloc_pd,
	.dealloc_ucontext = dev_dealloc_ucontext,
	.dealloc_xrcd = sodp_xrcd_dealloc,
	.dereg_mr = sodp_mr_dereg,
	.destroy_ah = sodp_ah_destroy,
	.destroy_cq = sodp_cq_destroy,
	.destroy_qp = sodp_qp_destroy,
	.destroy_srq = sodp_srq_destroy,
	.detach_mcast = sodp_mcast_detach,
	.disassociate_ucontext = dev_disassociate_ucontext,
	.fill_res_cq_entry = sodp_fill_res_cq,
	.fill_res_mr_entry = sodp_fill_res_mr,
	.fill_res_qp_entry = sodp_fill_res_qp,
	.fill_stat_mr_entry = sodp_fill_stat_mr,
	.get_dev_fw_str = dev_fw_str,
	.get_dma_mr = sodp_kmem_get_dma_mr,
	.get_hw_stats = sodp_get_port_stats,
	.get_link_layer = sodp_port_link_layer,
	.get_port_immutable = sodp_port_immutable,
	.map_mr_sg = sodp_kmem_map_mr_sg,
	.mmap = sodp_mmap,
	.mmap_free = sodp_mmap_free,
	.modify_ah = sodp_ah_modify,
	.modify_cq = sodp_cq_modify,
	.modify_qp = sodp_qp_modify,
	.modify_srq = sodp_srq_modify,
	.poll_cq = sodp_poll_cq,
	.post_recv = sodp_post_recv,
	.post_send = sodp_post_send,
	.post_srq_recv = sodp_post_srq_recv,
	.query_ah = sodp_ah_query,
	.query_device = dev_query,
	.query_pkey = sodp_port_query_pkey,
	.query_port = sodp_port_query,
	.query_qp = sodp_qp_query,
	.query_srq = sodp_srq_query,
	.query_ucontext = dev_query_ucontext,
	.reg_dm_mr = sodp_dm_reg_mr,
	.reg_user_mr = sodp_compat_reg_user_mr,
	.reg_user_mr_dmabuf = sodp_compat_reg_dmabuf,
	.req_notify_cq = sodp_req_notify_cq,
	.rereg_user_mr = sodp_mr_rereg_user,
#ifdef HAVE_QUERY_PORT_SPEED
	.query_port_speed = sodp_port_query_speed,
#endif
#ifdef HAVE_FILL_RES_SRQ
	.fill_res_srq_entry = sodp_fill_res_srq,
#endif
	SODP_OP_RESIZE_CQ = sodp_compat_resize_cq,

	INIT_RDMA_OBJ_SIZE(ib_ah, sodp_ah, base_ah),
	INIT_RDMA_OBJ_SIZE(ib_cq, sodp_cq, base_cq),
	INIT_RDMA_OBJ_SIZE(ib_mw, sodp_mw, base_mw),
	INIT_RDMA_OBJ_SIZE(ib_pd, sodp_pd, base_pd),
	INIT_RDMA_OBJ_SIZE(ib_qp, sodp_ibqp, base_qp),
	INIT_RDMA_OBJ_SIZE(ib_srq, sodp_srq, base_srq),
	INIT_RDMA_OBJ_SIZE(ib_ucontext, sodp_ucontext, base_ucontext),
	INIT_RDMA_OBJ_SIZE(ib_xrcd, sodp_xrcd, base_xrcd),
};

/**
 * sodp_device_init() - fill in an allocated device before registration
 * @dev: the device, with ndev set
 *
 * Context: process.
 */
void sodp_device_init(struct sodp_dev *dev)
{
	struct ib_device *ibdev = &dev->base_dev;

	sodp_limits_init(dev);
	strscpy(ibdev->node_desc, "sodp", sizeof(ibdev->node_desc));
	ibdev->node_type = RDMA_NODE_IB_CA;
	ibdev->phys_port_cnt = 1;
	ibdev->num_comp_vectors = num_possible_cpus();
	addrconf_addr_eui48((u8 *)&ibdev->node_guid, dev->ndev->dev_addr);
	ibdev->driver_def = sodp_uapi_defs;
	sodp_rxq_device_init(dev);
	ib_set_device_ops(ibdev, &dev_ops);
}
