# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
# A guest's mixed traffic with its host, streams and exchanges of messages at once.
# usage: sh load.sh HOST SECONDS
# Prints how many runs of netperf there were; fails with the last words of one that did not end well.
host=$1

now() {
	read -r now_s _ </proc/uptime
	echo "${now_s%.*}"
}
end=$(($(now) + $2))

# loop NAME 'TEST OPTION...'...: these in turn, until the end.
loop() {
	loop_runs=0
	loop_out=/tmp/load.$1
	shift
	while :; do
		for loop_test in "$@"; do
			[ "$(now)" -lt $end ] || return 0
			# shellcheck disable=SC2086 # words
			netperf -4 -H "$host" -P 0 -v 0 -l 2 -t ${loop_test% -- *} -- ${loop_test#* -- } >$loop_out.run 2>&1 || {
				sed "s/^/netperf $loop_test: /" $loop_out.run
				return 1
			}
			loop_runs=$((loop_runs + 1))
			echo $loop_runs >$loop_out
		done
	done
}

loop streams 'TCP_STREAM -- -m 64' 'UDP_STREAM -- -m 64' 'TCP_STREAM -- -m 16384' 'UDP_STREAM -- -m 16384' \
	'TCP_MAERTS -- -m 1024' &
streams=$!
loop messages 'TCP_RR -- -r 1,1' 'UDP_RR -- -r 1,1' 'TCP_RR -- -r 1024,1024' 'UDP_STREAM -- -m 1024' &
messages=$!
wait $streams && wait $messages || exit 1
echo "streams=$(cat /tmp/load.streams) messages=$(cat /tmp/load.messages)"
