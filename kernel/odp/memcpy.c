// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * memcpy.c - see memcpy.h
 *
 * Long copies are left to the kernel's copy_mc_to_kernel(), which is a string
 * instruction where these are fast. They take their time to start, and there
 * is a loop for what is short, for CPUs where they are slow, and for those
 * places where they are slow on an otherwise fast one.
 */

#include <linux/jump_label.h>
#include <linux/uaccess.h>

#include "core.h"
#include "memcpy.h"

#ifdef ODP_MEMCPY_X86

/* Below this the loop is done before a string instruction is (Zen 4, Zen 5) */
#define COPY_STRING_MIN		512

/*
 * Zen 3 and 4: a string instruction makes 3.5 GB/s where the destination is 1 to
 * 15 bytes further into a page than the source, half its speed up to 31. Zen 5
 * has no such place.
 */
#define COPY_SKEW_MAX		31
static DEFINE_STATIC_KEY_FALSE(copy_skews);

void odp_memcpy_init(void)
{
	if (compat_amd_family() == 0x19)
		static_branch_enable(&copy_skews);
}

static __always_inline bool copy_is_skewed(const void *to, const void *from)
{
	return static_branch_unlikely(&copy_skews) &&
	       ((to - from - 1) & ~PAGE_MASK) < COPY_SKEW_MAX;
}

/*
 * Where these are fast, and recover from a machine check if the CPU can. The
 * kernel's ways for other CPUs mostly do not.
 */
static __always_inline bool copy_by_string(void *to, const void *from,
					   size_t len)
{
	return len >= COPY_STRING_MIN &&
	       boot_cpu_has(X86_FEATURE_ERMS) &&
	       !copy_is_skewed(to, from);
}

/* Whole words. Return bytes of these not copied. */
static __always_inline size_t copy_words(void *to, const void *from,
					 size_t len)
{
	for (; len >= 64; len -= 64) {
		asm goto(ODP_MC_WORDS_4(ODP_MC_LOAD, 0x0, 0x8, 0x10, 0x18)
			 ODP_MC_WORDS_4(ODP_MC_STORE, 0x0, 0x8, 0x10, 0x18)
			 ODP_MC_WORDS_4(ODP_MC_LOAD, 0x20, 0x28, 0x30, 0x38)
			 ODP_MC_WORDS_4(ODP_MC_STORE, 0x20, 0x28, 0x30, 0x38)
			 : : "r" (to), "r" (from)
			 : "rax", "r8", "r9", "r10", "memory" : failed);
		to += 64;
		from += 64;
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
	left = copy_by_string(to, from, len) ?
	       copy_mc_to_kernel(to, from, len) : copy_words(to, from, len);
	if (unlikely(left))
		return left + tail;
	return copy_tail(to + len, from + len, tail);
}

#else

void odp_memcpy_init(void)
{
}

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
