"""Telling stories: each within its time, some side by side, and what became of them as TAP.

A story whose only trouble is that something did not come in time is told once more when all others are over, by itself: a machine that
stood still is not the pooler's fault. One that is late twice has failed, and so has everything else at once: another answer than was
wanted, a pooler that ended, a sanitizer that spoke. Where the answer itself is a measurement (`measures` of a class: how many sockets a load
had opened after half a second, who leaked within scaled minutes), a wrong one is told again as well. Built with a sanitizer a pooler is some ten times slower, and what that does to the
order of things is told elsewhere; there only the last two are final.

The time of a story is there to end one that hangs. What each does to have a PostgreSQL of its own is not counted (`off_the_clock`)."""
import multiprocessing
import queue
import signal
import subprocess
import sys
import time
import traceback
import unittest

import wire
from harness import Broken, Late, Vain, indent, live, shared_folder, stage

TOLD_AGAIN_MOST = 12    # more are late when it is not by chance; a machine that stands still makes all late that are told side by side


class Outcome:
    """What became of one story; `text` is what TAP says below it. `late`: it failed, but may be told once more."""

    def __init__(self, result, title, remark="", text="", late=False):
        self.result, self.title, self.remark, self.text, self.late = result, title, remark, text, late


class Result(unittest.TestResult):
    """Knows which exceptions there were, not only their text."""

    def __init__(self):
        super().__init__()
        self.kinds = []

    def addError(self, test, err):
        super().addError(test, err)
        self.kinds.append(err[0])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.kinds.append(err[0])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.kinds.append(err[0])


def may_be_told_again(kinds, measures=False):
    if live.sanitized or measures:
        return not any(issubclass(kind, Broken) for kind in kinds)
    return all(issubclass(kind, (Vain, Late, wire.Late, subprocess.TimeoutExpired)) for kind in kinds)


def run_story(subject, story, name, method):
    """Run one story within its time and tell its Outcome."""
    title = f"{subject}: {name}"
    if live.kind not in getattr(method, "kinds", story.kinds):
        return Outcome("skipped", title, f"SKIP {getattr(method, 'why', None) or f'not for {live.kind}'}")
    if live.quick and getattr(method, "full_only", False):
        return Outcome("skipped", title, "SKIP left out by --quick")
    limit = getattr(method, "takes", 120) * wire.PATIENCE
    result = Result()
    test = story(methodName=name)

    def ring(*_):
        raise Late(f"the test ran longer than {limit} s")
    signal.signal(signal.SIGALRM, ring)
    signal.alarm(limit)
    began = time.monotonic()
    try:
        test.run(result)
    except Exception as error:                  # noqa: told as a failure
        result.errors.append((test, traceback.format_exc()))
        result.kinds.append(type(error))
    finally:
        signal.alarm(0)
    if result.skipped:
        return Outcome("skipped", title, f"SKIP {result.skipped[0][1]}")
    trouble = result.failures + result.errors
    if not trouble:
        return Outcome("passed", title, f"{time.monotonic() - began:.1f} s" if live.verbose else "")
    text = "\n".join(indent(trace) for _, trace in trouble)
    for pooler in getattr(test, "poolers", []):
        tail = pooler.log().splitlines()[-25:]
        if tail:
            text += "\n# the pooler's log ends with:\n" + indent("\n".join(tail), "#   ")
    return Outcome("failed", title, text=text, late=may_be_told_again(result.kinds, story.measures))


class Report:
    """TAP, one story at a time, in the order they end."""

    def __init__(self):
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.started = time.monotonic()

    def add(self, outcome):
        self.counts[outcome.result] += 1
        number = sum(self.counts.values())
        remark = f" # {outcome.remark}" if outcome.remark else ""
        print(f"{'not ok' if outcome.result == 'failed' else 'ok'} {number} - {outcome.title}{remark}")
        if outcome.text:
            print(outcome.text)
        sys.stdout.flush()

    def finish(self):
        print(f"1..{sum(self.counts.values())}")
        print("# " + ", ".join(f"{count} {what}" for what, count in self.counts.items())
              + f" in {time.monotonic() - self.started:.0f} s", flush=True)
        return 0 if self.counts["failed"] == 0 and self.counts["passed"] > 0 else 1


def run_all(chosen, jobs, report, run=run_story, **options):
    """Run the stories in `jobs` processes, each with a PostgreSQL of its own; then by themselves those marked `alone`, and those that were late.

    `chosen` has the arguments of `run` for each of them, the one that may be marked last; `run` gives an Outcome."""
    crowd = [each for each in chosen if not getattr(each[-1], "alone", False)]
    alone = [each for each in chosen if getattr(each[-1], "alone", False)]
    late = []

    def take(each, outcome):
        if outcome.late and len(late) < TOLD_AGAIN_MOST:
            late.append((each, outcome))
        else:
            report.add(outcome)
    with shared_folder():
        if jobs > 1 and len(crowd) > jobs:
            _run_side_by_side(crowd, jobs, take, run, options)
            crowd = []
        if crowd or alone or late:
            with stage(**options):
                for each in crowd + alone:
                    take(each, run(*each))
                for each, first in late:
                    report.add(_second(first, run(*each)))


def _second(first, outcome):
    """What became of a story that was late the first time; both times are told."""
    began = f"# the first time:\n{first.text}\n# the second time:\n" if outcome.result == "failed" else f"# late the first time:\n{first.text}\n"
    outcome.text = (began + outcome.text).rstrip("\n")
    if outcome.result == "passed":
        outcome.remark = ", ".join(filter(None, (outcome.remark, "at the second try")))
    return outcome


def _run_side_by_side(chosen, jobs, take, run, options):
    fork = multiprocessing.get_context("fork")
    next_one, outcomes = fork.Value("i", 0), fork.Queue()

    def work():
        try:
            with stage(**options):
                while True:
                    with next_one.get_lock():
                        number = next_one.value
                        next_one.value += 1
                    if number >= len(chosen):
                        return
                    outcomes.put((number, run(*chosen[number])))
        except BaseException:                   # noqa: the parent must not wait for ever
            outcomes.put((None, Outcome("failed", "a process of the harness", text=indent(traceback.format_exc()))))
    processes = [fork.Process(target=work) for _ in range(jobs)]
    for process in processes:
        process.start()
    told = 0
    try:
        while told < len(chosen):
            try:
                number, outcome = outcomes.get(timeout=1)
            except queue.Empty:
                if not any(process.is_alive() for process in processes) and outcomes.empty():
                    take(None, Outcome("failed", "the harness", text=f"# {len(chosen) - told} stories were not run"))
                    break
                continue
            take(None if number is None else chosen[number], outcome)
            told += 1
    finally:
        for process in processes:
            process.join(30)
            if process.is_alive():
                process.terminate()
