#!/bin/sh
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-only
# User VEIs of the haiov crate in the host under test. Prints "ok NAME" and "not ok NAME: WHY".
# shellcheck source=../../lib/host.sh
. "${0%/*}/host.sh"

contexts=/sys/kernel/debug/haiov/contexts

# Files of debugfs have no size.
context_exists() { grep -q . $contexts; }
no_context_exists() { ! context_exists; }

lsmod | grep -q '^haiov ' || $load || exit 1

# The crate's runtime by itself.
"$here/user_vei" || failed=1

# The example: the sum of 1 to 3000.
"$here/backend" 3000 2 >plain 2>&1
check "backend: takes every number" has plain 'sum 4501500 of 3000 numbers: '

# haiovctl shows it while it is there, and nothing is left of it when it is killed.
"$here/backend" 1000000000 2 >/dev/null 2>&1 &
until context_exists; do kill -0 $! || exit 1; done
$ctl context --json | tr -d ' \n' >shown
check "haiovctl: shows the context's CPU" has shown '"cpu":2'
check "haiovctl: shows the context's process" has shown "\"pid\":$!,"
kill -9 $!
wait
check "kill -9: no context is left" no_context_exists
check "kill -9: the module can go" rmmod haiov
exit $failed
