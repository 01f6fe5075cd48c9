#!/bin/sh
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-only
# kunit.sh MODULE SUITE...: loads a module whose KUnit suites run then, and says "ok NAME" and "not ok NAME: WHY" for
# each of their tests.
module=$1
shift
insmod "/extra/$module.ko" 2>/dev/null || modprobe "$module" || exit 1
for suite; do
	# Only what is about a machine without Xhaiov is to be skipped on this one.
	sed -nE '/# SKIP the machine has Xhaiov$/d
		s/^ +ok [0-9]+ (.*) # SKIP (.*)/not ok \1: skipped, \2/p
		t
		s/^ +(not )?ok [0-9]+ (.*)/\1ok \2/p' "/sys/kernel/debug/kunit/$suite/results" >/tmp/results
	cat /tmp/results
	grep -q '^ok' /tmp/results && ! grep -q '^not ok' /tmp/results || exit 1
done
rmmod "$module"
