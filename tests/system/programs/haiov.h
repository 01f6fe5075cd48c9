/* SPDX-License-Identifier: GPL-2.0-only */
/* The ioctls of /dev/haiov as functions, for programs that expect them to work. */
#ifndef HAIOV_H
#define HAIOV_H

#include <stdint.h>

#include <linux/haiov.h>

#define ANY_CPU (-1)

int open_haiov(void);
uint64_t vm_bind(int haiov, int kvm_vm, unsigned int nr_veirqs);
/* 0 and the id, or the errno. */
int try_route(int haiov, uint64_t vm, unsigned int veirq, int eventfd, int cpu, uint64_t *id);
uint64_t route_add(int haiov, uint64_t vm, unsigned int veirq, int eventfd, int cpu);
void route_move(int haiov, uint64_t route, unsigned int cpu);
void object_destroy(int haiov, uint64_t id);
struct haiov_route_query route_query(int haiov, uint64_t route);
struct haiov_vm_query vm_query(int haiov, uint64_t vm);
int new_eventfd(void);

#endif
