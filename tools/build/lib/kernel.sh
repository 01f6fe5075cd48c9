# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2164
# How the kernel's build system is called, for the kernel and for modules.

# kernel_make BUILD-DIR WORD...
kernel_make() {
	local dir=$1
	shift
	# The program that asks for versions may be a rustup proxy; the exact files are what counts.
	make -C "$dir" ARCH=riscv LLVM="$LLVM_KERNEL" RUSTC="$RUSTC" BINDGEN="$D_BINDGEN/bin/bindgen" \
		RUST_LIB_SRC="$(rust_library)" HOSTRUSTC="$RUSTC" LOCALVERSION= \
		KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:01 UTC 1970' KBUILD_BUILD_USER=haiov \
		KBUILD_BUILD_HOST=haiov KBUILD_BUILD_VERSION=1 -j "$JOBS" "$@"
}

# kernel_config DIR FRAGMENT...: tinyconfig with the fragments, the later ones on top.
kernel_config() {
	local dir=$1
	shift
	cat "$@" >"$dir/.fragments.new"
	if [[ -f $dir/.config ]] && cmp -s "$dir/.fragments.new" "$dir/.fragments"; then
		kernel_make "$D_LINUX_SRC" O="$dir" olddefconfig
	else
		kernel_make "$D_LINUX_SRC" O="$dir" tinyconfig
		(cd "$D_LINUX_SRC" && ./scripts/kconfig/merge_config.sh -m -O "$dir" "$dir/.config" "$@")
		kernel_make "$D_LINUX_SRC" O="$dir" olddefconfig
	fi
	config_took_effect "$dir/.config" "$@"
	mv "$dir/.fragments.new" "$dir/.fragments"
}

# config_took_effect CONFIG FRAGMENT...: fails naming the lines that did not, the last word on a
# symbol counting.
config_took_effect() {
	local config=$1 line symbol failed=()
	local -A wanted=()
	shift
	while read -r line; do
		case $line in
		CONFIG_*=*) wanted[${line%%=*}]=$line ;;
		"# CONFIG_"*" is not set")
			symbol=${line#\# }
			wanted[${symbol%% *}]=$line
			;;
		esac
	done < <(cat "$@")
	for symbol in "${!wanted[@]}"; do
		line=${wanted[$symbol]}
		if [[ $line == \#* || $line == *=n ]]; then
			# A symbol whose dependencies are off is not there at all, which is off too.
			grep -q "^$symbol=" "$config" && failed+=("$line")
		else
			grep -qxF "$line" "$config" || failed+=("$line")
		fi
	done
	((${#failed[@]} == 0)) || die "these lines of $* took no effect: ${failed[*]}"
}
