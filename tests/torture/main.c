// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * torture - everything at once, from a seed
 *
 *   torture                    the fixed seeds of CI
 *   torture --seconds N        other seeds, from --seed on
 *   torture --seed S [--steps LIST]   one, or a part of its steps
 */

#include <stdlib.h>
#include <unistd.h>

#include "torture.h"

#define ROUNDS 12
#define NR_FIXED 12
#define SABOTAGE_ROUNDS 2

struct arguments {
	struct options o;
	uint64_t seed;
	unsigned int seconds;
	const char *steps;
	bool has_seed;
	bool print;
	bool run;
};

static struct plan plan;
static unsigned int nr_cases;
static unsigned int nr_failed;
static unsigned int nr_skipped;

static int complain(const char *what, const char *word)
{
	fprintf(stderr, "torture: %s%s (try --help)\n", what, word);
	return 2;
}

static void help(void)
{
	puts("usage: torture [--seed N [--steps LIST]] [--seconds N]\n"
	     "  --seed N     this seed; without it, those of CI\n"
	     "  --steps LIST only these of its steps, such as 3,7-9\n"
	     "  --seconds N  one seed after the other, for so long\n"
	     "  --rounds N   of a seed's plan\n"
	     "  --shrink N   seconds to look for fewer steps that still fail\n"
	     "  --print      the steps, and run nothing\n"
	     "  --sabotage N the test does harm that it must find: 1 to a byte,\n"
	     "               2 to a completion");
}

static bool number(const char *text, uint64_t most, uint64_t *value)
{
	char *end;

	errno = 0;
	if (!text || *text < '0' || *text > '9')
		return false;
	*value = strtoull(text, &end, 10);
	return !*end && !errno && *value <= most;
}

/* 0, or the exit code */
static int parse_value(struct arguments *a, const char *name,
		       const char *text)
{
	uint64_t value;

	if (!strcmp(name, "--steps")) {
		a->steps = text;
		return text ? 0 : complain("no value of ", name);
	}
	if (!strcmp(name, "--seed")) {
		if (!number(text, UINT32_MAX, &a->seed))
			return complain("unknown seed ", text ? text : "");
		a->has_seed = true;
		return 0;
	}
	if (!number(text, 1000000, &value))
		return complain("not a number: ", text ? text : name);
	if (!strcmp(name, "--seconds") && value)
		a->seconds = value;
	else if (!strcmp(name, "--rounds") && value && value <= MAX_ROUNDS)
		a->o.rounds = value;
	else if (!strcmp(name, "--shrink"))
		a->o.shrink_seconds = value;
	else if (!strcmp(name, "--sabotage") && value <= SABOTAGE_COMPLETION)
		a->o.sabotage = value;
	else
		return complain("no such value: ", text);
	return 0;
}

static int parse(struct arguments *a, int argc, char **argv)
{
	static const char *const valued[] = { "--seed", "--steps", "--seconds",
					      "--rounds", "--shrink",
					      "--sabotage" };
	size_t k;
	int ret;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help")) {
			help();
			exit(0);
		}
		if (!strcmp(argv[i], "--print")) {
			a->print = true;
			continue;
		}
		if (!strcmp(argv[i], "--run")) {
			a->run = true;
			continue;
		}
		for (k = 0; k < T_ARRAY_SIZE(valued); k++)
			if (!strcmp(argv[i], valued[k]))
				break;
		if (k == T_ARRAY_SIZE(valued))
			return complain("unknown option ", argv[i]);
		ret = parse_value(a, argv[i], i + 1 < argc ? argv[i + 1] :
							     NULL);
		if (ret)
			return ret;
		i++;
	}
	if ((a->steps || a->print) && !a->has_seed)
		return complain("of which --seed?", "");
	if (a->steps && a->seconds)
		return complain("--steps and --seconds are not for together",
				"");
	return 0;
}

static void describe(const char *name, unsigned int runs, unsigned int left)
{
	static char list[8192];

	plan_list(&plan, list, sizeof(list));
	t_diag("%s: %u runs, %u of %u steps are left", name, runs, left,
	       plan.nr);
	plan_print(&plan, "# ");
	t_diag("again: torture --seed %llu --rounds %u --steps %s",
	       (unsigned long long)plan.seed, plan.rounds, list);
}

/* The TAP case of the plan; how many steps are left when it failed */
static unsigned int run_case(const struct options *o, struct outcome *out)
{
	uint64_t begin = t_now_ns();
	unsigned int left = 0;
	unsigned int runs;
	char name[64];

	snprintf(name, sizeof(name), "seed-%llu%s",
		 (unsigned long long)plan.seed, plan.wire ? "-wire" : "");
	run_apart(&plan, o, out);
	if (out->failed) {
		t_diag("%s: %s", name, out->text);
		runs = o->shrink_seconds ? shrink(&plan, o, out) : 0;
		left = plan_count(&plan);
		describe(name, runs, left);
	}
	if (o->sabotage)
		return left;
	nr_cases++;
	if (out->failed) {
		nr_failed++;
		printf("not ok %u - %s\n# %s: %s\n", nr_cases, name, name,
		       out->text);
	} else if (out->skipped) {
		nr_skipped++;
		printf("ok %u - %s # SKIP %s\n", nr_cases, name, out->text);
	} else {
		printf("ok %u - %s # %u steps, %llu ms\n", nr_cases, name,
		       plan_count(&plan),
		       (unsigned long long)(t_now_ns() - begin) / 1000000);
	}
	return left;
}

/* Is this a STORE whose bytes nothing else in its round touches? */
static bool is_lonely_store(const struct step *s)
{
	const struct step *other;
	unsigned int i;

	if (s->op != OP_STORE || s->round || s->region == DEVICE)
		return false;
	for (i = 0; i < plan.nr && !plan.steps[i].round; i++) {
		other = &plan.steps[i];
		if (other != s && other->peer == s->worker &&
		    other->region == s->region)
			return false;
	}
	return true;
}

/* A plan in which both sorts of harm have something to happen to */
static void make_sabotage_plan(void)
{
	bool store, read, dies;
	uint64_t seed = 0;
	struct step *s;
	unsigned int i;

	do {
		plan_make(&plan, ++seed, SABOTAGE_ROUNDS);
		store = false;
		read = false;
		dies = plan.wire;
		for (i = 0; i < plan.nr; i++) {
			s = &plan.steps[i];
			store |= is_lonely_store(s);
			read |= s->op == OP_READ && !s->round;
			dies |= s->op == OP_KILL || s->op == OP_EXEC;
		}
	} while (!store || !read || dies);
}

/* Harm that this program does itself must be found, and be shrunk */
static void sabotage_case(struct options o, enum sabotage sabotage)
{
	static const char *const names[] = { "", "byte", "completion" };
	struct outcome out;
	unsigned int left;
	bool good;

	o.sabotage = sabotage;
	o.shrink_seconds = t_slow_kernel() ? 240 : 60;
	o.attempts = 1;
	o.rounds = SABOTAGE_ROUNDS;
	make_sabotage_plan();
	left = run_case(&o, &out);
	good = out.failed && left <= 3;
	nr_cases++;
	nr_failed += !good;
	printf("%sok %u - sabotage-%s # %u steps left: %s\n",
	       good ? "" : "not ", nr_cases, names[sabotage], left, out.text);
}

/* Over the fixed seeds everything happens that can */
static void kinds_case(void)
{
	static char list[1024];
	bool good = tally_whole(list, sizeof(list));

	if (nr_skipped)
		return;
	nr_cases++;
	nr_failed += !good;
	printf("%sok %u - kinds%s%s\n", good ? "" : "not ", nr_cases,
	       good ? "" : " # never happened: ", list);
}

static int finish(void)
{
	surround_leave();
	tally_print();
	printf("1..%u\n# %u passed, %u failed, %u skipped\n", nr_cases,
	       nr_cases - nr_failed - nr_skipped, nr_failed, nr_skipped);
	if (nr_failed)
		return T_EXIT_FAIL;
	return nr_skipped == nr_cases ? T_EXIT_SKIP : T_EXIT_PASS;
}

static void run_seed(const struct arguments *a, uint64_t seed)
{
	struct outcome out;

	plan_make(&plan, seed, a->o.rounds);
	run_case(&a->o, &out);
}

int main(int argc, char **argv)
{
	struct arguments a = {
		.o = { .rounds = ROUNDS, .shrink_seconds = 60, .attempts = 3 },
	};
	struct outcome out;
	uint64_t end;
	uint64_t seed;
	int ret;

	ret = parse(&a, argc, argv);
	if (ret)
		return ret;
	setvbuf(stdout, NULL, _IOLBF, 0);
	plan_make(&plan, a.seed, a.o.rounds);
	if (a.steps && !plan_keep(&plan, a.steps))
		return complain("no such steps: ", a.steps);
	if (a.print) {
		plan_print(&plan, "");
		return 0;
	}
	if (!getenv("SODP_DEV")) {
		printf("1..0 # SKIP SODP_DEV is not set\n");
		return T_EXIT_SKIP;
	}
	if (a.run) {
		tally_take();
		run_plan(&plan, a.o.sabotage);
		return T_EXIT_PASS;
	}
	tally_make();
	printf("TAP version 13\n");
	if (a.seconds) {
		end = t_now_ns() + a.seconds * 1000000000ULL;
		seed = a.has_seed ? a.seed : t_now_ns() % 1000000;
		do
			run_seed(&a, seed++);
		while (t_now_ns() < end);
	} else if (a.has_seed) {
		run_case(&a.o, &out);
	} else {
		for (seed = 1; seed <= NR_FIXED; seed++)
			run_seed(&a, seed);
		kinds_case();
		sabotage_case(a.o, SABOTAGE_BYTE);
		sabotage_case(a.o, SABOTAGE_COMPLETION);
	}
	return finish();
}
