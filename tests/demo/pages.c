// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * sodp-demo-pages: one ODP region through its life. Says on stdout where it
 * is, waits for a line on stdin, goes on; the reader looks at the region's
 * counters in between.
 */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../bench/bench.h"

#define REGION_LEN	(64 * MIB)
#define CHUNK		(64 * KIB)

static uint64_t resident_kib(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmRSS: %llu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

static void stop_at(const char *moment, uint64_t ns, uint64_t wrong)
{
	printf("{\"at\": \"%s\", \"ns\": %llu, \"wrong\": %llu, ", moment,
	       (unsigned long long)ns, (unsigned long long)wrong);
	printf("\"resident_kib\": %llu}\n",
	       (unsigned long long)resident_kib());
	fflush(stdout);
	if (getchar() == EOF)
		die("nobody listens");
}

/* The device writes the pattern over the region, chunk by chunk */
static uint64_t device_write(struct end *end, struct stream *stream,
			     uint8_t seed)
{
	uint64_t begin, i;

	for (i = 0; i < stream->source_len; i++)
		stream->source[i] = seed + i % 251;
	begin = now_ns();
	end_write(end, stream);
	return now_ns() - begin;
}

static uint64_t count_wrong(const struct area *area, const uint8_t *chunk)
{
	uint64_t at, i, wrong = 0;

	for (at = 0; at < area->len; at += CHUNK) {
		if (!memcmp(area->addr + at, chunk, CHUNK))
			continue;
		for (i = 0; i < CHUNK; i++)
			wrong += area->addr[at + i] != chunk[i];
	}
	return wrong;
}

int main(int argc, char **argv)
{
	struct area area, source;
	struct ibv_mr *mr, *source_mr;
	struct end end, responder;
	struct stream stream;
	uint64_t ns;

	opts_set(argc - 1, argv + 1);
	end_open(&end);
	end_share(&responder, &end);
	end_connect_pair(&end, &responder);
	area_map(&source, CHUNK, false, SHIFT_SOURCE);
	area_touch(&source);
	source_mr = mr_register(end.pd, source.addr, CHUNK, MR_PINNED);
	area_map(&area, REGION_LEN, false, SHIFT_TARGET);
	ns = now_ns();
	mr = mr_register(end.pd, area.addr, REGION_LEN, MR_ODP);
	stop_at("registered", now_ns() - ns, 0);

	stream = (struct stream) {
		.source = source.addr,
		.source_len = CHUNK,
		.lkey = source_mr->lkey,
		.target = (uintptr_t)area.addr,
		.target_len = REGION_LEN,
		.rkey = mr->rkey,
		.size = CHUNK,
		.count = REGION_LEN / CHUNK,
	};
	ns = device_write(&end, &stream, 1);
	stop_at("written", ns, count_wrong(&area, source.addr));
	ns = device_write(&end, &stream, 2);
	stop_at("written again", ns, count_wrong(&area, source.addr));

	ns = now_ns();
	if (madvise(area.addr, REGION_LEN, MADV_DONTNEED))
		die("madvise: %s", strerror(errno));
	stop_at("madvise", now_ns() - ns, 0);

	ns = device_write(&end, &stream, 3);
	stop_at("written after it", ns, count_wrong(&area, source.addr));
	mr_release(mr);
	mr_release(source_mr);
	return 0;
}
