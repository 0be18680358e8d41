/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * t.h - running tests: TAP, one child process per test, time limits
 *
 * A test is a function that runs in a child of its own with a process group
 * of its own. It ends the child by t_fail(), t_skip() or by returning. What it
 * opened goes away with the child, whatever happened, and a test that hangs
 * is one failed test.
 */
#ifndef T_H
#define T_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#define T_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Exit codes of the programs, as kselftest has them */
enum {
	T_EXIT_PASS = 0,
	T_EXIT_FAIL = 1,
	T_EXIT_SKIP = 4,
};

struct t_test {
	const char *name;
	void (*fn)(void);
	unsigned int seconds; /* 0: 60; of a slow kernel four times that */
	const void *arg;
};

/* The test that runs, for those that share a function */
extern const struct t_test *t_this;

/*
 * Runs the tests, or those named in argv. Returns the exit code. Every
 * program also takes --list, --quick and --full.
 */
int t_main(int argc, char **argv, const struct t_test *tests, size_t nr);

extern bool t_quick;
extern bool t_full;

void t_fail(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));
void t_skip(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));
/* What is being done, said by every failure until it is set anew */
void t_case(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Where helpers were called from, said likewise */
void t_at(const char *func, int line);
/* Appended to the TAP line of a test that passes */
void t_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A comment line of its own */
void t_diag(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define T_ASSERT(cond, fmt, ...)                                          \
	do {                                                              \
		if (!(cond))                                              \
			t_fail("%s:%d: " fmt, __func__, __LINE__,         \
			       ##__VA_ARGS__);                            \
	} while (0)

/* The common cases of it: expects 0, or an errno, of calls as verbs has them */
#define T_OK(call)                                                        \
	do {                                                              \
		int t_ret = (call);                                       \
		T_ASSERT(!t_ret, "%s: %s", #call, t_errname(t_ret));      \
	} while (0)

#define T_ERR(call, want)                                                 \
	do {                                                              \
		int t_ret = (call);                                       \
		T_ASSERT(t_ret == (want), "%s gave %s, want %s", #call,   \
			 t_errname(t_ret), t_errname(want));              \
	} while (0)

/* For calls that return NULL and set errno */
#define T_NULL_ERRNO(call, want)                                          \
	do {                                                              \
		errno = 0;                                                \
		T_ASSERT(!(call), "%s succeeded, want %s", #call,         \
			 t_errname(want));                                \
		T_ASSERT(errno == (want), "%s gave %s, want %s", #call,   \
			 t_errname(errno), t_errname(want));              \
	} while (0)

const char *t_errname(int err);

/* Kernels that check themselves do everything several times slower */
bool t_slow_kernel(void);

uint64_t t_now_ns(void);
void t_sleep_ms(unsigned int ms);

/* A child of the test: dies with it, its failure is the test's failure */
pid_t t_fork(void);
void t_reap(pid_t pid);
/* Memory shared between a test and its children */
void *t_shared(size_t size);

/* A small generator, so that a failure can be had again from its seed */
struct t_rand {
	uint64_t state;
};

uint64_t t_rand(struct t_rand *r);
uint64_t t_rand_below(struct t_rand *r, uint64_t limit);

/* One line of a kernel file; NULL when it cannot be read */
char *t_read_file(const char *path, char *buf, size_t size);
int t_write_file(const char *path, const char *text);
__attribute__((format(printf, 1, 2))) int t_system(const char *fmt, ...);

#endif /* T_H */
