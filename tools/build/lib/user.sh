# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# How cargo is called for programs of the host under test.

# user_cargo WORKSPACE TARGET WORD...: builds in the folder TARGET, which may have what was built before.
user_cargo() (
	lld=$(command -v "$(llvm_tool ld.lld)")
	need_file "$(rust_library)/std/Cargo.toml" rust-web-src RUST_LIB_SRC
	# std comes from its sources, which a released compiler builds only when told that it may. cargo
	# looks for them under the compiler's sysroot, unless this variable says where.
	export RUSTC_BOOTSTRAP=1 RUSTC
	[[ -z ${RUST_LIB_SRC:-} ]] || export __CARGO_TESTS_ONLY_SRC_ROOT=$RUST_LIB_SRC
	export CARGO_TARGET_RISCV64GC_UNKNOWN_LINUX_GNU_LINKER
	CARGO_TARGET_RISCV64GC_UNKNOWN_LINUX_GNU_LINKER=$(llvm_tool clang)
	export CARGO_TARGET_RISCV64GC_UNKNOWN_LINUX_GNU_RUSTFLAGS="-Clink-arg=--target=$GUEST_TRIPLE \
		-Clink-arg=--sysroot=$D_SYSROOT -Clink-arg=-fuse-ld=$lld"
	cd "$1" || exit
	"$CARGO" build --locked --release "-Zbuild-std=std,panic_abort" --target "$RUST_TARGET" --target-dir "$2" \
		--jobs "$JOBS" "${@:3}"
)
