/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* hostile.h - tests of hostile_entry.c, for the table in hostile.c */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <rdma/sodp-abi.h>

#include "common/t_duo.h"

#define MAX_FDS 64

struct ring {
	char *mem;
	size_t size;
};

/* Every writable mapping of the device's file, at most @max: how many */
unsigned int hostile_rings(struct ring *rings, unsigned int max);
/* The doorbell's descriptor, found by a QP of it; skips without one */
int hostile_bell(const struct ibv_qp *qp);

void hostile_opcodes(void);
void hostile_repeated(void);
void hostile_reserved(void);
void hostile_reserved_recv(void);
void hostile_binds(void);

#endif /* HOSTILE_H */
