/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * fuzz.h - system calls on a device, plausible ones and broken ones
 *
 * A call is a kind and a seed: its arguments are made of them and of what the
 * thread has got from earlier calls. So a program, a few calls in a row, is a
 * line of a file, and varied by changing numbers.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rdma/sodp-abi.h>

#define FZ_FILES 3 /* open uverbs files, which all threads share */
#define FZ_KEPT 16 /* results of a sort that are remembered */
#define FZ_ARENA (8UL << 20)
#define FZ_PROGRAM 24 /* calls in one */
#define FZ_PAGE 4096UL

/* A small generator (SplitMix64) */
struct fz_rand {
	uint64_t state;
};

uint64_t fz_rand(struct fz_rand *r);
uint64_t fz_below(struct fz_rand *r, uint64_t limit);
/* One in @n */
bool fz_one_in(struct fz_rand *r, unsigned int n);
/* A number that bounds are likely to be wrong at */
uint64_t fz_odd(struct fz_rand *r);

struct fz_map {
	int fd;
	uint64_t offset;
	uint64_t size;
};

struct fz_ring {
	char *mem;
	size_t size;
	/* Of a queue pair that was connected, and else 0 */
	struct sodp_create_qp_resp qp;
	struct sodp_cq_page *cq;
	size_t cq_size;
	int bell; /* of the same file */
	bool datagrams;
};

/* A thread and what it knows */
struct fz_thread {
	struct fz_rand rand; /* of the call that is made */
	unsigned int number;
	uint32_t qpn[FZ_KEPT];
	struct fz_map map[FZ_KEPT]; /* offsets that creations gave */
	struct fz_ring ring[FZ_KEPT]; /* what is mapped */
	unsigned int qpns, maps;
	uint32_t key[FZ_KEPT]; /* of regions in the arena */
	unsigned int keys;
	uint32_t ah;
	int bell;
	int channel;
	int genl; /* sockets */
	int rdma;
	uint16_t family;
	uint64_t *resp; /* FZ_PAGE bytes that answers go to */
	uint64_t calls;
	uint64_t taken; /* calls that succeeded */
};

extern char *fz_arena;
extern const char *fz_device; /* RDMA device */
int fz_fd(struct fz_thread *t); /* one of the files */

uint64_t fz_addr(struct fz_thread *t);
uint64_t fz_length(struct fz_thread *t);
uint32_t fz_handle(struct fz_thread *t);
uint32_t fz_qpn(struct fz_thread *t);
void fz_ring_drop(struct fz_ring *ring);
/* false: the address of the device is not known */
bool fz_scene_open(void);

/* Each makes one call; 0: it succeeded */
int fz_write(struct fz_thread *t);
int fz_ioctl(struct fz_thread *t);
int fz_mmap(struct fz_thread *t);
int fz_bell(struct fz_thread *t);
int fz_post(struct fz_thread *t);
int fz_memory(struct fz_thread *t);
int fz_scene(struct fz_thread *t);
int fz_renew(struct fz_thread *t);
int fz_genl(struct fz_thread *t);
int fz_nldev(struct fz_thread *t);

bool fz_nl_open(struct fz_thread *t);

/* --- programs --- */

struct fz_step {
	uint16_t kind;
	uint64_t seed;
};

struct fz_program {
	unsigned int nr;
	struct fz_step step[FZ_PROGRAM];
};

extern const unsigned int fz_kinds;

/* --- coverage (kcov) and the programs that found it --- */

/* false: the kernel has none */
bool fz_cover_open(unsigned int thread);
void fz_cover_begin(unsigned int thread);
/* New places that the thread has been at since */
unsigned int fz_cover_end(unsigned int thread);
unsigned int fz_covered(void);
int fz_cover_save(const char *path);

/* @path: a file, or NULL. Programs beyond 1 MB of it are forgotten. */
bool fz_corpus_load(const char *path);
void fz_corpus_add(const struct fz_program *program);
/* A copy of one of them; false: there is none */
bool fz_corpus_pick(struct fz_rand *r, struct fz_program *program);
bool fz_corpus_get(unsigned int i, struct fz_program *program);
unsigned int fz_corpus_size(void);
int fz_corpus_save(const char *path);

#endif /* FUZZ_H */
