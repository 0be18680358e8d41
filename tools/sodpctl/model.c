// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * sodpctl fault-model: show and set the delays that are added to faults.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rdma/sodp-nl.h>

#include "sodpctl.h"

#define MODEL_ALL \
	(1u << SODP_NL_ATTR_FAULT_FIXED_NS | \
	 1u << SODP_NL_ATTR_FAULT_PAGE_NS | \
	 1u << SODP_NL_ATTR_FAULT_JITTER_NS)

static const struct {
	const char *name;
	double ns;
} model_units[] = {
	{ "s", 1e9 },
	{ "ms", 1e6 },
	{ "us", 1e3 },
	{ "ns", 1 },
};

#define MODEL_UNITS	(sizeof(model_units) / sizeof(model_units[0]))

static const struct {
	const char *name;
	int attr;
	size_t offset;		/* in struct ctl_model */
} model_words[] = {
	{ "fixed", SODP_NL_ATTR_FAULT_FIXED_NS,
	  offsetof(struct ctl_model, fixed_ns) },
	{ "page", SODP_NL_ATTR_FAULT_PAGE_NS,
	  offsetof(struct ctl_model, page_ns) },
	{ "jitter", SODP_NL_ATTR_FAULT_JITTER_NS,
	  offsetof(struct ctl_model, jitter_ns) },
};

#define MODEL_WORDS	(sizeof(model_words) / sizeof(model_words[0]))

static const uint32_t *model_const_field(const struct ctl_model *model,
					 size_t i)
{
	return (const uint32_t *)((const char *)model +
				  model_words[i].offset);
}

static uint32_t *model_field(struct ctl_model *model, size_t i)
{
	return (uint32_t *)((char *)model + model_words[i].offset);
}

/**
 * ctl_model_print() - a fault model as "sodpctl fault-model" would be given it
 * @model: the model
 * @text: is filled, always terminated
 * @size: of @text
 *
 * All values or "off": one that is not named would stay as it is.
 */
void ctl_model_print(const struct ctl_model *model, char *text, size_t size)
{
	size_t i, unit, used = 0;
	uint32_t ns;

	if (!model->fixed_ns && !model->page_ns && !model->jitter_ns) {
		snprintf(text, size, "off");
		return;
	}
	for (i = 0; i < MODEL_WORDS && used < size; i++) {
		ns = *model_const_field(model, i);
		unit = MODEL_UNITS - 1;
		while (unit && ns >= model_units[unit - 1].ns)
			unit--;
		/* 10 digits: exact up to the greatest value */
		used += snprintf(text + used, size - used, "%s%s %.10g%s",
				 i ? " " : "", model_words[i].name,
				 ns / model_units[unit].ns,
				 model_units[unit].name);
	}
}

/* "150us", "2.5ms"; a bare number only when it is 0 */
static bool model_parse_time(const char *text, uint32_t *ns)
{
	size_t unit;
	double value;
	char *end;

	/* Neither signs nor what else strtod takes: hex, inf, nan */
	if (!isdigit((unsigned char)text[0]) ||
	    tolower((unsigned char)text[strspn(text, "0123456789.")]) == 'x')
		return false;
	value = strtod(text, &end);
	if (!*end && value == 0) {
		*ns = 0;
		return true;
	}
	for (unit = 0; unit < MODEL_UNITS; unit++)
		if (!strcmp(end, model_units[unit].name))
			break;
	if (unit == MODEL_UNITS)
		return false;
	value *= model_units[unit].ns;
	if (value > SODP_NL_FAULT_MAX_NS)
		return false;
	*ns = value + 0.5;
	return true;
}

static int model_parse(int argc, char **argv, struct ctl_model *model,
		       unsigned int *which)
{
	size_t word;
	int i;

	for (i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "off")) {
			memset(model, 0, sizeof(*model));
			*which = MODEL_ALL;
			continue;
		}
		for (word = 0; word < MODEL_WORDS; word++)
			if (!strcmp(argv[i], model_words[word].name))
				break;
		if (word == MODEL_WORDS)
			return ctl_usage("what is \"%s\"? Known are fixed, page, jitter, off",
					 argv[i]);
		if (++i == argc)
			return ctl_usage("%s: no time given", argv[i - 1]);
		if (!model_parse_time(argv[i], model_field(model, word)))
			return ctl_usage("%s %s: not a time such as 150us, at most 1s",
					 argv[i - 1], argv[i]);
		*which |= 1u << model_words[word].attr;
	}
	return CTL_OK;
}

static int model_show(struct ctl_sock *sock, const struct ctl_opts *opts,
		      const char *name)
{
	struct ctl_devs devs;
	char text[128];
	int ret = ctl_family_get(sock, name, &devs);

	if (ret) {
		ctl_fail(sock, opts, name, ret);
	} else {
		ctl_model_print(&devs.dev[0].model, text, sizeof(text));
		puts(text);
	}
	ctl_devs_free(&devs);
	return ret ? CTL_REFUSED : CTL_OK;
}

int ctl_cmd_model(const struct ctl_opts *opts, int argc, char **argv)
{
	struct ctl_model model = {};
	unsigned int which = 0;
	struct ctl_sock sock;
	int ret;

	ret = model_parse(argc - 1, argv + 1, &model, &which);
	if (ret)
		return ret;
	ret = ctl_family_open(&sock);
	if (ret) {
		ret = ctl_fail(&sock, opts, argv[0], ret);
	} else if (!which) {
		ret = model_show(&sock, opts, argv[0]);
	} else {
		ret = ctl_family_set(&sock, argv[0], &model, which);
		if (ret)
			ret = ctl_fail(&sock, opts, argv[0], ret);
	}
	ctl_sock_close(&sock);
	return ret;
}
