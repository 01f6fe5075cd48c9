# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
# shellcheck disable=SC2034,SC2086,SC2154,SC3045 # words of options, and as qemu-guest.sh, which is sourced before
# What the tests with guests of QEMU share: checks, and a guest that moves to another QEMU.
failed=0

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

# migrate_to NAME QEMU-OPTION...: starts a destination of that name and moves the guest there; from then on vm_* is about
# the destination. The result in $migrated: completed or failed.
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
		: "${migrated:=active}"
		usleep 50000
	done
}
