# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC3045 # busybox's read has -t
# One guest of QEMU in the host under test, driven from a shell there: sourced by the jobs of the
# vhost test and of the bench. busybox sh.
#
# The guest's init runs a loop that reads commands from its serial console; vm_sh runs one there.
# QEMU's console, monitor and messages are in $vm. Descriptors 5 to 8 belong to this file.

vm=/tmp/vm
vm_files=${vm_files:-/boot}
vm_qemu=${vm_qemu:-qemu-system-riscv64}
# Options that choose the machine, and guest kernel parameters on top of the usual ones.
vm_machine='-M virt,aia=aplic-imsic -accel kvm'
vm_append=
# Files that the guest is to have in /usr/bin, besides netperf.
vm_programs=
# Each reply of a monitor or a guest comes within this time, or the guest counts as stuck.
vm_patience_s=${vm_patience_s:-120}

# vm_initrd: makes the guest's archive, with netperf.
vm_initrd() {
	vm_root=/tmp/vm-root
	rm -rf $vm_root
	mkdir -p $vm_root/usr/bin $vm_root/usr/lib/riscv64-linux-gnu
	# shellcheck disable=SC2086 # words
	cp /usr/bin/netperf /usr/bin/netserver $vm_programs $vm_root/usr/bin/
	vm_loader=/lib/ld-linux-riscv64-lp64d.so.1
	cp $vm_loader $vm_root/usr/lib/
	for vm_program in /usr/bin/netperf $vm_programs; do
		# One that is static, or a script, does not name the loader.
		! grep -q $vm_loader "$vm_program" || $vm_loader --list "$vm_program" | sed -n 's/.*=> \([^ ]*\) .*/\1/p'
	done | sort -u | while read -r vm_lib; do
		cp "$vm_lib" $vm_root/usr/lib/riscv64-linux-gnu/
	done
	(cd $vm_root && find usr | cpio -o -H newc 2>/dev/null) >/tmp/vm-programs.cpio
	rm -rf $vm_root
	cat "$vm_files/guest.cpio" /tmp/vm-programs.cpio >/tmp/vm.cpio
	rm /tmp/vm-programs.cpio
}

# vm_launch OPTION...: starts QEMU; its messages go to $vm/err, its status into its last line of output.
vm_launch() {
	rm -rf $vm
	mkdir -p $vm
	mkfifo $vm/con.in $vm/con.out $vm/mon.in $vm/mon.out
	exec 5<>$vm/con.in 6<>$vm/con.out 7<>$vm/mon.in 8<>$vm/mon.out
	vm_job='exec </dev/console; stty -echo; echo ::ready; while read -r line; do sh -c "$line" 2>&1; echo "::done $?"; done'
	vm_job=$(echo "$vm_job" | base64 | tr -d '\n')
	{
		# shellcheck disable=SC2086 # words
		$vm_qemu -nodefaults -display none $vm_machine -cpu host -m 256 \
			-pidfile $vm/pid -name vm,debug-threads=on \
			-chardev stdio,id=con,signal=off -serial chardev:con \
			-chardev pipe,id=mon,path=$vm/mon -mon chardev=mon,mode=control \
			-kernel "$vm_files/Image" -initrd /tmp/vm.cpio \
			-append "console=ttyS0 quiet panic=-1 $vm_append haiov.cmd=$vm_job" "$@" \
			<$vm/con.in >$vm/con.out 2>$vm/err 5>&- 6>&- 7>&- 8>&-
		echo "::exit $?" >$vm/con.out
	} &
	vm_shell=$!
}

# vm_line: the next line of the guest's console in $vm_said; fails when the guest is gone or stuck.
vm_line() {
	read -r -t "$vm_patience_s" vm_said <&6 || { echo "# guest: no word in $vm_patience_s s"; return 1; }
	vm_said=$(echo "$vm_said" | tr -d '\r')
	case $vm_said in
	::exit*) return 1 ;;
	esac
}

# vm_ready: waits until the guest takes commands.
vm_ready() {
	while vm_line; do
		[ "$vm_said" = ::ready ] && break
	done
	if [ "$vm_said" != ::ready ]; then
		echo "# guest: $vm_said"
		sed 's/^/# qemu: /' $vm/err
		return 1
	fi
	vm_pid=$(cat $vm/pid)
	vm_stats=$(echo /sys/kernel/debug/kvm/"$vm_pid"-*)
	# The monitor greets, and wants to be greeted.
	vm_qmp qmp_capabilities
}

# vm_start OPTION...: launches a guest and waits for it.
vm_start() {
	vm_launch "$@"
	vm_ready
}

# vm_tell COMMAND: runs a command line in the guest, without waiting; vm_told waits for its end.
vm_tell() {
	echo "$1" >&5
}

# vm_told: the output of the command, and its status.
vm_told() {
	while vm_line; do
		case $vm_said in
		"::done "*) return "${vm_said#::done }" ;;
		*) echo "$vm_said" ;;
		esac
	done
	return 99
}

# vm_sh COMMAND: runs a command line in the guest; its output, and its status.
vm_sh() {
	vm_tell "$1"
	vm_told
}

# vm_qmp COMMAND [ARGUMENTS]: one command of QEMU's monitor, its arguments as JSON. The answer in
# $vm_answer; fails when it is an error.
vm_qmp() {
	echo "{\"execute\": \"$1\"${2:+, \"arguments\": $2}}" >&7
	while read -r -t "$vm_patience_s" vm_answer <&8; do
		case $vm_answer in
		*'"return":'*) return 0 ;;
		*'"error":'*) return 1 ;;
		esac
	done
	vm_answer="no answer"
	return 99
}

# vm_wait: waits for QEMU's end; its status.
vm_wait() {
	while read -r -t "$vm_patience_s" vm_said <&6; do
		vm_said=$(echo "$vm_said" | tr -d '\r')
		case $vm_said in
		"::exit "*)
			wait $vm_shell
			return "${vm_said#::exit }"
			;;
		esac
	done
	return 99
}

# vm_stop: ends the guest in an orderly way.
vm_stop() {
	vm_qmp quit
	vm_wait
}

# vm_tap NAME NETWORK: addresses of both ends of a tap that QEMU has made; the guest's is eth0.
vm_tap() {
	ip addr add "10.0.$2.1/24" dev "$1" && ip link set "$1" up &&
		vm_sh "ip addr add 10.0.$2.2/24 dev eth0 && ip link set eth0 up"
}

# kvm_stat NAME: a counter of KVM, over all vCPUs of the guest.
kvm_stat() {
	cat "$vm_stats/$1"
}

# veic NAME: a counter of the interrupt controller.
veic() {
	sed -n "s/^$1 //p" /sys/kernel/debug/haiov/counters
}

# field NAME: that field of lines key=value.
field() {
	sed -n "s/.*\\b$1=\\([^ ]*\\).*/\\1/p"
}

# vm_pin COMM CPU: the threads of QEMU, and those of the kernel that work for it, whose name fits the pattern.
vm_pin() {
	for vm_comm_file in /proc/"$vm_pid"/task/*/comm; do
		read -r vm_comm <"$vm_comm_file"
		# shellcheck disable=SC2254 # it is a pattern
		case $vm_comm in
		$1) vm_tid=${vm_comm_file%/comm} && taskset -p -c "$2" "${vm_tid##*/}" >/dev/null || return 1 ;;
		esac
	done
}

# vm_find_serial: the path of the serial port in $vm_serial. A board makes it, so that it has no name of its own.
vm_find_serial() {
	vm_qmp qom-list '{"path": "/machine/unattached"}'
	# shellcheck disable=SC2034 # for who calls this
	vm_serial=/machine/unattached/$(echo "$vm_answer" | tr '{' '\n' |
		sed -n 's/.*"name": "\(device[^"]*\)", "type": "child<serial-mm>".*/\1/p')
}

# vm_uer_counter PATH NAME: what handlers have counted for a device: loads, stores, punts.
vm_uer_counter() {
	vm_qmp qom-get "{\"path\": \"$1\", \"property\": \"uer-$2\"}"
	echo "$vm_answer" | sed -n 's/.*"return": \([0-9]*\).*/\1/p'
}
