/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * t_owner.h - a process that has memory, which another one writes to and reads
 *
 * The owner is a child of the test; a duo's a is connected to its queue pair.
 */
#ifndef T_OWNER_H
#define T_OWNER_H

#include "t_duo.h"

/* What the owner does, in its own process */
struct t_owner_ops {
	/* Makes the memory */
	void *(*make)(const void *arg);
	/* Fills the answer of t_owner_end(); may be NULL */
	void (*end)(const void *arg, void *mem, void *answer);
	size_t len; /* of the memory */
	size_t answer; /* bytes, 256 at most */
};

struct t_owner {
	const struct t_owner_ops *ops;
	pid_t pid;
	int fd;
	uint64_t mem;
	uint32_t rkey;
};

void t_owner_start(struct t_owner *o, struct t_duo *d,
		   const struct t_owner_ops *ops, const void *arg);
/* answer: NULL where the owner has none */
void t_owner_end(struct t_owner *o, void *answer);
/* From the begin of a's memory, and successful */
void t_owner_write(const struct t_owner *o, struct t_duo *d, size_t off,
		   uint32_t len);

#define t_owner_write(...)                                                \
	(t_at(__func__, __LINE__), t_owner_write(__VA_ARGS__))

/* t_cgroup.c: the calling process is in it from now on; skips without one */
#define T_CGROUP_PATH 64
void t_cgroup_enter(char folder[T_CGROUP_PATH], const char *controller);
void t_cgroup_set(const char *folder, const char *file, unsigned long value);
unsigned long t_cgroup_get(const char *folder, const char *file);

#endif /* T_OWNER_H */
