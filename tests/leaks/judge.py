"""Compares what the pooler says with what is so, and makes the confusion table of all stories.

Of a leak: a row of SHOW LEAKS with its user and application_name, of the right family, within 60 seconds of the application's
start (or as many as its story gives it); at the end the right pattern, and what its clients asked; and no row about anybody else. Of a
healthy load: no row, ever.
"""
import dataclasses

NAMED_WITHIN = 60
# Their clients never asked anything, or are gone; or what they ask is not what leaks.
SPEECHLESS = ("L7", "L15", "L21", "L23", "L25")
NOTHING = "nothing"


@dataclasses.dataclass
class Account:
    """What became of one story."""
    name: str
    stack: str
    tells: str
    truth: str                      # a pattern, or NOTHING
    family: str
    said: str = None                # a pattern, NOTHING, or None where nobody asked
    said_family: str = None
    after: float = None             # seconds until the right family was named
    confidence: str = ""
    peak: int = 0                   # of the evidence
    shy: bool = False               # it was not named, and need not be
    wrong: list = dataclasses.field(default_factory=list)

    @property
    def right(self):
        return not self.wrong


class Verdicts:
    """The rows of SHOW LEAKS over one story."""

    def __init__(self, load):
        self.load = load
        self.names = (load.name, *load.names)
        self.named_after = None     # when a row of the right origin and family was first there
        self.rows = {}              # the latest of each verdict, by its id
        self.right_in_a_row = 0

    def ours(self, row):
        return row["user"] == self.load.user and (row["application_name"] or "") in self.names

    def take(self, at, rows):
        for row in rows:
            self.rows[row["id"]] = row
            if self.named_after is None and self.ours(row) and row["family"] == self.load.family:
                self.named_after = at
        self.right_in_a_row = self.right_in_a_row + 1 if self.load.pattern and self.said() == self.load.pattern else 0

    def last(self):
        """What is said of this load at present: what lasts before what has ended, then the surest."""
        return max((row for row in self.rows.values() if self.ours(row)), default=None,
                   key=lambda row: (not row["ended"], float(row["confidence"].rstrip("%") or 0)))

    def said(self):
        row = self.last()
        return row["pattern"] if row else NOTHING

    def judge(self, account):
        row = self.last()
        account.said, account.said_family = self.said(), row["family"] if row else None
        account.after, account.confidence = self.named_after, row["confidence"] if row else ""
        if self.load.pattern is None:
            account.wrong += [f"a healthy load was called {told(each)}" for each in self.rows.values() if self.ours(each)]
        elif row is None:
            account.shy = self.load.shy
            if not self.load.shy:
                account.wrong.append("nothing was said")
        else:
            if self.named_after is None:
                account.wrong.append(f"the family {self.load.family} was never named, {told(row)}")
            elif self.named_after > self.load.within:
                account.wrong.append(f"its family was named only after {self.named_after:.0f} s")
            if row["pattern"] != self.load.pattern:
                account.wrong.append(f"it is {self.load.pattern}, and was called {told(row)}")
            elif not row["statement"] and row["pattern"] not in SPEECHLESS:
                account.wrong.append(f"nobody is told what it asked: {told(row)}")
        account.wrong += [f"somebody innocent was called {told(each)}" for each in self.rows.values() if not self.ours(each)]


def told(row):
    return (f"{row['pattern']} {row['name']} ({row['family']}, {row['confidence']}) of {row['user']}"
            f" {row['application_name']!r}: {row['evidence']}")


# The tables ------------------------------------------------------------------------------

def table(head, rows, markdown):
    if markdown:
        return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in (head, ["-" * w for w in widths], *rows)]


def stories_table(accounts, markdown):
    head = ["what ran", "stack", "is", "was called", "after", "right"]
    rows = [[account.tells if markdown else account.name, account.stack,
             f"{account.truth} ({account.family})" if account.family else account.truth,
             account.said if account.said_family is None else f"{account.said} ({account.said_family})",
             "" if account.after is None else f"{account.after:.0f} s",
             "may be" if account.shy else "yes" if account.right else "NO"] for account in accounts]
    return table(head, rows, markdown)


def confusion_table(accounts, markdown):
    """Rows are what it was, columns what it was called; only those that occur."""
    def number(pattern):
        return (pattern == NOTHING, int(pattern[1:]) if pattern[1:].isdigit() else 0, pattern)
    truths = sorted({account.truth for account in accounts}, key=number)
    saids = sorted({account.said for account in accounts}, key=number)
    rows = []
    for truth in truths:
        counts = [sum(account.truth == truth and account.said == said for account in accounts) for said in saids]
        rows.append([truth, *[str(count) if count else "." for count in counts]])
    return table(["is \\ called", *saids], rows, markdown)


def summary(accounts):
    leaks = [account for account in accounts if account.family]
    healthy = [account for account in accounts if not account.family]
    shy = sum(account.shy for account in leaks)
    named = sum(account.right and not account.shy for account in leaks)
    false = sum(account.said != NOTHING for account in healthy)
    return (f"{named} of {len(leaks)} leaks were named rightly" + (f", {shy} may stay unnamed and did" if shy else "")
            + f"; {false} of {len(healthy)} healthy loads were called a leak")


def render(accounts, markdown):
    gap = [""]
    return "\n".join(stories_table(accounts, markdown) + gap + confusion_table(accounts, markdown) + gap + [summary(accounts)])
