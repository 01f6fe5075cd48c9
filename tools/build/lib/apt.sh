# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2164
# Access to the private apt state that stage "apt" made: other suites and another architecture
# without touching the machine's own configuration. Functions want $D_APT.

# apt_private COMMAND...: an apt tool with the private state.
apt_private() {
	APT_CONFIG=$D_APT/apt.conf "$@"
}

# apt_locked COMMAND...: the same, one at a time: apt's own locks fail instead of waiting.
apt_locked() {
	flock "$D_APT/lock" env APT_CONFIG="$D_APT/apt.conf" "$@"
}

# apt_refresh: point releases replace each other; what an old list names may be gone.
apt_refresh() {
	echo "refreshing the package lists"
	apt_locked apt-get update
}

# apt_plan PACKAGE...: the resolved set, one "name version" a line, in stable order. From a dry run:
# a list of what is to be downloaded would be shorter once some of it has been.
apt_plan() {
	apt_private apt-get install -s -qq -y --no-install-recommends "$@" |
		awk '$1 == "Inst" { gsub(/[(]/, "", $3); print $2, $3 }' | LC_ALL=C sort
}

# apt_fetch PACKAGE...: downloads the resolved set and prints the paths of its files.
apt_fetch() {
	local get=(apt-get install --download-only -y --no-install-recommends "$@") name version
	{ apt_locked "${get[@]}" || { apt_refresh && apt_locked "${get[@]}"; }; } >&2
	apt_plan "$@" |
		while read -r name version; do
			name=${name%%:*}_${version//:/%3a}
			set -- "$D_APT/cache/archives/${name}"_*.deb
			[[ -e $1 ]] || die "the download of $name left no file"
			echo "$1"
		done
}

# apt_unpack DIR PACKAGE...: the resolved set, unpacked (not installed) into DIR. The top folders
# bin, lib, sbin are links into usr, as an installed system has them.
apt_unpack() {
	local dir=$1 deb
	shift
	mkdir -p "$dir"/usr/{bin,lib,sbin}
	ln -sfn usr/bin "$dir/bin"
	ln -sfn usr/lib "$dir/lib"
	ln -sfn usr/sbin "$dir/sbin"
	apt_fetch "$@" >"$WORK/debs"
	while read -r deb; do
		# tar with --keep-directory-symlink: a package may still carry /lib as a folder.
		dpkg-deb --fsys-tarfile "$deb" | tar -x --no-same-owner --keep-directory-symlink -C "$dir"
	done <"$WORK/debs"
}
