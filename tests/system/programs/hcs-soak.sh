#!/bin/sh
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-only
# "hcs soak SECONDS" with haiov-vmm beside it, whose disk is served by a handler that runs at once: its guest does pieces.sh.
# Lives of the VMM end by kill -9, and the next one has to find what was written.
# shellcheck source=../../lib/host.sh
. "${0%/*}/host.sh"
# shellcheck source=../../../tools/bench/qemu-guest.sh
. "${0%/*}/qemu-guest.sh"
# Where the image's pages have a disk to go to.
cd "$here" || exit 1

wrong='piece 0 is not as write [0-9]* left it'

# shellcheck disable=SC2034 # for qemu-guest.sh
vm_files=${kernel%/*} vm_programs="/usr/bin/fio $here/pieces.sh"
vm_initrd
dd if=/dev/urandom of=disk.img bs=1M count=5 2>/dev/null
sh pieces.sh new disk.img
# shellcheck disable=SC2154 # by host.sh
hcs soak "$1" "$vmm" --kernel "$kernel" --initrd /tmp/vm.cpio --mem 256 --cpus 1 --console uer --disk disk.img --blk hcs \
	--cmdline "$(run "pieces.sh write /dev/vda 3")" || failed=1
check "the image holds what the guests wrote" sh pieces.sh verify disk.img

# None of this would go unnoticed.
cp disk.img other.img
sh pieces.sh claim other.img
check "older data are found" sh -c "sh pieces.sh verify other.img | grep '$wrong'"
echo other | dd of=disk.img bs=1 seek=500000 conv=notrunc 2>/dev/null
initrd=/tmp/vm.cpio
guest guest.out --console uer --disk disk.img --blk hcs --cmdline "$(run "pieces.sh verify /dev/vda")" </dev/null
check "other data are found by a guest" grep -q "$wrong" guest.out
check "which says so in the end" has guest.out "haiov-guest: status 1"
exit $failed
