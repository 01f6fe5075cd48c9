# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
# Guests of QEMU whose virtio devices are notified by VEI, as their user meets them.
# usage: sh vhost.sh FILES SCENARIO [ARGUMENT]...; FILES has Image and guest.cpio. Prints checks.
# shellcheck disable=SC2034,SC2046,SC2086,SC2154,SC3045 # for qemu-guest.sh, words of options, by eval
vm_files=$1
# shellcheck source=../../../tools/bench/qemu-guest.sh
. "$(dirname "$0")/qemu-guest.sh"
# shellcheck source=qemu-checks.sh
. "$(dirname "$0")/qemu-checks.sh"
vm_programs='/extra/probe /extra/load.sh'
debug=/sys/kernel/debug/haiov
# The tap that the guest's packets come in by.
tap=tap0

net() {
	echo "-netdev tap,id=n0,ifname=tap0,script=no,downscript=no,vhost=${2:-on} -device $1,id=net0,netdev=n0"
}

# start NAME QEMU-OPTION...: a guest with a network, or the end of the scenario.
start() {
	name=$1
	shift
	[ -e /tmp/vm.cpio ] || vm_initrd
	vm_start "$@" || { check "$name: the guest boots" false; exit 1; }
	vm_tap tap0 1 || { check "$name: its network comes up" false; exit 1; }
	netserver >/dev/null 2>&1 || :
}

# A guest's kernel complains to its own log.
vm_healthy() {
	! vm_sh dmesg | grep -E 'WARNING:|BUG:|Oops|Unable to handle|cut here|rcu: INFO|blocked for more|suspicious'
}

stop() {
	check "$1: the guest's kernel has nothing to complain about" vm_healthy
	check "$1: QEMU ends well" vm_stop
	check "$1: no VM or route is left" "nothing_left" "$(cat $debug/vms $debug/routes 2>&1)"
}

nothing_left() {
	[ ! -e $debug ] || { [ ! -s $debug/vms ] && [ ! -s $debug/routes ] && ! grep -v ' used=0 eie=0 eip=0 ' $debug/harts; }
}

packets() {
	cat /sys/class/net/$tap/statistics/rx_packets
}

# moving: waits until the guest's traffic flows.
moving() {
	moving_from=$(packets)
	moving_tries=0
	until [ "$(packets)" -gt $((moving_from + 20)) ]; do
		usleep 20000
		moving_tries=$((moving_tries + 1))
		[ $moving_tries -lt 1000 ] || return 1
	done
}

# rr SECONDS: the command of a guest that exchanges messages with the host, its rate as the last line.
rr() {
	echo "netperf -4 -H 10.0.1.1 -t ${2:-TCP_RR} -l $1 -P 0 -v 0"
}

# counted: exchanges messages; what the counters say of one second amid that is in sent, kernel, user (exits)
# and received (packets of the guest).
counted() {
	vm_sh "$(rr 600) >/dev/null 2>&1 &"
	moving || check "traffic begins" false
	sent=0
	[ ! -e $debug/counters ] || sent=$(veic sent)
	kernel=$(kvm_stat mmio_exit_kernel) user=$(kvm_stat mmio_exit_user) received=$(packets)
	sleep 1
	[ ! -e $debug/counters ] || sent=$(($(veic sent) - sent))
	kernel=$(($(kvm_stat mmio_exit_kernel) - kernel)) user=$(($(kvm_stat mmio_exit_user) - user))
	received=$(($(packets) - received))
	vm_sh 'killall netperf'
	seen="in a second: $received packets, $sent VEIs, $kernel exits to the kernel, $user to QEMU"
	echo "# $seen"
}

# by_vei NAME: traffic flows, without an exit.
by_vei() {
	counted
	check "$1: traffic flows" '[ "$received" -gt 10 ]' "$seen"
	check "$1: its kicks are VEIs" '[ "$sent" -gt 10 ]' "$seen"
	check "$1: no kick exits" '[ "$kernel" = 0 ] && [ "$user" = 0 ]' "$seen"
	check "$1: no send was refused" '[ "$(field fallbacks <$debug/vms) $(field dropped <$debug/vms)" = "0 0" ]' "$(cat $debug/vms)"
}

# by_doorbell NAME: traffic flows by the doorbell alone.
by_doorbell() {
	counted
	check "$1: traffic flows" '[ "$received" -gt 10 ]' "$seen"
	check "$1: no VEI is sent" '[ "$sent" = 0 ]' "$seen"
	check "$1: its kicks exit to the kernel" '[ "$kernel" -gt 10 ]' "$seen"
}

# route_cpus: the CPUs of the routes of queues 0, 1, ... in a row; the file has them in the order of CPUs.
route_cpus() {
	sed -n 's/.*veirq=\([0-9]*\) .*cpu=\([0-9]*\) .*/\1 \2/p' $debug/routes | sort -n | cut -d' ' -f2 | tr '\n' ' '
}

scenario_pci() {
	start pci $(net virtio-net-pci,romfile=,vei=on)
	check "pci: a route for each queue" '[ "$(wc -l <$debug/routes)" = 3 ]' "$(cat $debug/routes)"
	check "pci: haiovctl shows them" '[ "$(haiovctl route show | grep -c delivered)" -ge 1 ]' "$(haiovctl route show)"
	by_vei pci
	# The same device, unloaded and loaded again in the guest, and a whole guest started again.
	check "pci: rebind" 'vm_sh "cd /sys/bus/virtio/drivers/virtio_net && echo virtio0 >unbind && echo virtio0 >bind"'
	vm_sh "ip addr add 10.0.1.2/24 dev eth0; ip link set eth0 up"
	by_vei "pci, bound again"
	vm_qmp system_reset
	vm_reset
	by_vei "pci, after a reset"
	stop pci
}

# vm_reset: waits for the guest that has just been reset, and gives it its network back.
vm_reset() {
	while vm_line; do
		[ "$vm_said" = ::ready ] && break
	done
	vm_sh "ip addr add 10.0.1.2/24 dev eth0; ip link set eth0 up"
}

scenario_mmio() {
	start mmio $(net virtio-net-device,vei=on)
	check "mmio: a route for each queue" '[ "$(wc -l <$debug/routes)" = 3 ]' "$(cat $debug/routes)"
	counted
	check "mmio: traffic flows" '[ "$received" -gt 10 ]' "$seen"
	check "mmio: its kicks are VEIs" '[ "$sent" -gt 10 ]' "$seen"
	stop mmio
}

scenario_userspace() {
	truncate -s 16M /tmp/disk
	start userspace $(net virtio-net-pci,romfile=,vei=on off) -drive if=none,id=d0,file=/tmp/disk,format=raw \
		-object iothread,id=io0 -device virtio-blk-pci,drive=d0,iothread=io0,vei=on,num-queues=1
	check "userspace: routes of two devices" '[ "$(wc -l <$debug/routes)" = 4 ]' "$(cat $debug/routes)"
	counted
	check "userspace: traffic flows" '[ "$received" -gt 10 ]' "$seen"
	check "userspace: its kicks are VEIs" '[ "$sent" -gt 10 ]' "$seen"
	check "userspace: no kick exits" '[ "$kernel" = 0 ] && [ "$user" = 0 ]' "$seen"
	# Amid the reads: the console, which carries the command and its end, has exits of its own.
	read_before=$(veic sent)
	vm_tell "dd if=/dev/vda of=/dev/null bs=4k count=1000 iflag=direct 2>/dev/null"
	until [ $(($(veic sent) - read_before)) -gt 100 ]; do usleep 1000; done
	sent=$(veic sent) kernel=$(kvm_stat mmio_exit_kernel) user=$(kvm_stat mmio_exit_user)
	usleep 200000
	sent=$(($(veic sent) - sent)) kernel=$(($(kvm_stat mmio_exit_kernel) - kernel)) user=$(($(kvm_stat mmio_exit_user) - user))
	vm_told
	seen="sent $sent, kernel $kernel, user $user"
	check "blk: a kick for each read is a VEI" '[ $(($(veic sent) - read_before)) -ge 1000 ]' "$(($(veic sent) - read_before))"
	check "blk: no kick exits" '[ "$sent" -gt 10 ] && [ "$kernel" = 0 ] && [ "$user" = 0 ]' "$seen"
	stop userspace
}

scenario_off() {
	start off $(net virtio-net-pci,romfile=)
	check "off: no route" '[ ! -e $debug ] || [ ! -s $debug/routes ]'
	by_doorbell off
	stop off
}

# A guest that does not know the capability: it notifies by the doorbell, which stays live.
scenario_unaware() {
	vm_append='virtio_pci.vei=0 virtio_mmio.vei=0'
	start unaware $(net virtio-net-pci,romfile=,vei=on)
	by_doorbell unaware
	stop unaware
}

# WHY HINT: vei=on is without effect, QEMU says why, once, and what to do, and the doorbell serves.
scenario_refused() {
	why="warning: vei=on is without effect, guests notify by ioeventfd: $1" hint=$2
	# Two devices ask, and one warning answers.
	start refused $(net virtio-net-pci,romfile=,vei=on) -device virtio-rng-pci,vei=on
	check "refused: one warning, one hint" '[ "$(wc -l <$vm/err)" = 2 ]' "$(cat $vm/err)"
	check "refused: it says why" 'grep -q ": $why\$" $vm/err' "$(cat $vm/err)"
	check "refused: and what to do" 'grep -qxF "$hint" $vm/err' "$(cat $vm/err)"
	by_doorbell refused
	check "refused: QEMU ends well" vm_stop
}

# What the user can mend on the command line: QEMU does not start.
scenario_errors() {
	kvm="-M virt,aia=aplic-imsic -accel kvm -cpu host -m 128"
	mkdir -p $vm && : >$vm/err
	check_error "vei=on needs KVM: virtual event interrupts are sent by the host's hardware" \
		"Use -accel kvm, or vei=off" -M virt -accel tcg -device virtio-rng-pci,vei=on
	check_error "vei=on needs a modern device" "Use disable-modern=off, or vei=off" \
		$kvm -device virtio-rng-pci,vei=on,disable-modern=on,disable-legacy=off
	check_error "vei=on needs ioeventfd=on" "" $kvm -device virtio-rng-pci,vei=on,ioeventfd=off
	check_error "'fast' is none of worker, spread, or CPUs of the host such as 2 or 0-1:3" "" $kvm -device virtio-rng-pci,vei=on,vei-cpu=fast
	check "no route is left" nothing_left
}

# check_error MESSAGE HINT OPTION...: this message, this hint, and nothing else.
check_error() {
	why=$1 hint=$2
	shift 2
	timeout 60 $vm_qemu -nodefaults -display none "$@" >/tmp/err 2>&1
	status=$?
	check "error '$why'" '[ $status = 1 ] && grep -q ": $why\$" /tmp/err && [ "$(tail -n +2 /tmp/err)" = "$hint" ]' \
		"status $status, $(cat /tmp/err)"
}

set_cpu() {
	vm_qmp qom-set "{\"path\": \"/machine/peripheral/net0\", \"property\": \"vei-cpu\", \"value\": \"$1\"}"
}

# placed CPUS: waits until the first routes are there, or long enough: QEMU looks once a second, and moves a
# route when it has seen the same twice.
placed() {
	tries=0
	until case $(route_cpus) in "$1"*) true ;; *) [ $tries = 150 ] ;; esac do
		usleep 100000
		tries=$((tries + 1))
	done
}

# Where routes are: by policy, changed while traffic flows, and with CPUs that come and go.
scenario_affinity() {
	start affinity -object iothread,id=unused $(net virtio-net-pci,romfile=,vei=on,vei-cpu=1)
	check "affinity: pinned from the start" '[ "$(route_cpus)" = "1 1 1 " ]' "$(route_cpus)"
	check "affinity: pinned to another CPU" 'set_cpu 3 && [ "$(route_cpus)" = "3 3 3 " ]' "$(route_cpus) $vm_answer"
	check "affinity: a list" 'set_cpu 0:2-3 && [ "$(route_cpus)" = "0 2 3 " ]' "$(route_cpus) $vm_answer"
	check "affinity: spread" 'set_cpu spread && [ "$(field cpu <$debug/routes | sort -u | wc -l)" = 3 ]' "$(route_cpus)"
	check "affinity: no such CPU" '! set_cpu 77 && [ "$(field cpu <$debug/routes | sort -u | wc -l)" = 3 ]' "$(route_cpus) $vm_answer"
	check "affinity: no policy" '! set_cpu fast' "$vm_answer"
	set_cpu 3
	echo 0 >/sys/devices/system/cpu/cpu3/online
	check "affinity: a CPU that goes takes no route along" '[ "$(wc -l <$debug/routes)" = 3 ] && ! grep -q "cpu=3 " $debug/routes' "$(route_cpus)"
	check "affinity: a CPU that is offline" '! set_cpu 3' "$vm_answer"
	check "affinity: the guest goes on" 'vm_sh "ping -c 3 -i 0.2 10.0.1.1 >/dev/null"'
	echo 1 >/sys/devices/system/cpu/cpu3/online
	placed '3 3 3 '
	check "affinity: and they come back with it" '[ "$(route_cpus)" = "3 3 3 " ]' "$(route_cpus)"
	worker=$(grep -l '^vhost-' /proc/"$vm_pid"/task/*/comm | head -n 1)
	worker=$(basename "$(dirname "$worker")")
	check "affinity: vhost has a worker" '[ -n "$worker" ]'
	set_cpu worker
	for cpu in 2 1 3; do
		taskset -p -c $cpu "$worker" >/dev/null
		vm_sh "ping -c 3 -i 0.2 10.0.1.1 >/dev/null"
		placed "$cpu $cpu"
		check "affinity: the routes follow the worker to CPU $cpu" '[ "$(route_cpus | cut -d" " -f1,2)" = "$cpu $cpu" ]' "$(route_cpus)"
	done
	taskset -p -c 0-3 "$worker" >/dev/null
	stop affinity
}

scenario_kill() {
	for round in 1 2 3; do
		start kill $(net virtio-net-pci,romfile=,vei=on)
		vm_tell "$(rr 20)"
		moving
		kill -9 "$vm_pid"
		vm_wait
		check "kill -9: nothing is left" nothing_left "$(cat $debug/vms $debug/routes $debug/harts)"
	done
}

# shellcheck source=vhost-churn.sh
. "$(dirname "$0")/vhost-churn.sh"
# shellcheck source=vhost-backends.sh
. "$(dirname "$0")/vhost-backends.sh"
# shellcheck source=vhost-migrate.sh
. "$(dirname "$0")/vhost-migrate.sh"
# shellcheck source=vhost-user-blk.sh
. "$(dirname "$0")/vhost-user-blk.sh"
# A guest that a scenario gives up on is not to be in the next one's way.
vm_pid=
trap '[ -z "$vm_pid" ] || kill -9 "$vm_pid" 2>/dev/null' EXIT
shift
scenario=$1
shift
"scenario_$scenario" "$@"
exit $failed
