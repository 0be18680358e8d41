/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * memcpy.h - copy between pages in the kernel's mapping
 *
 * Two things that memcpy() does not promise:
 *
 * The last bytes are stored last. Programs poll on the last byte of a message,
 * as they can with a card. The bytes that share the last aligned 8-byte word
 * of the destination with its last byte are stored after all others, by
 * ordinary stores that do not cross a cache line, in ascending order; a whole
 * word is one store. Nothing is said of the order of the bytes before them,
 * nor could it be: a string instruction stores in any order it likes, and
 * memcpy() may start at the end. On x86 ordinary stores wait for those of a
 * string instruction before them (SDM 3A, 9.2.4: "order-dependent code should
 * write to a discrete semaphore variable after any string operations"), and
 * for each other; elsewhere there is a barrier. Runs of a message are copied
 * from its start to its end, so what holds for each run's last word holds for
 * the message's.
 *
 * Bad memory does not take the machine down. A load that ends in a machine
 * check has a fixup, and the bytes not copied are returned.
 */
#ifndef ODP_MEMCPY_H
#define ODP_MEMCPY_H

#include <linux/string.h>
#include <linux/types.h>

/* The tools that see every access want to see these too */
#if defined(CONFIG_X86_64) && !defined(CONFIG_KASAN) && !defined(CONFIG_KMSAN)
#define ODP_MEMCPY_X86
#include <asm/asm.h>
#include <asm/cpufeature.h>
#include "../compat/compat_cpu.h"
#endif

/* The bytes that are stored last */
static __always_inline size_t odp_memcpy_tail(const void *to, size_t len)
{
	return min_t(size_t, len, (((unsigned long)to + len - 1) & 7) + 1);
}

size_t odp_memcpy_long(void *to, const void *from, size_t len);
void odp_memcpy_init(void);

#ifdef ODP_MEMCPY_X86

/*
 * A load, to be fixed up by a jump to @failed, and the store of what was
 * loaded. Of one size, given by the suffix and by the name of rax.
 */
#define odp_mc_move(suffix, reg, to, from, failed)			\
	asm goto("1:\tmov" suffix " (%1), %%" reg "\n\t"		\
		 "mov" suffix " %%" reg ", (%0)\n"			\
		 _ASM_EXTABLE_TYPE(1b, %l[failed],			\
				   EX_TYPE_DEFAULT_MCE_SAFE)		\
		 : : "r" (to), "r" (from) : "rax", "memory" : failed)

/* A load, with its fixup, or a store, in asm goto: %0 to, %1 from */
#define ODP_MC_LOAD(mov, offset, reg)					\
	"1:\t" mov " " #offset "(%1), %%" #reg "\n"			\
	_ASM_EXTABLE_TYPE(1b, %l[failed], EX_TYPE_DEFAULT_MCE_SAFE)
#define ODP_MC_STORE(mov, offset, reg)					\
	"\t" mov " %%" #reg ", " #offset "(%0)\n"

#define ODP_MC_WORDS_4(move, o0, o1, o2, o3)				\
	move("movq", o0, rax) move("movq", o1, r8)			\
	move("movq", o2, r9) move("movq", o3, r10)

/**
 * odp_memcpy() - copy; see above
 * @to: written
 * @from: read; does not overlap @to
 * @len: bytes, not 0
 *
 * Context: Any.
 * Return: bytes at the end that were not copied, because there is an error in
 * memory; 0 is good.
 */
static __always_inline size_t odp_memcpy(void *to, const void *from,
					 size_t len)
{
	/* One store: who polls on an aligned word sees all or none */
	if (len == 8 && likely(!((unsigned long)to & 7))) {
		odp_mc_move("q", "rax", to, from, failed);
		return 0;
	}
	return odp_memcpy_long(to, from, len);
failed:
	return len;
}

/* Return whether a word can be read */
static __always_inline bool odp_mc_readable(const void *from)
{
	u64 word;

	odp_mc_move("q", "rax", &word, from, failed);
	return true;
failed:
	return false;
}

#else

static __always_inline size_t odp_memcpy(void *to, const void *from,
					 size_t len)
{
	return odp_memcpy_long(to, from, len);
}

static __always_inline bool odp_mc_readable(const void *from)
{
	return true;
}

#endif

#endif /* ODP_MEMCPY_H */
