# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# The job of bench-mmio in the host under test for QEMU as the VMM: runs mmio-guest.c once, and prints what it says
# and, before and after each of its ways, a line "counters KEY=VALUE...".
# usage: sh qemu-mmio.sh GUEST WAYS exit|ioeventfd|uer; WAYS is how many it goes through in all.
# shellcheck disable=SC2034,SC2086 # for qemu-guest.sh; words of options
guest=$1 ways=$2 mechanism=$3
vm_files=$(dirname "$guest")
# shellcheck source=qemu-guest.sh
. "$(dirname "$0")/qemu-guest.sh"
main_cpu=0 vcpu_cpu=1

counters() {
	loads=0 stores=0
	if [ $mechanism = uer ]; then
		for device in "$vm_serial" /machine/peripheral/rng; do
			loads=$((loads + $(vm_uer_counter "$device" loads)))
			stores=$((stores + $(vm_uer_counter "$device" stores)))
		done
	fi
	echo "counters exits=$(kvm_stat mmio_exit_user) kernel=$(kvm_stat mmio_exit_kernel) punts=$(kvm_stat uer_punts)" \
		"loads=$loads stores=$stores"
}

# An idle vCPU would else spin for a while before its host stops it.
echo 0 >/sys/module/kvm/parameters/halt_poll_ns || exit 1
device=virtio-rng-device,id=rng,bus=virtio-mmio-bus.0
case $mechanism in
exit) options="-global virtio-mmio.ioeventfd=off -device $device" ;;
ioeventfd) options="-device $device" ;;
uer) options="-global serial-mm.uer=on -device $device,uer=on" ;;
esac
: >/tmp/vm.cpio # this guest has no archive
vm_start -kernel "$guest" -global virtio-mmio.force-legacy=off $options || exit 1
vm_pin 'qemu*' $main_cpu && vm_pin 'CPU 0/KVM' $vcpu_cpu || exit 1
[ $mechanism != uer ] || vm_find_serial
echo "timebase $(hexdump -v -e '/1 "%02x"' /proc/device-tree/cpus/timebase-frequency)"
vm_told || exit 1
while :; do
	counters
	[ $ways -gt 0 ] || break
	ways=$((ways - 1))
	vm_qmp stop && vm_qmp cont || exit 1
	vm_told || exit 1
done
[ ! -s $vm/err ] || { cat $vm/err; exit 1; }
vm_stop
