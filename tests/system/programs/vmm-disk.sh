#!/bin/sh
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-only
# The disk of haiov-vmm: what a guest reads is what the image holds, and what it writes is there afterwards, whichever
# way its notifications take. Prints "ok NAME" and "not ok NAME: WHY".
# shellcheck source=../../lib/host.sh
. "${0%/*}/host.sh"
# shellcheck source=../../../tools/bench/qemu-guest.sh
. "${0%/*}/qemu-guest.sh"

# works OUT COMMAND ARGUMENTS...: runs a guest with that command; its console is one of handlers.
works() {
	out=$1 command=$2
	shift 2
	guest "$out" --console uer --cmdline "$(run "$command")" "$@"
}

said() { # FILE KEY VALUE: the guest printed that line
	tr -d '\r' <"$1" | grep -qxF "$2=$3" || {
		echo "wanted $2=$3"
		tr -d '\r' <"$1" | grep "^$2=\|haiov-guest"
		return 1
	}
}

sum() { # FILE SKIP COUNT: checksum of some MiB
	dd if="$1" bs=1M skip="$2" count="$3" 2>/dev/null | md5sum | cut -d' ' -f1
}

mib=24
requests=300
dd if=/dev/urandom of=first.img bs=1M count=$mib 2>/dev/null

# All of the disk is read; 4 MiB are written in large requests, read back past the cache and compared; two writers at
# once, each on its part; and as many small writes as `requests`, one at a time, so that each needs a notification.
# shellcheck disable=SC2016 # the guest expands it
work='
sum() { md5sum | cut -d" " -f1; }
echo all=$(cat /dev/vda | sum)
echo sectors=$(cat /sys/block/vda/size) serial=$(cat /sys/block/vda/serial)
dd if=/dev/urandom of=/tmp/large bs=1M count=4 2>/dev/null
dd if=/tmp/large of=/dev/vda bs=1M seek=4 2>/dev/null
for part in 1 2; do
	dd if=/dev/urandom of=/tmp/part$part bs=1M count=2 2>/dev/null
	dd if=/tmp/part$part of=/dev/vda bs=64k seek=$((part * 128)) oflag=direct 2>/dev/null &
done
wait
sync
echo 3 >/proc/sys/vm/drop_caches
dd if=/dev/vda bs=1M skip=4 count=4 2>/dev/null | cmp - /tmp/large && echo back=same
echo large=$(sum </tmp/large)
echo part1=$(sum </tmp/part1)
echo part2=$(sum </tmp/part2)
dd if=/dev/vda of=/dev/null bs=4k skip=$((MIB * 256)) count=1 2>/dev/null; echo past=$?
dd if=/dev/urandom of=/tmp/small bs=4k count=REQUESTS 2>/dev/null
exec </dev/console; echo READY; read -r line
dd if=/tmp/small of=/dev/vda bs=4k seek=5120 oflag=direct 2>/dev/null
echo small=$(sum </tmp/small)
echo DONE; read -r line
'
work=$(printf %s "$work" | sed "s/REQUESTS/$requests/; s/MIB/$mib/")

# waits_for WORD: waits until the guest of the file disk has said that, or has ended.
waits_for() {
	until grep -q "$1" disk 2>/dev/null || [ -s disk.status ]; do usleep 50000; done
}

exits() { # WHERE: how often the VM's vCPUs came to the VMM (user) or to an eventfd in KVM (kernel)
	cat /sys/kernel/debug/kvm/*-*/mmio_exit_"$1" | awk '{ n += $1 } END { print n + 0 }'
}

contexts() { # what the module tells of handlers that VEIs start, of their wake-ups and signals
	cut -d' ' -f2,8- /sys/kernel/debug/haiov/contexts
}

grown() { # NAME: how much a figure of it has grown from $before to $taken
	echo $(($(echo "$taken" | sed "s/.* $1=\([0-9]*\).*/\1/") - $(echo "$before" | sed "s/.* $1=\([0-9]*\).*/\1/")))
}

for how in exit ioeventfd ioregionfd poll vei hcs uer haiov; do
	for cpus in 1 3; do
		name="$how, $cpus vCPU"
		rm -f disk disk.* keys
		cp first.img disk.img
		mkfifo keys
		exec 3<>keys
		works disk "$work" --disk disk.img --blk $how --cpus $cpus <keys &
		waits_for READY
		before=$(contexts) all=$(exits user) in_kvm=$(exits kernel) vei=$(veic sent)
		echo >&3
		waits_for DONE
		taken=$(contexts)
		small=$(($(exits user) - all)) in_kvm=$(($(exits kernel) - in_kvm)) vei=$(($(veic sent) - vei))
		all=$((all + small))
		echo >&3
		wait
		exec 3>&-
		echo "# $name: $all MMIO exits to the VMM; for $requests small writes $small, $in_kvm to KVM, $vei VEIs"
		served_by=thread
		case $how in hcs | haiov) served_by=handler ;; esac
		check "$name: a $served_by serves it" [ "${taken:+handler}" = "${served_by#thread}" ]
		if [ -n "$taken" ]; then
			echo "# $name: before them $before, then $taken"
			# An interrupt that takes a system call would be a fault. How many begin on the thread is a matter of load.
			check "$name: the frames that serve them answer them" [ $(($(grown faults) * 10)) -lt "$(grown signaled)" ]
		fi
		eval "all_${how}_$cpus=$all small_${how}_$cpus=$small in_kvm_${how}_$cpus=$in_kvm vei_${how}_$cpus=$vei"
		check "$name: the guest powers off" is disk.status 0
		check "$name: no word on standard error" is disk.err ""
		check "$name: the guest reads what the image holds" said disk all "$(sum first.img 0 $mib)"
		check "$name: size and serial number" said disk sectors "$((mib * 2048)) serial=haiov-vmm"
		check "$name: the guest reads back what it wrote" said disk back same
		check "$name: large writes are in the image" said disk large "$(sum disk.img 4 4)"
		check "$name: the first of two writers" said disk part1 "$(sum disk.img 8 2)"
		check "$name: the second of two writers" said disk part2 "$(sum disk.img 16 2)"
		check "$name: small writes are in the image" said disk small \
			"$(dd if=disk.img bs=4k skip=5120 count=$requests 2>/dev/null | md5sum | cut -d' ' -f1)"
		check "$name: there is nothing past the end" said disk past 0
		for part in "0 4" "10 6" "18 2"; do
			# shellcheck disable=SC2086 # two words
			check "$name: the rest of the image is as it was, from MiB ${part% *}" \
				[ "$(sum disk.img $part)" = "$(sum first.img $part)" ]
		done
	done
done

# Each small write costs a notification, the look at InterruptStatus and its acknowledgement: so many of the last two,
# more or less, and of the first exactly.
# shellcheck disable=SC2154 # set by eval
for cpus in 1 3; do
	for how in exit:3:0:0 ioeventfd:2:1:0 poll:2:0:0 vei:2:0:1 hcs:2:0:1 haiov:0:0:1; do
		# shellcheck disable=SC2046 # four words
		set -- $(echo $how | tr : ' ')
		eval "small=\$small_$1_$cpus in_kvm=\$in_kvm_$1_$cpus vei=\$vei_$1_$cpus"
		check "$1, $cpus vCPU: $2 exits to the VMM for each small write" \
			[ $(((small + requests / 2) / requests)) = "$2" ]
		check "$1, $cpus vCPU: $3 to KVM, $4 VEIs" [ "$in_kvm,$vei" = $((requests * $3)),$((requests * $4)) ]
	done
	eval "small=\$small_ioregionfd_$cpus in_kvm=\$in_kvm_ioregionfd_$cpus"
	check "ioregionfd, $cpus vCPU: 3 exits to KVM for each small write, and one in ten to the VMM at most" \
		[ $(((in_kvm + requests / 2) / requests)),$((small > requests / 10)) = 3,0 ]
	check "uer, $cpus vCPU: one exit in ten at most" [ "$(eval "echo \$small_uer_$cpus")" -le $((requests * 3 / 10)) ]
done
# shellcheck disable=SC2154 # set by eval
check "uer: one in ten at most of all, on one vCPU" [ "$all_uer_1" -le $((all_exit_1 / 10)) ]
# shellcheck disable=SC2154 # set by eval
check "uer: one in four at most, on three" [ "$all_uer_3" -le $((all_exit_3 / 4)) ]

# What fio has written, many requests of all sizes at a time, it finds again by their checksums; in the image too.
# shellcheck disable=SC2034 # for qemu-guest.sh
vm_files=${kernel%/*} vm_programs=/usr/bin/fio
vm_initrd
plain_initrd=$initrd initrd=/tmp/vm.cpio
verify="fio --name=verify --direct=1 --ioengine=libaio --iodepth=32 --rw=randwrite --bsrange=512-64k --blockalign=512
	--size=${mib}m --verify=crc32c --verify_fatal=1"
verify=$(echo $verify)
for how in exit ioeventfd ioregionfd poll vei hcs uer haiov; do
	cp first.img disk.img
	works verify "$verify --filename=/dev/vda >/tmp/out 2>&1; s=\$?; grep -i 'err=\|issued\|verif' /tmp/out; exit \$s" \
		--disk disk.img --blk $how --cpus 2 --mem 512 </dev/null
	check "$how: fio verifies what it wrote" has verify "haiov-guest: status 0"
	check "$how: all of it" grep -q "issued rwts: total=[1-9][0-9]*,[1-9][0-9]*" verify
	# shellcheck disable=SC2086 # words
	check "$how: and finds it in the image" $verify --filename=disk.img --verify_only --direct=0
done
echo another | dd of=disk.img bs=1 seek=$((mib * 524288 + 100)) conv=notrunc 2>/dev/null
# shellcheck disable=SC2086 # words
check "fio notices other data" sh -c "! $verify --filename=disk.img --verify_only --direct=0"
initrd=$plain_initrd

# Where the disk is served, and that a polling thread alone is busy while the guest is idle.
idle() { # HOW THREAD: clock ticks that it took in two seconds of an idle guest, and the CPUs that may serve the disk
	rm -f keys idle idle.*
	mkfifo keys
	exec 3<>keys
	works idle "exec </dev/console; echo READY; read -r line" --disk disk.img --blk "$1" --cpu-of-route 3 <keys &
	until grep -q READY idle 2>/dev/null || [ -s idle.status ]; do usleep 50000; done
	task=$(grep -lx "$2" /proc/"$(pidof haiov-vmm)"/task/*/comm)
	task=${task%/comm}
	# A handler runs where its context is; its thread may be anywhere.
	cpus=$(sed -n 's/.* cpu=\([0-9]*\) .*/\1/p' /sys/kernel/debug/haiov/contexts)
	cpus=${cpus:-$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "$task/status")}
	# shellcheck disable=SC2046 # two words
	set -- $(cut -d' ' -f14,15 "$task/stat")
	before=$(($1 + $2))
	usleep 2000000
	# shellcheck disable=SC2046 # two words
	set -- $(cut -d' ' -f14,15 "$task/stat")
	ticks=$(($1 + $2 - before))
	echo >&3
	wait
	exec 3>&-
}
for how in exit vei poll hcs; do
	idle $how "$([ $how = hcs ] && echo disk-handler || echo disk)"
	echo "# $how: $ticks ticks in two seconds of an idle guest"
	check "$how: the disk is served where it was asked to be" [ "$cpus" = 3 ]
	case $how in
	poll) check "poll: its thread is busy in an idle guest" [ "$ticks" -ge 50 ] ;;
	*) check "$how: its thread is idle with the guest" [ "$ticks" -le 5 ] ;;
	esac
done

# Who may have it.
works mine "exec </dev/console; echo READY; read -r line" --disk disk.img --blk uer <keys &
exec 3<>keys
until grep -q READY mine 2>/dev/null || [ -s mine.status ]; do usleep 50000; done
works other "true" --disk disk.img </dev/null
check "a second VMM is refused the image" is other.err \
	"haiov-vmm: cannot use --disk disk.img: another program has locked it; end that one, or give a copy"
kill -9 "$(pidof haiov-vmm)"
wait
exec 3>&-
works other "true" --disk disk.img </dev/null
check "until the first is gone" is other.status 0
works other "true" --disk /nope </dev/null
check "no image: status 1" is other.status 1
check "no image: one sentence" grep -q "^haiov-vmm: cannot use --disk /nope: " other.err
works other 'echo disks=$(ls /sys/block | grep -c vd)' </dev/null
check "no disk unless there is one" said other disks 0

# A host without the module: the guest goes on by ioeventfd.
rmmod haiov
for how in vei hcs haiov; do
	works plain 'dd if=/dev/vda bs=1M 2>/dev/null | md5sum' --disk disk.img --blk $how </dev/null
	check "no $how: the guest powers off" is plain.status 0
	check "no $how: its disk works" has plain "$(md5sum <disk.img | cut -d' ' -f1)"
	check "no $how: a warning" \
		grep -q "^haiov-vmm: warning: cannot open /dev/haiov: .*; the disk goes on with its ioeventfd alone$" plain.err
done
exit $failed
