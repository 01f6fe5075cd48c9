#!/bin/sh
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-only
# The disk of haiov-vmm: what a guest reads is what the image holds, and what it writes is there afterwards, whichever
# way its notifications take. Prints "ok NAME" and "not ok NAME: WHY".
# shellcheck source=../../lib/host.sh
. "${0%/*}/host.sh"

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
dd if=/dev/urandom of=/tmp/small bs=4k count=REQUESTS 2>/dev/null
dd if=/tmp/small of=/dev/vda bs=4k seek=5120 oflag=direct 2>/dev/null
sync
echo 3 >/proc/sys/vm/drop_caches
dd if=/dev/vda bs=1M skip=4 count=4 2>/dev/null | cmp - /tmp/large && echo back=same
echo large=$(sum </tmp/large)
echo part1=$(sum </tmp/part1)
echo part2=$(sum </tmp/part2)
echo small=$(sum </tmp/small)
dd if=/dev/vda of=/dev/null bs=4k skip=$((MIB * 256)) count=1 2>/dev/null; echo past=$?
exec </dev/console; echo READY; read -r line
'
work=$(printf %s "$work" | sed "s/REQUESTS/$requests/; s/MIB/$mib/")

exits() { # sum of the MMIO exits of the VM's vCPUs
	cat /sys/kernel/debug/kvm/*-*/mmio_exit_user | awk '{ n += $1 } END { print n + 0 }'
}

exits_exit_1=0 exits_exit_3=0 exits_ioeventfd_1=0 exits_uer_1=0 exits_uer_3=0
for how in exit ioeventfd uer; do
	for cpus in 1 3; do
		name="$how, $cpus vCPU"
		rm -f disk disk.* keys
		cp first.img disk.img
		mkfifo keys
		exec 3<>keys
		works disk "$work" --disk disk.img --blk $how --cpus $cpus <keys &
		until grep -q READY disk 2>/dev/null || [ -s disk.status ]; do usleep 50000; done
		mmio=$(exits)
		echo >&3
		wait
		exec 3>&-
		echo "# $name: $mmio MMIO exits in all"
		eval "exits_${how}_$cpus=$mmio"
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

# Each small write costs a notification, the look at InterruptStatus and its acknowledgement.
check "exit: three exits for each small write" [ "$exits_exit_1" -ge $((3 * requests)) ]
check "ioeventfd: the notification is no exit" [ "$exits_ioeventfd_1" -le $((exits_exit_1 - requests)) ]
check "ioeventfd: the interrupt's registers are" [ "$exits_ioeventfd_1" -ge $((2 * requests)) ]
check "uer: one in ten at most, on one vCPU" [ "$exits_uer_1" -le $((exits_exit_1 / 10)) ]
check "uer: one in four at most, on three" [ "$exits_uer_3" -le $((exits_exit_3 / 4)) ]

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
exit $failed
