"""A plugin of pytest that writes down what became of each test, as django_settings does."""
import faulthandler
import json
import os

TEST_SECONDS = 300
outcomes = {}


def write(*line):
    with open(os.environ["PGWEIR_SUITES_RESULTS"], "a") as results:
        results.write(json.dumps(line) + "\n")


def pytest_runtest_logstart(nodeid):
    write(nodeid, "begun", "")
    faulthandler.dump_traceback_later(TEST_SECONDS, exit=True)


def pytest_runtest_logreport(report):
    """Three of them for a test: setup, call and teardown. The worst counts."""
    if report.failed:
        outcomes[report.nodeid] = ("failed", report.longreprtext)
    elif report.skipped:
        outcomes.setdefault(report.nodeid, ("expected" if hasattr(report, "wasxfail") else "skipped", ""))
    elif report.when == "call":
        outcomes.setdefault(report.nodeid, ("passed", ""))


def pytest_runtest_logfinish(nodeid):
    faulthandler.cancel_dump_traceback_later()
    write(nodeid, *outcomes.pop(nodeid, ("skipped", "")))
