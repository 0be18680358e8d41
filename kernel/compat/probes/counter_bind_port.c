// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <rdma/ib_verbs.h>
int f(struct rdma_counter *counter, struct ib_qp *qp, u32 port);
struct ib_device_ops probe = { .counter_bind_qp = f };
