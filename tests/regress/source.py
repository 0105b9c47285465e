"""PostgreSQL's own suites, from Debian's source package of the installed version. Nothing of them is a part of this tree."""
import os
import pathlib
import subprocess

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "pgweir-regress"
# The machine's own lists may have no sources; these are read from below the cache, and the machine's stay as they are.
SOURCES = "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main\n"


def suite_folder(name):
    """src/test/NAME of the source, fetched and unpacked where it is not there yet."""
    found = sorted(CACHE.glob(f"postgresql-15*/src/test/{name}"))
    if found:
        return found[-1]
    archives = sorted((CACHE / "src").glob("postgresql-15_*.orig.tar.*"))
    if not archives:
        fetch()
        archives = sorted((CACHE / "src").glob("postgresql-15_*.orig.tar.*"))
    subprocess.run(["tar", "xf", str(archives[-1]), "-C", str(CACHE), "--wildcards", f"*/src/test/{name}/*"], check=True, timeout=120)
    return sorted(CACHE.glob(f"postgresql-15*/src/test/{name}"))[-1]


def fetch():
    for folder in ("lists/partial", "archives/partial", "src"):
        (CACHE / folder).mkdir(parents=True, exist_ok=True)
    (CACHE / "sources.list").write_text(SOURCES)
    options = [f"Dir::Etc::sourcelist={CACHE}/sources.list", "Dir::Etc::sourceparts=/dev/null",
               f"Dir::State::lists={CACHE}/lists", f"Dir::Cache={CACHE}"]
    apt = ["apt-get"] + [word for each in options for word in ("-o", each)]
    with open(CACHE / "log", "wb") as log:
        for arguments in (["update"], ["source", "--download-only", "--tar-only", "postgresql-15"]):
            if subprocess.run(apt + arguments, cwd=CACHE / "src", stdout=log, stderr=log, timeout=600).returncode:
                raise SystemExit(f"the source of postgresql-15 could not be fetched: see {CACHE}/log")
