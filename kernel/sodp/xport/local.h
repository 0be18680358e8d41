/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* The transport of a host */
#ifndef SODP_LOCAL_H
#define SODP_LOCAL_H

#include "qp/qp.h"

/* local.c */
enum sodp_verdict sodp_local_execute(struct sodp_qp *qp,
				     enum sodp_verdict failed, u64 *budget,
				     struct sodp_stop *stop);
void sodp_local_forget(struct sodp_qp *qp);
void sodp_local_check(struct sodp_qp *qp);
void sodp_local_leave(struct sodp_qp *qp, u32 peer_qpn);

#endif /* SODP_LOCAL_H */
