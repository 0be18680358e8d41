// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Coverage by kcov, of what is built for it: the two modules. Programs that
 * were at places where none was before are kept.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/kcov.h>

#include "fuzz.h"

#define WORDS (64 * 1024)
#define SEEN_BITS 20
#define THREADS 16
#define PLACES 65536U
#define CORPUS_MOST 4000
#define CORPUS_BYTES (1024 * 1024)

static uint64_t *area[THREADS];
/* By a hash: two places in one slot count as one */
static unsigned char seen[1 << SEEN_BITS];
static uint64_t places[PLACES];
static unsigned int covered;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fz_program *corpus;
static unsigned int corpus_nr;

bool fz_cover_open(unsigned int thread)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR);

	if (fd < 0 || thread >= THREADS)
		return false;
	if (ioctl(fd, KCOV_INIT_TRACE, WORDS))
		return false;
	area[thread] = mmap(NULL, WORDS * sizeof(uint64_t),
			    PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (area[thread] == MAP_FAILED ||
	    ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC)) {
		area[thread] = NULL;
		return false;
	}
	return true;
}

void fz_cover_begin(unsigned int thread)
{
	if (area[thread])
		__atomic_store_n(&area[thread][0], 0, __ATOMIC_RELAXED);
}

unsigned int fz_cover_end(unsigned int thread)
{
	unsigned int found = 0;
	uint64_t nr, i, slot;

	if (!area[thread])
		return 0;
	nr = __atomic_load_n(&area[thread][0], __ATOMIC_RELAXED);
	for (i = 1; i <= nr && i < WORDS; i++) {
		slot = area[thread][i] * 0x9e3779b97f4a7c15ULL >>
		       (64 - SEEN_BITS);
		if (__atomic_exchange_n(&seen[slot], 1, __ATOMIC_RELAXED))
			continue;
		slot = __atomic_fetch_add(&covered, 1, __ATOMIC_RELAXED);
		if (slot < PLACES)
			places[slot] = area[thread][i];
		found++;
	}
	return found;
}

unsigned int fz_covered(void)
{
	return __atomic_load_n(&covered, __ATOMIC_RELAXED);
}

/* Places from here to there that were reached */
static unsigned int places_in(uint64_t from, uint64_t to)
{
	unsigned int nr = fz_covered(), found = 0;
	unsigned int i;

	for (i = 0; i < nr && i < PLACES; i++)
		found += places[i] >= from && places[i] < to;
	return found;
}

/* The functions of both modules, each with the places reached in it */
int fz_cover_save(const char *path)
{
	FILE *from = popen("grep -E ' [tT] .*\\[(sodp|rdma_odp)\\]' "
			   "/proc/kallsyms | grep -vE '__|trace_|\\.cold' | sort",
			   "r");
	FILE *to = fopen(path, "w");
	uint64_t addr, last = 0;
	char name[128], next[128];

	while (from && to &&
	       fscanf(from, "%" SCNx64 " %*c %127s %*s", &addr, next) == 2) {
		if (last)
			fprintf(to, "%u %s\n", places_in(last, addr), name);
		last = addr;
		memcpy(name, next, sizeof(name));
	}
	if (from)
		pclose(from);
	return to ? fclose(to) : -1;
}

static bool add(const struct fz_program *program)
{
	if (!corpus)
		corpus = calloc(CORPUS_MOST, sizeof(*corpus));
	if (!corpus || corpus_nr == CORPUS_MOST)
		return false;
	corpus[corpus_nr++] = *program;
	return true;
}

void fz_corpus_add(const struct fz_program *program)
{
	pthread_mutex_lock(&lock);
	add(program);
	pthread_mutex_unlock(&lock);
}

bool fz_corpus_get(unsigned int i, struct fz_program *program)
{
	bool there;

	pthread_mutex_lock(&lock);
	there = i < corpus_nr;
	if (there)
		*program = corpus[i];
	pthread_mutex_unlock(&lock);
	return there;
}

unsigned int fz_corpus_size(void)
{
	return __atomic_load_n(&corpus_nr, __ATOMIC_RELAXED);
}

bool fz_corpus_pick(struct fz_rand *r, struct fz_program *program)
{
	unsigned int nr = fz_corpus_size();

	return nr && fz_corpus_get(fz_below(r, nr), program);
}

static bool parse(char *line, struct fz_program *program)
{
	char *word, *rest = line;

	program->nr = 0;
	while ((word = strsep(&rest, "\n "))) {
		struct fz_step *step = &program->step[program->nr];
		unsigned int kind;

		if (!*word)
			continue;
		if (program->nr == FZ_PROGRAM ||
		    sscanf(word, "%x:%" SCNx64, &kind, &step->seed) != 2 ||
		    kind >= fz_kinds)
			return false;
		step->kind = kind;
		program->nr++;
	}
	return program->nr;
}

bool fz_corpus_load(const char *path)
{
	struct fz_program program;
	char line[2048];
	FILE *file = fopen(path, "r");
	bool right = true;

	if (!file)
		return false;
	while (right && fgets(line, sizeof(line), file))
		right = parse(line, &program) && add(&program);
	fclose(file);
	return right;
}

int fz_corpus_save(const char *path)
{
	FILE *file = fopen(path, "w");
	unsigned int i, j;

	if (!file)
		return -1;
	for (i = 0; i < corpus_nr && ftell(file) < CORPUS_BYTES - 2048; i++) {
		for (j = 0; j < corpus[i].nr; j++)
			fprintf(file, "%s%x:%" PRIx64, j ? " " : "",
				corpus[i].step[j].kind,
				corpus[i].step[j].seed);
		fputc('\n', file);
	}
	return fclose(file);
}
