// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Trace points: what they call devices, queue pairs, regions and processes is
 * what rdma(8) calls them.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/t_duo.h"
#include "common/t_tool.h"

#define LEN (64 * T_PAGE)
#define TRACING "/sys/kernel/tracing/"

static void trace_on(void)
{
	if (t_write_file(TRACING "events/rdma_odp/enable", "1") ||
	    t_write_file(TRACING "events/sodp/enable", "1"))
		t_skip("no trace points");
	/* That empties it */
	close(open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
	T_ASSERT(!t_write_file(TRACING "tracing_on", "1"), "tracing: %s",
		 t_errname(errno));
}

static char *trace_off(void)
{
	size_t size = 1 << 20, n;
	char *text = calloc(1, size);
	FILE *f;

	t_write_file(TRACING "tracing_on", "0");
	t_write_file(TRACING "events/rdma_odp/enable", "0");
	t_write_file(TRACING "events/sodp/enable", "0");
	f = fopen(TRACING "trace", "r");
	T_ASSERT(f && text, "trace: %s", t_errname(errno));
	n = fread(text, 1, size - 1, f);
	fclose(f);
	T_ASSERT(n > 0, "an empty trace");
	return text;
}

/* A line of this event that has all of this behind its name */
static void want_event(const char *trace, const char *event, const char *fmt,
		       ...)
{
	char want[160], name[40];
	const char *line;
	va_list args;
	size_t n;

	va_start(args, fmt);
	vsnprintf(want, sizeof(want), fmt, args);
	va_end(args);
	n = strlen(want);
	snprintf(name, sizeof(name), " %s: ", event);
	for (line = strstr(trace, name); line; line = strstr(line, name)) {
		line += strlen(name);
		if (!strncmp(line, want, n) && line[n] == ' ')
			return;
	}
	T_ASSERT(false, "no %s with \"%s\"", event, want);
}

/* What rdma(8) calls the region with this key */
static unsigned int mrn_of(const struct t_dev *dev, uint32_t lkey)
{
	char text[4096];

	T_ASSERT(!t_output(text, sizeof(text),
			   "rdma resource show mr dev %s | grep -w 'lkey %#x'",
			   dev->name, lkey),
		 "rdma resource: %s", text);
	return t_number(text, "mrn");
}

static void names(void)
{
	struct t_duo d;
	int pid = getpid();
	char *trace;

	t_duo_open(&d, LEN, T_EXPLICIT, NULL);
	trace_on();
	t_duo_works(&d);
	madvise(d.bbuf, LEN, MADV_DONTNEED);
	trace = trace_off();
	t_case("a fault");
	want_event(trace, "odp_fault_begin", "dev=%s mrn=%u pid=%d",
		   d.dev.name, mrn_of(&d.dev, d.bmr->lkey), pid);
	want_event(trace, "odp_fault_end", "dev=%s mrn=%u pid=%d", d.dev.name,
		   mrn_of(&d.dev, d.amr->lkey), pid);
	want_event(trace, "odp_commit", "dev=%s mrn=%u pid=%d", d.dev.name,
		   mrn_of(&d.dev, d.bmr->lkey), pid);
	t_case("an invalidation");
	want_event(trace, "odp_invalidate", "dev=%s pid=%d", d.dev.name, pid);
	free(trace);
}

/* The first fault of a process is a worker's in any case */
static void waits(void)
{
	struct t_duo d;
	unsigned int qpn;
	char *trace;

	trace_on();
	t_duo_open(&d, LEN, T_EXPLICIT, NULL);
	qpn = d.a.qp->qp_num;
	t_duo_works(&d);
	trace = trace_off();
	if (strstr(trace, "side=responder"))
		want_event(trace, "sodp_wait_begin",
			   "dev=%s qpn=%u side=responder mrn=%u", d.dev.name,
			   d.b.qp->qp_num, mrn_of(&d.dev, d.bmr->lkey));
	else
		want_event(trace, "sodp_wait_begin",
			   "dev=%s qpn=%u side=requester mrn=%u", d.dev.name,
			   qpn, mrn_of(&d.dev, d.bmr->lkey));
	T_ASSERT(strstr(trace, " sodp_wait_end: "), "it never ended");
	free(trace);
}

static const struct t_test tests[] = {
	{ "names", names },
	{ "waits", waits },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
