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
#include <asm/fpu/api.h>
#endif

/* The bytes that are stored last */
static __always_inline size_t odp_memcpy_tail(const void *to, size_t len)
{
	return min_t(size_t, len, (((unsigned long)to + len - 1) & 7) + 1);
}

size_t odp_memcpy_long(void *to, const void *from, size_t len);

#ifdef ODP_MEMCPY_X86

/* Below this saving the registers costs more than vectors gain */
#define ODP_VECTOR_MIN		4096
#define ODP_VECTOR_BLOCK	512

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

/* A block but for its last 32 bytes */
#define ODP_VECTOR_15(move)						\
	move("vmovdqu", 0x0, ymm0) move("vmovdqu", 0x20, ymm1)		\
	move("vmovdqu", 0x40, ymm2) move("vmovdqu", 0x60, ymm3)		\
	move("vmovdqu", 0x80, ymm4) move("vmovdqu", 0xa0, ymm5)		\
	move("vmovdqu", 0xc0, ymm6) move("vmovdqu", 0xe0, ymm7)		\
	move("vmovdqu", 0x100, ymm8) move("vmovdqu", 0x120, ymm9)	\
	move("vmovdqu", 0x140, ymm10) move("vmovdqu", 0x160, ymm11)	\
	move("vmovdqu", 0x180, ymm12) move("vmovdqu", 0x1a0, ymm13)	\
	move("vmovdqu", 0x1c0, ymm14)
#define ODP_VECTOR_16(move)						\
	ODP_VECTOR_15(move) move("vmovdqu", 0x1e0, ymm15)
#define ODP_MC_WORDS_4(move, o0, o1, o2, o3)				\
	move("movq", o0, rax) move("movq", o1, r8)			\
	move("movq", o2, r9) move("movq", o3, r10)

static __always_inline bool odp_vector_begin(size_t len)
{
	if (len < ODP_VECTOR_MIN ||
	    cpu_feature_enabled(X86_FEATURE_FSRM) ||
	    cpu_feature_enabled(X86_FEATURE_ERMS) ||
	    !cpu_feature_enabled(X86_FEATURE_AVX))
		return false;
	if (!irq_fpu_usable())
		return false;
	kernel_fpu_begin();
	return true;
}

/* @vector: what odp_vector_begin() returned */
static __always_inline void odp_vector_end(bool vector)
{
	if (vector)
		kernel_fpu_end();
}

/*
 * By vector registers, of which the kernel's compiler knows nothing. @len is
 * not less than ODP_VECTOR_BLOCK. Return bytes not copied.
 */
static __always_inline size_t odp_memcpy_vector(void *to, const void *from,
						size_t len)
{
	size_t blocks = (len - 1) / ODP_VECTOR_BLOCK;

	len -= blocks * ODP_VECTOR_BLOCK;
	for (; blocks; blocks--) {
		asm goto(ODP_VECTOR_16(ODP_MC_LOAD)
			 ODP_VECTOR_16(ODP_MC_STORE)
			 : : "r" (to), "r" (from) : "memory" : failed);
		to += ODP_VECTOR_BLOCK;
		from += ODP_VECTOR_BLOCK;
	}
	if (len < ODP_VECTOR_BLOCK || unlikely((unsigned long)to & 7))
		return odp_memcpy_long(to, from, len);
	/* The last words one by one */
	asm goto(ODP_VECTOR_15(ODP_MC_LOAD)
		 ODP_MC_WORDS_4(ODP_MC_LOAD, 0x1e0, 0x1e8, 0x1f0, 0x1f8)
		 ODP_VECTOR_15(ODP_MC_STORE)
		 ODP_MC_WORDS_4(ODP_MC_STORE, 0x1e0, 0x1e8, 0x1f0, 0x1f8)
		 : : "r" (to), "r" (from)
		 : "rax", "r8", "r9", "r10", "memory" : failed);
	return 0;
failed:
	return blocks * ODP_VECTOR_BLOCK + len;
}

/**
 * odp_memcpy() - copy; see above
 * @to: written
 * @from: read; does not overlap @to
 * @len: bytes, not 0
 * @vector: between odp_vector_begin(), when true, and odp_vector_end()
 *
 * Context: Any.
 * Return: bytes at the end that were not copied, because there is an error in
 * memory; 0 is good.
 */
static __always_inline size_t odp_memcpy(void *to, const void *from,
					 size_t len, bool vector)
{
	if (vector && len >= ODP_VECTOR_BLOCK)
		return odp_memcpy_vector(to, from, len);
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

static __always_inline bool odp_vector_begin(size_t len)
{
	return false;
}

static __always_inline void odp_vector_end(bool vector)
{
}

static __always_inline size_t odp_memcpy(void *to, const void *from,
					 size_t len, bool vector)
{
	return odp_memcpy_long(to, from, len);
}

static __always_inline bool odp_mc_readable(const void *from)
{
	return true;
}

#endif

#endif /* ODP_MEMCPY_H */
