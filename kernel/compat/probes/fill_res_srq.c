// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <rdma/ib_verbs.h>
int f(struct sk_buff *msg, struct ib_srq *srq);
struct ib_device_ops probe = { .fill_res_srq_entry = f };
