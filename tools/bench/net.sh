# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# The job of bench-net in the host under test: one guest with a network device for each mechanism, which differ
# only in how they are notified, and netperf from the guest to the host over each of them in turn.
# usage: sh net.sh FILES SECONDS WINDOW-US REPEAT MARK TEST:SIZE... ; prints a line "sample key=value..." a run.
# MARK is a program that marks the measured window for the instruction counter, and a run ends with its window
# then; or 'none', and netperf goes on for so many seconds, and has the last word.
# shellcheck disable=SC2034,SC2154 # for qemu-guest.sh; set by take
vm_files=$1 seconds=$2 window_us=$3 repeat=$4 mark=$5
shift 5
# shellcheck source=qemu-guest.sh
. "$(dirname "$0")/qemu-guest.sh"

# Where everything runs: the same for each device.
main_cpu=0 vcpu_cpu=1 worker_cpu=2 server_cpu=3
# So long does vhost look for more before it rests: longer than anything in a run takes, and until another worker has something to do.
poll_us=100000
# Without Xhaiov there is no VEIC, nor the device that needs one.
counters=/sys/kernel/debug/haiov/counters
[ "$XHAIOV" = on ] || counters=/dev/null

tap() { # NUMBER VHOST OPTIONS
	echo "-netdev tap,id=n$1,ifname=tap$1,script=no,downscript=no,vhost=$2 -device virtio-net-pci,romfile=,id=net$1,netdev=n$1,$3"
}

# take PREFIX: the counters, without starting a process.
take() {
	read -r now _ </proc/uptime
	read -r packets <"$stats/rx_packets"
	read -r bytes <"$stats/rx_bytes"
	read -r exits <"$vm_stats/exits"
	read -r kernel <"$vm_stats/mmio_exit_kernel"
	read -r user <"$vm_stats/mmio_exit_user"
	sent=0
	while read -r key value; do
		[ "$key" != sent ] || sent=$value
	done <$counters
	eval "$1='$now $packets $bytes $exits $kernel $user $sent'"
}

# run MECHANISM NUMBER TEST SIZE ROUND
run() {
	stats=/sys/class/net/tap$2/statistics
	case $3 in
	*_RR) options="-r $4,$4" ;;
	*) options="-m $4" ;;
	esac
	command="netperf -4 -H 10.0.$2.1 -t $3 -P 0 -l"
	options="$options -k THROUGHPUT,REMOTE_RECV_THROUGHPUT >/tmp/out 2>&1"
	if [ "$mark" = none ]; then
		vm_tell "$command $seconds -- $options"
	else
		vm_sh "$command 600 -- $options &"
	fi
	read -r before <"$stats/rx_packets"
	tries=0
	while :; do
		read -r packets <"$stats/rx_packets"
		[ "$packets" -le $((before + 30)) ] || break
		usleep 5000
		tries=$((tries + 1))
		[ $tries -lt 2000 ] || { echo "$1 $3 $4: no traffic"; exit 1; }
	done
	[ "$mark" = none ] || $mark begin
	take first
	usleep "$window_us"
	take last
	if [ "$mark" = none ]; then
		vm_told || { vm_sh 'cat /tmp/out'; exit 1; }
		result=$(vm_sh 'cat /tmp/out' | grep '=' | tr '\n' ' ')
	else
		$mark end
		vm_sh 'killall netperf' || exit 1
		result=
	fi
	echo "sample mechanism=$1 test=$3 size=$4 round=$5 first=$(echo "$first" | tr ' ' ,) last=$(echo "$last" | tr ' ' ,) $result"
}

# An idle vCPU spins for a while in its host, which would count as if it sent.
[ "$mark" = none ] || echo 0 >/sys/module/kvm/parameters/halt_poll_ns || exit 1
vm_initrd
# This shell and all that it starts keep off the harts of the guest and of vhost.
taskset -p -c $main_cpu,$server_cpu $$ >/dev/null || exit 1
numbers='0 1 2'
[ "$XHAIOV" != on ] || numbers='0 1 2 3'
# shellcheck disable=SC2046 # words of options
vm_start \
	$(tap 0 on vei=off) $(tap 1 off ioeventfd=off) $(tap 2 on,poll-us=$poll_us vei=off) \
	$([ "$XHAIOV" != on ] || tap 3 on vei=on,vei-cpu=$worker_cpu) || exit 1
for n in $numbers; do
	ip addr add "10.0.$n.1/24" dev tap$n && ip link set tap$n up &&
		vm_sh "ip addr add 10.0.$n.2/24 dev eth$n && ip link set eth$n up" || exit 1
done
vm_pin 'qemu*' $main_cpu && vm_pin 'CPU 0/KVM' $vcpu_cpu && vm_pin 'vhost-*' $worker_cpu || exit 1
taskset -c $server_cpu netserver >/dev/null || exit 1

round=1
while [ $round -le "$repeat" ]; do
	for case in "$@"; do
		# Interleaved, and not always in the same order.
		order='ioeventfd:0 vei:3 exit:1 poll:2'
		[ $((round % 2)) = 1 ] || order='poll:2 exit:1 vei:3 ioeventfd:0'
		for mechanism in $order; do
			[ "$XHAIOV,${mechanism%:*}" != off,vei ] || continue
			run "${mechanism%:*}" "${mechanism#*:}" "${case%:*}" "${case#*:}" $round
		done
	done
	round=$((round + 1))
done
vm_stop
