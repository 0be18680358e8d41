// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What every room needs: where work is done, and what a verb is given.
 */
#include <linux/workqueue.h>
#include <rdma/uverbs_ioctl.h>

#include "base/sodp.h"

struct workqueue_struct *sodp_wq;

/**
 * sodp_udata_check() - is what the provider says known?
 * @ibdev: the device
 * @udata: of a verb that makes or changes something; NULL: the kernel's. What
 *	is to go goes, whatever is said: nobody could do anything about it if
 *	it did not. ibv_reg_dmabuf_mr() has no such argument.
 * @known: bytes that the verb looks at
 *
 * A newer provider may send more, and has to be told that nothing is done
 * about it, unless it is zero.
 *
 * Context: process, may sleep.
 * Return: 0 or -EINVAL.
 */
int sodp_udata_check(struct ib_device *ibdev, const struct ib_udata *udata,
		     size_t known)
{
	if (!udata || udata->inlen <= known ||
	    ib_is_buffer_cleared(udata->inbuf + known, udata->inlen - known))
		return 0;
	ibdev_dbg(ibdev, "%zu bytes of driver data, %zu are known\n",
		  udata->inlen, known);
	return -EINVAL;
}
