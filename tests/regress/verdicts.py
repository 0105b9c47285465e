"""What each file said directly and through the pooler, as TAP; --keep has both texts and their difference."""
import difflib

# What "temp" says only in a session that never had a temporary object.
TEMPORARY = ("ERROR:  cannot PREPARE a transaction that has operated on temporary objects",)


class Verdicts:
    """`known` has the files whose difference was understood: by name the reason, and the lines that may be missing. Who lacks
    nothing else is right; any other difference is told, and does not make the whole run fail.
    """

    def __init__(self, title, keep, known=None):
        self.title, self.keep, self.known = title, keep, known or {}
        self.same, self.other = [], []
        if keep:
            keep.mkdir(parents=True, exist_ok=True)

    @property
    def count(self):
        return len(self.same) + len(self.other)

    @property
    def failed(self):
        return [name for name in self.other if name not in self.known]

    def add(self, name, direct, pooled):
        """`pooled` is right when it is `direct`."""
        right = pooled == direct
        (self.same if right else self.other).append(name)
        reason, may_lack = self.known.get(name, ("", ()))
        lines = [text.decode(errors="replace").splitlines() for text in (direct, pooled)]
        difference = list(difflib.unified_diff(*lines, "direct", "pooled", lineterm=""))
        changed = [line for line in difference[2:] if line[0] in "+-"]
        if changed and all(line[0] == "-" and line[1:] in may_lack for line in changed):
            print(f"ok - {self.title}: {name}, but for what is known: {reason}", flush=True)
        else:
            remark = f" # todo {reason}" if reason and not right else ""
            print(f"{'ok' if right else 'not ok'} - {self.title}: {name}{remark}", flush=True)
        for line in difference[:40]:
            print("#   " + line)
        if self.keep:
            (self.keep / f"{name}.direct").write_bytes(direct)
            (self.keep / f"{name}.pooled").write_bytes(pooled)
            if not right:
                (self.keep / f"{name}.diff").write_text("\n".join(difference))

    def tell(self):
        print(f"# {self.title}: {len(self.same)} of {self.count} files as directly"
              + (f"; not: {' '.join(self.other)}" if self.other else ""), flush=True)
