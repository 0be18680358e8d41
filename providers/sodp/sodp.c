// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * sodp.c - registration with libibverbs, the device and its contexts
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <infiniband/cmd_ioctl.h>
#include <util/util.h>

#include "sodp.h"

/* How often a taken lock is looked at before the CPU is given away */
#define LOCK_SPINS  100
#define LOCK_YIELDS 100

/**
 * sodp_lock_slow() - wait for a lock that was found taken
 * @lk: the lock
 *
 * Its holder may be preempted on this very CPU: yield soon, and sleep in the
 * end, because yielding does nothing for a holder of lower realtime priority.
 */
void sodp_lock_slow(struct sodp_lock *lk)
{
	static const struct timespec nap = { .tv_nsec = 50000 };
	unsigned int tries = 0;

	for (;;) {
		if (!atomic_load_explicit(&lk->held, memory_order_relaxed) &&
		    !atomic_exchange_explicit(&lk->held, true,
					      memory_order_acquire))
			return;
		if (++tries <= LOCK_SPINS)
			continue;
		if (tries <= LOCK_SPINS + LOCK_YIELDS)
			sched_yield();
		else
			nanosleep(&nap, NULL);
	}
}

/**
 * sodp_map_ring() - map the pages that a create command told of
 * @context: whose command file they belong to
 * @offset: mmap_offset of the response
 * @size: mmap_size of the response, 0 if the object has no ring
 * @map: filled on success
 *
 * The mapping is shared memory of the kernel, not pinned user memory: fork()
 * needs no protection of it.
 *
 * Return: 0 or an errno.
 */
int sodp_map_ring(struct ibv_context *context, uint64_t offset, uint64_t size,
		  struct sodp_map *map)
{
	void *addr;

	*map = (struct sodp_map){};
	if (!size)
		return 0;

	addr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		    context->cmd_fd, offset);
	if (addr == MAP_FAILED)
		return errno;

	map->addr = addr;
	map->size = size;
	return 0;
}

void sodp_unmap_ring(struct sodp_map *map)
{
	if (map->addr)
		munmap(map->addr, map->size);
	*map = (struct sodp_map){};
}

static void context_free(struct ibv_context *context)
{
	struct sodp_context *ctx = to_sodp_context(context);

	close(ctx->db_fd);
	verbs_uninit_context(&ctx->vctx);
	free(ctx);
}

static const struct verbs_context_ops context_ops = {
	.advise_mr = sodp_advise_mr,
	.alloc_dm = sodp_alloc_dm,
	.alloc_mw = sodp_alloc_mw,
	.alloc_parent_domain = sodp_alloc_parent_domain,
	.alloc_pd = sodp_alloc_pd,
	.alloc_td = sodp_alloc_td,
	.attach_mcast = ibv_cmd_attach_mcast,
	.bind_mw = sodp_bind_mw,
	.close_xrcd = sodp_close_xrcd,
	.cq_event = sodp_cq_event,
	.create_ah = sodp_create_ah,
	.create_cq = sodp_create_cq,
	.create_cq_ex = sodp_create_cq_ex,
	.create_qp = sodp_create_qp,
	.create_qp_ex = sodp_create_qp_ex,
	.create_srq = sodp_create_srq,
	.create_srq_ex = sodp_create_srq_ex,
	.dealloc_mw = sodp_dealloc_mw,
	.dealloc_pd = sodp_dealloc_pd,
	.dealloc_td = sodp_dealloc_td,
	.dereg_mr = sodp_dereg_mr,
	.destroy_ah = sodp_destroy_ah,
	.destroy_cq = sodp_destroy_cq,
	.destroy_qp = sodp_destroy_qp,
	.destroy_srq = sodp_destroy_srq,
	.detach_mcast = ibv_cmd_detach_mcast,
	.free_context = context_free,
	.free_dm = sodp_free_dm,
	.get_srq_num = sodp_get_srq_num,
	.import_dm = sodp_import_dm,
	.import_mr = sodp_import_mr,
	.import_pd = sodp_import_pd,
	.modify_cq = sodp_modify_cq,
	.modify_qp = sodp_modify_qp,
	.modify_srq = sodp_modify_srq,
	.open_qp = sodp_open_qp,
	.open_xrcd = sodp_open_xrcd,
	.poll_cq = sodp_poll_cq,
	.post_recv = sodp_post_recv,
	.post_send = sodp_post_send,
	.post_srq_recv = sodp_post_srq_recv,
	.query_device_ex = sodp_query_device_ex,
	.query_port = sodp_query_port,
#ifdef SODP_SRC_HAS_PORT_SPEED
	.query_port_speed = ibv_cmd_query_port_speed,
#endif
	.query_qp = sodp_query_qp,
	.query_rt_values = sodp_query_rt_values,
	.query_srq = sodp_query_srq,
	.reg_dm_mr = sodp_reg_dm_mr,
	.reg_dmabuf_mr = sodp_reg_dmabuf_mr,
	.reg_mr = sodp_reg_mr,
	.req_notify_cq = sodp_req_notify_cq,
	.rereg_mr = sodp_rereg_mr,
	.resize_cq = sodp_resize_cq,
	.unimport_dm = sodp_unimport_dm,
	.unimport_mr = sodp_unimport_mr,
	.unimport_pd = sodp_unimport_pd,
};

static int context_get(struct sodp_context *ctx)
{
	struct sodp_get_context_cmd_resp resp = {};
	struct ibv_get_context cmd = {};

#ifdef SODP_GET_CONTEXT_HAS_FD_ARR
	return ibv_cmd_get_context(&ctx->vctx, &cmd, sizeof(cmd), NULL,
				   &resp.ibv_resp, sizeof(resp));
#else
	return ibv_cmd_get_context(&ctx->vctx, &cmd, sizeof(cmd),
				   &resp.ibv_resp, sizeof(resp));
#endif
}

/* Another context of the same file: the kernel has it already */
static int context_query(struct sodp_context *ctx)
{
	return ibv_cmd_query_context(&ctx->vctx.context, NULL);
}

static int context_alloc_doorbell(struct sodp_context *ctx)
{
	DECLARE_COMMAND_BUFFER(cmdb, SODP_OBJECT_DOORBELL,
			       SODP_METHOD_DOORBELL_ALLOC, 1);
	struct ib_uverbs_attr *fd;
	int ret;

	fd = fill_attr_out_fd(cmdb, SODP_ATTR_DOORBELL_ALLOC_FD, 0);
	ret = execute_ioctl(&ctx->vctx.context, cmdb);
	if (ret)
		return ret;

	ctx->db_fd = read_attr_fd(SODP_ATTR_DOORBELL_ALLOC_FD, fd);
	return 0;
}

static struct verbs_context *context_make(struct ibv_device *ibdev, int cmd_fd,
					  int (*get)(struct sodp_context *ctx))
{
	struct sodp_context *ctx;
	int ret;

	ctx = verbs_init_and_alloc_context(ibdev, cmd_fd, ctx, vctx,
					   SODP_DRIVER_ID);
	if (!ctx)
		return NULL;

	ret = get(ctx);
	if (ret)
		goto err_uninit;

	ret = context_alloc_doorbell(ctx);
	if (ret) {
		verbs_err(&ctx->vctx, "no doorbell: %d\n", ret);
		goto err_uninit;
	}

	verbs_set_ops(&ctx->vctx, &context_ops);
	return &ctx->vctx;

err_uninit:
	verbs_uninit_context(&ctx->vctx);
	free(ctx);
	errno = ret;
	return NULL;
}

static struct verbs_context *context_alloc(struct ibv_device *ibdev, int cmd_fd,
					   void *private_data)
{
	return context_make(ibdev, cmd_fd, context_get);
}

static struct verbs_context *context_import(struct ibv_device *ibdev,
					    int cmd_fd)
{
	return context_make(ibdev, cmd_fd, context_query);
}

static struct verbs_device *device_alloc(struct verbs_sysfs_dev *sysfs_dev)
{
	return calloc(1, sizeof(struct verbs_device));
}

static void device_uninit(struct verbs_device *vdev)
{
	free(vdev);
}

static const struct verbs_match_ent match_table[] = {
	VERBS_DRIVER_ID(SODP_DRIVER_ID),
	{},
};

static const struct verbs_device_ops device_ops = {
	.name = "sodp",
	.match_min_abi_version = SODP_UVERBS_ABI_VERSION,
	.match_max_abi_version = SODP_UVERBS_ABI_VERSION,
	.match_table = match_table,
	.alloc_device = device_alloc,
	.uninit_device = device_uninit,
	.alloc_context = context_alloc,
	.import_context = context_import,
};
PROVIDER_DRIVER(sodp, device_ops);
