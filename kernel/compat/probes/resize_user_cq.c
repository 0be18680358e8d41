// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <rdma/ib_verbs.h>
int f(struct ib_cq *cq, unsigned int n, struct ib_udata *u);
struct ib_device_ops probe = { .resize_user_cq = f };
