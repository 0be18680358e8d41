// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Runs tests in children and writes TAP */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "t.h"

#define DEFAULT_SECONDS 60
/* How long a killed test may take to go away before it is left behind */
#define KILL_SECONDS 15

enum result {
	RESULT_NONE,
	RESULT_SKIP,
	RESULT_FAIL,
};

/* What a test tells its parent; the first to fail or skip fills it */
struct report {
	int claimed;
	enum result result;
	char text[1024];
	char note[256];
};

bool t_quick;
bool t_full;
const struct t_test *t_this;

static struct report *report;
static char current_case[512];
static const char *at_func;
static int at_line;

static void __attribute__((noreturn))
report_end(enum result result, const char *fmt, va_list ap)
{
	char text[sizeof(report->text)] = "";
	size_t len = 0;
	size_t i;

	if (result == RESULT_FAIL && current_case[0])
		len += snprintf(text, sizeof(text), "%s: ", current_case);
	vsnprintf(text + len, sizeof(text) - len, fmt, ap);
	len = strlen(text);
	if (result == RESULT_FAIL && at_func)
		snprintf(text + len, sizeof(text) - len, " (last call: %s:%d)",
			 at_func, at_line);
	for (i = 0; text[i]; i++)
		if (text[i] == '\n')
			text[i] = ' ';
	if (!report) {
		fprintf(stderr, "%s\n", text);
		_exit(result == RESULT_SKIP ? T_EXIT_SKIP : T_EXIT_FAIL);
	}
	if (!__atomic_exchange_n(&report->claimed, 1, __ATOMIC_ACQ_REL)) {
		memcpy(report->text, text, sizeof(text));
		__atomic_store_n(&report->result, result, __ATOMIC_RELEASE);
	}
	fflush(stdout);
	_exit(result == RESULT_SKIP ? T_EXIT_SKIP : T_EXIT_FAIL);
}

void t_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_end(RESULT_FAIL, fmt, ap);
}

void t_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_end(RESULT_SKIP, fmt, ap);
}

void t_case(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(current_case, sizeof(current_case), fmt, ap);
	va_end(ap);
}

void t_at(const char *func, int line)
{
	at_func = func;
	at_line = line;
}

void t_note(const char *fmt, ...)
{
	va_list ap;

	if (!report)
		return;
	va_start(ap, fmt);
	vsnprintf(report->note, sizeof(report->note), fmt, ap);
	va_end(ap);
}

void t_diag(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("# ");
	vprintf(fmt, ap);
	printf("\n");
	fflush(stdout);
	va_end(ap);
}

const char *t_errname(int err)
{
	static char buf[4][32];
	static unsigned int next;
	const char *name;
	char *out;

	if (!err)
		return "success";
	name = strerrorname_np(err < 0 ? -err : err);
	if (name && err > 0)
		return name;
	out = buf[next++ % T_ARRAY_SIZE(buf)];
	snprintf(out, sizeof(buf[0]), "%d%s%s", err, name ? " -" : "",
		 name ? name : "");
	return out;
}

bool t_slow_kernel(void)
{
	struct utsname name;

	return !uname(&name) && strstr(name.release, "-sodp-");
}

uint64_t t_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

void t_sleep_ms(unsigned int ms)
{
	struct timespec ts = {
		.tv_sec = ms / 1000,
		.tv_nsec = (ms % 1000) * 1000000L,
	};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

void *t_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	T_ASSERT(p != MAP_FAILED, "mmap of %zu: %s", size, t_errname(errno));
	return p;
}

pid_t t_fork(void)
{
	pid_t parent = getpid();
	pid_t pid;

	fflush(stdout);
	pid = fork();
	T_ASSERT(pid >= 0, "fork: %s", t_errname(errno));
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(T_EXIT_FAIL);
	}
	return pid;
}

void t_reap(pid_t pid)
{
	int status;

	T_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid: %s",
		 t_errname(errno));
	T_ASSERT(WIFEXITED(status) && !WEXITSTATUS(status),
		 "child ended with status %#x", status);
}

uint64_t t_rand(struct t_rand *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint64_t t_rand_below(struct t_rand *r, uint64_t limit)
{
	return limit ? t_rand(r) % limit : 0;
}

char *t_read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return NULL;
	buf[n] = 0;
	buf[strcspn(buf, "\n")] = 0;
	return buf;
}

int t_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int ret;

	if (fd < 0)
		return errno;
	n = write(fd, text, strlen(text));
	ret = n < 0 ? errno : 0;
	close(fd);
	return ret;
}

int t_system(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	fflush(stdout);
	status = system(cmd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Waits for a test; false: it had to be killed. */
static bool wait_child(pid_t pid, unsigned int seconds, int *status)
{
	uint64_t end = t_now_ns() + seconds * 1000000000ULL;
	unsigned int pause_ms = 1;
	pid_t done;

	while (1) {
		done = waitpid(pid, status, WNOHANG);
		if (done == pid)
			return true;
		if (t_now_ns() > end)
			return false;
		t_sleep_ms(pause_ms);
		if (pause_ms < 20)
			pause_ms++;
	}
}

static void kill_test(pid_t pid, char *stack, size_t size)
{
	char path[64];
	int status;

	snprintf(path, sizeof(path), "/proc/%d/wchan", pid);
	if (!t_read_file(path, stack, size))
		stack[0] = 0;
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	if (!wait_child(pid, KILL_SECONDS, &status))
		t_diag("pid %d cannot be killed", pid);
}

static void start_test(const struct t_test *test)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	t_this = test;
	test->fn();
	fflush(stdout);
	_exit(T_EXIT_PASS);
}

/* Runs one test and writes its line. */
static enum result run_test(const struct t_test *test, unsigned int number)
{
	unsigned int seconds = test->seconds ? test->seconds : DEFAULT_SECONDS;
	uint64_t begin = t_now_ns();
	char where[256] = "";
	int status = 0;
	bool ended;
	pid_t pid;

	if (t_slow_kernel())
		seconds *= 4;
	memset(report, 0, sizeof(*report));
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		printf("not ok %u - %s: fork failed\n", number, test->name);
		return RESULT_FAIL;
	}
	if (!pid)
		start_test(test);
	setpgid(pid, pid);
	ended = wait_child(pid, seconds, &status);
	if (!ended)
		kill_test(pid, where, sizeof(where));
	else
		kill(-pid, SIGKILL);

	if (!ended && report->result != RESULT_FAIL)
		snprintf(report->text, sizeof(report->text),
			 "no end after %u s (waiting in %s)", seconds, where);
	else if (ended && WIFSIGNALED(status))
		snprintf(report->text, sizeof(report->text),
			 "killed by signal %d", WTERMSIG(status));
	else if (ended && report->result == RESULT_NONE &&
		 WEXITSTATUS(status))
		snprintf(report->text, sizeof(report->text),
			 "exit status %d", WEXITSTATUS(status));

	if (ended && WIFEXITED(status) && report->result == RESULT_SKIP) {
		printf("ok %u - %s # SKIP %s\n", number, test->name,
		       report->text);
		return RESULT_SKIP;
	}
	if (!ended || report->result == RESULT_FAIL || status) {
		printf("not ok %u - %s\n# %s: %s\n", number, test->name,
		       test->name, report->text);
		return RESULT_FAIL;
	}
	printf("ok %u - %s # %s%s%llu ms\n", number, test->name, report->note,
	       report->note[0] ? ", " : "",
	       (unsigned long long)(t_now_ns() - begin) / 1000000);
	return RESULT_NONE;
}

static bool wanted(const char *name, int nr_names, char **names)
{
	int i;

	for (i = 0; i < nr_names; i++)
		if (!strncmp(name, names[i], strlen(names[i])))
			return true;
	return !nr_names;
}

static int usage(const char *prog)
{
	fprintf(stderr,
		"usage: %s [--list] [--quick | --full] [TEST...]\n"
		"TEST is the beginning of a test's name; the device comes from\n"
		"SODP_DEV, the GID from SODP_GID_INDEX\n",
		prog);
	return 2;
}

int t_main(int argc, char **argv, const struct t_test *tests, size_t nr)
{
	unsigned int count[3] = { 0 };
	unsigned int number = 0;
	unsigned int total = 0;
	bool list = false;
	int arg;
	size_t i;

	for (arg = 1; arg < argc && argv[arg][0] == '-'; arg++) {
		if (!strcmp(argv[arg], "--quick"))
			t_quick = true;
		else if (!strcmp(argv[arg], "--full"))
			t_full = true;
		else if (!strcmp(argv[arg], "--list"))
			list = true;
		else
			return usage(argv[0]);
	}
	for (i = 0; i < nr; i++) {
		if (!wanted(tests[i].name, argc - arg, argv + arg))
			continue;
		total++;
		if (list)
			printf("%s\n", tests[i].name);
	}
	if (list)
		return T_EXIT_PASS;
	if (!total) {
		fprintf(stderr, "%s: no such test\n", argv[0]);
		return 2;
	}
	report = t_shared(sizeof(*report));
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..%u\n", total);
	for (i = 0; i < nr; i++)
		if (wanted(tests[i].name, argc - arg, argv + arg))
			count[run_test(&tests[i], ++number)]++;
	printf("# %u passed, %u failed, %u skipped\n", count[RESULT_NONE],
	       count[RESULT_FAIL], count[RESULT_SKIP]);
	if (count[RESULT_FAIL])
		return T_EXIT_FAIL;
	return count[RESULT_SKIP] == total ? T_EXIT_SKIP : T_EXIT_PASS;
}
