# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
# Guests of QEMU whose virtio devices are notified by VEI, as their user meets them.
# usage: sh vhost.sh FILES SCENARIO [ARGUMENT]...; FILES has Image and guest.cpio. Prints checks.
# shellcheck disable=SC2034,SC2046,SC2086,SC2154,SC3045 # for qemu-guest.sh, words of options, by eval
vm_files=$1
# shellcheck source=../../../tools/bench/qemu-guest.sh
. "$(dirname "$0")/qemu-guest.sh"
debug=/sys/kernel/debug/haiov
failed=0
# The tap that the guest's packets come in by.
tap=tap0

# check NAME TEST [WHY]: one check; TEST is a shell condition.
check() {
	if eval "$2"; then
		echo "ok $1"
	else
		echo "not ok $1: $2 (${3:-})"
		sed 's/^/# qemu: /' $vm/err
		failed=1
	fi
}

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

stop() {
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

# WHY: vei=on is without effect, QEMU says why, once, and the doorbell serves.
scenario_refused() {
	why=$1
	# Two devices ask, and one warning answers.
	start refused $(net virtio-net-pci,romfile=,vei=on) -device virtio-rng-pci,vei=on
	check "refused: one warning" '[ "$(grep -c vei $vm/err)" = 1 ]' "$(cat $vm/err)"
	check "refused: it says why" 'grep -q "$why" $vm/err' "$(cat $vm/err)"
	by_doorbell refused
	check "refused: QEMU ends well" vm_stop
}

scenario_errors() {
	kvm="-M virt,aia=aplic-imsic -accel kvm -cpu host -m 128"
	mkdir -p $vm && : >$vm/err
	check_error "needs KVM" -M virt -accel tcg -device virtio-rng-pci,vei=on
	check_error "modern device" $kvm -device virtio-rng-pci,vei=on,disable-modern=on,disable-legacy=off
	check_error "ioeventfd=on" $kvm -device virtio-rng-pci,vei=on,ioeventfd=off
	check_error "none of worker, spread" $kvm -device virtio-rng-pci,vei=on,vei-cpu=fast
	check "no route is left" nothing_left
}

check_error() {
	why=$1
	shift
	timeout 60 $vm_qemu -nodefaults -display none "$@" >/tmp/err 2>&1
	status=$?
	check "error about '$why'" '[ $status = 1 ] && grep -q -- "$why" /tmp/err' "status $status: $(cat /tmp/err)"
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

# churn SECONDS: routes move ten times a second, CPUs come and go, debugfs is read, and no kick is lost.
scenario_churn() {
	seconds=$1
	start churn $(net virtio-net-pci,romfile=,vei=on)
	vm_tell "$(rr $((seconds + 2))) >/tmp/rate"
	moving || check "churn: traffic begins" false
	before=$(packets) stuck=0 turn=0 cpu=0 moved=0 last=$(date +%s)
	end=$((last + seconds))
	while [ "$(date +%s)" -lt $end ]; do
		cpu=$(((cpu + 1) % 4))
		set_cpu $cpu && moved=$((moved + 1))
		cat $debug/* >/dev/null
		turn=$((turn + 1))
		case $((turn % 20)) in
		5) echo 0 >/sys/devices/system/cpu/cpu2/online ;;
		12) echo 1 >/sys/devices/system/cpu/cpu2/online ;;
		esac
		usleep 100000
		now=$(date +%s)
		if [ $((now - last)) -ge 2 ]; then
			[ "$(packets)" -gt "$before" ] || stuck=$((stuck + 1))
			before=$(packets) last=$now
		fi
	done
	echo 1 >/sys/devices/system/cpu/cpu2/online 2>/dev/null
	vm_told
	rate=$(vm_sh 'cat /tmp/rate')
	echo "# $moved moves in $turn turns, $rate transactions/s; $(tail -n 1 $debug/vms)"
	check "churn: routes moved" '[ $moved -ge 3 ]' $moved
	check "churn: the queue never waited" '[ $stuck = 0 ] && [ "${rate%%.*}" -gt 10 ]' "stuck $stuck, rate $rate"
	stop churn
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

# No IMSIC: QEMU does not save the one in the kernel. The return path tells the source of a failure.
migratable='-M virt,aia=none -accel kvm,kernel-irqchip=off -global migration.x-return-path=on'

# The source's monitor, while vm_qmp speaks to the destination.
source_qmp() {
	echo "{\"execute\": \"$1\"${2:+, \"arguments\": $2}}" >&3
	while read -r -t $vm_patience_s source_answer <&4; do
		case $source_answer in
		*'"return":'* | *'"error":'*) return ;;
		esac
	done
}

# migrate_to QEMU-OPTION...: starts a destination with these options and moves the guest there; from then on
# vm_* is about the destination. The result in $migrated: completed or failed.
migrate_to() {
	exec 3<>$vm/mon.in 4<>$vm/mon.out
	source_shell=$vm_shell
	vm=/tmp/vm-$1
	shift
	rm -f /tmp/migrate
	vm_launch -incoming unix:/tmp/migrate "$@"
	until [ -S /tmp/migrate ] || ! kill -0 $vm_shell; do usleep 20000; done
	vm_pid=$(cat $vm/pid)
	vm_stats=$(echo /sys/kernel/debug/kvm/"$vm_pid"-*)
	vm_qmp qmp_capabilities
	source_qmp migrate '{"uri": "unix:/tmp/migrate"}'
	migrated=active
	until [ $migrated = completed ] || [ $migrated = failed ]; do
		source_qmp query-migrate
		migrated=$(echo "$source_answer" | sed -n 's/.*"status": "\([a-z-]*\)".*/\1/p')
		usleep 50000
	done
}

# A guest moves under load.
scenario_migrate() {
	vm_machine=$migratable
	# Devices in another order get other VEIRQs at the destination, but the guest knows the source's.
	other='-device virtio-rng-pci,id=r,addr=6,vei=on'
	start migrate $(net virtio-net-pci,romfile=,vei=on,addr=5) $other
	vm_sh "$(rr 600) >/dev/null 2>&1 &"
	moving || check "migrate: traffic begins" false
	migrate_to b $other $(net virtio-net-pci,romfile=,vei=on,addr=5 | sed s/tap0/tap1/)
	check "migrate: completed" '[ $migrated = completed ]' "$source_answer"
	# What a bridge would do: the host's end of the network is at the other tap now.
	ip addr del 10.0.1.1/24 dev tap0
	ip link set tap1 address "$(cat /sys/class/net/tap0/address)"
	ip addr add 10.0.1.1/24 dev tap1 && ip link set tap1 up
	source_qmp quit
	wait $source_shell
	check "migrate: one VM with four routes is left" '[ "$(wc -l <$debug/vms)" = 1 ] && [ "$(wc -l <$debug/routes)" = 4 ]' "$(cat $debug/vms $debug/routes)"
	sent=$(veic sent) tap=tap1
	check "migrate: the connection goes on" moving
	sent=$(($(veic sent) - sent))
	check "migrate: by VEI" '[ $sent -ge 20 ]' "$sent"
	check "migrate: netperf still runs" 'vm_sh "killall netperf"'
	stop migrate
}

# A destination that cannot: it says so by name, and the guest goes on at the source.
scenario_migrate_refused() {
	vm_machine=$migratable
	start migrate $(net virtio-net-pci,romfile=,vei=on)
	source_vm=$vm source_pid=$vm_pid
	migrate_to b $(net virtio-net-pci,romfile= | sed s/tap0/tap1/)
	check "migrate: refused" '[ $migrated = failed ]' "$source_answer"
	check "migrate: by name" 'grep -q haiov-vei $vm/err' "$(cat $vm/err)"
	source_qmp query-status
	check "migrate: the source goes on" 'echo "$source_answer" | grep -q "\"running\": true"' "$source_answer"
	source_qmp quit
	wait $source_shell
}

shift
scenario=$1
shift
"scenario_$scenario" "$@"
exit $failed
