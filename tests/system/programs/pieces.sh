#!/bin/sh
# shellcheck shell=dash disable=SC2046
# SPDX-License-Identifier: GPL-2.0-only
# A disk as pieces that fio writes one after the other, so that it is known which of them must be there, however their
# writer ended. For a guest's disk, and for its image.
#
#   pieces.sh new DISK            no piece has been written
#   pieces.sh verify DISK         looks for all pieces that have, by their checksums
#   pieces.sh write DISK COUNT    the same first, then writes so many, and verifies each
#   pieces.sh claim DISK          notes a write of the first piece that there was not
#
# Behind the pieces each of them has a sector that says "busy" while it is written, and "done" once it has been verified
# and flushed, and the number of the write: the seed of fio's headers, so that older data are wrong as well.
disk=$2
pieces=4
size=1048576

fail() {
	echo "pieces: wrong: $1"
	exit 1
}

sum() {
	echo "$*" | md5sum | cut -c 1-32
}

# records PIECE STATE NUMBER
records() {
	echo "$2 $3 $(sum "$@")" |
		dd of="$disk" bs=512 seek=$((pieces * size / 512 + $1)) conv=sync,notrunc,fsync oflag=direct 2>/dev/null ||
		fail "the record of piece $1 cannot be written"
}

# recorded PIECE: its state and number. What was written in part is nothing.
recorded() {
	dd if="$disk" bs=512 skip=$((pieces * size / 512 + $1)) count=1 iflag=direct 2>/dev/null | {
		read -r state number check
		[ "$check" = "$(sum "$1" "$state" "$number")" ] || state=busy number=0
		echo "$state" "$number"
	}
}

# piece NUMBER-OF-PIECE NUMBER-OF-WRITE OPTION...: writes it and reads it back, or does the latter only.
piece() {
	offset=$(($1 * size)) seed=$2
	shift 2
	fio --name=piece --filename="$disk" --offset=$offset --size=$size --randseed="$seed" --rw=randwrite \
		--bsrange=512-64k --blockalign=512 --direct=1 --ioengine=libaio --iodepth=32 --fsync=8 \
		--verify=crc32c --verify_header_seed=1 --verify_fatal=1 "$@" >/tmp/fio.out 2>&1 || {
		head -n 20 /tmp/fio.out
		return 1
	}
}

# Leaves the number of the last write in $last, and in $next the piece that is to be written next: in turn, but
# first the one at which a writer was killed.
verify() {
	last=0 next=0 found=0 busy=
	for at in $(seq 0 $((pieces - 1))); do
		set -- $(recorded "$at")
		case $1 in
		new) continue ;;
		"done")
			piece "$at" "$2" --verify_only || fail "piece $at is not as write $2 left it"
			found=$((found + 1))
			;;
		*)
			# A writer is killed at one at a time.
			[ -z "$busy" ] || fail "pieces $busy and $at are not whole"
			busy=$at
			;;
		esac
		[ "$2" -le $last ] || last=$2 next=$(((at + 1) % pieces))
	done
	next=${busy:-$next}
	echo "pieces: found $found"
}

case $1 in
new) for at in $(seq 0 $((pieces - 1))); do records "$at" new 0; done ;;
verify) verify ;;
write)
	verify
	for write in $(seq $((last + 1)) $((last + $3))); do
		records $next busy "$write"
		piece $next "$write" || fail "piece $next is not as it was written just now"
		records $next "done" "$write"
		echo "pieces: wrote $write to piece $next"
		next=$(((next + 1) % pieces))
	done
	;;
claim)
	set -- $(recorded 0)
	records 0 "$1" $(($2 + pieces))
	;;
esac
