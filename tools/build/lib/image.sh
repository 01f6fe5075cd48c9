# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2164
# Making file systems and archives without root.

# ext4_image FILE DIR SPARE-MIB: an ext4 file system with the content of DIR, owned by root.
ext4_image() {
	local size
	size=$(du -sm --apparent-size "$2" | cut -f1)
	mke2fs -q -F -t ext4 -E root_owner=0:0,hash_seed=00000000-0000-0000-0000-000000000001 \
		-U 00000000-0000-0000-0000-000000000001 -O ^has_journal,^metadata_csum_seed \
		-d "$2" "$1" "$((size + size / 8 + $3))M"
}

# archive FILE DIR: an archive of the content of DIR that a kernel unpacks, owned by root.
archive() {
	(cd "$2" && find . -print0 | LC_ALL=C sort -z |
		cpio --quiet -0 -o -H newc -R 0:0 --reproducible) >"$1"
}
