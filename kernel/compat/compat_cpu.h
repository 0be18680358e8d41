/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What an x86 CPU is, where the kernel does not say: User Mode Linux keeps
 * the features of the host's and nothing else. HAVE_* come from the compile
 * probes, see compat.h.
 */
#ifndef SODP_COMPAT_CPU_H
#define SODP_COMPAT_CPU_H

#include <linux/types.h>
#include <asm/processor.h>

#include "compat_config.h"

#ifdef HAVE_CPU_VENDOR

/* The family of a CPU of AMD's, 0 for others */
static inline unsigned int compat_amd_family(void)
{
	if (boot_cpu_data.x86_vendor != X86_VENDOR_AMD)
		return 0;
	return boot_cpu_data.x86;
}

#else

static inline void compat_cpuid(u32 leaf, u32 *eax, u32 *ebx, u32 *ecx,
				u32 *edx)
{
	asm volatile("cpuid"
		     : "=a" (*eax), "=b" (*ebx), "=c" (*ecx), "=d" (*edx)
		     : "0" (leaf), "2" (0));
}

static inline unsigned int compat_amd_family(void)
{
	u32 eax, ebx, ecx, edx, family;

	/* "AuthenticAMD" */
	compat_cpuid(0, &eax, &ebx, &ecx, &edx);
	if (ebx != 0x68747541 || edx != 0x69746e65 || ecx != 0x444d4163)
		return 0;
	compat_cpuid(1, &eax, &ebx, &ecx, &edx);
	family = (eax >> 8) & 0xf;
	return family == 0xf ? family + ((eax >> 20) & 0xff) : family;
}

#endif /* HAVE_CPU_VENDOR */

#endif /* SODP_COMPAT_CPU_H */
