# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
# shellcheck disable=SC2016,SC2034,SC2046,SC2086,SC2154,SC3045 # as vhost.sh, which sources this
# Scenarios of vhost.sh: guests that move.

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

# Destinations that cannot: they say so by name, and the guest goes on at the source.
scenario_migrate_refused() {
	vm_machine=$migratable
	for cannot in 'is not to' 'has nothing to do it by'; do
		start "migrate" $(net virtio-net-pci,romfile=,vei=on)
		case $cannot in
		'is not to')
			migrate_to b $(net virtio-net-pci,romfile= | sed s/tap0/tap1/)
			refused="Unknown savevm section or instance 'haiov-vei' 0"
			;;
		*)
			# QEMU looks when it starts.
			mv /dev/haiov /dev/haiov.away
			migrate_to b $(net virtio-net-pci,romfile=,vei=on | sed s/tap0/tap1/)
			mv /dev/haiov.away /dev/haiov
			refused="guest notifies 1 devices by virtual event interrupts, which this machine has for 0: cannot open /dev/haiov: No such file or directory$"
			;;
		esac
		check "migrate to one that $cannot: refused" '[ $migrated = failed ]' "$source_answer"
		check "migrate to one that $cannot: by name" 'grep -q haiov-vei $vm/err' "$(cat $vm/err)"
		check "migrate to one that $cannot: it says why" 'grep -q "$refused" $vm/err' "$(cat $vm/err)"
		source_qmp query-status
		check "migrate to one that $cannot: the source goes on" 'echo "$source_answer" | grep -q "\"running\": true"' "$source_answer"
		source_qmp quit
		wait $source_shell
		vm=/tmp/vm
	done
}
