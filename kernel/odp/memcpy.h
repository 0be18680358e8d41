/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * memcpy.h - copy between pages in the kernel's mapping
 *
 * The kernel's memcpy() uses a string instruction only on CPUs with FSRM, and
 * a loop of 8-byte loads on all others, where, for more than some hundred
 * bytes, a string instruction is faster. Without fast string instructions
 * (virtual CPUs often hide them) vector registers are.
 */
#ifndef SODP_ODP_MEMCPY_H
#define SODP_ODP_MEMCPY_H

#include <linux/string.h>
#include <linux/types.h>

#if defined(CONFIG_X86_64) && !defined(CONFIG_KASAN) && !defined(CONFIG_KMSAN)
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>

/* Below this a string instruction takes longer to start than to run */
#define SODP_REP_MIN		128
/* Below this saving the registers costs more than vectors gain */
#define SODP_VECTOR_MIN		4096
#define SODP_VECTOR_BLOCK	512

static __always_inline bool sodp_vector_begin(size_t len)
{
	if (len < SODP_VECTOR_MIN ||
	    cpu_feature_enabled(X86_FEATURE_FSRM) ||
	    cpu_feature_enabled(X86_FEATURE_ERMS) ||
	    !cpu_feature_enabled(X86_FEATURE_AVX))
		return false;
	if (!irq_fpu_usable())
		return false;
	kernel_fpu_begin();
	return true;
}

/* @vector: what sodp_vector_begin() returned */
static __always_inline void sodp_vector_end(bool vector)
{
	if (vector)
		kernel_fpu_end();
}

/* Whole blocks only. The kernel's compiler knows of no vector registers. */
static __always_inline void vector_copy(void *to, const void *from,
					size_t blocks)
{
	while (blocks--) {
		asm volatile("vmovdqu 0x0(%1), %%ymm0\n\t"
			     "vmovdqu 0x20(%1), %%ymm1\n\t"
			     "vmovdqu 0x40(%1), %%ymm2\n\t"
			     "vmovdqu 0x60(%1), %%ymm3\n\t"
			     "vmovdqu 0x80(%1), %%ymm4\n\t"
			     "vmovdqu 0xa0(%1), %%ymm5\n\t"
			     "vmovdqu 0xc0(%1), %%ymm6\n\t"
			     "vmovdqu 0xe0(%1), %%ymm7\n\t"
			     "vmovdqu 0x100(%1), %%ymm8\n\t"
			     "vmovdqu 0x120(%1), %%ymm9\n\t"
			     "vmovdqu 0x140(%1), %%ymm10\n\t"
			     "vmovdqu 0x160(%1), %%ymm11\n\t"
			     "vmovdqu 0x180(%1), %%ymm12\n\t"
			     "vmovdqu 0x1a0(%1), %%ymm13\n\t"
			     "vmovdqu 0x1c0(%1), %%ymm14\n\t"
			     "vmovdqu 0x1e0(%1), %%ymm15\n\t"
			     "vmovdqu %%ymm0, 0x0(%0)\n\t"
			     "vmovdqu %%ymm1, 0x20(%0)\n\t"
			     "vmovdqu %%ymm2, 0x40(%0)\n\t"
			     "vmovdqu %%ymm3, 0x60(%0)\n\t"
			     "vmovdqu %%ymm4, 0x80(%0)\n\t"
			     "vmovdqu %%ymm5, 0xa0(%0)\n\t"
			     "vmovdqu %%ymm6, 0xc0(%0)\n\t"
			     "vmovdqu %%ymm7, 0xe0(%0)\n\t"
			     "vmovdqu %%ymm8, 0x100(%0)\n\t"
			     "vmovdqu %%ymm9, 0x120(%0)\n\t"
			     "vmovdqu %%ymm10, 0x140(%0)\n\t"
			     "vmovdqu %%ymm11, 0x160(%0)\n\t"
			     "vmovdqu %%ymm12, 0x180(%0)\n\t"
			     "vmovdqu %%ymm13, 0x1a0(%0)\n\t"
			     "vmovdqu %%ymm14, 0x1c0(%0)\n\t"
			     "vmovdqu %%ymm15, 0x1e0(%0)"
			     : : "r" (to), "r" (from) : "memory");
		to += SODP_VECTOR_BLOCK;
		from += SODP_VECTOR_BLOCK;
	}
}

static __always_inline void string_copy(void *to, const void *from, size_t len)
{
	size_t words = len / 8;

	if (cpu_feature_enabled(X86_FEATURE_ERMS)) {
		asm volatile("rep movsb"
			     : "+D" (to), "+S" (from), "+c" (len) : : "memory");
		return;
	}
	asm volatile("rep movsq"
		     : "+D" (to), "+S" (from), "+c" (words) : : "memory");
	for (len %= 8; len; len--)
		*(u8 *)to++ = *(const u8 *)from++;
}

/* @vector: between sodp_vector_begin(), when true, and sodp_vector_end() */
static __always_inline void sodp_memcpy(void *to, const void *from, size_t len,
					bool vector)
{
	if (len == 8) {
		/* One store: who polls on an aligned word sees all or none */
		*(u64 *)to = *(const u64 *)from;
		return;
	}
	if (vector && len >= SODP_VECTOR_BLOCK) {
		size_t whole = len & ~(SODP_VECTOR_BLOCK - 1UL);

		vector_copy(to, from, len / SODP_VECTOR_BLOCK);
		to += whole;
		from += whole;
		len -= whole;
		if (!len)
			return;
	}
	if (len < SODP_REP_MIN || cpu_feature_enabled(X86_FEATURE_FSRM))
		memcpy(to, from, len);
	else
		string_copy(to, from, len);
}
#else
static __always_inline bool sodp_vector_begin(size_t len)
{
	return false;
}

static __always_inline void sodp_vector_end(bool vector)
{
}

/* With KASAN: the instrumented one, it sees writes to pages given back */
static __always_inline void sodp_memcpy(void *to, const void *from, size_t len,
					bool vector)
{
	memcpy(to, from, len);
}
#endif

#endif /* SODP_ODP_MEMCPY_H */
