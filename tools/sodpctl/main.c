// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * sodpctl: links of the software RDMA device sodp and what is special to
 * them. This file reads the command line.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sodpctl.h"

#define MAIN_MAX_INTERVAL	86400

static const char main_help[] =
"Usage: sodpctl COMMAND\n"
"  add NAME netdev DEV     add a link on a network device\n"
"  delete NAME             delete it\n"
"  show [NAME] [-j]        links, their state and fault model; -j: JSON\n"
"  watch [NAME] [-i SECONDS] [-n COUNT]\n"
"                          what the counters rise by in each interval\n"
"  fault-model NAME [off] [fixed TIME] [page TIME] [jitter TIME]\n"
"                          show or set delays that are added to page faults;\n"
"                          TIME: number and ns, us, ms or s, at most 1s\n"
"Options: -h, --help; -V, --version; -j, --json; -i, --interval; -n, --count\n"
"Exit code: 0 done, 1 the kernel refused, 2 wrong usage\n";

static const struct main_cmd {
	const char *name;
	int min_args;
	int max_args;
	const char *options;
	int (*run)(const struct ctl_opts *opts, int argc, char **argv);
} main_cmds[] = {
	{ "add", 3, 3, "", ctl_cmd_add },
	{ "delete", 1, 1, "", ctl_cmd_delete },
	{ "show", 0, 1, "j", ctl_cmd_show },
	{ "watch", 0, 1, "in", ctl_cmd_watch },
	{ "fault-model", 1, 9, "", ctl_cmd_model },
};

static bool main_parse_interval(const char *text, double *interval)
{
	char *end;

	*interval = strtod(text, &end);
	return *text && !*end && isfinite(*interval) && *interval >= 0.01 &&
	       *interval <= MAIN_MAX_INTERVAL;
}

static bool main_parse_count(const char *text, unsigned long *count)
{
	char *end;

	if (text[strspn(text, "0123456789")])
		return false;
	*count = strtoul(text, &end, 10);
	return *text && *count;
}

/* What was printed may have got nowhere: a full disk */
static int main_flush(int ret)
{
	bool failed = ferror(stdout);

	errno = 0;
	if (!fflush(stdout) && !failed)
		return ret;
	fprintf(stderr, "sodpctl: cannot write the output%s%s\n",
		errno ? ": " : "", errno ? strerror(errno) : "");
	return CTL_REFUSED;
}

/* Returns an exit code, or -1 to go on */
static int main_parse(int argc, char **argv, struct ctl_opts *opts,
		      char *given)
{
	static const struct option longs[] = {
		{ "count", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ "interval", required_argument, NULL, 'i' },
		{ "json", no_argument, NULL, 'j' },
		{ "version", no_argument, NULL, 'V' },
		{},
	};
	int opt;

	/* What getopt begins its messages with */
	argv[0] = (char *)"sodpctl";
	while ((opt = getopt_long(argc, argv, "hi:jn:V", longs, NULL)) != -1) {
		switch (opt) {
		case 'h':
			fputs(main_help, stdout);
			return CTL_OK;
		case 'V':
			puts("sodpctl " SODP_VERSION);
			return CTL_OK;
		case 'i':
			if (!main_parse_interval(optarg, &opts->interval))
				return ctl_usage("-i %s: seconds from 0.01 to %d expected",
						 optarg, MAIN_MAX_INTERVAL);
			break;
		case 'n':
			if (!main_parse_count(optarg, &opts->count))
				return ctl_usage("-n %s: a number from 1 expected",
						 optarg);
			break;
		case 'j':
			opts->json = true;
			break;
		default:
			/* getopt has said what is wrong */
			return CTL_USAGE;
		}
		if (!strchr(given, opt))
			given[strlen(given)] = opt;
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct ctl_opts opts = { .interval = 1 };
	const struct main_cmd *cmd = NULL;
	char given[8] = "";
	size_t i;
	int ret;

	ret = main_parse(argc, argv, &opts, given);
	if (ret >= 0)
		return main_flush(ret);
	argc -= optind;
	argv += optind;
	if (!argc) {
		fputs(main_help, stderr);
		return CTL_USAGE;
	}
	for (i = 0; i < sizeof(main_cmds) / sizeof(main_cmds[0]); i++)
		if (!strcmp(argv[0], main_cmds[i].name))
			cmd = &main_cmds[i];
	if (!cmd)
		return ctl_usage("no command \"%s\"", argv[0]);
	if (given[strspn(given, cmd->options)])
		return ctl_usage("%s has no option -%c", cmd->name,
				 given[strspn(given, cmd->options)]);
	argc--;
	argv++;
	if (argc < cmd->min_args || argc > cmd->max_args)
		return ctl_usage("%s: too %s words", cmd->name,
				 argc < cmd->min_args ? "few" : "many");
	opts.cmd = cmd->name;
	return main_flush(cmd->run(&opts, argc, argv));
}
