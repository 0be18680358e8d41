// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * trace.c - defines the trace points
 */

#include "core.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
