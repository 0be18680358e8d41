// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* sodp-bench: sodp-bench COMMAND [key=value ...], see each command. */

#include <string.h>

#include "bench.h"

static const struct {
	const char *name;
	int (*run)(void);
} commands[] = {
	{ "write", cmd_write },
	{ "cold", cmd_cold },
	{ "prefetch", cmd_prefetch },
	{ "invalidate", cmd_invalidate },
	{ "reg_flat", cmd_reg_flat },
	{ "reg_pin", cmd_reg_pin },
	{ "pin", cmd_pin },
	{ "mem", cmd_mem },
	{ "bystander", cmd_bystander },
	{ "scale", cmd_scale },
	{ "qps", cmd_qps },
	{ "reg_use", cmd_reg_use },
	{ "second_mr", cmd_second_mr },
	{ "many_mrs", cmd_many_mrs },
	{ "sparse", cmd_sparse },
	{ "beside", cmd_beside },
	{ "dereg", cmd_dereg },
	{ "lists", cmd_lists },
	{ "skew", cmd_skew },
	{ "vm", cmd_vm },
	{ "tcp_serve", cmd_tcp_serve },
	{ "tcp", cmd_tcp },
};

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		opts_set(argc - 2, argv + 2);
		return commands[i].run();
	}
	fprintf(stderr, "usage: sodp-bench COMMAND [key=value ...]\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(stderr, "  %s\n", commands[i].name);
	return 2;
}
