// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Every allocation fails once: the first that a call makes, then the second,
 * until the call makes no more. It works nevertheless or says ENOMEM, loses
 * nothing (kmemleak sees that), and the same call works afterwards.
 *
 * Only what is allocated beneath a function of the modules may fail: what the
 * rest of the kernel does without memory is tested by others.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/t_netdev.h"
#include "failalloc.h"

#define DEBUGFS "/sys/kernel/debug/"
#define DEV	"sodp7"
#define NETDEV	"sodpfa7"
#define ADDR	"10.99.7.1"
/* More than any call allocates */
#define MOST 20000

static const char *const kinds[] = { "failslab", "fail_page_alloc" };
static int fail_nth_fd = -1;

static void set_option(const char *kind, const char *name, const char *text)
{
	char path[96];

	snprintf(path, sizeof(path), DEBUGFS "%s/%s", kind, name);
	T_ASSERT(!t_write_file(path, text), "%s", path);
}

static void set_number(const char *kind, const char *name, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	set_option(kind, name, text);
}

/* Where the functions of a module are: the code that it still has */
static void module_text(const char *module, uint64_t *start, uint64_t *end)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	unsigned long long addr;
	char line[512], type, name[300], of[100], want[64];

	T_ASSERT(f, "/proc/kallsyms");
	snprintf(want, sizeof(want), "[%s]", module);
	*start = UINT64_MAX;
	*end = 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx %c %299s %99s", &addr, &type, name,
			   of) != 4 ||
		    strcmp(of, want) || (type != 't' && type != 'T'))
			continue;
		if (addr < *start)
			*start = addr;
		/* The last function ends a little later */
		if (addr + 512 > *end)
			*end = addr + 512;
	}
	fclose(f);
	T_ASSERT(*start < *end, "no functions of %s", module);
}

/* From now on only what this module asks for may fail */
static void only_module(const char *module)
{
	uint64_t start, end;
	unsigned int i;

	module_text(module, &start, &end);
	for (i = 0; i < T_ARRAY_SIZE(kinds); i++) {
		set_number(kinds[i], "require-start", start);
		set_number(kinds[i], "require-end", end);
	}
}

static void injection_open(void)
{
	unsigned int i;

	mount("none", DEBUGFS, "debugfs", 0, NULL);
	if (access(DEBUGFS "failslab/require-start", W_OK) ||
	    access("/proc/thread-self/fail-nth", W_OK))
		t_skip("this kernel cannot let allocations fail");
	for (i = 0; i < T_ARRAY_SIZE(kinds); i++) {
		set_option(kinds[i], "probability", "0");
		set_option(kinds[i], "verbose", "0");
		set_option(kinds[i], "task-filter", "N");
		set_option(kinds[i], "ignore-gfp-wait", "N");
		set_option(kinds[i], "interval", "1");
		set_option(kinds[i], "stacktrace-depth", "32");
	}
	set_option("fail_page_alloc", "ignore-gfp-highmem", "N");
	set_option("fail_page_alloc", "min-order", "0");
	only_module("sodp");
	fail_nth_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	T_ASSERT(fail_nth_fd >= 0, "fail-nth: %s", t_errname(errno));
}

static void fail_nth(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	T_ASSERT(pwrite(fail_nth_fd, text, len, 0) == len, "fail-nth");
}

/* How many allocations are to come before that one fails; 0: it has */
static unsigned int fail_left(int fd)
{
	char text[16] = "";

	T_ASSERT(pread(fd, text, sizeof(text) - 1, 0) > 0, "fail-nth: %s",
		 t_errname(errno));
	return strtoul(text, NULL, 0);
}

static bool fail_end(void)
{
	bool fired = !fail_left(fail_nth_fd);

	fail_nth(0);
	return fired;
}

static void undo(const struct fa_call *call, struct fa_scene *s)
{
	if (call->undo)
		call->undo(s);
}

/* Returns how many allocations it had */
static unsigned int run_call(const struct fa_call *call, struct fa_scene *s)
{
	unsigned int nth;
	bool fired;
	int ret;

	for (nth = 1; nth < MOST; nth++) {
		t_case("%s, allocation %u", call->name, nth);
		fail_nth(nth);
		ret = call->make(s);
		fired = fail_end();
		T_ASSERT(!ret || (fired && ret == ENOMEM), "%s",
			 t_errname(ret));
		if (!ret)
			undo(call, s);
		if (!fired)
			return nth - 1;
		t_case("%s, after allocation %u", call->name, nth);
		T_OK(call->make(s));
		undo(call, s);
	}
	t_fail("%s never ends", call->name);
}

/* What is to go goes, whatever cannot be had meanwhile */
static void run_undo(const struct fa_call *call, struct fa_scene *s)
{
	unsigned int nth;

	for (nth = 1; nth < MOST; nth++) {
		t_case("%s undone, allocation %u", call->name, nth);
		T_OK(call->make(s));
		fail_nth(nth);
		call->undo(s);
		if (!fail_end())
			return;
	}
	t_fail("%s is never undone", call->name);
}

static void run_calls(const struct fa_call *calls, size_t nr,
		      unsigned int least)
{
	struct fa_scene s;
	unsigned int sum = 0;
	size_t i;

	injection_open();
	fa_open(&s);
	for (i = 0; i < nr; i++) {
		unsigned int n = run_call(&calls[i], &s);

		t_diag("%s: %u allocations", calls[i].name, n);
		sum += n;
		if (calls[i].undo)
			run_undo(&calls[i], &s);
	}
	T_ASSERT(sum >= least, "only %u allocations in all", sum);
	t_case("afterwards");
	t_duo_works(&s.duo);
	t_note("%u allocations", sum);
}

static void objects(void)
{
	run_calls(fa_objects, fa_nr_objects, fa_nr_objects);
}

static void memory(void)
{
	run_calls(fa_memory, fa_nr_memory, fa_nr_memory);
}

/* What the core does because the kernel takes memory away */
static void notified(void)
{
	struct fa_scene s;
	size_t i;

	injection_open();
	only_module("rdma_odp");
	fa_open(&s);
	for (i = 0; i < fa_nr_memory; i++)
		run_call(&fa_memory[i], &s);
	t_case("afterwards");
	t_duo_works(&s.duo);
}

/* Data, of which other threads and interrupts have a part */
struct op {
	const char *name;
	enum ibv_wr_opcode opcode;
	uint32_t len;
	bool receives;
};

static const struct op ops[] = {
	{ "WRITE", IBV_WR_RDMA_WRITE, FA_LEN, false },
	{ "READ", IBV_WR_RDMA_READ, FA_LEN, false },
	{ "SEND", IBV_WR_SEND, FA_LEN, true },
	{ "WRITE_WITH_IMM", IBV_WR_RDMA_WRITE_WITH_IMM, 8, true },
	{ "FETCH_AND_ADD", IBV_WR_ATOMIC_FETCH_AND_ADD, 8, false },
};

/* The allocation after `space` bytes or pages fails, whoever makes it */
static void fail_one(const char *kind, unsigned int space)
{
	set_number(kind, "space", space);
	set_number(kind, "times", 1);
	set_number(kind, "probability", 100);
}

static bool fail_one_end(const char *kind)
{
	char path[96], text[16];

	set_number(kind, "probability", 0);
	snprintf(path, sizeof(path), DEBUGFS "%s/times", kind);
	T_ASSERT(t_read_file(path, text, sizeof(text)), "%s", path);
	return !strtoul(text, NULL, 0);
}

/* Bytes of READs come from b, all others from a; the other side is cold */
static void prepare(struct t_duo *d, const struct op *op, uint64_t seed)
{
	fa_cool(d->abuf);
	fa_cool(d->bbuf);
	t_fill(op->opcode == IBV_WR_RDMA_READ ? d->bbuf : d->abuf, FA_LEN, seed);
	if (op->receives)
		t_post_recv(&d->b, seed, t_sge(d->bmr, d->bbuf, FA_LEN));
}

static void want_bytes(struct t_duo *d, const struct op *op, uint64_t seed)
{
	if (op->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD)
		T_ASSERT(*(uint64_t *)d->bbuf == 1, "not added once");
	else if (op->opcode == IBV_WR_RDMA_READ)
		t_want_data(d->abuf, op->len, seed);
	else
		t_want_data(d->bbuf, op->len, seed);
}

static enum ibv_wc_status run_op(struct t_duo *d, const struct op *op,
				 uint64_t seed, const char *kind,
				 unsigned int space, bool *fired)
{
	struct ibv_send_wr wr = {
		.wr_id = seed,
		.opcode = op->opcode,
		.send_flags = IBV_SEND_SIGNALED,
		.num_sge = 1,
		.wr.rdma = { t_remote(d, 0), d->bmr->rkey },
	};
	struct ibv_sge sge = t_duo_sge(d, 0, op->len);
	struct ibv_wc wc;

	wr.sg_list = &sge;
	if (op->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		wr.wr.atomic.remote_addr = t_remote(d, 0);
		wr.wr.atomic.compare_add = 1;
		wr.wr.atomic.rkey = d->bmr->rkey;
	}
	prepare(d, op, seed);
	if (kind)
		fail_one(kind, space);
	T_OK(t_try_post(&d->a, &wr));
	wc = t_poll(d->a.scq);
	if (kind)
		*fired = fail_one_end(kind);
	if (wc.status)
		return wc.status;
	if (op->receives)
		t_want_wc(d->b.rcq, seed, IBV_WC_SUCCESS);
	want_bytes(d, op, seed);
	return IBV_WC_SUCCESS;
}

/* A page that cannot be had: the request's own, or the other side's */
static bool status_allowed(enum ibv_wc_status status)
{
	return status == IBV_WC_SUCCESS || status == IBV_WC_LOC_PROT_ERR ||
	       status == IBV_WC_REM_OP_ERR;
}

static unsigned int run_data(struct t_duo *d, const struct op *op,
			     const char *kind, unsigned int *failed)
{
	const unsigned int step = strcmp(kind, "failslab") ? 1 : 64;
	static uint64_t seed = 5000;
	enum ibv_wc_status status;
	unsigned int n;
	bool fired;

	for (n = 0; n < MOST; n++) {
		t_case("%s, %s after %u", op->name, kind, n * step);
		status = run_op(d, op, ++seed, kind, n * step, &fired);
		T_ASSERT(status_allowed(status), "%s", t_wc_name(status));
		if (status) {
			(*failed)++;
			t_duo_renew(d);
		}
		if (!fired)
			return n;
		t_case("%s, afterwards", op->name);
		status = run_op(d, op, ++seed, NULL, 0, &fired);
		T_ASSERT(!status, "%s", t_wc_name(status));
	}
	t_fail("%s never ends", op->name);
}

static void run_ops(const char *module)
{
	unsigned int sum = 0, failed = 0;
	struct t_duo d;
	size_t i, k;

	injection_open();
	only_module(module);
	t_duo_open(&d, FA_LEN, T_EXPLICIT, NULL);
	for (i = 0; i < T_ARRAY_SIZE(ops); i++)
		for (k = 0; k < T_ARRAY_SIZE(kinds); k++)
			sum += run_data(&d, &ops[i], kinds[k], &failed);
	T_ASSERT(sum, "nothing was allocated");
	t_note("%u times, %u requests failed", sum, failed);
}

static void requests(void)
{
	run_ops("sodp");
}

static void faults(void)
{
	run_ops("rdma_odp");
}

/*
 * Exit code of `rdma link add`, of which allocation nth fails; left says how
 * many more it would have taken to get there, 0 when it has
 */
static int add_link(unsigned int nth, unsigned int *left, char *said,
		    size_t size)
{
	siginfo_t info;
	char path[64];
	int fd, status, out[2];
	ssize_t got;
	pid_t pid;

	T_ASSERT(!pipe(out), "pipe");
	pid = fork();
	T_ASSERT(pid >= 0, "fork");
	if (!pid) {
		char text[16];

		dup2(out[1], 2);
		close(out[0]);
		snprintf(text, sizeof(text), "%u", nth);
		if (t_write_file("/proc/thread-self/fail-nth", text))
			_exit(100);
		execlp("rdma", "rdma", "link", "add", DEV, "type", "sodp",
		       "netdev", NETDEV, NULL);
		_exit(101);
	}
	close(out[1]);
	got = read(out[0], said, size - 1);
	said[got > 0 ? got : 0] = '\0';
	close(out[0]);
	T_ASSERT(!waitid(P_PID, pid, &info, WEXITED | WNOWAIT), "waitid");
	snprintf(path, sizeof(path), "/proc/%d/fail-nth", pid);
	fd = open(path, O_RDONLY);
	T_ASSERT(fd >= 0, "%s: %s", path, t_errname(errno));
	*left = fail_left(fd);
	close(fd);
	T_ASSERT(waitpid(pid, &status, 0) == pid && WIFEXITED(status),
		 "rdma was killed");
	T_ASSERT(WEXITSTATUS(status) < 100, "rdma cannot be run");
	return WEXITSTATUS(status);
}

static void delete_link(void)
{
	T_ASSERT(!t_system("rdma link delete " DEV), "no device");
}

static void one_link(unsigned int nth)
{
	unsigned int left;
	char said[200];
	int ret;

	t_case("allocation %u", nth);
	ret = add_link(nth, &left, said, sizeof(said));
	T_ASSERT(!ret || (!left && strstr(said, "Cannot allocate memory")),
		 "rdma link add: %d, %s", ret, said);
	if (!ret)
		delete_link();
}

/* How many allocations failed of how many */
static void run_links(const char *depth, unsigned int most, char *note,
		      size_t size)
{
	unsigned int nth, sum, left, step, tried = 0;
	char said[200];
	unsigned int i;

	for (i = 0; i < T_ARRAY_SIZE(kinds); i++)
		set_option(kinds[i], "stacktrace-depth", depth);
	t_case("without a failure");
	T_ASSERT(!add_link(MOST, &left, said, sizeof(said)), "%s", said);
	delete_link();
	sum = MOST - left;
	T_ASSERT(sum > 10, "only %u allocations", sum);
	t_diag("%u allocations, seen from %s functions away", sum, depth);
	step = sum / most + 1;
	for (nth = 1; nth <= sum; nth += step, tried++)
		one_link(nth);
	snprintf(note, size, "%u of %u", tried, sum);
}

/*
 * All that the module asks for itself, and some of the thousands that the
 * RDMA core makes for it, where this module's function is far up the stack
 */
static void links(void)
{
	const unsigned int most = t_full ? MOST : t_quick ? 20 : 100;
	char own[32], all[32];

	injection_open();
	t_system("rdma link delete " DEV " 2>/dev/null;"
		 "ip link delete " NETDEV " 2>/dev/null");
	T_ASSERT(!t_system("ip link add " NETDEV " type dummy && "
			   "ip address add " ADDR "/24 dev " NETDEV " && "
			   "ip link set " NETDEV " up"),
		 "no dummy netdev can be made");
	run_links("9", MOST, own, sizeof(own));
	run_links("32", most, all, sizeof(all));
	t_case("afterwards");
	T_ASSERT(!t_system("rdma link add " DEV " type sodp netdev " NETDEV),
		 "not added");
	delete_link();
	t_system("ip link delete " NETDEV);
	t_note("own: %s allocations, all: %s", own, all);
}

static const struct t_test tests[] = {
	{ "objects", objects, 900 },   { "memory", memory, 900 },
	{ "notified", notified, 900 }, { "requests", requests, 1800 },
	{ "faults", faults, 1800 },    { "links", links, 3600 },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
