/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* edu_tests.h - tests of edu.c that are in other files */
#ifndef EDU_TESTS_H
#define EDU_TESTS_H

void test_inflight_unmap(void);
void test_inflight_move(void);
void test_inflight_swap(void);
void test_inflight_fork(void);
void test_inflight_protect(void);
void test_inflight_destroy(void);
void test_inflight_exit(void);
void test_inflight_all(void);
void test_peer(void);
void test_ranges(void);
void test_ranges_run_out(void);

#endif /* EDU_TESTS_H */
