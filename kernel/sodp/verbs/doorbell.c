// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The doorbell: an FD object of the uverbs file with one cheap ioctl. It
 * runs a bounded amount of the QP's work in the caller's context.
 */
#include <linux/fs.h>
#include <linux/percpu-refcount.h>
#include <rdma/uverbs_ioctl.h>
#include <rdma/uverbs_std_types.h>

#define UVERBS_MODULE_NAME sodp
#include <rdma/uverbs_named_ioctl.h>

#include "mem/mem.h"
#include "qp/qp.h"
#include "verbs/verbs.h"

/**
 * struct sodp_doorbell - a way to have the QPs of one context run
 * @uobj: must be first: uverbs allocates it
 * @ucontext: whose QPs; good while @rings has a reference
 * @rings: one reference for each call under way. The context or the device
 *	going away must not return while one still uses its QPs: it waits for
 *	these calls, each of which is one slice, and for nobody else's.
 * @idle: there are none, nor will be
 */
struct sodp_doorbell {
	struct ib_uobject uobj;
	struct ib_ucontext *ucontext;
	struct percpu_ref rings;
	struct completion idle;
};

static void bell_idle(struct percpu_ref *rings)
{
	complete(&container_of(rings, struct sodp_doorbell, rings)->idle);
}

static int bell_ring(struct sodp_doorbell *bell, unsigned int cmd,
		     unsigned long arg)
{
	struct sodp_qp *qp;
	int ret = 0;

	if (unlikely(arg > SODP_MAX_QPN))
		return -EINVAL;
	qp = sodp_qp_get(arg);
	if (unlikely(!qp))
		return -EINVAL;
	if (unlikely(qp->ucontext != bell->ucontext))
		ret = -EINVAL;
	else if (likely(cmd == SODP_IOC_RING_SQ))
		sodp_sq_doorbell(qp);
	else
		sodp_rq_doorbell(qp);
	sodp_qp_put(qp);
	return ret;
}

static long bell_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct sodp_doorbell *bell = filp->private_data;
	int ret;

	if (unlikely(cmd != SODP_IOC_RING_SQ && cmd != SODP_IOC_RING_RQ))
		return -ENOTTY;
	if (unlikely(!percpu_ref_tryget_live(&bell->rings)))
		return -EIO;
	ret = bell_ring(bell, cmd, arg);
	percpu_ref_put(&bell->rings);
	return ret;
}

/*
 * Not when the file goes, which what the process has mapped may keep: as soon
 * as it exits. The mm of a process that is dead is used by workers only.
 */
static int bell_flush(struct file *filp, fl_owner_t id)
{
	struct sodp_doorbell *bell = filp->private_data;

	if (!percpu_ref_tryget_live(&bell->rings))
		return 0;
	odp_space_closed(to_sodp_ucontext(bell->ucontext)->space);
	percpu_ref_put(&bell->rings);
	return 0;
}

static const struct file_operations bell_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = bell_ioctl,
	.compat_ioctl = bell_ioctl,
	.flush = bell_flush,
	.release = uverbs_uobject_fd_release,
	.llseek = noop_llseek,
};

static void bell_destroy(struct ib_uobject *uobj, enum rdma_remove_reason why)
{
	struct sodp_doorbell *bell =
		container_of(uobj, struct sodp_doorbell, uobj);

	/* The file may stay: who rings from now on gets no reference */
	percpu_ref_kill(&bell->rings);
	wait_for_completion(&bell->idle);
	percpu_ref_exit(&bell->rings);
}

static int
UVERBS_HANDLER(SODP_METHOD_DOORBELL_ALLOC)(struct uverbs_attr_bundle *attrs)
{
	struct ib_uobject *uobj =
		uverbs_attr_get_uobject(attrs, SODP_ATTR_DOORBELL_ALLOC_FD);
	struct sodp_doorbell *bell =
		container_of(uobj, struct sodp_doorbell, uobj);
	struct ib_ucontext *ucontext = ib_uverbs_get_ucontext(attrs);

	if (IS_ERR(ucontext))
		return PTR_ERR(ucontext);
	bell->ucontext = ucontext;
	init_completion(&bell->idle);
	return percpu_ref_init(&bell->rings, bell_idle, 0, GFP_KERNEL_ACCOUNT);
}

DECLARE_UVERBS_NAMED_METHOD(SODP_METHOD_DOORBELL_ALLOC,
			    UVERBS_ATTR_FD(SODP_ATTR_DOORBELL_ALLOC_FD,
					   SODP_OBJECT_DOORBELL,
					   UVERBS_ACCESS_NEW, UA_MANDATORY));

DECLARE_UVERBS_NAMED_OBJECT(SODP_OBJECT_DOORBELL,
			    UVERBS_TYPE_ALLOC_FD(sizeof(struct sodp_doorbell),
						 bell_destroy, &bell_fops,
						 "[sodp_doorbell]",
						 O_RDWR | O_CLOEXEC),
			    &UVERBS_METHOD(SODP_METHOD_DOORBELL_ALLOC));

const struct uapi_definition sodp_uapi_defs[] = {
	UAPI_DEF_CHAIN_OBJ_TREE_NAMED(SODP_OBJECT_DOORBELL),
	UAPI_DEF_CHAIN(sodp_dm_defs),
	{},
};
