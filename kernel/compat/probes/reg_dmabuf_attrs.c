// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <rdma/ib_verbs.h>
struct ib_mr *f(struct ib_pd *pd, u64 o, u64 l, u64 v, int fd, int a, struct uverbs_attr_bundle *b);
struct ib_device_ops probe = { .reg_user_mr_dmabuf = f };
