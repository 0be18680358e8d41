// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Warm RDMA WRITEs in lists: a doorbell for many, so that a system call that
 * costs much, as in User Mode Linux, is paid once and can be taken out.
 */

#include <errno.h>
#include <string.h>

#include "bench.h"

#define MAX_SIZES	8
#define SKEWS		SMALL_PAGE

/* What a list is made for: both buffers are this process's */
struct scene {
	struct target *target;
	struct end end;
	struct area area;
	struct ibv_mr *mr;
	struct stream stream;
};

static void scene_open(struct scene *scene, uint64_t buffer)
{
	struct target_memory memory;

	memset(scene, 0, sizeof(*scene));
	scene->target = target_start(false);
	end_open(&scene->end);
	target_connect(scene->target, &scene->end);
	area_map(&scene->area, buffer, opt_u64("thp", 1), SHIFT_SOURCE);
	memset(scene->area.addr, 0x5a, buffer);
	scene->mr = mr_register(scene->end.pd, scene->area.addr, buffer,
				opt_kind("mr", "odp"));
	memory = target_map(scene->target, buffer, opt_u64("thp", 1),
			    opt_kind("mr", "odp"));
	memset((void *)(uintptr_t)memory.addr, 0xa5, buffer);
	scene->stream = (struct stream) {
		.source = scene->area.addr,
		.source_len = scene->area.len,
		.lkey = scene->mr->lkey,
		.target = memory.addr,
		.target_len = memory.len,
		.rkey = memory.rkey,
		.size = SMALL_PAGE,
		.count = buffer / SMALL_PAGE,
	};
	/* The device knows every page of both */
	end_write(&scene->end, &scene->stream);
}

static void scene_close(struct scene *scene)
{
	target_unmap(scene->target);
	mr_release(scene->mr);
	area_unmap(&scene->area);
	target_stop(scene->target);
}

static uint64_t list_run(struct end *end, struct list *list)
{
	uint64_t begin = now_ns();

	list_post(end, list);
	end_drain(end, list->nr);
	return now_ns() - begin;
}

static uint64_t list_memcpy(const struct list *list)
{
	uint64_t begin = now_ns();
	unsigned int i;

	for (i = 0; i < list->nr; i++)
		memcpy((void *)(uintptr_t)list->wr[i].wr.rdma.remote_addr,
		       (void *)(uintptr_t)list->sge[i].addr,
		       list->sge[i].length);
	return now_ns() - begin;
}

static void lists_measure(struct scene *scene, uint64_t size,
			  unsigned int depth)
{
	struct series list_ns = { "list_ns" }, copy_ns = { "memcpy_ns" };
	struct series one_ns = { "one_ns" }, call_ns = { "call_ns" };
	unsigned int reps = opt_u64("reps", 31), ones = opt_u64("ones", 16);
	unsigned int i, k;
	struct stream *stream = &scene->stream;
	struct list list, one;
	uint64_t ns;

	stream->size = size;
	for (i = 0; i < reps; i++) {
		list_make(&list, stream, (uint64_t)i * depth, depth);
		list_make(&one, stream, (uint64_t)i * depth, 1);
		/* What is in a cache is so for both */
		if (!opt_u64("far", 0)) {
			list_memcpy(&list);
			list_run(&scene->end, &list);
		}
		series_add(&list_ns, list_run(&scene->end, &list));
		/* Far: other memory than that just copied */
		list_make(&list, stream, (uint64_t)(i + reps) * depth, depth);
		if (!opt_u64("far", 0))
			list_memcpy(&list);
		series_add(&copy_ns, list_memcpy(&list));
		for (ns = 0, k = 0; k < ones; k++)
			ns += list_run(&scene->end, &one);
		series_add(&one_ns, ns);
		series_add(&call_ns, calls_ns(scene->end.context->cmd_fd));
	}
	printf("{\"size\": %llu, \"count\": %u, \"ones\": %u, \"calls\": %d, ",
	       (unsigned long long)size, depth, ones, CALLS);
	print_series(&list_ns, false);
	print_series(&copy_ns, false);
	print_series(&one_ns, false);
	print_series(&call_ns, true);
}

/*
 * lists dev= gid= sizes= depth= buffer= reps= ones= mr= thp= far=0|1
 *
 * In turns: a list of depth= WRITEs, memcpy() of the same, ones= WRITEs one at
 * a time, and system calls that do nothing. far=1: buffers that no cache
 * holds.
 */
int cmd_lists(void)
{
	uint64_t sizes[MAX_SIZES];
	int i, nr = opt_sizes("sizes", "64K", sizes, MAX_SIZES);
	uint64_t buffer = opt_u64("buffer", 0);
	unsigned int depth = opt_u64("depth", 16);
	struct scene scene;

	if (depth > MAX_LIST)
		die("depth: above %d", MAX_LIST);
	for (i = 0; i < nr; i++) {
		scene_open(&scene, buffer ? buffer :
			   sizes[i] < SMALL_PAGE ? SMALL_PAGE : sizes[i]);
		lists_measure(&scene, sizes[i], depth);
		scene_close(&scene);
	}
	return 0;
}

/*
 * skew dev= gid= size= count= reps=
 *
 * Every difference of offsets in a page, from first to last, reps= times: a
 * line for each time.
 */
int cmd_skew(void)
{
	uint64_t size = opt_u64("size", 64 * KIB), skew;
	unsigned int count = opt_u64("count", 4), reps = opt_u64("reps", 15);
	struct scene scene;
	struct list list;
	unsigned int i;

	scene_open(&scene, size + SKEWS);
	scene.stream.size = size;
	for (i = 0; i < reps; i++) {
		printf("{\"size\": %llu, \"count\": %u, \"call_ns\": %llu, "
		       "\"calls\": %d, \"skew_ns\": [",
		       (unsigned long long)size, count,
		       (unsigned long long)calls_ns(scene.end.context->cmd_fd),
		       CALLS);
		for (skew = 0; skew < SKEWS; skew++) {
			list_make(&list, &scene.stream, 0, count);
			for (unsigned int k = 0; k < count; k++)
				list.wr[k].wr.rdma.remote_addr += skew;
			printf("%s%llu", skew ? ", " : "",
			       (unsigned long long)list_run(&scene.end,
							    &list));
		}
		printf("]}\n");
	}
	scene_close(&scene);
	return 0;
}
