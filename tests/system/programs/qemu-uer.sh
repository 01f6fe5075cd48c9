# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
# Guests of QEMU whose devices are served by UER, as their user meets them.
# usage: sh qemu-uer.sh FILES SCENARIO [ARGUMENT]...; FILES has Image and guest.cpio. Prints checks.
# shellcheck disable=SC2034,SC2086,SC2154,SC3045 # for qemu-guest.sh, words of options, by eval
vm_files=$1
# shellcheck source=../../../tools/bench/qemu-guest.sh
. "$(dirname "$0")/qemu-guest.sh"
# shellcheck source=qemu-checks.sh
. "$(dirname "$0")/qemu-checks.sh"
serial='-global serial-mm.uer=on'
lines=2000

start() {
	name=$1
	shift
	vm_start "$@" || { check "$name: the guest boots" false; exit 1; }
}

stop() {
	check "$1: QEMU ends well" vm_stop
	check "$1: no VM is left" '[ ! -s /sys/kernel/debug/haiov/vms ]' "$(cat /sys/kernel/debug/haiov/vms 2>&1)"
}

# printed FILE: waits for the end of the guest's command, and gives its output, behind what the
# file has already. vm_told takes a process for each line.
printed() {
	cat <&6 >>$1 &
	cat_pid=$! printed_tries=0
	until tail -n 1 $1 | grep -q '::done [0-9]*' && [ "$(tail -c 1 $1 | wc -l)" = 1 ]; do
		usleep 100000
		printed_tries=$((printed_tries + 1))
		[ $printed_tries -lt $((vm_patience_s * 10)) ] || break
	done
	kill $cat_pid
	wait $cat_pid 2>/dev/null
	sed -i 's/\r$//; /^::done /d' $1
}

# run COMMAND FILE: runs it in the guest, with its output to a file.
run() {
	rm -f $2
	vm_tell "$1"
	printed $2
}

# counters PATH: the counts of a device in $loads, $stores, $punts, and $exits to QEMU, since the last call.
counters() {
	now_loads=$(vm_uer_counter $1 loads) now_stores=$(vm_uer_counter $1 stores) now_punts=$(vm_uer_counter $1 punts)
	now_exits=$(kvm_stat mmio_exit_user)
	loads=$((now_loads - ${was_loads:-0})) stores=$((now_stores - ${was_stores:-0}))
	punts=$((now_punts - ${was_punts:-0})) exits=$((now_exits - ${was_exits:-0}))
	was_loads=$now_loads was_stores=$now_stores was_punts=$now_punts was_exits=$now_exits
	seen="$loads loads, $stores stores, $punts punts, $exits exits to QEMU"
}

# console NAME OPTION...: what a guest prints, with bytes of all values among it, to a file of that name.
console() {
	out=$1
	shift
	job="yes hello,world | head -n $lines; stty raw -echo; seq 1 $lines | gzip; seq 1 $lines; stty cooked; cat /proc/interrupts | grep -c ttyS0"
	qemu-system-riscv64 -nodefaults -display none -M virt,aia=aplic-imsic -accel kvm -cpu host -m 256 -no-reboot \
		-serial file:$out -kernel "$vm_files/Image" -initrd "$vm_files/guest.cpio" \
		-append "console=ttyS0 quiet haiov.cmd=$(echo "$job" | base64 | tr -d '\n')" "$@" 2>$out.err
}

scenario_exact() {
	console /tmp/off
	check "exact: by exit" '[ "$(grep -c "^hello,world.$" /tmp/off)" = $lines ]' "$(tail -n 3 /tmp/off)"
	console /tmp/on $serial
	check "exact: by UER, every byte is the same" 'cmp /tmp/off /tmp/on' "$(wc -c /tmp/off /tmp/on) $(cat /tmp/on.err)"
	check "exact: nothing to warn of" '[ ! -s /tmp/on.err ]' "$(cat /tmp/on.err)"
}

scenario_serial() {
	start serial $serial -smp 2
	vm_find_serial
	counters $vm_serial
	check "serial: handlers serve it while the guest boots" '[ $stores -gt 0 ] && [ $loads -gt 0 ]' "$seen"
	run "yes hello,world | head -n $lines" /tmp/lines
	counters $vm_serial
	echo "# $lines lines: $seen"
	check "serial: all lines arrive" '[ "$(grep -c "^hello,world$" /tmp/lines)" = $lines ] && [ "$(wc -l </tmp/lines)" = $lines ]' "$(sort /tmp/lines | uniq -c | head)"
	bytes=$((lines * 13))
	check "serial: bytes are sent by handlers" '[ $stores -ge $bytes ]' "$seen"
	check "serial: at most one access in two is punted, however soon the main loop sends" '[ $((punts * 2)) -le $((loads + stores + punts)) ]' "$seen"
	check "serial: a punt is an exit, and nothing else is" '[ $exits -ge $punts ] && [ $exits -le $((punts + 100)) ]' "$seen"
	# What is typed, in pieces larger than the port holds.
	typed=$(seq 1 60 | tr '\n' .)
	for round in 1 2 3; do
		check "serial: what is typed arrives ($round)" '[ "$(vm_sh "echo $typed")" = "$typed" ]'
	done
	counters $vm_serial
	vm_qmp stop
	counters $vm_serial
	vm_qmp cont
	check "serial: goes on after a pause" '[ "$(vm_sh "echo on")" = on ]'
	vm_qmp system_reset
	vm_reset=$(while vm_line; do [ "$vm_said" = ::ready ] && echo ready && break; done)
	check "serial: goes on after a reset" '[ "$vm_reset" = ready ] && [ "$(vm_sh "echo on")" = on ]'
	counters $vm_serial
	check "serial: by handlers" '[ $stores -gt 0 ]' "$seen"
	stop serial
}

# Both vCPUs of a guest write at once; nothing may be lost, whatever the order.
scenario_contention() {
	start contention $serial -smp 2
	vm_find_serial
	run "for i in 1 2; do (yes line\$i | head -n $lines >/dev/console) & done; (n=0; while [ \$n -lt 300 ]; do n=\$((n + 1)); cat /proc/tty/driver/serial >/dev/null; done) & wait" /tmp/lines
	check "contention: all lines arrive" '[ "$(grep -c "^line[12]$" /tmp/lines)" = $((2 * lines)) ]' "$(sort /tmp/lines | uniq -c | sort -rn | head -n 5)"
	counters $vm_serial
	echo "# $seen"
	stop contention
}

# Nobody reads what the guest prints, more than a pipe holds; then somebody does.
scenario_blocked() {
	start blocked $serial
	vm_tell "seq 1 20000"
	# It is stuck when it prints no more.
	vm_find_serial
	counters $vm_serial
	while counters $vm_serial && [ $stores != 0 ]; do sleep 1; done
	check "blocked: a pipe holds less" '[ $was_stores -lt 120000 ]' $was_stores
	rm -f /tmp/lines
	printed /tmp/lines
	seq 1 20000 >/tmp/expected
	check "blocked: nothing is lost" 'cmp /tmp/expected /tmp/lines' "$(diff /tmp/expected /tmp/lines | head -n 5)"
	stop blocked
}

scenario_virtio() {
	head -c 4194304 /dev/urandom >/tmp/disk
	start virtio -drive if=none,id=d0,file=/tmp/disk,format=raw,cache=writeback \
		-device virtio-blk-device,id=b0,drive=d0,uer=on -device virtio-rng-device,id=r0
	device=/machine/peripheral/b0
	counters $device
	echo "# until the guest runs: $seen"
	check "virtio: the data are right" '[ "$(vm_sh "md5sum </dev/vda")" = "$(md5sum </tmp/disk)" ]'
	vm_sh "echo 3 >/proc/sys/vm/drop_caches"
	counters $device
	vm_sh "for i in \$(seq 0 63); do dd if=/dev/vda of=/dev/null bs=4096 count=1 skip=\$((i * 16)) iflag=direct 2>/dev/null; done"
	counters $device
	echo "# 64 reads: $seen"
	check "virtio: the interrupt's cause is read by handlers" '[ $loads -ge 64 ]' "$seen"
	check "virtio: the queue is notified by handlers" '[ $stores -ge 64 ]' "$seen"
	check "virtio: the interrupt's acknowledgment alone is punted" '[ $punts -ge 1 ] && [ $punts -le $((loads + 8)) ]' "$seen"
	vm_sh "echo written | dd of=/dev/vda bs=512 count=1 conv=sync,fsync 2>/dev/null"
	check "virtio: what is written is written" '[ "$(head -c 7 /tmp/disk)" = written ]'
	again=$(vm_sh 'cd /sys/bus/virtio/drivers/virtio_blk && d=$(echo virtio*) && echo $d >unbind && echo $d >bind && head -n 1 /dev/vda')
	check "virtio: bound again" '[ "$again" = written ]' "$again"
	vm_qmp qom-list '{"path": "/machine/peripheral/r0"}'
	check "virtio: a device without uer=on has no counters" '! echo "$vm_answer" | grep -q uer-loads'
	stop virtio
}

# migrate NAME OPTION...: a guest that prints, and a disk, move to a QEMU with these options.
migrate() {
	what=$1
	shift
	vm=/tmp/vm-source vm_machine=$migratable
	rm -f /tmp/disk
	truncate -s 1M /tmp/disk
	disk='-drive if=none,id=d0,file=/tmp/disk,format=raw,file.locking=off -device virtio-blk-device,id=b0,drive=d0'
	start "$what" $serial $disk,uer=on
	vm_tell "seq 1 $lines"
	exec 9<>$vm/con.out
	migrate_to destination "$@"
	check "$what: completed" '[ $migrated = completed ]' "$source_answer"
	source_qmp quit
	wait $source_shell
	# The source's part ends anywhere in a line.
	cat <&9 >/tmp/part &
	cat_pid=$!
	until grep -q ::exit /tmp/part; do usleep 100000; done
	kill $cat_pid
	sed 's/::exit.*//' /tmp/part | head -c -1 >/tmp/lines
	printed /tmp/lines
	seq 1 $lines >/tmp/expected
	check "$what: what the guest printed is whole" 'cmp /tmp/expected /tmp/lines' "$(diff /tmp/expected /tmp/lines | head -n 5)"
	check "$what: the guest goes on" '[ "$(vm_sh "head -c 4 /dev/vda | md5sum | cut -c1-8")" = f1d3ff84 ]'
}

scenario_migrate() {
	disk='-drive if=none,id=d0,file=/tmp/disk,format=raw,file.locking=off -device virtio-blk-device,id=b0,drive=d0'
	migrate "migrate" $serial $disk,uer=on
	vm_find_serial
	counters $vm_serial
	check "migrate: by handlers" '[ $stores -gt 0 ]' "$seen"
	stop migrate
}

scenario_migrate_off() {
	disk='-drive if=none,id=d0,file=/tmp/disk,format=raw,file.locking=off -device virtio-blk-device,id=b0,drive=d0'
	migrate "migrate to uer=off" $disk
	stop "migrate to uer=off"
}

# refused WORDS: what the host lacks costs a warning, and the guest runs.
scenario_refused() {
	reason=$1
	start refused $serial
	check "refused: the warning says why" 'grep "uer=on is without effect, accesses of the guest exit: " $vm/err | grep -q "$reason"' "$(cat $vm/err)"
	check "refused: once" '[ "$(grep -c without $vm/err)" = 1 ]'
	check "refused: the console works" '[ "$(vm_sh "echo on")" = on ]'
	stop refused
}

scenario_errors() {
	qemu-system-riscv64 -nodefaults -display none -M virt,aia=aplic-imsic -accel kvm -cpu host -m 256 \
		-device virtio-rng-pci,uer=on 2>/tmp/err
	check "errors: a device that cannot" '[ $? != 0 ] && grep -q "has no registers that can be served" /tmp/err' "$(cat /tmp/err)"
	check "errors: and what to do" 'grep -q "uer=off" /tmp/err' "$(cat /tmp/err)"
	vm_machine='-M virt -accel tcg' vm_launch $serial -S -bios none -cpu rv64
	vm_qmp qmp_capabilities
	check "errors: not with TCG" 'grep "uer=on is without effect" $vm/err | grep -q KVM' "$(cat $vm/err)"
	vm_qmp quit
	vm_wait
}

cp "$vm_files/guest.cpio" /tmp/vm.cpio
shift
scenario=$1
shift
"scenario_$scenario" "$@"
exit $failed
