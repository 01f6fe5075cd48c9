#!/bin/sh
# shellcheck shell=dash disable=SC2016,SC2317
# SPDX-License-Identifier: GPL-2.0-only
# Tries haiov-vmm, haiovctl and the haiov crate in the host under test. Prints "ok NAME" and "not ok NAME: WHY".
# shellcheck source=../../lib/host.sh
. "${0%/*}/host.sh"

one_sentence() { # FILE BEGINNING
	[ "$(wc -l <"$1")" = 1 ] && has "$1" "haiov-vmm: $2"
}

every_phase() { # FILE: four phases, and all that was sent in them had been seen
	[ "$(grep -c '"complete":true' "$1")" = 4 ] && [ "$(wc -l <"$1")" = 4 ]
}

# Without the module: a VMM that asks and is refused goes on.
lsmod | grep -q '^haiov ' && rmmod haiov
bell=/sys/kernel/debug/haiov_doorbell/run
guest plain --doorbell --stats plain.json --cmdline "$(run "echo ioeventfd 50 >$bell; echo vei 1 >$bell; echo vei=\$?")"
check "refused: the guest runs to its end" is plain.status 0
check "refused: one warning" one_sentence plain.err "warning: cannot open /dev/haiov: "
check "refused: the ioeventfd works" has plain.json '"phase":"ioeventfd","sent":50,"signals":50,'
check "refused: the guest has no VEI" has plain "vei=1"
check "haiovctl without the module fails" sh -c "! $ctl show"

$load || exit 1

check "the host has Zkr, of which KVM leaves the reads to VMMs" has /proc/cpuinfo _zkr
for cpus in 1 2; do
	guest boot --cpus $cpus --cmdline "$(run 'echo cpus=$(nproc); grep isa /proc/cpuinfo')"
	check "$cpus vCPU: powers off with status 0" is boot.status 0
	check "$cpus vCPU: all are there" has boot "cpus=$cpus"
	check "$cpus vCPU: xhaiov is not in the guest's ISA" sh -c 'grep -q "^isa.*rv64" boot && ! grep "^isa" boot | grep -q haiov'
	check "$cpus vCPU: the host's source of random numbers is" sh -c 'grep "^isa" boot | grep -q _zkr'
	check "$cpus vCPU: no word on standard error" is boot.err ""
done

guest vei --doorbell --cpu-of-route 3 --cpu-of-vcpu 1 --stats vei.json --cmdline "$(run \
	"for p in empty ioeventfd vei exit; do echo \$p 2000 >$bell || exit 9; done")"
check "phases: the guest runs to its end" is vei.status 0
check "phases: no warning" is vei.err ""
check "phases: all are complete" every_phase vei.json
check "phases: ioeventfd signals once for each" has vei.json '"phase":"ioeventfd","sent":2000,"signals":2000,'
check "phases: exit leaves the guest for each" has vei.json '"phase":"exit","sent":2000,"signals":2000,'
check "phases: the vei phase was sent" has vei.json '"phase":"vei","sent":2000,'
check "phases: vei needs no fallback" sh -c 'grep "\"vei\"" vei.json | grep -q "\"fallbacks\":0,\"dropped\":0"'
check "phases: vei makes no MMIO exit but the reports" sh -c 'grep "\"vei\"" vei.json | grep -q "\"mmio_exit_user\":2}"'

typed echoed

# While a guest waits, its VM and route are there; when the VMM is killed they are gone.
guest killed --doorbell --cpu-of-route 2 --cpu-of-vcpu 1 --cmdline "$(run 'echo WAITING; exec sleep 1000')" &
until grep -q WAITING killed 2>/dev/null || [ -s killed.status ]; do usleep 50000; done
check "haiovctl: one VM" sh -c "[ \$($ctl vm --json | grep -c vmid) = 1 ]"
check "haiovctl: its route is on CPU 2" sh -c "$ctl route --json | grep -q '\"cpu\": 2'"
check "haiovctl: everything in JSON" sh -c "$ctl show --json | grep -q '\"vei\"'"
check "haiovctl: counters" sh -c "$ctl counters | grep -q '^sent '"
kill -9 "$(pidof haiov-vmm)"
wait
check "kill -9: nothing is left" sh -c "[ \"\$($ctl vm)\" = none ] && [ \"\$($ctl route)\" = none ]"

# What cannot be: one sentence and status 1.
refused() { # NAME BEGINNING ARGUMENTS...
	name=$1 beginning=$2
	shift 2
	timeout 60 "$vmm" "$@" >refused.out 2>refused.err </dev/null
	status=$?
	check "$name: status 1" [ $status = 1 ]
	check "$name: one sentence" one_sentence refused.err "$beginning"
}
refused "no kernel" "cannot use --kernel /nope: " --kernel /nope
refused "not a kernel" "/boot/guest.cpio is no riscv64 Linux kernel; " --kernel $initrd
refused "no initrd" "cannot use --initrd /nope: " --kernel $kernel --initrd /nope
refused "no room" "the guest's memory is too small " --kernel $kernel --initrd $kernel --mem 16
refused "no place for statistics" "cannot use --stats /nope/x: " --kernel $kernel --doorbell --stats /nope/x
refused "vCPU on no CPU" "cannot run a vCPU on CPU 77: " --kernel $kernel --cpu-of-vcpu 77
refused "route on no CPU" "VEI: cannot add the route: " --kernel $kernel --doorbell --cpu-of-route 77
refused "restart" "the guest asked for a restart" --kernel $kernel --cmdline "quiet rdinit=/nope panic=-1"

if [ -x "$here/selftest" ]; then
	"$here/selftest" || failed=1
fi
exit $failed
