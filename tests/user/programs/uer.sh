#!/bin/sh
# shellcheck shell=dash disable=SC2016
# SPDX-License-Identifier: GPL-2.0-only
# The console and the bench device of haiov-vmm by UER, in the host under test. Prints "ok NAME" and "not ok NAME: WHY".
# shellcheck source=../../lib/host.sh
. "${0%/*}/host.sh"

# value PHASE NAME: a figure of a phase of the bench device.
value() {
	sed -n "s/.*\"phase\":\"$1\".*\"$2\":\([0-9]*\).*/\1/p" bench
}

equals() { # GOT WANTED
	echo "got $1, wanted $2"
	[ "$1" = "$2" ]
}

# Without the module: the VMM warns and goes on.
lsmod | grep -q '^haiov ' && rmmod haiov
guest plain --console uer --cmdline "$(run 'echo here')" </dev/null
check "refused: the guest runs to its end" is plain.status 0
check "refused: its console works" has plain here
check "refused: one warning" sh -c '[ "$(wc -l <plain.err)" = 1 ] && grep -q "^haiov-vmm: warning: cannot open /dev/haiov: .* go on with exits" plain.err'

$load || exit 1

# The crate's runtime by itself.
"$here/uer" || failed=1

# What a guest prints arrives byte by byte, on one vCPU and with four that print at once.
guest one --console uer --cmdline "$(run 'dd if=/bin/busybox bs=1k count=60 2>/dev/null | base64')" </dev/null
check "1 vCPU: powers off with status 0" is one.status 0
check "1 vCPU: no word on standard error" is one.err ""
# The guest's init prints its last line after that; the terminal adds CRs.
tr -d '\r' <one | sed '/^haiov-guest: /,$d' | base64 -d >one.bytes 2>/dev/null
dd if=/usr/bin/busybox bs=1k count=60 of=wanted 2>/dev/null
check "1 vCPU: 60 KiB of output are exact" cmp one.bytes wanted
for cpus in 2 4; do
	guest many --console uer --cpus $cpus --cmdline "$(run "for i in \$(seq $cpus); do yes \"from \$i: 0123456789\" | head -n 400 & done; wait")" </dev/null
	check "$cpus vCPUs: power off with status 0" is many.status 0
	check "$cpus vCPUs: no word on standard error" is many.err ""
	for i in $(seq $cpus); do
		check "$cpus vCPUs: every line of $i" equals "$(tr -d '\r' <many | grep -c "^from $i: 0123456789\$")" 400
	done
done

# The same on a host that has other things to do, while the threads of the vCPUs are moved from CPU to CPU and stopped.
(while :; do :; done) &
load1=$!
(while :; do :; done) &
load2=$!
guest moved --console uer --cpus 4 --cmdline "$(run 'for i in 1 2 3 4; do yes "from $i: 0123456789" | head -n 1600 & done; wait')" </dev/null &
moves=0
until [ -s moved.status ]; do
	pid=$(pidof haiov-vmm) || continue
	for task in /proc/"$pid"/task/*; do
		moves=$((moves + 1))
		case $(cat "$task/comm" 2>/dev/null) in
		vcpu*) taskset -p $((1 << moves % 4)) "${task##*/}" >/dev/null 2>&1 ;;
		esac
	done
	kill -STOP "$pid" 2>/dev/null && kill -CONT "$pid" 2>/dev/null
	usleep 20000
done
kill $load1 $load2
wait
check "moved: powers off with status 0" is moved.status 0
check "moved: no word on standard error" is moved.err ""
check "moved: the threads were moved often" [ $moves -gt 100 ]
for i in 1 2 3 4; do
	check "moved: every line of $i" equals "$(tr -d '\r' <moved | grep -c "^from $i: 0123456789\$")" 1600
done

typed echoed --console uer
talked 300 --console uer

# Loads and stores of the bench device: all of them by the handler, none by an exit, and the driver finds what it stored.
guest bench.out --mmio-bench bench --cmdline "$(run \
	'for w in empty exit-write exit-read coalesced-write ioeventfd-write uer-write uer-read; do echo $w 1000 >/sys/kernel/debug/haiov_mmio/run || echo FAILED $w; done')" </dev/null
check "bench: the guest runs to its end" is bench.out.status 0
check "bench: every way works" sh -c '! grep FAILED bench.out'
check "bench: stores by UER" equals "$(value uer-write handled_writes)" 1000
check "bench: loads by UER" equals "$(value uer-read handled_reads)" 1000
check "bench: no exit for a store by UER" equals "$(value uer-write mmio_exit_user)" 1
check "bench: no exit for a load by UER" equals "$(value uer-read mmio_exit_user)" 1
check "bench: stores by exit" equals "$(value exit-write writes)" 1000
check "bench: loads by exit" equals "$(value exit-read reads)" 1000
check "bench: coalesced stores" equals "$(value coalesced-write coalesced)" 1000
check "bench: ioeventfds" equals "$(value ioeventfd-write mmio_exit_kernel)" 1000

# kill -9 in the middle of handlers leaves nothing behind.
: >killed
guest killed --console uer --cpus 2 --cmdline "$(run 'yes 0123456789')" </dev/null &
until [ "$(wc -c <killed)" -gt 5000 ] || [ -s killed.status ]; do usleep 50000; done
kill -9 "$(pidof haiov-vmm)"
wait
check "kill -9: no VM is left" equals "$(cat /sys/kernel/debug/haiov/vms)" ""
check "kill -9: the module can go" rmmod haiov
exit $failed
