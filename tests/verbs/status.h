/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* status.h - tests of status_ops.c, for the table in status.c */
#ifndef STATUS_H
#define STATUS_H

#include <rdma/sodp-abi.h>

#include "common/t_duo.h"

/* Says the completion which check failed? Of other devices it may say anything */
void status_vendor(const struct t_dev *dev, const struct ibv_wc *wc,
		   uint32_t want);

void status_qp_rights(void);
void status_flush_persistent(void);
void status_rd_atomic(void);
void status_alignment(void);
void status_lengths(void);
void status_rnr(void);
void status_no_answer(void);
void status_keys_of_windows(void);
void status_windows(void);
void status_flushed(void);

#endif /* STATUS_H */
