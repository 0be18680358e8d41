// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The doorbell: an FD object of the uverbs file with one cheap ioctl. It
 * runs a bounded amount of the QP's work in the caller's context.
 */
#include <linux/fs.h>
#include <linux/srcu.h>
#include <rdma/uverbs_ioctl.h>
#include <rdma/uverbs_std_types.h>

#define UVERBS_MODULE_NAME sodp
#include <rdma/uverbs_named_ioctl.h>

#include "sodp.h"

/*
 * Readers: a doorbell being rung. Writer: the context or the device going
 * away, which must not return while a ringer still uses its QPs.
 */
DEFINE_STATIC_SRCU(sodp_bell_srcu);

struct sodp_doorbell {
	struct ib_uobject uobj;	/* must be first: uverbs allocates it */
	struct ib_ucontext *ucontext;	/* NULL once gone; see bell_srcu */
};

static int bell_ring(struct sodp_doorbell *bell, unsigned int cmd,
		     unsigned long arg)
{
	struct ib_ucontext *ucontext = READ_ONCE(bell->ucontext);
	struct sodp_qp *qp;
	int ret = 0;

	/* Pairs with the WRITE_ONCE() in bell_destroy() */
	if (unlikely(!ucontext))
		return -EIO;
	if (unlikely(arg > SODP_MAX_QPN))
		return -EINVAL;
	qp = sodp_qp_get(arg);
	if (unlikely(!qp))
		return -EINVAL;
	if (unlikely(qp->ucontext != ucontext))
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
	int idx;
	int ret;

	if (unlikely(cmd != SODP_IOC_RING_SQ && cmd != SODP_IOC_RING_RQ))
		return -ENOTTY;
	idx = srcu_read_lock(&sodp_bell_srcu);
	ret = bell_ring(bell, cmd, arg);
	srcu_read_unlock(&sodp_bell_srcu, idx);
	return ret;
}

static const struct file_operations bell_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = bell_ioctl,
	.compat_ioctl = bell_ioctl,
	.release = uverbs_uobject_fd_release,
	.llseek = noop_llseek,
};

static void bell_destroy(struct ib_uobject *uobj, enum rdma_remove_reason why)
{
	struct sodp_doorbell *bell =
		container_of(uobj, struct sodp_doorbell, uobj);

	/* Pairs with the READ_ONCE() in bell_ring() */
	WRITE_ONCE(bell->ucontext, NULL);
	synchronize_srcu(&sodp_bell_srcu);
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
	return 0;
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
