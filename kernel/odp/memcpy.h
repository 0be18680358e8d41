/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * memcpy.h - copy between pages in the kernel's mapping
 */
#ifndef SODP_ODP_MEMCPY_H
#define SODP_ODP_MEMCPY_H

#include <linux/string.h>

#if defined(CONFIG_X86_64) && !defined(CONFIG_KASAN) && !defined(CONFIG_KMSAN)
#include <asm/cpufeature.h>

/* Below this a string instruction takes longer to start than to run */
#define SODP_REP_MIN	128

/*
 * The kernel's memcpy() uses a string instruction only on CPUs with FSRM, and
 * a loop of 8-byte loads on all others, where, for copies of this size, the
 * string instructions are the fast way too.
 */
static __always_inline void sodp_memcpy(void *to, const void *from, size_t len)
{
	size_t words;

	if (len < SODP_REP_MIN || static_cpu_has(X86_FEATURE_FSRM)) {
		memcpy(to, from, len);
		return;
	}
	if (static_cpu_has(X86_FEATURE_ERMS)) {
		asm volatile("rep movsb"
			     : "+D" (to), "+S" (from), "+c" (len) : : "memory");
		return;
	}
	words = len / 8;
	len %= 8;
	asm volatile("rep movsq"
		     : "+D" (to), "+S" (from), "+c" (words) : : "memory");
	while (len--)
		*(u8 *)to++ = *(const u8 *)from++;
}
#else
/* With KASAN: the instrumented one, it sees writes to pages given back */
static __always_inline void sodp_memcpy(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
}
#endif

#endif /* SODP_ODP_MEMCPY_H */
