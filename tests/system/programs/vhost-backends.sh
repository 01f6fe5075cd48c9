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

# A disk that another process serves, by vhost-user: QEMU's own server of it, in a QEMU without a machine.
scenario_vhost_user() {
	truncate -s 16M /tmp/disk
	rm -f /tmp/blk.sock
	mkfifo /tmp/blk.mon
	exec 9<>/tmp/blk.mon
	$vm_qemu -nodefaults -display none -M none -accel tcg -chardev stdio,id=mon -mon chardev=mon,mode=control \
		-blockdev driver=file,filename=/tmp/disk,node-name=d0 <&9 >/tmp/blk.out 2>&1 &
	server=$!
	echo '{"execute": "qmp_capabilities"}' >&9
	echo '{"execute": "block-export-add", "arguments": {"type": "vhost-user-blk", "id": "e0", "node-name": "d0",
		"writable": true, "addr": {"type": "unix", "path": "/tmp/blk.sock"}}}' | tr '\n' ' ' >&9
	until [ -S /tmp/blk.sock ] || ! kill -0 $server || grep -q '"error"' /tmp/blk.out; do usleep 20000; done
	vm_machine="$vm_machine -object memory-backend-memfd,id=mem,size=256M,share=on -machine memory-backend=mem"
	start "vhost-user" $(net virtio-net-pci,romfile=,vei=on) -chardev socket,id=c0,path=/tmp/blk.sock \
		-device vhost-user-blk-pci,id=blk0,chardev=c0,num-queues=1,vei=on
	check "vhost-user: a route" '[ "$(wc -l <$debug/routes)" = 4 ]' "$(cat $debug/routes)"
	vm_sh 'dd if=/dev/urandom of=/tmp/data bs=64k count=32 2>/dev/null'
	written=$(vm_sh 'md5sum </tmp/data')
	before=$(veic sent)
	check "vhost-user: writes" 'vm_sh "dd if=/tmp/data of=/dev/vda bs=4k oflag=direct 2>/dev/null"'
	check "vhost-user: a kick for each write is a VEI" '[ $(($(veic sent) - before)) -ge 512 ]' "$(($(veic sent) - before))"
	check "vhost-user: the file has what was written" '[ "$(head -c 2097152 /tmp/disk | md5sum)" = "$written" ]' "$written"
	read_back=$(vm_sh 'dd if=/dev/vda bs=4k count=512 iflag=direct 2>/dev/null | md5sum')
	check "vhost-user: reads back what was written" '[ "$read_back" = "$written" ]' "$read_back, not $written"
	vm_sh 'while dd if=/dev/vda of=/dev/null bs=4k count=512 iflag=direct; do :; done >/dev/null 2>&1 & echo $! >/tmp/reader'
	check "vhost-user: reads go on" busy
	quiet_kicks vhost-user
	vm_sh 'kill $(cat /tmp/reader); killall dd; :'
	stop vhost-user
	echo '{"execute": "quit"}' >&9
	check "vhost-user: the server ends well" 'wait $server' "$(cat /tmp/blk.out)"
	exec 9>&-
}
