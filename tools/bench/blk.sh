# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC3045 # busybox's read has -t
# The job of bench-blk in the host under test: guests, one at a time, that run fio on their disk. Those of haiov-vmm differ
# in nothing but --blk, those of QEMU, whose disk haiov-vhost-user-blk serves, in --notify and vei. Each runs all jobs of blk.fio, and
# stops before and after each, while the counters are read. A MECHANISM is one of --blk, with @qemu behind it for the latter.
# usage: sh blk.sh FILES MARK ROUNDS MECHANISM... ; prints a line "window key=value..." for each job, and what fio says.
# MARK is a program that marks each job for the instruction counter, or 'none'.
vm_files=$1 mark=$2 rounds=$3
shift 3
here=$(dirname "$0")
# shellcheck source=qemu-guest.sh
. "$here/qemu-guest.sh"
# shellcheck disable=SC2034 # for qemu-guest.sh
vm_programs="/usr/bin/fio $here/blk.fio $here/blk-turn"
vmm=/usr/bin/haiov-vmm
[ ! -x "$here/haiov-vmm" ] || vmm=$here/haiov-vmm

# Where everything runs: the same for each mechanism.
main_cpu=0 vcpu_cpu=1 disk_cpu=2
patience_s=600
# Without Xhaiov there are no handlers and no VEIC.
counters=/sys/kernel/debug/haiov/counters console=uer serial='-global serial-mm.uer=on'
[ "$XHAIOV" = on ] || counters=/dev/null console=exit serial=
# A process of its own has to see the guest's memory.
vm_machine='-M virt,aia=aplic-imsic,memory-backend=mem -accel kvm -object memory-backend-memfd,id=mem,size=256M,share=on'
cr=$(printf '\r')

# take PREFIX: the counters, without starting a process.
take() {
	read -r user <"$stats/mmio_exit_user"
	read -r kernel <"$stats/mmio_exit_kernel"
	sent=0
	while read -r key value; do
		[ "$key" != sent ] || sent=$value
	done <$counters
	eval "$1=$user,$kernel,$sent"
}

# The guest's console is one of handlers, if it can be, so that what it says is no exit among those that are counted.
start_vmm() { # MECHANISM
	rm -rf $vm
	mkdir -p $vm
	mkfifo $vm/in $vm/out
	exec 5<>$vm/in 6<>$vm/out
	{
		"$vmm" --kernel "$vm_files/Image" --initrd /tmp/vm.cpio --mem 512 --console $console --disk /tmp/disk.img --blk "$1" \
			--cpu-of-vcpu $vcpu_cpu --cpu-of-route $disk_cpu \
			--cmdline "console=ttyS0 quiet panic=-1 haiov.cmd=$(echo "$job" | base64 | tr -d '\n')" \
			<$vm/in >$vm/out 2>$vm/err 5>&- 6>&-
		echo "::exit $?" >$vm/out
	} &
	vmm_shell=$!
}

start_qemu() { # MECHANISM
	notify=eventfd
	case $1 in
	ioeventfd) vei=off ;;
	# Nobody tells QEMU where a process of its own serves a queue. A handler's route is where its thread is.
	vei) vei=on,vei-cpu=$disk_cpu ;;
	hcs) vei=on notify=hcs ;;
	esac
	rm -f /tmp/blk.sock
	taskset -c $disk_cpu haiov-vhost-user-blk --socket /tmp/blk.sock --image /tmp/disk.img --notify $notify --cpu $disk_cpu \
		>/tmp/blk.out 2>&1 &
	blk=$!
	until [ -S /tmp/blk.sock ] || ! kill -0 $blk; do usleep 20000; done
	# shellcheck disable=SC2086 # words
	vm_start $serial -chardev socket,id=c0,path=/tmp/blk.sock -device vhost-user-blk-pci,chardev=c0,num-queues=1,vei=$vei &&
		vm_pin 'CPU 0/KVM' $vcpu_cpu || exit 1
	vm_tell "$job"
}

run() { # MECHANISM ROUND
	# The disk is read once, so that it is mapped where it is served. All on one line, which is quicker to read.
	job='stty -echo </dev/console; cd /tmp; dd if=/dev/vda of=/dev/null bs=1M iflag=direct 2>/dev/null; fio --output=out --output-format=json --eta=never /usr/bin/blk.fio; '
	job="${job}s=\$?; echo ::fio; tr -d ' \t\n' <out; echo; echo ::done \$s"
	how=${1%@qemu} status=
	if [ "$how" = "$1" ]; then start_vmm "$how"; else start_qemu "$how"; fi
	echo "====round mechanism=$1 round=$2"
	while read -r -t $patience_s said <&6; do
		said=${said%"$cr"}
		case $said in
		::begin)
			stats=$(echo /sys/kernel/debug/kvm/*-*)
			[ "$mark" = none ] || $mark begin
			take first
			echo go >&5
			;;
		::end)
			take last
			[ "$mark" = none ] || $mark end
			# shellcheck disable=SC2154 # set by take
			echo "window mechanism=$1 round=$2 first=$first last=$last"
			echo go >&5
			;;
		"::done "*)
			status=${said#::done }
			[ "$how" = "$1" ] || break
			;;
		"::exit "*) break ;;
		*) echo "$said" ;;
		esac
	done
	if [ "$how" = "$1" ]; then
		wait $vmm_shell
	elif vm_stop; then
		said="::exit 0"
		wait $blk || said="::exit of the disk: $(cat /tmp/blk.out)"
	fi
	exec 5>&- 6>&-
	# A warning is that the mechanism was not to be had.
	if [ "$said,$status" != "::exit 0,0" ] || [ -s $vm/err ]; then
		echo "$1: $said, fio: $status"
		cat $vm/err
		exit 1
	fi
}

# What this kernel has not: the VMM would warn, and go on by other ways.
if ! zcat /proc/config.gz | grep -qx CONFIG_KVM_IOREGION=y; then
	for mechanism; do
		shift
		if [ "$mechanism" = ioregionfd ]; then
			echo "====without $mechanism"
		else
			set -- "$@" "$mechanism"
		fi
	done
fi
# An idle vCPU spins for a while in its host, which would count as if it worked.
[ "$mark" = none ] || echo 0 >/sys/module/kvm/parameters/halt_poll_ns || exit 1
vm_initrd
# This shell and all that it starts keep off the harts of the vCPU and of the disk's thread.
taskset -p -c $main_cpu $$ >/dev/null || exit 1
# In memory, and there: not a page is made while fio runs.
dd if=/dev/urandom of=/tmp/disk.img bs=1M count=64 2>/dev/null || exit 1
round=1
while [ "$round" -le "$rounds" ]; do
	for mechanism; do
		run "$mechanism" "$round"
	done
	# Interleaved, and each time another one is first.
	first_one=$1
	shift
	set -- "$@" "$first_one"
	round=$((round + 1))
done
