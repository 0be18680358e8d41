/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * stale.pml - no entry is left of a page that the mm has taken back
 *
 * An invalidation (odp_inval_begin(), child_zap(), the mm's own work,
 * omm_invalidate_end()) and a fault in a leaf that is there or that it makes
 * (fault_sample(), odp_fault_snapshot(), odp_fault_commit()).
 *
 * Each of these takes away what the proof of commit_is_stale() needs, and has
 * to be found out; tools/check tries all of them.
 *
 * must fail: NO_MB_IN_BEGIN NO_MB_IN_SAMPLE NO_LOOK NO_COUNT COUNT_LATE
 */
#include "weak.inc"

/* In omm->invals, in space->leaves, leaf->inval_count, the entry, the pte */
#define INVAL	0
#define LEAF	1
#define COUNT	2
#define ENTRY	3
#define PTE	4

bool invalidated, faulted;

proctype invalidation()
{
	byte found, n;

	store(0, INVAL, 1);
#ifndef NO_MB_IN_BEGIN
	mb(0);
#endif
	load(0, LEAF, found);
	if
	:: found ->
		lock(0);
		load(0, COUNT, n);
		store(0, COUNT, n + 1);
		store(0, ENTRY, 0);
		unlock(0)
	:: else
	fi;
	/* The page goes now, and only then the invalidation ends */
	store(0, PTE, 0);
	mb(0);
	store(0, INVAL, 0);
	invalidated = true
}

proctype fault()
{
	byte count, now, inval, pte;

	if
	:: store(1, LEAF, 1)
	:: memory[LEAF]
	fi;
again:
#ifndef COUNT_LATE
	load(1, COUNT, count);
#endif
#ifndef NO_MB_IN_SAMPLE
	mb(1);
#endif
	load(1, INVAL, inval);
#ifndef NO_LOOK
	if
	:: inval -> goto again
	:: else
	fi;
#endif
	load(1, PTE, pte);
	if
	:: !pte -> goto out
	:: else
	fi;
#ifdef COUNT_LATE
	load(1, COUNT, count);
#endif
	lock(1);
	load(1, COUNT, now);
#ifdef NO_COUNT
	now = count;
#endif
	if
	:: now == count -> store(1, ENTRY, 1)
	:: else
	fi;
	unlock(1);
out:
	faulted = true
}

init {
	atomic {
		memory[PTE] = 1;
		if
		:: memory[LEAF] = 1
		:: memory[LEAF] = 0
		fi;
		run invalidation();
		run fault()
	}
	invalidated && faulted && IDLE(0) && IDLE(1);
	assert(!memory[ENTRY])
}
