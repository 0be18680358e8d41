// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Rings that are mapped and scribbled on, and the memory behind regions */

#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include <rdma/sodp-abi.h>

#include "fuzz.h"

#define RING_MOST (4UL << 20)

int fz_mmap(struct fz_thread *t)
{
	struct fz_rand *r = &t->rand;
	unsigned int slot = fz_below(r, FZ_KEPT);
	struct fz_map map = t->map[fz_below(r, FZ_KEPT)];
	struct fz_ring *ring = &t->ring[slot];
	int prot = PROT_READ | PROT_WRITE;
	void *mem;

	if (fz_one_in(r, 6))
		map.offset = FZ_PAGE * fz_below(r, 4096);
	if (fz_one_in(r, 20))
		map.offset = fz_odd(r) & ~(FZ_PAGE - 1);
	if (fz_one_in(r, 10) || !map.size)
		map.size = FZ_PAGE * (1 + fz_below(r, 20));
	if (fz_one_in(r, 20))
		prot = fz_below(r, 8);
	if (map.size > RING_MOST)
		return -1;
	mem = mmap(NULL, map.size, prot,
		   fz_one_in(r, 20) ? MAP_PRIVATE : MAP_SHARED, map.fd,
		   map.offset);
	if (mem == MAP_FAILED)
		return -1;
	if (prot != (PROT_READ | PROT_WRITE))
		return munmap(mem, map.size);
	if (ring->mem)
		munmap(ring->mem, ring->size);
	ring->mem = mem;
	ring->size = map.size;
	return 0;
}

/* Where data may go: nowhere that this program needs */
static void forge_sge(struct fz_thread *t, struct sodp_sge *sge)
{
	struct fz_rand *r = &t->rand;

	sge->addr = fz_addr(t);
	sge->length = fz_one_in(r, 8) ? fz_odd(r) : fz_below(r, 20000);
	sge->lkey = fz_below(r, 4096);
}

static void forge(struct fz_thread *t, char *at)
{
	struct fz_rand *r = &t->rand;
	struct sodp_sqe sqe = {
		.wr_id = fz_rand(r),
		.opcode = fz_below(r, 17),
		.num_sge = fz_one_in(r, 10) ? fz_rand(r) : fz_below(r, 4),
		.flags = fz_below(r, 16),
		.ex = fz_rand(r),
		.inline_len = fz_one_in(r, 4) ? fz_odd(r) : 0,
	};
	struct sodp_sge sge;
	unsigned int i;

	sqe.rdma.remote_addr = fz_addr(t);
	sqe.rdma.rkey = fz_below(r, 4096);
	if (fz_one_in(r, 4))
		memcpy(sqe.reserved_union + 8 * fz_below(r, 4),
		       &(uint64_t){ fz_odd(r) }, 8);
	memcpy(at, &sqe, sizeof(sqe));
	for (i = 0; i < 3; i++) {
		forge_sge(t, &sge);
		memcpy(at + sizeof(sqe) + i * sizeof(sge), &sge, sizeof(sge));
	}
}

/* An entry at a place where one may be, and the index one further */
int fz_post(struct fz_thread *t)
{
	struct fz_rand *r = &t->rand;
	struct fz_ring *ring = &t->ring[fz_below(r, FZ_KEPT)];
	uint32_t value = fz_odd(r);
	volatile uint32_t *index;
	size_t room;

	if (!ring->mem)
		return -1;
	room = ring->size - 256;
	if (fz_one_in(r, 8))
		memcpy(ring->mem + 4 * fz_below(r, ring->size / 4), &value, 4);
	else
		forge(t, ring->mem + 64 * fz_below(r, room / 64));
	index = (uint32_t *)(ring->mem + 64 * fz_below(r, 3));
	*index += fz_below(r, 4);
	return fz_bell(t);
}

/* What goes on in a part of the arena, which never loses its addresses */
int fz_memory(struct fz_thread *t)
{
	static const int advices[] = {
		MADV_DONTNEED, MADV_FREE,   MADV_HUGEPAGE, MADV_NOHUGEPAGE,
		MADV_COLD,     MADV_PAGEOUT, MADV_DONTFORK, MADV_DOFORK,
		MADV_WILLNEED, MADV_MERGEABLE, MADV_UNMERGEABLE,
	};
	struct fz_rand *r = &t->rand;
	size_t len = FZ_PAGE << fz_below(r, 9);
	char *at = fz_arena + (fz_below(r, FZ_ARENA - len) & ~(FZ_PAGE - 1));
	int prot = fz_one_in(r, 4) ? PROT_READ : PROT_READ | PROT_WRITE;

	switch (fz_below(r, 4)) {
	case 0:
		return mprotect(at, len, prot);
	case 1:
		return mmap(at, len, prot,
			    MAP_FIXED | MAP_ANONYMOUS |
				    (fz_one_in(r, 2) ? MAP_SHARED :
						       MAP_PRIVATE),
			    -1, 0) == MAP_FAILED;
	default:
		return madvise(at, len,
			       advices[fz_below(r, sizeof(advices) /
							   sizeof(*advices))]);
	}
}
