# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
# shellcheck disable=SC2016,SC2034,SC2046,SC2086,SC2154,SC3045 # as vhost.sh, which sources this
# Scenarios of vhost.sh: routes that move under load, and what finds a kick that is lost.

# probe_net VHOST: a second network, of which the guest's end is eth1, for the probe alone.
probe_net() {
	echo "-netdev tap,id=n1,ifname=probe,script=no,downscript=no,vhost=$1 -device virtio-net-pci,romfile=,id=net1,netdev=n1,vei=on"
}

# probe_start HOST-LINK GUEST-LINK: starts the probe at both ends.
probe_start() {
	rm -f /tmp/echo
	probe echo "$1" >/tmp/echo &
	probe_echo=$!
	until [ -s /tmp/echo ] || ! kill -0 $probe_echo; do usleep 20000; done
	vm_sh "probe ask $2 >/tmp/probe 2>&1 & echo \$! >/tmp/probe.pid"
}

# probe_net_start: the same over probe_net.
probe_net_start() {
	vm_sh "ip link set eth1 up" && ip link set probe up || check "probe: its network comes up" false
	probe_start probe eth1
	tap=probe
	moving || check "probe: it begins" false
	tap=tap0
}

# probe_end: its result in $probed.
probe_end() {
	vm_sh 'kill $(cat /tmp/probe.pid); while kill -0 $(cat /tmp/probe.pid) 2>/dev/null; do usleep 20000; done'
	probed=$(vm_sh 'cat /tmp/probe')
	kill $probe_echo 2>/dev/null # it may have ended with its stream
	wait $probe_echo
	echo "$probed" | sed 's/^#* */# /'
}

# probed FIELD: the number in the probe's result, or -1.
probed() {
	probed_value=$(echo "$probed" | field "$1")
	echo "${probed_value:--1}"
}

# That the probe of scenario churn finds a kick that waits, and takes for one neither a short wait nor a time
# in which nobody lived. QEMU's main thread stands in for a worker: a thread that a debugger can stop.
scenario_probe() {
	start probe $(net virtio-net-pci,romfile=,vei=on) $(probe_net off)
	probe_net_start
	# It may stop with the lock that the vCPU wants next, so that the guest does not live either: not three times.
	for n in 1 2 3; do
		probe pause "$vm_pid" 3000
		usleep 37000
	done
	probe_end
	check "probe: sees a kick that waits" '[ "$(probed lost)" -ge 1 ] && [ "$(probed longest_live_ms)" -ge 1000 ]' "$probed"
	probe_net_start
	# A wait begins with a frame, which is sent a little later than the pause begins.
	probe pause "$vm_pid" 500
	probe_end
	check "probe: measures a shorter wait" '[ "$(probed longest_ms)" -ge 400 ] && [ "$(probed lost)" = 0 ]' "$probed"
	probe_net_start
	# Some will be between two waits.
	for n in 1 2 3 4 5 6 7 8; do
		kill -STOP "$vm_pid"
		usleep 1300000
		kill -CONT "$vm_pid"
		usleep 37000
	done
	probe_end
	check "probe: a guest that is stopped does not wait" '[ "$(probed longest_ms)" -ge 1200 ] && [ "$(probed lost)" = 0 ]' "$probed"
	stop probe
}

# standing: what there is to see of a guest whose traffic stands still.
standing() {
	cat $debug/vms $debug/routes $debug/harts $debug/counters
	(cd "$vm_stats" && grep . exits wfi_exit_stat mmio_exit_* halt_*)
	for standing_time in 1 2; do
		vm_qmp human-monitor-command '{"command-line": "info registers"}'
		echo "$vm_answer" | sed 's/\\r\\n/\n/g' | head -n 5
	done
	vm_sh 'cat /proc/interrupts; dmesg | tail -n 20; cat /tmp/load'
}

# churn SECONDS: under mixed traffic routes move ten times a second, CPUs come and go, debugfs is read, and no
# kick is lost.
scenario_churn() {
	churn_s=$1
	start churn $(net virtio-net-pci,romfile=,vei=on) $(probe_net on) -qmp unix:/tmp/churn,server=on,wait=off
	probe_net_start
	# A little longer than the churn, which wants traffic all the while.
	vm_tell "sh /usr/bin/load.sh 10.0.1.1 $((churn_s + 5)) >/tmp/load 2>&1"
	moving || check "churn: traffic begins" false
	churn $churn_s /tmp/churn tap0 net0 net1 || {
		failed=1
		standing | sed 's/^/# /'
		return
	}
	check "churn: every netperf ends well" vm_told "$(vm_sh 'cat /tmp/load')"
	echo "# churn: runs of netperf: $(vm_sh 'cat /tmp/load'); $(tail -n 1 $debug/vms)"
	probe_end
	# The probe's device has VEIRQs 3 and up; its queues are to the guest, from the guest, and for control.
	churn_kicks=$(grep -c 'veirq=[34] .*delivered=[1-9]' $debug/routes)
	check "churn: no queue waits on a kick for a second" '[ "$(probed lost)" = 0 ]' "$probed"
	check "churn: both queues of the probe were kicked" '[ "$churn_kicks" -ge 2 ]' "$(cat $debug/routes)"
	check "churn: the probe was at work" '[ "$(probed frames)" -gt $((churn_s * 5)) ]' "$probed"
	stop churn
}
