#!/bin/sh
# shellcheck shell=dash disable=SC2016,SC2034,SC3045
# SPDX-License-Identifier: GPL-2.0-only
# For scripts in the host under test that drive haiov-vmm: which programs, checks, guests. Source it.
# Programs are those of the image, unless there are others beside this file.
here=${0%/*}
vmm=/usr/bin/haiov-vmm
ctl=/usr/bin/haiovctl
kernel=/boot/Image
initrd=/boot/guest.cpio
load="modprobe haiov"
[ -x "$here/haiov-vmm" ] && vmm=$here/haiov-vmm
[ -x "$here/haiovctl" ] && ctl=$here/haiovctl
[ -e "$here/Image" ] && kernel=$here/Image
[ -e "$here/guest.cpio" ] && initrd=$here/guest.cpio
[ -e "$here/haiov.ko" ] && load="insmod $here/haiov.ko"
cd /tmp || exit 1
failed=0

check() { # NAME COMMAND...: passed when the command succeeds
	checked=$1
	shift
	if "$@" >check.out 2>&1; then
		echo "ok $checked"
	else
		echo "not ok $checked: $* gave: $(tail -n 3 check.out | tr '\n' ' ')"
		failed=1
	fi
}

# guest OUT ARGUMENTS...: runs the VMM; its output and status are OUT and OUT.status, its errors OUT.err.
guest() {
	out=$1
	shift
	timeout 300 "$vmm" --kernel "$kernel" --initrd "$initrd" "$@" >"$out" 2>"$out.err"
	echo $? >"$out.status"
}

# run COMMAND: the kernel command line with which a guest runs it.
run() {
	echo "console=ttyS0 quiet haiov.cmd=$(printf %s "$1" | base64 | tr -d '\n')"
}

has() { # FILE TEXT
	grep -qF -- "$2" "$1" || {
		tail -n 5 "$1"
		return 1
	}
}

is() { # FILE TEXT: the file is that one line
	[ "$(cat "$1")" = "$2" ] || {
		cat "$1"
		return 1
	}
}

# typed OUT ARGUMENTS...: a guest whose console takes a line, which is longer than the port holds.
# Typed only once the guest reads, since a serial port that nobody has opened forgets.
typed() {
	mkfifo keys
	exec 3<>keys
	guest "$@" --cmdline "$(run 'exec </dev/console; echo READY; read -r line; echo "got <$line>"')" <keys &
	until grep -q READY "$1" 2>/dev/null || [ -s "$1.status" ]; do usleep 50000; done
	long=0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz
	echo $long >&3
	wait
	exec 3>&-
	rm keys
	check "input: more than the port holds arrives in order" has "$1" "got <$long>"
}

# talked ROUNDS ARGUMENTS...: a guest that says a word and waits for a line, again and again. This shell and all threads of the
# VMM but the vCPU's are on one CPU, and it is busy for a while before it answers: whoever is amid an interrupt for
# the word is then amid it still when that for the answer is due.
talked() {
	rounds=$1
	shift
	mkfifo keys said
	exec 3<>keys 4<>said
	taskset -p -c 0 $$ >/dev/null
	guest said --cpu-of-vcpu 1 "$@" --cmdline "$(run "exec </dev/console; stty -echo
		for i in \$(seq $rounds); do echo ::word; read -r line; done; echo ::done")" <keys 3<&- 4<&- &
	round=0
	while read -r -t 30 line <&4; do
		case $line in
		::word*)
			round=$((round + 1))
			while read -r line; do :; done </sys/kernel/debug/haiov/counters
			echo answer >&3
			;;
		::done*) break ;;
		esac
	done
	[ $round = "$rounds" ] || kill "$(pidof haiov-vmm)"
	wait
	exec 3>&- 4>&-
	rm keys said
	taskset -p ff $$ >/dev/null
	check "input: each of $rounds answers arrives" [ $round = "$rounds" ]
}
