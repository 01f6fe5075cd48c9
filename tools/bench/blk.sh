# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC3045 # busybox's read has -t
# The job of bench-blk in the host under test: guests of haiov-vmm, one at a time, that run fio on their disk. They differ
# in nothing but --blk. Each runs all jobs of blk.fio, and stops before and after each, while the counters are read.
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
counters=/sys/kernel/debug/haiov/counters console=uer
[ "$XHAIOV" = on ] || counters=/dev/null console=exit
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
run() { # MECHANISM ROUND
	rm -rf $vm
	mkdir -p $vm
	mkfifo $vm/in $vm/out
	exec 5<>$vm/in 6<>$vm/out
	# The disk is read once, so that the VMM finds the image mapped.
	job='stty -echo </dev/console; cd /tmp; dd if=/dev/vda of=/dev/null bs=1M iflag=direct 2>/dev/null; fio --output=out --output-format=json --eta=never /usr/bin/blk.fio; '
	# All on one line, which is quicker to read.
	job="${job}s=\$?; echo ::fio; tr -d ' \t\n' <out; echo; echo ::done \$s"
	{
		"$vmm" --kernel "$vm_files/Image" --initrd /tmp/vm.cpio --mem 512 --console $console --disk /tmp/disk.img --blk "$1" \
			--cpu-of-vcpu $vcpu_cpu --cpu-of-route $disk_cpu \
			--cmdline "console=ttyS0 quiet panic=-1 haiov.cmd=$(echo "$job" | base64 | tr -d '\n')" \
			<$vm/in >$vm/out 2>$vm/err 5>&- 6>&-
		echo "::exit $?" >$vm/out
	} &
	vmm_shell=$! status=
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
		"::done "*) status=${said#::done } ;;
		"::exit "*) break ;;
		*) echo "$said" ;;
		esac
	done
	wait $vmm_shell
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
