# The rest of the groups that build with a sanitizer: FOLDER SANITIZERS [full].
folder=$1
# What the compiler warns of in instrumented code is not to be relied on; the ordinary build makes errors of it.
tools/build "$folder" -Dwerror=false -Db_sanitize="$2" -Db_lundef=false --buildtype=debugoptimized >"$folder.out" 2>&1 ||
	tap_failure "$folder compiles" "$folder.out"
rm -f "$folder.out"
export PGWEIR_BUILD=$folder
if [ "${3:-}" = full ]; then
	exec ${calmly:-} tests/tap join --timeout 2000 tests/groups/20-unit tests/groups/30-scenarios \
		tests/groups/35-origins tests/groups/40-sim tests/groups/50-live
fi
exec ${calmly:-} tests/tap join --timeout 1200 tests/groups/20-unit tests/groups/30-scenarios \
	"tests/groups/35-origins short" "tests/groups/40-sim short" "tests/groups/50-live --quick"
