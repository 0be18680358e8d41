// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <rdma/ib_verbs.h>
int f(struct ib_cq *cq, const struct ib_cq_init_attr *a, struct uverbs_attr_bundle *b);
struct ib_device_ops probe = { .create_cq = f };
