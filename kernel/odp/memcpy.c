// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * memcpy.c - see memcpy.h
 *
 * The kernel's memcpy() uses a string instruction only on CPUs with FSRM, and
 * a loop of 8-byte loads on all others, where, for more than some hundred
 * bytes, a string instruction is faster. Without fast string instructions
 * (virtual CPUs often hide them) vector registers are.
 */

#include <linux/uaccess.h>

#include "core.h"
#include "memcpy.h"

#ifdef ODP_MEMCPY_X86

/* Below this a string instruction takes longer to start than to run */
#define COPY_REP_MIN		128

/* Whole words. Return bytes of these not copied. */
static __always_inline size_t copy_string(void *to, const void *from,
					  size_t len)
{
	size_t words = len / 8;

	/*
	 * Knows those CPUs too whose string instructions do not recover from
	 * a machine check.
	 */
	if (cpu_feature_enabled(X86_FEATURE_ERMS))
		return copy_mc_to_kernel(to, from, len);
	asm volatile("1:\trep movsq\n"
		     "2:\n"
		     _ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_DEFAULT_MCE_SAFE)
		     : "+D" (to), "+S" (from), "+c" (words) : : "memory");
	return words * 8;
}

/* Whole words. Return bytes of these not copied. */
static __always_inline size_t copy_words(void *to, const void *from,
					 size_t len)
{
	for (; len >= 32; len -= 32) {
		asm goto(ODP_MC_WORDS_4(ODP_MC_LOAD, 0x0, 0x8, 0x10, 0x18)
			 ODP_MC_WORDS_4(ODP_MC_STORE, 0x0, 0x8, 0x10, 0x18)
			 : : "r" (to), "r" (from)
			 : "rax", "r8", "r9", "r10", "memory" : failed);
		to += 32;
		from += 32;
	}
	for (; len; len -= 8) {
		odp_mc_move("q", "rax", to, from, failed);
		to += 8;
		from += 8;
	}
	return 0;
failed:
	return len;
}

/* Less than a word, up to an aligned one. Return bytes not copied. */
static __always_inline size_t copy_head(void *to, const void *from, size_t len)
{
	if (len & 1) {
		odp_mc_move("b", "al", to, from, failed);
		len -= 1;
		to += 1;
		from += 1;
	}
	if (len & 2) {
		odp_mc_move("w", "ax", to, from, failed);
		len -= 2;
		to += 2;
		from += 2;
	}
	if (len) {
		odp_mc_move("l", "eax", to, from, failed);
		len -= 4;
	}
	return 0;
failed:
	return len;
}

/* All inside one aligned word; in ascending order. Return bytes not copied. */
static __always_inline size_t copy_tail(void *to, const void *from, size_t len)
{
	if (likely(len == 8)) {
		odp_mc_move("q", "rax", to, from, failed);
		return 0;
	}
	if (len & 4) {
		odp_mc_move("l", "eax", to, from, failed);
		len -= 4;
		to += 4;
		from += 4;
	}
	if (len & 2) {
		odp_mc_move("w", "ax", to, from, failed);
		len -= 2;
		to += 2;
		from += 2;
	}
	if (len) {
		odp_mc_move("b", "al", to, from, failed);
		len -= 1;
	}
	return 0;
failed:
	return len;
}

/**
 * odp_memcpy_long() - odp_memcpy() of any length
 * @to: written
 * @from: read
 * @len: bytes, not 0
 *
 * Context: Any.
 * Return: bytes at the end that were not copied.
 */
size_t odp_memcpy_long(void *to, const void *from, size_t len)
{
	size_t tail, part, left;

	tail = odp_memcpy_tail(to, len);
	len -= tail;
	/* What makes @to aligned */
	part = len & 7;
	if (unlikely(part)) {
		left = copy_head(to, from, part);
		if (unlikely(left))
			return len - part + left + tail;
		to += part;
		from += part;
		len -= part;
	}
	left = len < COPY_REP_MIN ? copy_words(to, from, len) :
				    copy_string(to, from, len);
	if (unlikely(left))
		return left + tail;
	return copy_tail(to + len, from + len, tail);
}

#else

/* With KASAN: the instrumented one, it sees writes to pages given back */
static size_t copy_body(void *to, const void *from, size_t len)
{
	if (IS_ENABLED(CONFIG_KASAN) || IS_ENABLED(CONFIG_KMSAN)) {
		memcpy(to, from, len);
		return 0;
	}
	/* memcpy() where the CPU cannot recover */
	return copy_mc_to_kernel(to, from, len);
}

size_t odp_memcpy_long(void *to, const void *from, size_t len)
{
	size_t tail = odp_memcpy_tail(to, len), left;
	u64 word;

	len -= tail;
	left = len ? copy_body(to, from, len) : 0;
	if (unlikely(left))
		return left + tail;
	to += len;
	from += len;
	/* Pairs with what orders the loads of a program that polls */
	smp_wmb();
	if (tail == 8) {
		memcpy(&word, from, sizeof(word));
		WRITE_ONCE(*(u64 *)to, word);
		return 0;
	}
	for (; tail; tail--, to++, from++) {
		WRITE_ONCE(*(u8 *)to, *(const u8 *)from);
		/* As above: in ascending order */
		smp_wmb();
	}
	return 0;
}

#endif
