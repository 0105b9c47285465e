# What the groups share; each is sourced from the top of the clone. A group prints TAP.
# PGWEIR_BUILD names the build folder whose programs are tested.
cd "$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")" || exit 1
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH LC_ALL=C.UTF-8
build=${PGWEIR_BUILD:-build}

# One TAP test that failed, with its reason from a file, and nothing more.
tap_failure() {
	echo "1..1"
	echo "not ok 1 - $1"
	[ -z "${2:-}" ] || tail -40 "$2" | sed 's/^/# /'
	exit 1
}

# A number of its own for each state of the sources that was committed: what is drawn by it is new with each change, and the same
# whenever that is tested again.
tree_seed() {
	local tree
	tree=$(git rev-parse 'HEAD^{tree}' 2>/dev/null) || tree=0
	echo $((16#${tree:0:7}))
}
