// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <asm/processor.h>

int probe(void);
int probe(void)
{
	return boot_cpu_data.x86_vendor == X86_VENDOR_AMD ? boot_cpu_data.x86 : 0;
}
