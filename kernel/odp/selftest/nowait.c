// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * nowait.c - who may not wait, does not, and nobody waits with mmap_lock held
 */

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>

#include "selftest.h"

#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)
/* Long enough for everything to happen meanwhile */
#define HOLD	(20 * HZ)

/**
 * struct unmapper - somebody whose invalidation takes long
 * @mm: of the memory
 * @start: first byte
 * @end: byte after the last one
 * @begun: it has begun
 * @finish: it may end
 * @gave_up: nobody has told it to, because somebody waits for it
 */
struct unmapper {
	struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	struct completion begun;
	struct completion finish;
	bool gave_up;
};

static int unmapper_thread(void *data)
{
	struct unmapper *unmapper = data;
	struct mmu_notifier_range range = {
		.mm = unmapper->mm,
		.start = unmapper->start,
		.end = unmapper->end,
		.event = MMU_NOTIFY_CLEAR,
		.flags = MMU_NOTIFIER_RANGE_BLOCKABLE,
	};
	int ret;

	ret = st_event_begin(&range);
	complete(&unmapper->begun);
	if (!wait_for_completion_timeout(&unmapper->finish, HOLD))
		WRITE_ONCE(unmapper->gave_up, true);
	if (!ret)
		st_event_end(&range);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return ret;
}

struct patient {
	struct odp_region *region;
	unsigned long va;
	struct completion begun;
};

static int patient_thread(void *data)
{
	struct patient *patient = data;
	int ret;

	complete(&patient->begun);
	ret = odp_region_fault(patient->region, patient->va, 8,
			       ODP_FAULT_WRITE);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return ret;
}

/*
 * While it goes on: who needs its pages does not wait if he may not, and no
 * mmap() waits for who does. Who needs the pages beside it is not held up.
 */
static int disturbed_check(struct odp_region *region, unsigned long va,
			   struct unmapper *unmapper)
{
	struct patient patient = { .region = region, .va = unmapper->start };
	struct task_struct *task;
	unsigned long other;
	int ret;

	ret = odp_region_fault(region, unmapper->start, 8, ODP_FAULT_WRITE |
			       ODP_FAULT_NOWAIT | ODP_FAULT_BRIEF);
	ST_CHECK(ret == -EAGAIN, -EBADMSG);
	/* One of our own in the middle of it, over before it is */
	ret = st_madvise(unmapper->start, PAGE_SIZE, MADV_DONTNEED);
	ST_CHECK(!ret || ret == ST_SKIP, ret);
	ret = odp_region_fault(region, unmapper->start, 8, ODP_FAULT_WRITE |
			       ODP_FAULT_NOWAIT);
	ST_CHECK(ret == -EAGAIN, -EBADMSG);
	for (other = va; other < unmapper->start; other += PAGE_SIZE * 37) {
		ret = odp_region_fault(region, other, 8, ODP_FAULT_WRITE |
				       ODP_FAULT_NOWAIT);
		ST_CHECK(!ret, ret);
		ST_CHECK(st_mapped(region, other, true), -EBADMSG);
	}
	ret = odp_region_fault(region, unmapper->start - PAGE_SIZE, 8,
			       ODP_FAULT_WRITE);
	ST_CHECK(!ret, ret);
	ST_CHECK(!READ_ONCE(unmapper->gave_up), -EBADMSG);
	init_completion(&patient.begun);
	task = kthread_run(patient_thread, &patient, "odp_patient");
	ST_CHECK(!IS_ERR(task), PTR_ERR(task));
	wait_for_completion(&patient.begun);
	msleep(50);
	other = st_map(SZ_64K, RW, ANON);
	st_unmap(other, SZ_64K);
	complete(&unmapper->finish);
	ret = kthread_stop(task);
	return ret == -EINTR ? 0 : ret;
}

/* Faults in and beside memory that is being unmapped, in the same leaf */
static int test_disturbed(void)
{
	unsigned long len = 4 * ODP_LEAF_SIZE, va;
	struct unmapper unmapper = { .mm = current->mm };
	struct odp_region *region;
	struct task_struct *task;
	int ret, check;

	if (!st_has_events())
		return ST_SKIP;
	va = st_map_aligned(len, len);
	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, len);
	ret = odp_region_fault(region, va + ODP_LEAF_SIZE, 8,
			       ODP_FAULT_WRITE);
	ST_CHECK_GOTO(!ret, out);
	unmapper.start = va + ODP_LEAF_SIZE + SZ_1M;
	unmapper.end = va + len;
	init_completion(&unmapper.begun);
	init_completion(&unmapper.finish);
	task = kthread_run(unmapper_thread, &unmapper, "odp_unmapper");
	ret = PTR_ERR_OR_ZERO(task);
	ST_CHECK_GOTO(!ret, out);
	wait_for_completion(&unmapper.begun);
	check = disturbed_check(region, va, &unmapper);
	complete(&unmapper.finish);
	ret = kthread_stop(task) ?: check;
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(!unmapper.gave_up, out);
	/* It is over */
	ret = odp_region_fault(region, unmapper.start, 8, ODP_FAULT_WRITE |
			       ODP_FAULT_NOWAIT);
	ST_CHECK_GOTO(!ret, out);
out:
	odp_region_destroy(region);
	st_unmap(va, len);
	return ret;
}

/* Who has freed memory, and goes on, need not be told that it is over */
static int test_own_invalidation(void)
{
	unsigned long va = st_map(SZ_64K, RW, ANON);
	struct odp_region *region;
	int ret, round;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, SZ_64K);
	ret = odp_region_fault(region, va, SZ_64K, ODP_FAULT_WRITE);
	for (round = 0; !ret && round < 5; round++) {
		ret = st_madvise(va, SZ_64K, MADV_DONTNEED);
		if (!ret)
			ret = odp_region_fault(region, va, SZ_64K,
					       ODP_FAULT_WRITE |
					       ODP_FAULT_NOWAIT);
	}
	if (!ret && st_stat(region, faults_handed_over))
		ret = -EBADMSG;
	odp_region_destroy(region);
	st_unmap(va, SZ_64K);
	return ret;
}

struct foreigner {
	struct odp_region *region;
	unsigned long va;
	struct mm_struct *mm;
};

static int foreign_thread(void *data)
{
	struct foreigner *foreigner = data;
	int ret;

	kthread_use_mm(foreigner->mm);
	ret = odp_region_fault(foreigner->region, foreigner->va, 8,
			       ODP_FAULT_WRITE | ODP_FAULT_NOWAIT);
	kthread_unuse_mm(foreigner->mm);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return ret;
}

/* A page is charged to its process: another, who may not wait, makes none */
static int test_foreign(void)
{
	unsigned long va = st_map(SZ_64K, RW, ANON);
	struct foreigner foreigner = { .va = va };
	struct task_struct *task;
	int ret, got = 0;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	rcu_read_lock();
	foreigner.mm = get_task_mm(rcu_dereference(current->real_parent));
	rcu_read_unlock();
	if (!foreigner.mm)
		return ST_SKIP;
	foreigner.region = st_region(va, SZ_64K);
	/* There is a child, and no invalidation goes on */
	ret = odp_region_fault(foreigner.region, va + PAGE_SIZE, 8,
			       ODP_FAULT_WRITE);
	ST_CHECK_GOTO(!ret, out);
	task = kthread_run(foreign_thread, &foreigner, "odp_foreign");
	ret = PTR_ERR_OR_ZERO(task);
	ST_CHECK_GOTO(!ret, out);
	/* Stopped before it ever ran: the host is busy */
	msleep(100);
	got = kthread_stop(task);
	ST_CHECK_GOTO(got == -EAGAIN || got == -EINTR, out);
	ST_CHECK_GOTO(st_stat(foreigner.region, mapped_pages) == 1, out);
out:
	mmput(foreigner.mm);
	odp_region_destroy(foreigner.region);
	st_unmap(va, SZ_64K);
	return ret;
}

/* A worker of the device: it has no mm */
static int worker_thread(void *data)
{
	struct patient *patient = data;
	int ret;

	/* So that it is known that no invalidation goes on */
	ret = odp_region_fault(patient->region, patient->va + 2 * PAGE_SIZE,
			       8, ODP_FAULT_WRITE);
	if (!ret)
		ret = odp_region_fault(patient->region, patient->va, 8,
				       ODP_FAULT_WRITE | ODP_FAULT_NOWAIT);
	complete(&patient->begun);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return ret;
}

/* While the page is locked: does the fault come back before it is unlocked */
static int tmpfs_locked(struct patient *patient, struct file *file)
{
	struct folio *folio = filemap_lock_folio(file->f_mapping, 0);
	struct task_struct *task;
	bool back = false;
	int ret = 0;

	if (IS_ERR_OR_NULL(folio))
		return -ENOENT;
	task = kthread_run(worker_thread, patient, "odp_tmpfs");
	if (!IS_ERR(task))
		back = wait_for_completion_timeout(&patient->begun, HOLD);
	folio_unlock(folio);
	folio_put(folio);
	ST_CHECK(!IS_ERR(task), PTR_ERR(task));
	ret = kthread_stop(task);
	ST_CHECK(back && ret == -EAGAIN, -EBADMSG);
	return 0;
}

/* Whoever asks for a page in advance does not wait for it */
static int advisor_thread(void *data)
{
	struct patient *patient = data;
	int ret;

	ret = odp_region_prefetch(patient->region, patient->va, 8,
				  ODP_ADVICE_PREFETCH_WRITE, false);
	complete(&patient->begun);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return ret;
}

static int prefetches_done(struct odp_region *region, u64 want)
{
	unsigned long until = jiffies + HOLD;

	while (st_stat(region, prefetches) < want) {
		if (time_after(jiffies, until))
			return -ETIMEDOUT;
		msleep(20);
	}
	return 0;
}

static int prefetch_often(struct odp_region *region, unsigned long va,
			  unsigned int times)
{
	u64 want = st_stat(region, prefetches) + times;
	int ret = 0;

	while (!ret && times--) {
		ret = odp_region_prefetch(region, va, 8, ODP_ADVICE_PREFETCH,
					  false);
		usleep_range(100, 200);
	}
	return ret ?: prefetches_done(region, want);
}

/*
 * More of them than may be under way at a time were made, and are done: the
 * next one is left to a worker all the same.
 */
static int tmpfs_advised(struct patient *patient, struct file *file)
{
	struct odp_region *region = patient->region;
	struct task_struct *task;
	struct folio *folio;
	bool back = false;
	u64 before;
	int ret;

	ret = prefetch_often(region, patient->va + 2 * PAGE_SIZE, 300);
	ST_CHECK(!ret, ret);
	before = st_stat(region, prefetches);
	folio = filemap_lock_folio(file->f_mapping, 0);
	if (IS_ERR_OR_NULL(folio))
		return -ENOENT;
	reinit_completion(&patient->begun);
	task = kthread_run(advisor_thread, patient, "odp_advisor");
	if (!IS_ERR(task))
		back = wait_for_completion_timeout(&patient->begun, HOLD);
	folio_unlock(folio);
	folio_put(folio);
	ST_CHECK(!IS_ERR(task), PTR_ERR(task));
	ret = kthread_stop(task);
	ST_CHECK(back && !ret, -EBADMSG);
	return prefetches_done(region, before + 1);
}

static int tmpfs_punched(struct patient *patient, struct file *file)
{
	struct inode *inode = file_inode(file);
	int ret;

	ST_CHECK(!inode->i_private, -EBADMSG);
	/* Not a hole of tmpfs: the fault must not get that far */
	WRITE_ONCE(inode->i_private, patient);
	ret = odp_region_fault(patient->region, patient->va, 8,
			       ODP_FAULT_WRITE | ODP_FAULT_NOWAIT);
	WRITE_ONCE(inode->i_private, NULL);
	ST_CHECK(ret == -EAGAIN, -EBADMSG);
	return 0;
}

static int tmpfs_checks(struct patient *patient, struct file *file)
{
	int ret;

	/* Makes the child and the page; the CPU's entry goes, the page stays */
	ret = odp_region_fault(patient->region, patient->va, 8,
			       ODP_FAULT_WRITE);
	if (!ret)
		ret = st_madvise(patient->va, PAGE_SIZE, MADV_DONTNEED);
	if (!ret)
		ret = tmpfs_locked(patient, file);
	if (!ret)
		ret = tmpfs_advised(patient, file);
	if (!ret)
		ret = st_madvise(patient->va, PAGE_SIZE, MADV_DONTNEED);
	if (!ret)
		ret = tmpfs_punched(patient, file);
	if (!ret)
		ret = odp_region_fault(patient->region, patient->va, 8,
				       ODP_FAULT_WRITE | ODP_FAULT_NOWAIT);
	/* And a hole */
	if (!ret)
		ret = odp_region_fault(patient->region,
				       patient->va + PAGE_SIZE, 8,
				       ODP_FAULT_WRITE | ODP_FAULT_NOWAIT);
	return ret;
}

static struct file *tmpfs_file(unsigned long va)
{
	struct vm_area_struct *vma;
	struct file *file = NULL;

	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, va);
	if (vma && vma->vm_file)
		file = get_file(vma->vm_file);
	mmap_read_unlock(current->mm);
	return file;
}

/* tmpfs: a page that is locked, a hole that is punched; and nothing wrong */
static int test_tmpfs(void)
{
	struct patient patient = { };
	struct file *file;
	int ret = -ENOENT;

	patient.va = st_map(SZ_64K, RW, MAP_SHARED | MAP_ANONYMOUS);
	ST_CHECK(!IS_ERR_VALUE(patient.va), -ENOMEM);
	init_completion(&patient.begun);
	patient.region = st_region(patient.va, SZ_64K);
	file = tmpfs_file(patient.va);
	if (file) {
		ret = tmpfs_checks(&patient, file);
		fput(file);
	}
	odp_region_destroy(patient.region);
	st_unmap(patient.va, SZ_64K);
	return ret;
}

struct churner {
	struct odp_region *region;
	unsigned long va;
	struct mm_struct *mm;
	unsigned long rounds;
	struct completion begun;
};

#define CHURNS		2000

/* A page that comes and goes; each time its leaf is closed for a moment */
static int churner_thread(void *data)
{
	struct churner *churner = data;
	int ret = 0;

	kthread_use_mm(churner->mm);
	while (!ret && !kthread_should_stop()) {
		ret = odp_region_fault(churner->region, churner->va, 8,
				       ODP_FAULT_WRITE);
		if (!ret)
			ret = st_madvise(churner->va, PAGE_SIZE,
					 MADV_DONTNEED);
		WRITE_ONCE(churner->rounds, churner->rounds + 1);
		complete(&churner->begun);
		cond_resched();
	}
	/* Nobody has to wait for one that failed */
	WRITE_ONCE(churner->rounds, CHURNS);
	complete(&churner->begun);
	kthread_unuse_mm(churner->mm);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return ret;
}

/* Who uses a page that stays has no faults for the sake of its neighbours */
static int test_closed(void)
{
	unsigned long va = st_map_aligned(ODP_LEAF_SIZE, ODP_LEAF_SIZE);
	struct churner churner = { .va = va, .mm = current->mm };
	struct odp_region *region;
	struct task_struct *task;
	u64 word = 0;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	init_completion(&churner.begun);
	churner.region = st_region(va, PAGE_SIZE);
	region = st_region(va + PAGE_SIZE, PAGE_SIZE);
	task = kthread_run(churner_thread, &churner, "odp_churner");
	ret = PTR_ERR_OR_ZERO(task);
	ST_CHECK_GOTO(!ret, out);
	wait_for_completion(&churner.begun);
	while (!ret && READ_ONCE(churner.rounds) < CHURNS) {
		ret = st_copy_in(region, va + PAGE_SIZE, &word, sizeof(word));
		cond_resched();
	}
	ret = kthread_stop(task) ?: ret;
	ST_CHECK_GOTO(!ret, out);
	/* Its own page may go too: NUMA balancing, a collapse */
	ST_CHECK_GOTO(st_stat(region, faults) <=
		      1 + st_stat(region, invalidations), out);
out:
	odp_region_destroy(region);
	odp_region_destroy(churner.region);
	st_unmap(va, ODP_LEAF_SIZE);
	return ret;
}

const struct st_case st_nowait_cases[] = {
	{ "nowait: beside pages that come and go", test_closed },
	{ "nowait: beside memory that is being unmapped", test_disturbed },
	{ "nowait: after an invalidation of one's own", test_own_invalidation },
	{ "nowait: memory of another process", test_foreign },
	{ "nowait: tmpfs", test_tmpfs },
	{ }
};
