// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Rings that are mapped and scribbled on, and the memory behind regions */

#define _GNU_SOURCE
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rdma/sodp-abi.h>

#include "fuzz.h"

#define RING_MOST (4UL << 20)

void fz_ring_drop(struct fz_ring *ring)
{
	if (ring->mem)
		munmap(ring->mem, ring->size);
	if (ring->cq)
		munmap(ring->cq, ring->cq_size);
	if (ring->bell > 0)
		close(ring->bell);
	memset(ring, 0, sizeof(*ring));
}

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
	fz_ring_drop(ring);
	ring->mem = mem;
	ring->size = map.size;
	return 0;
}

static uint32_t some_key(struct fz_thread *t)
{
	if (fz_one_in(&t->rand, 8))
		return fz_below(&t->rand, 4096);
	return t->key[fz_below(&t->rand, FZ_KEPT)];
}

/* Where data may go: nowhere that this program needs */
static void forge_sge(struct fz_thread *t, struct sodp_sge *sge)
{
	struct fz_rand *r = &t->rand;

	sge->addr = fz_addr(t);
	sge->length = fz_one_in(r, 8) ? fz_odd(r) : fz_below(r, 20000);
	if (fz_one_in(r, 4))
		sge->length = 8;
	sge->lkey = some_key(t);
}

static void forge_flush(struct fz_thread *t, struct sodp_sqe *sqe)
{
	struct fz_rand *r = &t->rand;

	sqe->flush.length = fz_length(t);
	sqe->flush.type = 1 + fz_below(r, 3);
	sqe->flush.level = fz_below(r, 3);
}

static void forge_bind(struct fz_thread *t, struct sodp_sqe *sqe)
{
	struct fz_rand *r = &t->rand;

	sqe->bind.addr = fz_addr(t);
	sqe->bind.length = fz_length(t);
	sqe->bind.mr_lkey = some_key(t);
	sqe->bind.mw_rkey = some_key(t);
	sqe->bind.new_rkey = sqe->bind.mw_rkey ^ fz_below(r, 8);
	sqe->bind.access = fz_below(r, 64);
}

/* What follows the common fields, as the opcode and the queue have it */
static void forge_union(struct fz_thread *t, struct sodp_sqe *sqe,
			bool datagrams)
{
	struct fz_rand *r = &t->rand;

	if (datagrams) {
		sqe->ud.ah = t->ah;
		sqe->ud.remote_qpn = fz_qpn(t);
		sqe->ud.remote_qkey = 0x1234;
		return;
	}
	sqe->rdma.remote_addr = fz_addr(t);
	sqe->rdma.rkey = some_key(t);
	switch (sqe->opcode) {
	case SODP_WR_ATOMIC_CMP_AND_SWP:
	case SODP_WR_ATOMIC_FETCH_AND_ADD:
	case SODP_WR_ATOMIC_WRITE:
		sqe->atomic.remote_addr &= ~7ULL;
		sqe->atomic.compare_add = fz_odd(r);
		sqe->atomic.rkey = some_key(t);
		break;
	case SODP_WR_FLUSH:
		forge_flush(t, sqe);
		break;
	case SODP_WR_BIND_MW:
		forge_bind(t, sqe);
		break;
	default:
		break;
	}
}

static void forge(struct fz_thread *t, char *at, bool datagrams)
{
	static const uint8_t usual[] = {
		SODP_WR_RDMA_WRITE, SODP_WR_SEND, SODP_WR_RDMA_READ,
		SODP_WR_SEND_WITH_IMM, SODP_WR_RDMA_WRITE_WITH_IMM,
	};
	struct fz_rand *r = &t->rand;
	struct sodp_sqe sqe = {
		.wr_id = fz_rand(r),
		.opcode = fz_one_in(r, 2) ? fz_below(r, 17) :
					    usual[fz_below(r, sizeof(usual))],
		.num_sge = fz_one_in(r, 20) ? fz_rand(r) : fz_below(r, 4),
		.flags = fz_below(r, fz_one_in(r, 6) ? 16 : 8),
		.ex = fz_one_in(r, 2) ? fz_rand(r) : some_key(t),
	};
	struct sodp_sge sge;
	unsigned int i;

	if (sqe.flags & SODP_SEND_INLINE)
		sqe.inline_len = fz_one_in(r, 4) ? fz_odd(r) : fz_below(r, 65);
	forge_union(t, &sqe, datagrams);
	if (fz_one_in(r, 12))
		memcpy(sqe.reserved_union + 8 * fz_below(r, 4),
		       &(uint64_t){ fz_odd(r) }, 8);
	memcpy(at, &sqe, sizeof(sqe));
	for (i = 0; i < 3; i++) {
		forge_sge(t, &sge);
		memcpy(at + sizeof(sqe) + i * sizeof(sge), &sge, sizeof(sge));
	}
}

/* At the places where entries are looked for, and the index after them */
static int post_right(struct fz_thread *t, struct fz_ring *ring)
{
	struct sodp_qp_page *page = (void *)ring->mem;
	struct sodp_rqe rqe = { .wr_id = fz_rand(&t->rand), .num_sge = 1 };
	struct sodp_sge sge;
	uint32_t index;
	char *at;

	/* All that has completed is polled */
	__atomic_store_n(&ring->cq->ci,
			 __atomic_load_n(&ring->cq->pi, __ATOMIC_ACQUIRE),
			 __ATOMIC_RELEASE);
	if (fz_one_in(&t->rand, 3)) {
		index = page->rq_pi;
		at = ring->mem + ring->qp.rq_offset +
		     index % ring->qp.rq_depth * ring->qp.rq_stride;
		forge_sge(t, &sge);
		memcpy(at, &rqe, sizeof(rqe));
		memcpy(at + sizeof(rqe), &sge, sizeof(sge));
		__atomic_store_n(&page->rq_pi, index + 1, __ATOMIC_RELEASE);
		return 0;
	}
	index = page->sq_pi;
	at = ring->mem + ring->qp.sq_offset +
	     index % ring->qp.sq_depth * ring->qp.sq_stride;
	forge(t, at, ring->datagrams);
	__atomic_store_n(&page->sq_pi, index + 1, __ATOMIC_RELEASE);
	return ioctl(ring->bell, SODP_IOC_RING_SQ,
		     (unsigned long)ring->qp.qpn);
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
	if (ring->cq && !fz_one_in(r, 8))
		return post_right(t, ring);
	room = ring->size - 256;
	if (fz_one_in(r, 8))
		memcpy(ring->mem + 4 * fz_below(r, ring->size / 4), &value, 4);
	else
		forge(t, ring->mem + 64 * fz_below(r, room / 64), false);
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
