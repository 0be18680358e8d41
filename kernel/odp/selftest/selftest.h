/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * selftest.h - what the self-tests of the ODP core share
 *
 * The tests run in the task that loads the module and use its memory as the
 * application's: vm_mmap() makes it, copy_to_user() is the CPU's side, the
 * API of odp.h the device's.
 */
#ifndef ODP_SELFTEST_H
#define ODP_SELFTEST_H

#ifdef pr_fmt
#undef pr_fmt
#endif
#define pr_fmt(fmt) "odp_selftest: " fmt

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/printk.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <rdma/odp.h>

/* What a case returns besides 0 and -errno */
#define ST_SKIP		1

/**
 * struct st_case - one test
 * @name: as printed
 * @run: the test; 0, ST_SKIP or -errno
 */
struct st_case {
	const char *name;
	int (*run)(void);
};

/* Say what is wrong and leave the function */
#define ST_CHECK(condition, ret)					\
	do {								\
		if (!(condition)) {					\
			pr_info("# %s:%d: %s\n", __func__, __LINE__,	\
				#condition);				\
			return ret;					\
		}							\
	} while (0)

/* The same on the way out of a function that has to clean up */
#define ST_CHECK_GOTO(condition, label)					\
	do {								\
		if (!(condition)) {					\
			pr_info("# %s:%d: %s\n", __func__, __LINE__,	\
				#condition);				\
			ret = ret ? ret : -EBADMSG;			\
			goto label;					\
		}							\
	} while (0)

extern struct odp_domain *st_domain;

/* memory.c */
unsigned long st_map(unsigned long len, unsigned long prot,
		     unsigned long flags);
unsigned long st_map_at(unsigned long va, unsigned long len,
			unsigned long prot, unsigned long flags);
unsigned long st_map_aligned(unsigned long len, unsigned long align);
void st_unmap(unsigned long va, unsigned long len);
int st_fill(unsigned long va, unsigned long len, u32 seed);
int st_compare(unsigned long va, unsigned long len, u32 seed,
	       unsigned long first);
u8 st_byte(u32 seed, unsigned long i);
struct odp_region *st_region(unsigned long va, u64 len);
struct odp_region *st_implicit(void);
int st_copy(struct odp_region *dst, u64 dst_va, struct odp_region *src,
	    u64 src_va, u64 len);
int st_copy_in(struct odp_region *dst, u64 va, const void *from, u64 len);
int st_copy_out(void *to, struct odp_region *src, u64 va, u64 len);
bool st_mapped(struct odp_region *region, u64 va, bool write);
int st_event_init(void);
bool st_has_events(void);
int st_event(unsigned long start, unsigned long end,
	     enum mmu_notifier_event event, bool blockable);
int st_event_begin(struct mmu_notifier_range *range);
void st_event_end(struct mmu_notifier_range *range);
void st_shrink(void);
bool st_has_shrink(void);
bool st_has_young(void);
bool st_young(unsigned long start, unsigned long end, bool clear);
int st_madvise(unsigned long va, unsigned long len, int advice);

#define st_stat(region, counter)					\
	({								\
		struct odp_stats st_stats;				\
									\
		odp_region_stats(region, &st_stats);			\
		st_stats.counter;					\
	})

extern const struct st_case st_copy_cases[];
extern const struct st_case st_bytes_cases[];
extern const struct st_case st_entry_cases[];
extern const struct st_case st_event_cases[];
extern const struct st_case st_race_cases[];
extern const struct st_case st_fresh_cases[];
extern const struct st_case st_nowait_cases[];
extern const struct st_case st_error_cases[];
extern const struct st_case st_device_cases[];
extern const struct st_case st_lifetime_cases[];
extern const struct st_case st_space_cases[];
extern const struct st_case st_bench_cases[];

#endif /* ODP_SELFTEST_H */
