/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * access.pml - no page is touched after its invalidation has returned
 *
 * Accesses of one CPU (odp_access_announce(), odp_access_allowed(), the copy,
 * odp_access_withdraw()) and an invalidation (odp_leaf_close(), the zap,
 * odp_leaf_reopen()), after which the page is another's, who writes to it.
 *
 * must fail: NO_MB_IN_ACCESS NO_MB_IN_CLOSE NO_RELEASE_OF_SLOT
 * must fail: NO_RELEASE_OF_LEAF NO_WAIT
 */
#include "weak.inc"

/* The CPU's slot, LEAF_ZAPPING, the entry, what is in the page */
#define SLOT	0
#define CLOSED	1
#define ENTRY	2
#define PAGE	3

bool invalidated, accessed;

proctype access()
{
	byte closed, entry, n;

	do
	:: n < 2 ->
		n++;
		store(0, SLOT, 1);
#ifndef NO_MB_IN_ACCESS
		mb(0);
#endif
		load(0, CLOSED, closed);
		if
		:: !closed ->
			load(0, ENTRY, entry);
			if
			:: entry -> store(0, PAGE, 1)
			:: else
			fi
		:: else
		fi;
#ifndef NO_RELEASE_OF_SLOT
		mb(0);
#endif
		store(0, SLOT, 0)
	:: else -> break
	od;
	accessed = true
}

proctype invalidation()
{
	byte slot;

	store(1, CLOSED, 1);
#ifndef NO_MB_IN_CLOSE
	mb(1);
#endif
	do
	:: load(1, SLOT, slot);
		if
		:: !slot -> break
		:: else
#ifdef NO_WAIT
			-> break
#endif
		fi
	od;
	store(1, ENTRY, 0);
#ifndef NO_RELEASE_OF_LEAF
	mb(1);
#endif
	store(1, CLOSED, 0);
	/* The page is somebody else's */
	store(1, PAGE, 2);
	invalidated = true
}

init {
	atomic {
		memory[ENTRY] = 1;
		run access();
		run invalidation()
	}
	invalidated && accessed && IDLE(0) && IDLE(1);
	assert(memory[PAGE] == 2)
}
