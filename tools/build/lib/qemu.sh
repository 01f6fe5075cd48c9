# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2164
# What the two builds of QEMU share.
: "${D_QEMU_SRC:=}"

# Only what the virt machine and its VMM use: half the objects of a default build.
qemu_features=(
	--target-list=riscv64-softmmu --without-default-features --enable-tcg --enable-fdt=system
	--disable-install-blobs --disable-docs --disable-werror --python=/usr/bin/python3
)

# qemu_build OPTION...: configure (once) and build in $OUT/work, then keep the program in $OUT/bin.
# In an incremental build the folder stays; a build by key keeps the program only.
qemu_build() {
	mkdir -p "$OUT/work" "$OUT/bin"
	cd "$OUT/work"
	[[ -f build.ninja ]] || "$D_QEMU_SRC/configure" "${qemu_features[@]}" "$@" ||
		{ tail -n 40 meson-logs/meson-log.txt config.log 2>/dev/null; die "configure failed"; }
	ninja -j "$JOBS" qemu-system-riscv64
	cp qemu-system-riscv64 "$OUT/bin/.new"
	mv "$OUT/bin/.new" "$OUT/bin/qemu-system-riscv64"
	[[ -n ${QEMU_SRC:-} ]] || rm -rf "$OUT/work"
}
