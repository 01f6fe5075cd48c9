# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# TAP for tests in shell: source it, call ok, is, like or skip for each check, end with 'tap_done'.

tap_count=0
tap_failed=0

# tap_diag TEXT: an explanation, as comment lines.
tap_diag() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

# ok STATUS NAME: passed when the status is 0.
ok() {
	tap_count=$((tap_count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tap_count - $2"
	else
		tap_failed=$((tap_failed + 1))
		echo "not ok $tap_count - $2"
		return 1
	fi
}

# is GOT WANTED NAME
is() {
	if [ "$1" = "$2" ]; then
		ok 0 "$3"
	else
		ok 1 "$3" || :
		tap_diag "got:    $1"
		tap_diag "wanted: $2"
		return 1
	fi
}

# like TEXT EXTENDED-REGEX NAME
like() {
	# Not from a pipe: grep leaves at the first match, and with pipefail the writer's SIGPIPE would count.
	if grep -qE -- "$2" <<<"$1"; then
		ok 0 "$3"
	else
		ok 1 "$3" || :
		tap_diag "got: $1"
		tap_diag "wanted a line like: $2"
		return 1
	fi
}

# skip REASON NAME: counted as skipped, never as passed.
skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $2 # SKIP $1"
}

# tap_done: the plan, and the exit status.
tap_done() {
	echo "1..$tap_count"
	[ "$tap_failed" = 0 ]
}
