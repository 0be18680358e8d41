// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Many idle connected queue pairs: what one costs, in memory and in time. */

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define DEPTH		64
#define STEP		1000

static struct end_address addresses[2];

/* Kernel memory in use, whoever it is charged to */
static uint64_t kernel_bytes(void)
{
	static const char * const keys[] = { "Slab:", "VmallocUsed:",
					     "Percpu:" };
	uint64_t sum = 0, kb;
	char line[128];
	size_t i;
	FILE *file = fopen("/proc/meminfo", "r");

	if (!file)
		die("/proc/meminfo: %s", strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		for (i = 0; i < ARRAY_SIZE(keys); i++) {
			if (strncmp(line, keys[i], strlen(keys[i])))
				continue;
			kb = strtoull(line + strlen(keys[i]), NULL, 10);
			sum += kb * KIB;
		}
	}
	fclose(file);
	return sum;
}

/* Rings are the mappings of the device's file */
static uint64_t ring_bytes(void)
{
	unsigned long start, end;
	uint64_t sum = 0;
	char line[512];
	FILE *file = fopen("/proc/self/maps", "r");

	if (!file)
		die("/proc/self/maps: %s", strerror(errno));
	while (fgets(line, sizeof(line), file))
		if (strstr(line, "uverbs") &&
		    sscanf(line, "%lx-%lx", &start, &end) == 2)
			sum += end - start;
	fclose(file);
	return sum;
}

static void qp_make(struct end *end, const struct end *device)
{
	*end = *device;
	end->depth = DEPTH;
	end->receives = DEPTH;
	end_make_qp(end);
}

/* Two of them, connected with each other or with somebody far away */
static void pair_make(struct end *pair, const struct end *device,
		      const union ibv_gid *far)
{
	int i;

	for (i = 0; i < 2; i++) {
		qp_make(&pair[i], device);
		addresses[i] = pair[i].address;
		if (far)
			addresses[i].gid = *far;
	}
	for (i = 0; i < 2; i++)
		end_connect(&pair[i], &addresses[!i]);
}

/* An IPv4 address as a GID */
static bool opt_gid(const char *key, union ibv_gid *gid)
{
	const char *text = opt_str(key, NULL);

	if (!text)
		return false;
	memset(gid, 0, sizeof(*gid));
	gid->raw[10] = 0xff;
	gid->raw[11] = 0xff;
	if (inet_pton(AF_INET, text, gid->raw + 12) != 1)
		die("%s: not an IPv4 address: %s", key, text);
	return true;
}

/*
 * qps dev= gid= nr= far=: the peers are on this device, or at the address
 * far, where nobody needs to be
 */
int cmd_qps(void)
{
	uint64_t begin, kernel, rings, nr = opt_u64("nr", 10000);
	struct series step = { "step_ns" };
	union ibv_gid far;
	bool is_far = opt_gid("far", &far);
	struct end *ends, warm[2], device;
	uint64_t i;

	end_open(&device);
	ends = calloc(nr, sizeof(*ends));
	if (!ends)
		die("no memory");
	/* What the first ones make for all that follow is not counted */
	for (i = 0; i < 100; i++) {
		pair_make(warm, &device, is_far ? &far : NULL);
		ibv_destroy_qp(warm[0].qp);
		ibv_destroy_qp(warm[1].qp);
	}
	kernel = kernel_bytes();
	rings = ring_bytes();
	begin = now_ns();
	for (i = 0; i < nr; i += 2) {
		pair_make(&ends[i], &device, is_far ? &far : NULL);
		if ((i + 2) % STEP)
			continue;
		series_add(&step, now_ns() - begin);
		begin = now_ns();
	}
	printf("{\"nr\": %llu, \"kernel_bytes\": %lld, \"ring_bytes\": %llu, ",
	       (unsigned long long)nr,
	       (long long)(kernel_bytes() - kernel),
	       (unsigned long long)(ring_bytes() - rings));
	begin = now_ns();
	for (i = 0; i < nr; i++)
		if (ibv_destroy_qp(ends[i].qp))
			die("ibv_destroy_qp: %s", strerror(errno));
	printf("\"destroy_ns\": %llu, ",
	       (unsigned long long)(now_ns() - begin));
	print_series(&step, true);
	free(ends);
	return 0;
}
