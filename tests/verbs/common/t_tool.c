// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Programs such as rdma(8), and what they print */

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "t_tool.h"

int t_output(char *buf, size_t size, const char *fmt, ...)
{
	char cmd[512] = "exec 2>&1; ";
	size_t begin = strlen(cmd);
	va_list ap;
	size_t n;
	FILE *f;
	int status;

	va_start(ap, fmt);
	vsnprintf(cmd + begin, sizeof(cmd) - begin, fmt, ap);
	va_end(ap);
	fflush(stdout);
	f = popen(cmd, "r");
	T_ASSERT(f, "popen: %s", t_errname(errno));
	n = fread(buf, 1, size - 1, f);
	buf[n] = 0;
	T_ASSERT(feof(f), "%s: more than %zu bytes", cmd, size);
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const char *t_value(const char *text, const char *key, char *value,
		    size_t size)
{
	size_t len = strlen(key);
	const char *p = text;

	for (; (p = strstr(p, key)); p += len)
		if (p > text && isspace(p[-1]) && p[len] == ' ')
			break;
	if (!p)
		return NULL;
	p += len + 1;
	len = strcspn(p, "\n ");
	T_ASSERT(len < size, "%s has a long value", key);
	memcpy(value, p, len);
	value[len] = 0;
	return value;
}

uint64_t t_number(const char *text, const char *key)
{
	char value[32];
	char *end;
	uint64_t n;

	T_ASSERT(t_value(text, key, value, sizeof(value)), "no %s in: %s", key,
		 text);
	n = strtoull(value, &end, 10);
	T_ASSERT(!*end, "%s is %s", key, value);
	return n;
}
