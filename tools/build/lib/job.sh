# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The options of 'make run' and 'make shell', from the environment to the words of tools/run.
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)

# job_prepare: builds what a boot needs and sets job_options.
job_prepare() {
	local v=
	job_options=()
	case ${KCONFIG:-} in
	'') ;;
	debug) v=-debug ;;
	*)
		echo "KCONFIG: '$KCONFIG' is not a variant; there is: debug" >&2
		return 2
		;;
	esac
	# tools/run takes the outputs from build/, or from the same variables.
	local stages=(qemu userland "image$v")
	[[ -n ${KERNEL:-} ]] || stages+=("kernel$v")
	[[ ! -v PLUGIN ]] || stages+=(plugin)
	"$TOP/tools/build/stage" "${stages[@]}" || return
	job_options+=(--smp "${SMP:-4}" --memory "${MEMORY:-2G}" --kconfig "${KCONFIG:-}"
		--xhaiov "${XHAIOV:-on}" --timeout "${TIMEOUT:-600}" --append "${APPEND:-}"
		--qemu-args "${QEMU_ARGS:-}")
	[[ -z ${EXTRA:-} ]] || job_options+=(--extra "$EXTRA")
	[[ -z ${ICOUNT:-} ]] || job_options+=(--icount "$ICOUNT")
	[[ ! -v PLUGIN ]] || job_options+=(--plugin "$PLUGIN")
	[[ -z ${CONSOLE:-} ]] || job_options+=(--keep-console "$CONSOLE")
}
