# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
# shellcheck disable=SC2016,SC2034,SC2046,SC2086,SC2154,SC3045 # as vhost.sh, which sources this
# Scenarios of vhost.sh: backends other than vhost-net.

# quiet_kicks NAME: in a second amid traffic, kicks are VEIs, and none of them exits.
quiet_kicks() {
	sent=$(veic sent) kernel=$(kvm_stat mmio_exit_kernel) user=$(kvm_stat mmio_exit_user)
	sleep 1
	sent=$(($(veic sent) - sent)) kernel=$(($(kvm_stat mmio_exit_kernel) - kernel)) user=$(($(kvm_stat mmio_exit_user) - user))
	seen="in a second: $sent VEIs, $kernel exits to the kernel, $user to QEMU"
	echo "# $1: $seen"
	check "$1: its kicks are VEIs" '[ "$sent" -gt 10 ]' "$seen"
	check "$1: no kick exits" '[ "$kernel" = 0 ] && [ "$user" = 0 ]' "$seen"
}

# busy: waits until guests send.
busy() {
	busy_from=$(veic sent) busy_tries=0
	until [ $(($(veic sent) - busy_from)) -gt 20 ]; do
		usleep 20000
		busy_tries=$((busy_tries + 1))
		[ $busy_tries -lt 1000 ] || return 1
	done
}

# Messages to and fro by vhost-vsock.
scenario_vsock() {
	# All devices by VEI: whatever the network has to say exits no more than the rest.
	start vsock $(net virtio-net-pci,romfile=,vei=on) -device vhost-vsock-pci,id=vsock0,guest-cid=3,vei=on
	check "vsock: a route for each queue" '[ "$(wc -l <$debug/routes)" = 6 ]' "$(cat $debug/routes)"
	probe_start vsock vsock
	check "vsock: traffic begins" busy
	quiet_kicks vsock
	probe_end
	check "vsock: its sending queue was kicked" 'grep -q "veirq=4 .*delivered=[1-9]" $debug/routes' "$(cat $debug/routes)"
	check "vsock: every message is answered" '[ "$(probed frames)" -gt 20 ] && [ "$(probed lost)" = 0 ]' "$probed"
	stop vsock
}
