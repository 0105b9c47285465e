"""Sources of Debian's packages, fetched and unpacked once, outside the tree: suites of others that are no part of it.

    folder = sources.fetch("postgresql-15", "src/test/regress", cache, "*/src/test/regress/*")
"""
import os
import pathlib
import subprocess

HOME = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))


class Unavailable(Exception):
    """The mirror has no such file; says where the log is."""


def fetch(package, member, cache, wanted="*"):
    """The folder `member` of the source of `package`, by apt-get with lists of our own below `cache`, which is for this package alone; only
    what `wanted` matches is unpacked."""
    found = sorted(cache.glob(f"*/{member}"))
    if found:
        return found[-1]
    if not list((cache / "src").glob(f"{package}_*.orig.tar.*")):
        download(package, cache)
    tar = next((cache / "src").glob(f"{package}_*.orig.tar.*"))
    subprocess.run(["tar", "xf", str(tar), "-C", str(cache), "--wildcards", wanted], check=True, timeout=300)
    return sorted(cache.glob(f"*/{member}"))[-1]


def download(package, cache):
    for folder in ("lists/partial", "archives/partial", "src"):
        (cache / folder).mkdir(parents=True, exist_ok=True)
    (cache / "sources.list").write_text(
        "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main\n")
    options = [f"Dir::Etc::sourcelist={cache}/sources.list", "Dir::Etc::sourceparts=/dev/null",
               f"Dir::State::lists={cache}/lists", f"Dir::Cache={cache}"]
    apt = ["apt-get"] + [word for each in options for word in ("-o", each)]
    with open(cache / "log", "wb") as log:
        for arguments in (["update"], ["source", "--download-only", "--tar-only", package]):
            if subprocess.run(apt + arguments, cwd=cache / "src", stdout=log, stderr=log, timeout=600).returncode:
                raise Unavailable(f"the source of {package} could not be fetched: see {cache}/log")
