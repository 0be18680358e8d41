// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* The ICRC as sodp.ko has it, for the tests in wire.c */
#include "../net/icrc.c"
