"""What each file said directly and through the pooler, as TAP; --keep has both texts and their difference."""
import difflib


class Verdicts:
    """`known` has the files whose difference was understood, each with its reason; they fail nothing."""

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
        remark = f" # todo {self.known[name]}" if not right and name in self.known else ""
        print(f"{'ok' if right else 'not ok'} - {self.title}: {name}{remark}", flush=True)
        lines = [text.decode(errors="replace").splitlines() for text in (direct, pooled)]
        difference = list(difflib.unified_diff(*lines, "direct", "pooled", lineterm=""))
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
