"""Rules of tools/tidy about the manual: every verdict has its cure there, every error its row, every file its place on the map.

Both read the code's own tables and calls, so that a new verdict or a new error without a word in doc/ fails the build's tests.
"""

import re

STRING = r'"((?:\\.|[^"\\\n])*)"'

# Who says an error to a client or to an administrator: which argument is its SQLSTATE, and which its message.
SPEAKERS = {
    "guest_complain": (1, 2),
    "guest_refuse": (1, 2),
    "refuse": (2, 3),
    "complain": (1, 2),
    "channel_host_failed": (2, 3),
    "channel_dial_failed": (2, 3),
    "refused": (1, 2),
}
# What PostgreSQL or the network said, and what ends nobody's client: under one row each.
NOT_OURS = {"out of memory"}


def without_comments(text):
    """As it is, its comments blanked; strings stay."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|' + STRING,
                  lambda found: found.group(0) if found.group(0).startswith('"') else re.sub(r"[^\n]", " ", found.group(0)), text, flags=re.S)


def arguments(text, at):
    """What stands between the parenthesis at `at` and its own end, parted at the commas outside of all others."""
    depth, begin, found = 0, at + 1, []
    while at < len(text):
        piece = re.compile(STRING).match(text, at)
        if piece:
            at = piece.end()
            continue
        if text[at] in "([{":
            depth += 1
        elif text[at] in ")]}":
            depth -= 1
            if depth == 0:
                return found + [text[begin:at]]
        elif text[at] == "," and depth == 1:
            found.append(text[begin:at])
            begin = at + 1
        at += 1
    return []


def literals(expression):
    """Its texts, those that stand side by side as one."""
    return ["".join(re.findall(STRING, group)) for group in re.findall(r'(?:"(?:\\.|[^"\\\n])*"\s*)+', expression)]


def function_around(text, at):
    return text[text.rfind("\n{\n", 0, at):at]


def messages(text, at, expression):
    """The texts that this argument may be: itself, or what its variable was given within the function."""
    found = literals(expression)
    name = expression.strip()
    if found or not re.fullmatch(r"[a-z_]+", name):
        return found
    body = function_around(text, at)
    for given in re.finditer(rf"\b{name}(?:\[\w+\])? = ([^;]*);", body):
        found += literals(given.group(1))
    for call in re.finditer(rf"\btext_(?:format|copy)\({name},", body):
        parts = arguments(body, body.index("(", call.start()))
        if len(parts) > 2:
            found += literals(parts[2])
    return found


def login_problems(tree):
    """In the conversation of a login what has a space in it is a text for the client."""
    name = "src/auth/login.c"
    text = without_comments(tree.text.get(name, ""))
    for said in re.finditer(STRING, text):
        before = text[text.rfind("\n", 0, said.start()) + 1:said.start()]
        if " " in said.group(1).strip() and not re.search(r"\bcheck\(!$", before):
            yield name, text.count("\n", 0, said.start()) + 1, [], said.group(1)


def errors_said(tree):
    """(file, line, states, message) of each error."""
    yield from login_problems(tree)
    for name, text in sorted(tree.text.items()):
        if not re.match(r"src/(serve|session)/\w+\.c$", name) or name.endswith("_test.c"):
            continue
        text = without_comments(text)
        for call in re.finditer(r"\b(" + "|".join(SPEAKERS) + r")\(", text):
            parts = arguments(text, call.end() - 1)
            state, message = SPEAKERS[call.group(1)]
            if len(parts) <= message or re.match(r"\s*(const )?(struct|char|enum) ", parts[0]):
                continue
            states = re.findall(r"SQLSTATE_\w+", parts[state])
            line = text.count("\n", 0, call.start()) + 1
            said = messages(text, call.start(), parts[message])
            for each in said:
                yield name, line, states if len(said) == 1 else [], each


def pieces(message):
    """The parts of a format that are the same each time."""
    return [p for p in re.split(r"%[-+ #0-9.*]*(?:ll|z|l)?[a-zA-Z]|\\.", message) if len(p.strip(' ":,()')) > 2]


def cells(row):
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def every_error_has_its_row(tree, layers):
    del layers
    page = tree.text.get("doc/errors.md")
    header = tree.text.get("src/wire/sqlstate.h", "")
    if page is None:
        return
    codes = dict(re.findall(r'#define (SQLSTATE_\w+)\s+"(\w+)"', header))
    rows = [line for line in page.split("\n") if line.startswith("|")]
    for name, line, states, message in errors_said(tree):
        parts = pieces(message)
        if not parts or message in NOT_OURS:
            continue
        fitting = [row for row in rows if all(part.strip() in row for part in parts)]
        if not fitting:
            yield f'{name}:{line}: "{message}" has no row in doc/errors.md'
            continue
        # Under the name pgbouncer it is 08P01, unless the last column says other; so where it is, nothing is told of the first.
        wanted = {codes[state] for state in states if state in codes} - {"08P01"}
        if any(all(part.strip() in cells(row)[-1] for part in parts) for row in fitting):
            continue
        if wanted and not any(code in row or "PostgreSQL's" in row for row in fitting for code in wanted):
            yield f'{name}:{line}: "{message}" is said with {", ".join(sorted(wanted))}; its row in doc/errors.md has another SQLSTATE'


def every_verdict_has_its_cure(tree, layers):
    """Leaks of doc/leaks.md, findings of doc/doctor.md, what pgweir stress concludes, what pgweir logs knows."""
    del layers
    table = tree.text.get("src/core/leak_patterns.c", "")
    page = tree.text.get("doc/leaks.md", "")
    known = re.findall(r'\.number = "(L\d+)"', table)
    for number in known:
        section = re.search(rf"^### {number}: .*?(?=^### |\Z)", page, flags=re.M | re.S)
        if not section:
            yield f"src/core/leak_patterns.c: {number} has no section in doc/leaks.md"
        elif not re.search(r"\*\*Cure\.\*\* \S", section.group(0)):
            yield f"doc/leaks.md: {number} has no cure"
    for name, text in sorted(tree.text.items()):
        if re.match(r"src/\w+/\w+\.c$", name) and not name.endswith("_test.c"):
            for number in set(re.findall(r'"(L\d{1,2})"', text)) - set(known):
                yield f"{name}: {number} is in no table of patterns"
    rows = {cells(row)[0]: cells(row) for row in tree.text.get("doc/doctor.md", "").split("\n") if row.startswith("| D")}
    for number in re.findall(r'\{ "(D\d+)",', tree.text.get("src/tool/doctor_rules.c", "")):
        if number not in rows:
            yield f"src/tool/doctor_rules.c: {number} has no row in doc/doctor.md"
        elif len(rows[number]) < 5 or not rows[number][4]:
            yield f"doc/doctor.md: {number} has no cure"
    kinds = re.search(r"verdict_kind_names\[\] = \{([^}]*)\}", tree.text.get("src/tool/stress_verdict.c", ""))
    for kind in re.findall(STRING, kinds.group(1)) if kinds else []:
        row = re.search(rf"^\| \*\*{kind}\*\* \|.*$", tree.text.get("doc/stress.md", ""), flags=re.M)
        if not row:
            yield f"src/tool/stress_verdict.c: {kind} has no row in doc/stress.md"
        elif len(cells(row.group(0))) < 3 or not cells(row.group(0))[2]:
            yield f"doc/stress.md: {kind} does not say what to do"


def every_file_of_serve_is_on_the_map(tree, layers):
    """The table of ARCHITECTURE.md has each of them, and none that is no more."""
    del layers
    there = {match.group(1) for name in tree.text if (match := re.match(r"src/serve/(\w+)\.c$", name))}
    rows = tree.text.get("ARCHITECTURE.md", "").partition("## The files of `serve`")[2].partition("\n## ")[0]
    named = {name for row in rows.split("\n") if row.startswith("| `") for name in re.findall(r"`(\w+)`", cells(row)[0])}
    for name in sorted(there - named if named else ()):
        yield f"ARCHITECTURE.md: src/serve/{name}.c has no row among the files of serve"
    for name in sorted(named - there):
        yield f"ARCHITECTURE.md: `{name}` is no file of serve"


def every_plant_follows_its_source(tree, layers):
    """Bugs that the simulator and the differential test must find replace lines that stand in the source once."""
    del layers
    for name, text in sorted(tree.text.items()):
        if not re.match(r"tests/\w+/plants/[\w-]+$", name):
            continue
        source = re.match(r"# .*\n# (\S+)\n", text)
        if not source or source.group(1) not in tree.text:
            yield f"{name}:2: this line names no file of the source"
            continue
        for change in re.finditer(r"^<<<<\n(.*?)^====\n", text, flags=re.S | re.M):
            count = tree.text[source.group(1)].count(change.group(1))
            if count != 1:
                line = text.count("\n", 0, change.start()) + 1
                yield f"{name}:{line}: this stands in {source.group(1)} {count} times instead of once"
