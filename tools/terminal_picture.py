"""A terminal's screen, as `tmux capture-pane -e` gives it, as a picture: SVG, which is text, and is sharp on any screen."""
import html
import re

COLOURS = ["#1b2330", "#f0769b", "#6fd897", "#f0a04b", "#6ea3ff", "#b78bf0", "#4cc2b6", "#e6eaf0"]
BRIGHT = ["#7d8897", "#ff9dba", "#93ebb4", "#ffc27d", "#9cc1ff", "#d0b3ff", "#7fe0d6", "#ffffff"]
INK, PAPER = "#e6eaf0", "#11151b"
WIDE, HIGH, MARGIN = 8.4, 18, 14        # of a letter of 14 px in most monospaced fonts; each run is set to its own width


class Pen:
    """What the escape sequences have said so far (ECMA-48, SGR)."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.ink, self.paper, self.bold, self.dim, self.underlined, self.turned = None, None, False, False, False, False

    def take(self, codes):
        codes = [int(code or 0) for code in codes.split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                self.reset()
            elif code in (1, 2, 4, 7):
                setattr(self, {1: "bold", 2: "dim", 4: "underlined", 7: "turned"}[code], True)
            elif code == 22:
                self.bold = self.dim = False
            elif code in (24, 27):
                setattr(self, {24: "underlined", 27: "turned"}[code], False)
            elif code in (38, 48) and len(codes) >= 2 and codes[0] == 5:
                codes.pop(0)
                self._colour(code == 38, (COLOURS + BRIGHT + [INK] * 240)[codes.pop(0)])
            elif 30 <= code <= 37 or 40 <= code <= 47:
                self._colour(code < 40, COLOURS[code % 10])
            elif 90 <= code <= 97 or 100 <= code <= 107:
                self._colour(code < 100, BRIGHT[code % 10])
            elif code in (39, 49):
                self._colour(code == 39, None)

    def _colour(self, ink, colour):
        if ink:
            self.ink = colour
        else:
            self.paper = colour

    def look(self):
        ink, paper = self.ink or INK, self.paper
        if self.turned:
            ink, paper = paper or PAPER, ink
        return ink, paper, self.bold, self.dim, self.underlined


def runs(line, pen):
    """(column, text, look) of what has the same look."""
    column = 0
    for escape, text in re.findall(r"\x1b\[([0-9;]*)m|([^\x1b]+)", line):
        if text:
            yield column, text, pen.look()
            column += len(text)
        else:
            pen.take(escape)


def plain(screen):
    return "".join(re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() + "\n" for line in screen.rstrip("\n").split("\n"))


def svg(screen, title):
    lines = screen.rstrip("\n").split("\n")
    columns = max(len(line) for line in plain(screen).split("\n"))
    width, height = round(columns * WIDE + 2 * MARGIN), len(lines) * HIGH + 2 * MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(title)}">',
           f"<title>{html.escape(title)}</title>",
           f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>',
           '<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\',monospace" font-size="14">']
    pen = Pen()
    for row, line in enumerate(lines):
        for column, text, (ink, paper, bold, dim, underlined) in runs(line, pen):
            x, y, wide = MARGIN + column * WIDE, MARGIN + row * HIGH, len(text) * WIDE
            if paper:
                out.append(f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{HIGH}" fill="{paper}"/>')
            more = (' font-weight="600"' if bold else "") + (' opacity=".6"' if dim else "") + (
                ' text-decoration="underline"' if underlined else "")
            # Each word group by itself: more than one space is none to SVG, and what a font is too wide for stays where it belongs.
            for words in re.finditer(r"\S+(?: \S+)*", text):
                at, wide = x + words.start() * WIDE, len(words.group()) * WIDE
                out.append(f'<text x="{at:.1f}" y="{y + 14}" textLength="{wide:.1f}" lengthAdjust="spacingAndGlyphs" fill="{ink}"{more}>'
                           f"{html.escape(words.group(), quote=False)}</text>")
    return "\n".join([*out, "</g></svg>"]) + "\n"
