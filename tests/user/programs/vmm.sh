#!/bin/sh
# shellcheck shell=dash disable=SC2016,SC2317
# SPDX-License-Identifier: GPL-2.0-only
# Tries haiov-vmm, haiovctl and the haiov crate in the host under test. Prints "ok NAME" and "not ok NAME: WHY".
# Programs are those of the image, unless there are others beside this file.
here=${0%/*}
vmm=/usr/bin/haiov-vmm
ctl=/usr/bin/haiovctl
[ -x "$here/haiov-vmm" ] && vmm=$here/haiov-vmm
[ -x "$here/haiovctl" ] && ctl=$here/haiovctl
kernel=/boot/Image
initrd=/boot/guest.cpio
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
	timeout 120 "$vmm" --kernel $kernel --initrd $initrd "$@" >"$out" 2>"$out.err"
	echo $? >"$out.status"
}

# run COMMAND: the kernel command line with which a guest runs it.
run() {
	echo "console=ttyS0 quiet haiov.cmd=$(printf %s "$1" | base64 | tr -d '\n')"
}

has() { # FILE TEXT
	grep -qF -- "$2" "$1" || {
		cat "$1"
		return 1
	}
}

is() { # FILE TEXT: the file is that one line
	[ "$(cat "$1")" = "$2" ] || {
		cat "$1"
		return 1
	}
}

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

modprobe haiov || exit 1

for cpus in 1 2; do
	guest boot --cpus $cpus --cmdline "$(run 'echo cpus=$(nproc); grep isa /proc/cpuinfo')"
	check "$cpus vCPU: powers off with status 0" is boot.status 0
	check "$cpus vCPU: all are there" has boot "cpus=$cpus"
	check "$cpus vCPU: xhaiov is not in the guest's ISA" sh -c 'grep -q "^isa.*rv64" boot && ! grep "^isa" boot | grep -q haiov'
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

# Input: typed only once the guest reads, since a serial port that nobody has opened forgets.
mkfifo keys
exec 3<>keys
guest echoed --cmdline "$(run 'exec </dev/console; echo READY; read -r line; echo "got <$line>"')" <keys &
until grep -q READY echoed 2>/dev/null || [ -s echoed.status ]; do usleep 50000; done
long=0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz
echo $long >&3
wait
exec 3>&-
check "input: more than the port holds arrives in order" has echoed "got <$long>"

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
