/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* t_duo.h - the usual scene: a device, two connected QPs, a buffer each */
#ifndef T_DUO_H
#define T_DUO_H

#include "t_mem.h"

struct t_duo {
	struct t_dev dev;
	struct t_ep a;
	struct t_ep b;
	size_t len;
	char *abuf;
	char *bbuf;
	struct ibv_mr *amr;
	struct ibv_mr *bmr;
};

/* opt may be NULL. Both buffers lie between inaccessible pages. */
void t_duo_open(struct t_duo *d, size_t len, enum t_kind kind,
		const struct t_qp_opt *opt);
/* For a device that is open already; registers a's and b's buffer so */
void t_duo_make(struct t_duo *d, size_t len, enum t_kind kind,
		unsigned int a_access, unsigned int b_access,
		const struct t_qp_opt *opt);
/* New QPs on the same memory */
void t_duo_renew(struct t_duo *d);
/* A page-aligned buffer with inaccessible pages before and after it */
char *t_map_lonely(size_t len);
/* A WRITE of the whole buffers from a to b must still work */
void t_duo_works(struct t_duo *d);
#define t_duo_works(d) (t_at(__func__, __LINE__), t_duo_works(d))

static inline struct ibv_sge t_duo_sge(const struct t_duo *d, size_t off,
				       uint32_t len)
{
	return t_sge(d->amr, d->abuf + off, len);
}

static inline uint64_t t_remote(const struct t_duo *d, size_t off)
{
	return (uintptr_t)d->bbuf + off;
}

#endif /* T_DUO_H */
