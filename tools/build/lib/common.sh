# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2164
# Settings and functions that every stage recipe has. Each setting can be overridden from
# the environment or the make command line.

: "${LINUX_SERIES:=7.3}"            # package linux-source-$LINUX_SERIES
: "${QEMU_SERIES:=10.0}"            # any $QEMU_SERIES.x of the source package qemu
: "${SUITE:=trixie}"                # where the sources and the riscv64 packages come from
: "${LLVM:=22}"                     # clang-$LLVM, lld-$LLVM, llvm-$LLVM
: "${RUSTC:=/usr/bin/rustc}"
: "${CARGO:=/usr/bin/cargo}"
: "${JOBS:=$(nproc)}"
: "${LIBCLANG_PATH:=/usr/lib/llvm-$LLVM/lib}"
export LIBCLANG_PATH
export LC_ALL=C.UTF-8 SOURCE_DATE_EPOCH=1
GUEST_TRIPLE=riscv64-linux-gnu
RUST_TARGET=riscv64gc-unknown-linux-gnu
: "$GUEST_TRIPLE" "$RUST_TARGET" "$JOBS"

# die MESSAGE...: ends the stage; the message is the last line of its log.
die() {
	printf '%s\n' "$*" >&2
	exit 1
}

# rust_library: the sources of the Rust standard library that belong to $RUSTC.
rust_library() {
	local dir
	if [[ -n ${RUST_LIB_SRC:-} ]]; then
		echo "$RUST_LIB_SRC"
		return
	fi
	dir=$("$RUSTC" --print sysroot)/lib/rustlib/src/rust/library
	[[ -d $dir ]] || dir=/usr/src/rustc-$("$RUSTC" --version | cut -d' ' -f2)/library
	echo "$dir"
}

# need_file PATH PACKAGE VARIABLE: an input that should be there.
need_file() {
	[[ -e $1 ]] || die "$1 is missing: install the package $2, or set $3"
}

# LLVM is a version (22: clang-22 and so on) or a folder that ends in a slash (its clang and so on),
# as for the kernel's own LLVM=.
if [[ $LLVM == */ ]]; then
	LLVM_KERNEL=$LLVM
	llvm_tool() { echo "$LLVM$1"; }
else
	LLVM_KERNEL=-$LLVM
	llvm_tool() { echo "$1-$LLVM"; }
fi
: "$LLVM_KERNEL"

# series DIR: the patches of one series, in order.
series() {
	find "$1" -maxdepth 1 -name '[0-9]*.patch' 2>/dev/null | LC_ALL=C sort
}

# apply_series DIR: applies one series to the source tree in the current folder.
apply_series() {
	local patch
	while read -r patch; do
		# -F0: context that moved is fine, context that changed is a patch to look at.
		patch -p1 -F0 --batch --no-backup-if-mismatch -r - <"$patch" || die \
			"the patch ${patch#"$TOP/"} does not apply to ${STAGE%-src} $(cat .haiov-version 2>/dev/null):" \
			"rebase the series ('make ${STAGE%-src}-tree', then 'make patches'), or set" \
			"$(tr "[:lower:]-" "[:upper:]_" <<<"$STAGE") to a source tree that has it"
	done < <(series "$1")
}

# link_copy FROM TO: a copy whose files are shared until they are replaced. 'patch' replaces.
link_copy() {
	cp -al "$1/." "$2/" 2>/dev/null || cp -a "$1/." "$2/"
}

# wrapper FILE COMMAND...: a program that runs the command with its own arguments behind.
wrapper() {
	local file=$1
	shift
	printf '#!/bin/sh\nexec %s "$@"\n' "$*" >"$file"
	chmod +x "$file"
}
