# The rest of the groups that build with a sanitizer: FOLDER SANITIZERS, and then which groups are played with it. `targets` is what these need, if
# that is not everything.
folder=$1 sanitizers=$2
shift 2
# What the compiler warns of in instrumented code is not to be relied on; the ordinary build makes errors of it.
tools/build "$folder" -Dwerror=false -Db_sanitize="$sanitizers" -Db_lundef=false --buildtype=debugoptimized \
	-- "${targets[@]}" >"$folder.out" 2>&1 ||
	tap_failure "$folder compiles" "$folder.out"
rm -f "$folder.out"
export PGWEIR_BUILD=$folder
exec ${calmly:-} tests/tap join --timeout 2000 "$@"
