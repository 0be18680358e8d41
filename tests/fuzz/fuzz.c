// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * fuzz - system calls on a device from several threads
 *
 * fuzz [-c CALLS] [-s SEED] [-t THREADS] [-l CORPUS] [-w CORPUS] [-f FILE]
 *
 * The kernel's log is what tells of faults; here a call that never ends is
 * one, and that hardly any call succeeded, which would mean that nothing is
 * tried. -l runs the programs of a corpus first, -w writes what was kept,
 * -f the functions of the modules with the number of places reached in each:
 *
 *   ./lab run --kernel debug --out /tmp/fuzz -- /build/user/tests/fuzz/fuzz \
 *       -c 1000000 -l /src/tests/fuzz/corpus -w /out/corpus
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define MOST_THREADS 16U
/* Seconds without a call, on a slow machine */
#define STUCK 300

typedef int (*call_fn)(struct fz_thread *t);

/* By kind; those that matter most are there more than once */
static const call_fn calls[] = {
	fz_write, fz_write, fz_write, fz_write, fz_write, fz_write,
	fz_ioctl, fz_ioctl, fz_ioctl, fz_post,	fz_post,  fz_bell,
	fz_mmap,  fz_memory, fz_memory, fz_genl, fz_nldev, fz_renew,
	fz_scene, fz_post,  fz_post,  fz_post,
};

const unsigned int fz_kinds = sizeof(calls) / sizeof(calls[0]);

char *fz_arena;
const char *fz_device;
static char device_path[64];
static int files[FZ_FILES];
static struct fz_thread threads[MOST_THREADS];
static unsigned int nr_threads = 4;
static uint64_t nr_calls = 100000;
static uint64_t first_seed = 1;

uint64_t fz_rand(struct fz_rand *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint64_t fz_below(struct fz_rand *r, uint64_t limit)
{
	return fz_rand(r) % limit;
}

bool fz_one_in(struct fz_rand *r, unsigned int n)
{
	return !fz_below(r, n);
}

uint64_t fz_odd(struct fz_rand *r)
{
	static const uint64_t odd[] = {
		0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000,
		0xffffffff, 1ULL << 32, 1ULL << 47, 1ULL << 63, -1ULL,
		0xffff888000000000ULL,
	};

	if (fz_one_in(r, 3))
		return fz_rand(r) >> fz_below(r, 64);
	return odd[fz_below(r, sizeof(odd) / sizeof(odd[0]))] +
	       fz_below(r, 3) - 1;
}

uint64_t fz_addr(struct fz_thread *t)
{
	uint64_t at = (uintptr_t)fz_arena + fz_below(&t->rand, FZ_ARENA);

	/* Of what is not in the arena nothing may be there */
	if (fz_one_in(&t->rand, 12))
		return fz_odd(&t->rand) | 1ULL << 62;
	return fz_one_in(&t->rand, 3) ? at : at & ~(FZ_PAGE - 1);
}

uint64_t fz_length(struct fz_thread *t)
{
	struct fz_rand *r = &t->rand;

	if (fz_one_in(r, 12))
		return fz_odd(r);
	return fz_one_in(r, 3) ? fz_below(r, 70000) :
				 FZ_PAGE << fz_below(r, 10);
}

uint32_t fz_handle(struct fz_thread *t)
{
	if (fz_one_in(&t->rand, 25))
		return fz_odd(&t->rand);
	return fz_below(&t->rand, fz_one_in(&t->rand, 4) ? 64 : 8);
}

uint32_t fz_qpn(struct fz_thread *t)
{
	if (fz_one_in(&t->rand, 20))
		return fz_odd(&t->rand);
	return t->qpn[fz_below(&t->rand, FZ_KEPT)];
}

int fz_fd(struct fz_thread *t)
{
	unsigned int i = fz_one_in(&t->rand, 4) ? 1 : t->number;

	return __atomic_load_n(&files[i % FZ_FILES], __ATOMIC_RELAXED);
}

/* Plain commands only: all of uverbs begins with one */
static int get_context(int fd, struct fz_thread *t)
{
	struct {
		uint32_t command;
		uint16_t in_words;
		uint16_t out_words;
		uint64_t response;
	} get = { 0, 4, FZ_PAGE / 32, (uintptr_t)t->resp };

	return write(fd, &get, sizeof(get)) == sizeof(get) ? 0 : -1;
}

static int new_file(struct fz_thread *t)
{
	unsigned int i = t->number % FZ_FILES;
	int fd, old;

	fd = open(device_path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (get_context(fd, t)) {
		close(fd);
		return -1;
	}
	old = __atomic_exchange_n(&files[i], fd, __ATOMIC_RELAXED);
	if (old > 0)
		close(old);
	return 0;
}

/* A new file, now and then; what was in the old one ends */
int fz_renew(struct fz_thread *t)
{
	return fz_one_in(&t->rand, 20) ? new_file(t) : -1;
}

static void make(struct fz_thread *t, const struct fz_step *step)
{
	t->rand.state = step->seed;
	if (!calls[step->kind](t))
		t->taken++;
	__atomic_add_fetch(&t->calls, 1, __ATOMIC_RELAXED);
}

static void run(struct fz_thread *t, const struct fz_program *program)
{
	unsigned int i;

	fz_cover_begin(t->number);
	for (i = 0; i < program->nr; i++)
		make(t, &program->step[i]);
	if (fz_cover_end(t->number))
		fz_corpus_add(program);
}

static void new_step(struct fz_rand *r, struct fz_step *step)
{
	step->kind = fz_below(r, fz_kinds);
	step->seed = fz_rand(r) >> fz_below(r, 40);
}

/* A new program, or one of the corpus with something changed */
static void invent(struct fz_rand *r, struct fz_program *program)
{
	unsigned int i, changes = 1 + fz_below(r, 4);

	if (fz_one_in(r, 3) || !fz_corpus_pick(r, program)) {
		program->nr = 1 + fz_below(r, FZ_PROGRAM);
		for (i = 0; i < program->nr; i++)
			new_step(r, &program->step[i]);
		return;
	}
	for (i = 0; i < changes; i++) {
		if (fz_one_in(r, 2) && program->nr < FZ_PROGRAM)
			new_step(r, &program->step[program->nr++]);
		else
			new_step(r, &program->step[fz_below(r, program->nr)]);
	}
}

static void *thread_run(void *arg)
{
	struct fz_thread *t = arg;
	struct fz_rand r = { .state = first_seed * 1000 + t->number };
	struct fz_program program;
	unsigned int i;

	fz_cover_open(t->number);
	for (i = t->number; fz_corpus_get(i, &program); i += nr_threads) {
		fz_cover_begin(t->number);
		for (unsigned int j = 0; j < program.nr; j++)
			make(t, &program.step[j]);
		fz_cover_end(t->number);
	}
	while (t->calls < nr_calls / nr_threads) {
		invent(&r, &program);
		run(t, &program);
	}
	return NULL;
}

static uint64_t all_calls(void)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < nr_threads; i++)
		sum += __atomic_load_n(&threads[i].calls, __ATOMIC_RELAXED);
	return sum;
}

/* Ends the process when no call has ended for long */
static void *watch(void *arg)
{
	uint64_t last = 0, now;

	while (1) {
		sleep(STUCK);
		now = all_calls();
		if (now == last) {
			printf("# no call ends, after %llu\n",
			       (unsigned long long)now);
			fflush(stdout);
			_exit(3);
		}
		last = now;
	}
	return arg;
}

static void open_threads(void)
{
	unsigned int i;

	for (i = 0; i < nr_threads; i++) {
		threads[i].number = i;
		threads[i].bell = -1;
		threads[i].channel = -1;
		threads[i].resp = mmap(NULL, 2 * FZ_PAGE,
				       PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (threads[i].resp == MAP_FAILED ||
		    !fz_nl_open(&threads[i])) {
			printf("# no memory, or no netlink family sodp\n");
			_exit(2);
		}
		if (new_file(&threads[i])) {
			printf("# no context on %s\n", device_path);
			_exit(2);
		}
	}
}

/* In a child, which a signal may end */
static int fuzz(const char *from, const char *to, const char *reached)
{
	struct rlimit files_most = { 4096, 4096 };
	pthread_t id[MOST_THREADS], watcher;
	uint64_t taken = 0, made;
	unsigned int i;

	setrlimit(RLIMIT_NOFILE, &files_most);
	fz_arena = mmap(NULL, FZ_ARENA, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (from && !fz_corpus_load(from)) {
		printf("# %s is no corpus\n", from);
		return 2;
	}
	open_threads();
	pthread_create(&watcher, NULL, watch, NULL);
	for (i = 0; i < nr_threads; i++)
		pthread_create(&id[i], NULL, thread_run, &threads[i]);
	for (i = 0; i < nr_threads; i++) {
		pthread_join(id[i], NULL);
		taken += threads[i].taken;
	}
	made = all_calls();
	printf("# %llu calls, %llu succeeded, %u programs, %u places\n",
	       (unsigned long long)made, (unsigned long long)taken,
	       fz_corpus_size(), fz_covered());
	fflush(stdout);
	if ((to && fz_corpus_save(to)) || (reached && fz_cover_save(reached)))
		return 1;
	/* Of calls that are half broken a tenth should be right */
	return taken * 20 < made;
}

static uint64_t number(const char *text)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-') {
		fprintf(stderr, "fuzz: %s is no number\n", text);
		exit(2);
	}
	return value;
}

/* The uverbs file of the device */
static bool find_file(void)
{
	char path[96], name[64];
	unsigned int i;
	FILE *file;
	bool found = false;

	for (i = 0; i < 32 && !found; i++) {
		snprintf(path, sizeof(path),
			 "/sys/class/infiniband_verbs/uverbs%u/ibdev", i);
		file = fopen(path, "r");
		if (!file)
			continue;
		found = fscanf(file, "%63s", name) == 1 &&
			!strcmp(name, fz_device);
		fclose(file);
		snprintf(device_path, sizeof(device_path),
			 "/dev/infiniband/uverbs%u", i);
	}
	return found;
}

static void prepare(void)
{
	fz_device = getenv("SODP_DEV");
	if (!fz_device || strncmp(fz_device, "sodp", 4) || !find_file() ||
	    !fz_scene_open()) {
		printf("1..0 # SKIP no sodp device\n");
		exit(0);
	}
}

int main(int argc, char **argv)
{
	const char *from = NULL, *to = NULL, *reached = NULL;
	int option, status;
	pid_t pid;

	while ((option = getopt(argc, argv, "c:s:t:l:w:f:")) != -1) {
		if (option == 'c')
			nr_calls = number(optarg);
		else if (option == 's')
			first_seed = number(optarg);
		else if (option == 't')
			nr_threads = number(optarg);
		else if (option == 'l')
			from = optarg;
		else if (option == 'w')
			to = optarg;
		else if (option == 'f')
			reached = optarg;
		else
			return 2;
	}
	if (optind < argc || !nr_threads || nr_threads > MOST_THREADS) {
		fprintf(stderr, "fuzz: 1 to %u threads, no words\n",
			MOST_THREADS);
		return 2;
	}
	prepare();
	printf("TAP version 13\n1..1\n");
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(fuzz(from, to, reached));
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("# killed by signal %d\n", WTERMSIG(status));
	printf("%sok 1 - %llu calls, seed %llu\n", status ? "not " : "",
	       (unsigned long long)nr_calls, (unsigned long long)first_seed);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		return 2;
	return status ? 1 : 0;
}
