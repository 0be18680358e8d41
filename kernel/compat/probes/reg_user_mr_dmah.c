// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <rdma/ib_verbs.h>
struct ib_mr *f(struct ib_pd *pd, u64 s, u64 l, u64 v, int a, struct ib_dmah *d, struct ib_udata *u);
struct ib_device_ops probe = { .reg_user_mr = f };
