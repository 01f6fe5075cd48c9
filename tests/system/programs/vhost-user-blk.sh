# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
# shellcheck disable=SC2016,SC2034,SC2046,SC2086,SC2154,SC3045 # as vhost.sh, which sources this
# Scenarios of vhost.sh: a disk that haiov-vhost-user-blk serves, by a thread (eventfd) or by a handler (hcs).

# serve HOW VEI: the device, and a guest that has its disk. The image is of random bytes.
serve() {
	dd if=/dev/urandom of=/tmp/disk bs=1M count=16 2>/dev/null
	rm -f /tmp/blk.sock
	haiov-vhost-user-blk --socket /tmp/blk.sock --image /tmp/disk --notify $1 --cpu 2 >/tmp/blk.out 2>&1 &
	server=$!
	until [ -S /tmp/blk.sock ] || ! kill -0 $server; do usleep 20000; done
	vm_machine='-M virt,aia=aplic-imsic -accel kvm -object memory-backend-memfd,id=mem,size=256M,share=on
		-machine memory-backend=mem'
	start "$1" $(net virtio-net-pci,romfile=,vei=on) -chardev socket,id=c0,path=/tmp/blk.sock \
		-device vhost-user-blk-pci,id=blk0,chardev=c0,num-queues=1,vei=$2
}

# listens: how many eventfds the device listens for, and how many routes lead to it for that.
listens() {
	echo "$(field listenings <$debug/contexts) $(grep -c target=listener $debug/routes)"
}

# works NAME: data arrive, in both directions.
works() {
	check "$1: the guest reads what is in the image" \
		'[ "$(vm_sh "dd if=/dev/vda bs=64k iflag=direct 2>/dev/null | md5sum")" = "$(md5sum </tmp/disk)" ]'
	vm_sh 'dd if=/dev/urandom of=/tmp/data bs=64k count=32 2>/dev/null'
	written=$(vm_sh 'md5sum </tmp/data')
	check "$1: writes" 'vm_sh "dd if=/tmp/data of=/dev/vda bs=4k oflag=direct 2>/dev/null && sync"'
	check "$1: the image has what was written" '[ "$(head -c 2097152 /tmp/disk | md5sum)" = "$written" ]' "$written"
	read_back=$(vm_sh 'dd if=/dev/vda bs=4k count=512 iflag=direct 2>/dev/null | md5sum')
	check "$1: reads back what was written" '[ "$read_back" = "$written" ]' "$read_back, not $written"
}

# reads: the guest reads without an end.
reads() {
	vm_sh 'while dd if=/dev/vda of=/dev/null bs=4k count=512 iflag=direct; do :; done >/dev/null 2>&1 & echo $! >/tmp/reader'
}

# Files of a process that ends close a moment later than it is waited for. debugfs files have no size.
no_context() {
	no_context_tries=0
	while grep -q . $debug/contexts || grep -q target=listener $debug/routes; do
		usleep 20000
		no_context_tries=$((no_context_tries + 1))
		[ $no_context_tries -lt 500 ] || return 1
	done
}

# ended NAME: the device, once its VMM has.
ended() {
	check "$1: the device ends well" 'wait $server' "$(cat /tmp/blk.out)"
	sed 's/^/# /' /tmp/blk.out
	check "$1: no context is left" no_context "$(cat $debug/contexts)"
}

# word N: that word of the last line that the device has printed: calls 1, frames 3, doorbells 5, wake-ups 7.
word() {
	tail -n 1 /tmp/blk.out | cut -d' ' -f$1
}

scenario_user_blk_eventfd() {
	serve eventfd on
	before=$(veic sent)
	works eventfd
	check "eventfd: a kick for each request is a VEI" '[ $(($(veic sent) - before)) -ge 1024 ]' "$(($(veic sent) - before))"
	check "eventfd: no handler listens" no_context "$(cat $debug/routes)"
	reads
	check "eventfd: reads go on" busy
	quiet_kicks eventfd
	vm_sh 'kill $(cat /tmp/reader); killall dd; :'
	stop eventfd
	ended eventfd
}

scenario_user_blk_hcs() {
	serve hcs on
	check "hcs: the device listens for the route of its queue" '[ "$(listens)" = "1 1" ]' "$(cat $debug/contexts $debug/routes)"
	works hcs
	check "hcs: no event comes to the eventfd" \
		'[ "$(grep target=listener $debug/routes | field delivered)" = 0 ]' "$(cat $debug/routes)"
	reads
	check "hcs: reads go on" busy
	quiet_kicks hcs
	vm_sh 'kill $(cat /tmp/reader); killall dd; :'
	check "hcs: frames interrupt the guest without a system call" \
		'[ "$(field signaled <$debug/contexts)" -ge 200 ]' "$(cat $debug/contexts)"
	# A driver that goes stops the queue, and the next one starts it again.
	vm_sh 'cd /sys/bus/virtio/drivers/virtio_blk && ls -d virtio* >/tmp/name && cat /tmp/name >unbind'
	check "hcs: nobody listens for a queue that is stopped" '[ "$(listens)" = "0 0" ]' "$(cat $debug/contexts $debug/routes)"
	vm_sh 'cat /tmp/name >/sys/bus/virtio/drivers/virtio_blk/bind'
	check "hcs: it listens again" '[ "$(listens)" = "1 1" ]' "$(cat $debug/contexts $debug/routes)"
	works "hcs, again"
	stop hcs
	ended hcs
	check "hcs: handlers are frames" '[ "$(word 3)" -ge 500 ]' "$(cat /tmp/blk.out)"
}

# Notifications that do not come by VEI are not the handler's.
scenario_user_blk_exits() {
	serve hcs off
	works exits
	check "exits: there is no route to listen for" '[ "$(listens)" = "1 0" ]' "$(cat $debug/contexts $debug/routes)"
	stop exits
	ended exits
	# Once as it begins to listen.
	check "exits: the thread has served it" '[ "$(word 1)" -le 2 ]' "$(cat /tmp/blk.out)"
}

# The device is killed while the guest reads. The guest's machine stays, and ends in an orderly way.
scenario_user_blk_kill() {
	for how in eventfd hcs; do
		serve $how on
		reads
		check "kill -9, $how: reads go on" busy
		kill -9 $server
		wait $server 2>/dev/null
		check "kill -9, $how: no context is left, and nobody listens" no_context "$(cat $debug/contexts $debug/routes)"
		check "kill -9, $how: the guest is there" '[ "$(vm_sh "echo here")" = here ]'
		stop "kill -9, $how"
	done
}
