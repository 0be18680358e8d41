// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pages of 1 GiB. They want a machine with more memory than others have.
 */
#include <linux/mman.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "mmevents.h"

#define GIGANTIC "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"
#define GIGA (1UL << 30)

static bool gigantic_page(void)
{
	char line[32];

	return !t_write_file(GIGANTIC, "1") &&
	       t_read_file(GIGANTIC, line, sizeof(line)) && atoi(line) == 1;
}

/*
 * A page of 1 GiB does not take a fault for each 2 MiB of it, in whatever
 * order they are asked for.
 */
static void by_range(void)
{
	unsigned int i, nr = GIGA / T_HUGE;
	struct mm_scene s;
	uint64_t faults;
	char *space;
	size_t off;

	if (!gigantic_page())
		t_skip("no page of 1 GiB");
	space = mmap(NULL, GIGA, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB |
			     (30 << MAP_HUGE_SHIFT), -1, 0);
	T_ASSERT(space != MAP_FAILED, "mmap: %s", t_errname(errno));
	space[0] = 1;
	mm_open_at(&s, space + T_PAGE, T_PAGE, false);
	t_dereg(s.d.bmr);
	/* It neither begins nor ends with a leaf */
	s.d.bmr = t_reg_kind(&s.d.dev, T_EXPLICIT, space + T_PAGE,
			     GIGA - 2 * T_PAGE, T_ACCESS_ALL);
	faults = t_counter(&s.d.dev, "page_faults");
	for (i = 0; i < nr; i++) {
		/* 37 has no factor of 512: all of them */
		off = (size_t)(i * 37 % nr) * T_HUGE + T_HUGE / 2;
		memset(s.d.abuf, i % 251, 8);
		t_post(&s.d.a, IBV_WR_RDMA_WRITE, i, t_duo_sge(&s.d, 0, 8),
		       (uintptr_t)space + off, s.d.bmr->rkey);
		t_want_wc(s.d.a.scq, i, IBV_WC_SUCCESS);
		T_ASSERT(t_check_byte(space + off, 8, i % 251) < 0,
			 "wrong bytes at %zu", off);
	}
	faults = mm_counter(&s.d.dev, "page_faults") - faults;
	T_ASSERT(faults && faults <= nr / 4, "%lu faults for %u leaves",
		 faults, nr);
	T_ASSERT(!munmap(space, GIGA), "munmap: %s", t_errname(errno));
	mm_refused(&s, IBV_WR_RDMA_WRITE, GIGA / 2, 8);
	mm_refused(&s, IBV_WR_RDMA_WRITE, T_HUGE, 8);
	t_dereg(s.d.bmr);
	t_write_file(GIGANTIC, "0");
}

static const struct t_test tests[] = {
	{ "by_range", by_range, 120 },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
