/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* hostile.h - the scene: a victim, its honest peer, memory nobody may touch */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "attack.h"
#include "leg.h"

#define HOST_LEN (512UL << 10)
#define HOST_HALF (HOST_LEN / 2)

/* Two QPs that talk to each other */
struct pair {
	struct leg a; /* the victim's device */
	struct leg b;
};

/* Memory of the victim with keys that grant less than all */
struct guards {
	char *map;
	struct ibv_mr *ro;
	struct ibv_mr *local;
	struct attack_key keys[4];
};

struct scene {
	struct t_dev a;
	struct t_dev b;
	struct guards guards;
	struct attack at;
	uint64_t round;
};

void scene_open(struct scene *s, uint64_t seed);
void pair_open(struct scene *s, struct pair *p, const struct leg_opt *opt);
void pair_aim(struct scene *s, const struct pair *p);
/* Fills what honest traffic never touches */
void pair_quiet(struct pair *p);
/* Nothing was written but honest data: the quiet half and the guards */
void scene_check(struct scene *s, const struct pair *p);

/* One round: posted, then (after an attack) awaited and compared */
void honest_post(struct pair *p, uint64_t round);
void honest_wait(struct pair *p, uint64_t round);

/* A packet of one of the aims, and what it carried */
struct watched {
	struct roce_pkt pkt;
	const struct aim *aim;
	bool to_victim;
	uint8_t data[1024];
};

/* hostile_watch.c: forget what was seen, and see what comes from now on */
void watch_begin(struct scene *s);
/* In the order in which they passed; NULL: none yet */
const struct watched *watch_next(struct scene *s, const struct watched *last);
const struct watched *watch_find(struct scene *s, const struct watched *last,
				 bool to_victim, uint8_t kind);
/* The same, awaited */
const struct watched *watch_await(struct scene *s, const struct watched *last,
				  bool to_victim, uint8_t kind);
/* A port counter; false: the device has none of this name */
void watch_rd_limit(void);
void watch_credits(void);
void watch_acks(void);
void watch_small(void);
void watch_gap(void);
void watch_ports(void);

/* hostile_dup.c */
void dup_atomic(void);
void dup_read(void);
void dup_message(void);
void dup_inside(void);
void partial_icrc(void);

/* hostile_read.c */
void read_lost(void);
void read_late(void);

/* hostile_kill.c */
void hostile_responder(void);
void hostile_responder_storm(void);
void hostile_uc_twice(void);
void hostile_uc_refused(void);
void hostile_requester(void);
void hostile_requester_storm(void);

#endif /* HOSTILE_H */
