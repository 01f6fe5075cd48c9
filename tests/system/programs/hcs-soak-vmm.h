/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lives of a VMM in the soak of contexts. Its guest looks for what was written in earlier lives, then writes more of
 * it, and ends well (pieces.sh); or the VMM is killed at some point of that.
 */
#ifndef HCS_SOAK_VMM_H
#define HCS_SOAK_VMM_H

#include <stdbool.h>
#include <sys/types.h>

/* Becomes the VMM; its output goes to a file. */
void vmm_become(char **command) __attribute__((noreturn));
/* The process @pid does: a life begins. */
void vmm_begins(pid_t pid, unsigned int *seed);
/* Looks at what it has said; whether it is to be killed now. */
bool vmm_is_due(void);
/* Whether it has said nothing for so long that it never will again; tells what there is to know then. */
bool vmm_is_stuck(void);
/* It has ended, by kill -9 or by itself: whether its guest found all as it should be. */
bool vmm_ended(bool killed);
bool vmm_was_killed(void);
/* Figures, and the check that all of it has happened. */
void vmm_report(void);

#endif
