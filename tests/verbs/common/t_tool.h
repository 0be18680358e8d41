/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* t_tool.h - programs such as rdma(8), and what they print */
#ifndef T_TOOL_H
#define T_TOOL_H

#include "t.h"

/* Exit code of shell commands; what they print, errors too, is in buf */
int t_output(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* In text such as "… key value …": the value, or NULL when there is no key */
const char *t_value(const char *text, const char *key, char *value,
		    size_t size);
/* The same for a number, which must be there */
uint64_t t_number(const char *text, const char *key);

#endif /* T_TOOL_H */
