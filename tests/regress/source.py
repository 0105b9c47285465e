"""PostgreSQL's own suites, from Debian's source package of the installed version. Nothing of them is a part of this tree."""
import sources

CACHE = sources.HOME / "pgweir-regress"


def suite_folder(name):
    """src/test/NAME of the source, fetched and unpacked where it is not there yet."""
    return sources.fetch("postgresql-15", f"src/test/{name}", CACHE, f"*/src/test/{name}/*")
