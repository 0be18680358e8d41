/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* model.h - what the coordinator knows between two rounds */
#ifndef MODEL_H
#define MODEL_H

#include "torture.h"

#define MAX_QPS 8192
#define RECENT 4096 /* unreliable messages that may still come */

/* What a record did to the bytes that it names */
enum effect {
	EFFECT_NONE,
	EFFECT_MAY,
	EFFECT_DEFINITE,
};

struct message {
	uint32_t imm;
	uint32_t len;
	uint64_t tag;
	uint8_t owner;
	bool ud;
	bool taken;
};

struct model {
	const struct plan *p;
	const struct board *b;
	unsigned char *shadow[WORKERS][REGIONS];
	uint8_t perm[WORKERS][REGIONS][REGION_MAX / T_PAGE];
	uint8_t effect[WORKERS][MAX_RECS];
	bool failed[WORKERS][MAX_QPS];
	struct message recent[WORKERS][RECENT];
};

static inline bool is_request(const struct rec *rec)
{
	return rec->qp && rec->kind != REC_RECV && rec->kind != REC_FLUSHED;
}

/* bytes.c: all bytes are some that they may be, or the run ends */
void bytes_check(struct model *m, const unsigned char *bytes,
		 unsigned int owner, unsigned int region, uint32_t off,
		 uint32_t len, const struct rec *viewer);

/* messages.c */
bool has_cause(struct model *m, unsigned int from, unsigned int to,
	       unsigned int type);
void messages_check(struct model *m);
void atomics_check(struct model *m);

#endif /* MODEL_H */
