// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* A worker's regions: made, registered, looked at */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker.h"

const int prot_of[] = {
	[PERM_RW] = PROT_READ | PROT_WRITE,
	[PERM_RO] = PROT_READ,
	[PERM_NONE] = PROT_NONE,
};

void region_map(struct region *r, uint32_t off, uint32_t len)
{
	int flags = MAP_FIXED | MAP_NORESERVE;
	void *p;

	if (r->fd >= 0)
		flags |= MAP_SHARED;
	else
		flags |= MAP_PRIVATE | MAP_ANONYMOUS;
	if (r->plan.pages == PAGES_HUGETLB)
		flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
	p = mmap(r->addr + off, len, PROT_READ | PROT_WRITE, flags, r->fd,
		 r->fd >= 0 ? off : 0);
	T_ASSERT(p == r->addr + off, "mmap: %s", t_errname(errno));
	if (r->plan.pages == PAGES_THP)
		madvise(p, len, MADV_HUGEPAGE);
	memset(r->state + PAGE_OF(off), PERM_RW, PAGE_OF(len));
	memset(r->lazy + PAGE_OF(off), 0, PAGE_OF(len));
}

void region_register(struct worker *w, unsigned int i)
{
	struct region *r = &w->regions[i];

	unsigned int access = T_ACCESS_ALL;

	if (r->plan.kind != T_IMPLICIT)
		access |= IBV_ACCESS_MW_BIND;
	if (w->may_flush)
		access |= ACCESS_FLUSH;
	r->mr = device_register(w, r, access);
	if (!r->mr)
		r->mr = t_reg_kind(&w->dev, r->plan.kind, r->addr,
				   r->plan.len, access);
	w->self->region[i].no_flush = r->dmabuf >= 0;
	w->self->region[i].addr = r->dm ? 0 : (uintptr_t)r->addr;
	w->self->region[i].rkey = r->mr->rkey;
}

/*
 * Far below everything else, where the kernel does not put new mappings: a
 * hole stays a hole. Small ones lie across the end of a huge page.
 */
void regions_make(struct worker *w)
{
	struct region *r;
	unsigned int i;

	for (i = 0; i < REGIONS; i++) {
		r = &w->regions[i];
		r->plan = w->p->regions[w->id][i];
		r->fd = -1;
		r->addr = (char *)(16UL << 40) + i * T_GIB;
		if (r->plan.len < T_HUGE)
			r->addr += T_GIB / 2 - r->plan.len / 2;
		if (r->plan.pages == PAGES_SHMEM) {
			r->fd = memfd_create("torture", MFD_CLOEXEC);
			T_ASSERT(r->fd >= 0 && !ftruncate(r->fd, r->plan.len),
				 "memfd: %s", t_errname(errno));
		}
		device_make(w, r);
		region_map(r, 0, r->plan.len);
		region_register(w, i);
	}
}

/* The next part of a step's pages that is in one of these states */
bool region_run(struct region *r, const struct step *s, uint8_t states,
		uint32_t *off, uint32_t *len)
{
	uint32_t page = PAGE_OF(*off + *len);
	uint32_t end = PAGE_OF(s->off + s->len);

	if (*len == 0)
		page = PAGE_OF(s->off);
	if (s->off + s->len > end * T_PAGE)
		end++;
	while (page < end && !(r->state[page] & states))
		page++;
	*off = page * T_PAGE;
	while (page < end && (r->state[page] & states))
		page++;
	*len = page * T_PAGE - *off;
	r->touched |= *len != 0;
	return *len;
}

/* Makes pages of MADV_FREE ordinary ones again: zeros, or what they were */
void region_touch_lazy(struct region *r)
{
	volatile char *p = r->addr;
	size_t i;

	for (i = 0; i < PAGE_OF(r->plan.len); i++) {
		if (!r->lazy[i])
			continue;
		if (r->state[i] == PERM_RW)
			__atomic_fetch_or((char *)p + i * T_PAGE, 0,
					  __ATOMIC_RELAXED);
		r->lazy[i] = false;
	}
}

/* Gives pages, as zeros, some time after they are touched */
static void *late_loop(void *arg)
{
	struct region *r = arg;
	struct pollfd pfd = { .fd = r->uffd, .events = POLLIN };
	struct uffdio_zeropage zero;
	struct uffd_msg msg;

	while (!__atomic_load_n(&r->late_stop, __ATOMIC_ACQUIRE)) {
		if (poll(&pfd, 1, 10) != 1 ||
		    read(r->uffd, &msg, sizeof(msg)) != sizeof(msg) ||
		    msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		t_sleep_ms(r->late_ms);
		memset(&zero, 0, sizeof(zero));
		zero.range.start = msg.arg.pagefault.address & ~(T_PAGE - 1);
		zero.range.len = T_PAGE;
		/* It may have been unmapped meanwhile */
		ioctl(r->uffd, UFFDIO_ZEROPAGE, &zero);
	}
	return NULL;
}

void region_late(struct region *r, char *addr, size_t len, unsigned int ms)
{
	/* A fault may be withdrawn before it is read; poll() wants it as well */
	r->uffd = t_uffd(addr, len);
	fcntl(r->uffd, F_SETFL, O_NONBLOCK);
	r->late_ms = ms;
	r->late_stop = false;
	r->late = true;
	T_ASSERT(!pthread_create(&r->late_thread, NULL, late_loop, r),
		 "thread");
}

/* Who waits is woken, and finds ordinary memory */
static void late_end(struct region *r)
{
	if (!r->late)
		return;
	__atomic_store_n(&r->late_stop, true, __ATOMIC_RELEASE);
	pthread_join(r->late_thread, NULL);
	close(r->uffd);
	r->late = false;
}

/* Nothing may change by itself any more */
void regions_quiet(struct worker *w)
{
	struct region *r;
	unsigned int i;

	for (i = 0; i < REGIONS; i++) {
		r = &w->regions[i];
		late_end(r);
		region_touch_lazy(r);
	}
}

/* A page that may not be read is made readable to be seen */
static void view_page(struct worker *w, unsigned int i, size_t page)
{
	struct region *r = &w->regions[i];
	char *p = r->addr + page * T_PAGE;
	static const char zeros[T_PAGE];
	char buf[T_PAGE];

	if (r->state[page] == STATE_HOLE) {
		memcpy(buf, zeros, T_PAGE);
		if (r->fd >= 0)
			T_ASSERT(pread(r->fd, buf, T_PAGE, page * T_PAGE) ==
					 (ssize_t)T_PAGE,
				 "pread: %s", t_errname(errno));
		p = buf;
	}
	T_ASSERT(pwrite(w->view_fd[i], p, T_PAGE, page * T_PAGE) ==
			 (ssize_t)T_PAGE,
		 "page %zu of region %u: %s", page, i, t_errname(errno));
}

static void protect_all(struct region *r, bool readable)
{
	struct step all = { .len = r->plan.len };
	uint32_t off, len;

	FOR_RUNS(r, &all, PERM_NONE, off, len)
		mprotect(r->addr + off, len, readable ? PROT_READ : PROT_NONE);
}

void regions_view(struct worker *w)
{
	struct region *r;
	unsigned int i;
	size_t pages;
	size_t page;

	for (i = 0; i < REGIONS; i++) {
		r = &w->regions[i];
		pages = PAGE_OF(r->plan.len);
		dm_get(r->dm, r->addr, 0, r->plan.len);
		protect_all(r, true);
		if (!memchr(r->state, STATE_HOLE, pages)) {
			T_ASSERT(pwrite(w->view_fd[i], r->addr, r->plan.len,
					0) == (ssize_t)r->plan.len,
				 "region %u: %s", i, t_errname(errno));
		} else {
			for (page = 0; page < pages; page++)
				view_page(w, i, page);
		}
		protect_all(r, false);
	}
}
