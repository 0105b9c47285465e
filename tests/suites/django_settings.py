"""Django's settings for its own suite, and a runner that writes down what became of each test.

PGWEIR_SUITES_PORT is where PostgreSQL is (or the pooler), PGWEIR_SUITES_RESULTS the file that gets a line of JSON for each test. The suite
itself is as Django ships it.
"""
import faulthandler
import json
import os
import unittest

from django.test.runner import DiscoverRunner

TEST_SECONDS = 300

WHERE = {"ENGINE": "django.db.backends.postgresql", "USER": "postgres", "PASSWORD": "", "HOST": "127.0.0.1",
         "PORT": os.environ["PGWEIR_SUITES_PORT"]}
DATABASES = {"default": {**WHERE, "NAME": "django"}, "other": {**WHERE, "NAME": "other"}}
SECRET_KEY = "of a test"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False


class Results(unittest.TextTestResult):
    """Each test's name and outcome, as soon as there is one; a test that does not end is the last line of the file."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.file = open(os.environ["PGWEIR_SUITES_RESULTS"], "a", buffering=1)
        self.outcome, self.text = None, ""

    def note(self, outcome, text=""):
        self.outcome = self.outcome or outcome
        self.text += text

    def stopTestRun(self):
        super().stopTestRun()
        self.file.close()

    def write(self, name):
        self.file.write(json.dumps([name, self.outcome or "passed", self.text]) + "\n")
        self.outcome, self.text = None, ""

    def startTest(self, test):
        super().startTest(test)
        self.outcome, self.text = None, ""
        self.file.write(json.dumps([test.id(), "begun", ""]) + "\n")
        faulthandler.dump_traceback_later(TEST_SECONDS, exit=True)

    def stopTest(self, test):
        faulthandler.cancel_dump_traceback_later()
        self.write(test.id())
        super().stopTest(test)

    def failed(self, test, kind):
        self.note("failed", kind)
        if not isinstance(test, unittest.TestCase):     # setUpClass: there is no stopTest
            self.write(test.id())

    def addError(self, test, failure):
        super().addError(test, failure)
        self.failed(test, self.errors[-1][1])

    def addFailure(self, test, failure):
        super().addFailure(test, failure)
        self.failed(test, self.failures[-1][1])

    def addSubTest(self, test, subtest, failure):
        super().addSubTest(test, subtest, failure)
        if failure is not None:
            self.failed(test, self._exc_info_to_string(failure, subtest))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note("skipped", reason)

    def addExpectedFailure(self, test, failure):
        super().addExpectedFailure(test, failure)
        self.note("expected")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.note("failed", "an unexpected success")


class Runner(DiscoverRunner):
    def get_resultclass(self):
        return Results


TEST_RUNNER = "django_settings.Runner"
