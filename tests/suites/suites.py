"""What there is to be run, and how each suite is told where PostgreSQL is.

    name, what      for people
    databases       made anew for each run, by the superuser
    noisy           in which of them others work
    prepare()       fetches it, where it was not unpacked by somebody else
    command()       its words, its environment, and where it is begun
    part()          which part of it a test belongs to
"""
import pathlib

import sources

HERE = pathlib.Path(__file__).resolve().parent
CACHE = sources.HOME / "pgweir-suites"


class Django:
    """Django's own suite, over psycopg 2. Its databases `default` and `other` exist, and are kept by the suite: it can not drop one in which others work."""

    databases = ("django", "other", "test_django", "test_other")
    noisy = ("test_django", "test_other")

    def __init__(self, name, what, labels=()):
        self.name, self.what, self.labels = name, what, labels

    def prepare(self, place):
        folder = pathlib.Path(place) if place else sources.fetch("python-django", "tests", CACHE / "django").parent
        self.folder = folder.resolve()

    def command(self, port, results, labels):
        arguments = ["--settings=django_settings", "--parallel=1", "--keepdb", "--noinput", *(labels or self.labels)]
        environment = {"PGWEIR_SUITES_PORT": str(port), "PGWEIR_SUITES_RESULTS": str(results), "PYTHONPATH": f"{self.folder}:{HERE}"}
        return ["/usr/bin/python3", "runtests.py", *arguments], environment, self.folder / "tests"

    def part(self, test):
        return test.removeprefix("setUpClass (").split(".")[0]


class Psycopg:
    """psycopg 3's own suite, under pytest, with the library that is in the same source."""

    name = "psycopg"
    what = "psycopg 3's own tests under pytest, superuser, one database"
    databases = noisy = ("psycopg_test",)

    def prepare(self, place):
        folder = pathlib.Path(place) if place else sources.fetch("psycopg3", "tests", CACHE / "psycopg").parent
        self.folder = folder.resolve()

    def command(self, port, results, labels):
        dsn = f"host=127.0.0.1 port={port} user=postgres dbname=psycopg_test"
        arguments = ["-p", "pytest_results", "-p", "no:cacheprovider", "--test-dsn", dsn, *(labels or ["tests"])]
        environment = {"PGWEIR_SUITES_RESULTS": str(results),
                       "PYTHONPATH": f"{self.folder}/psycopg:{self.folder}/psycopg_pool:{HERE}"}
        return ["/usr/bin/python3", "-m", "pytest", "-q", *arguments], environment, self.folder

    def part(self, test):
        return test.split("::")[0]


# What in Django's suite lives by its database: 3341 tests that pass directly with Debian 12's.
BY_THE_DATABASE = """
    postgres_tests backends transactions transaction_hooks queries lookup aggregation aggregation_regress annotations
    expressions expressions_case expressions_window db_functions schema introspection inspectdb constraints indexes
    select_for_update bulk_create delete delete_regress raw_query multiple_database prefetch_related model_fields
    basic get_or_create update timezones""".split()

USUAL = (Django("django", "those of Django's own tests that live by the database, over psycopg 2, superuser, two databases", BY_THE_DATABASE), Psycopg())
ASKED_FOR = (Django("django-whole", "all of them; when asked for by name"),)
SUITES = {suite.name: suite for suite in USUAL + ASKED_FOR}
