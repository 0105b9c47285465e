"""Turns the results of a run into JSON, a Markdown table and an SVG chart."""
import json
import os
import re
import sys
import time
from html import escape

# What is shown, with its words and how many digits are honest.
FIGURES = [("cpu_us", "CPU us", 2), ("user_us", "user us", 2), ("system_us", "system us", 2), ("tps", "per second", 0),
           ("p50_ms", "p50 ms", 3), ("p99_ms", "p99 ms", 3), ("max_ms", "max ms", 1), ("p99_over_p50", "p99/p50", 2),
           ("switches", "switches", 3), ("syscalls", "syscalls", 2), ("work_deviation", "work spread", 4),
           ("memory_kb", "memory KB", 0), ("megabytes_per_second", "MB/s", 0), ("stream_megabytes_per_second", "stream MB/s", 0), ("errors", "errors", 0),
           ("bytes_per_client", "bytes/client", 0), ("rest_cpu_ms_per_s", "CPU ms/s at rest", 2),
           ("logins_per_second", "logins/s", 0), ("mean_ms", "mean ms", 3)]
COMPARED = ["cpu_us", "tps", "p50_ms", "p99_ms", "bytes_per_client", "rest_cpu_ms_per_s"]
# Lower bounds are pale, poolers are not; what is not listed takes the next of OTHERS.
COLOURS = {"pgweir": "#2e8b57", "pgbouncer": "#e8890c", "relay epoll 1:1": "#aab4bf", "relay uring 1:1": "#9fc0dd",
           "relay epoll set": "#8593a1", "relay uring set": "#6f9fc8"}
OTHERS = ["#9467bd", "#d62728", "#8c564b", "#17a2b8", "#66bb6a", "#bcbd22", "#5c6bc0", "#c2185b"]
YARDSTICK = "pgbouncer"


def median(values):
    v = sorted(values)
    middle = len(v) // 2
    return v[middle] if len(v) % 2 else (v[middle - 1] + v[middle]) / 2


def middle_half(values):
    """Lowest and highest of the middle half of the values."""
    v = sorted(values)
    cut = len(v) // 4
    return v[cut], v[len(v) - 1 - cut]


def lines(filed, skipped):
    """A line for each contestant, for whoever watches."""
    for name, values in filed.items():
        yield "%-22s %s" % (name, "  ".join(
            "%s %.*f" % (words, digits, median(values[key])) for key, words, digits in FIGURES
            if key in values and key in ("cpu_us", "tps", "p50_ms", "p99_ms", "syscalls", "switches", "errors",
                                         "bytes_per_client", "rest_cpu_ms_per_s", "megabytes_per_second", "stream_megabytes_per_second", "mean_ms",
                                         "logins_per_second")))
    for name, why in skipped.items():
        yield "%-22s skipped: %s" % (name, why)


def summary(results):
    out = {}
    for workload, filed in results["workloads"].items():
        out[workload] = {c: {key: {"median": median(v), "low": middle_half(v)[0], "high": middle_half(v)[1],
                                   "rounds": len(v)} for key, v in values.items()} for c, values in filed.items()}
    return out


def about(results):
    m = results["machine"]
    return "%s, %d cores, %.0f GB, Linux %s, %s" % (m["cpu"], m["cores"], m["memory_gb"], m["kernel"], m["date"])


def rounds(results):
    if not results["settings"]:
        return ""
    return "; medians of %d rounds, thin line: the middle half" % results["settings"]["rounds"]


def table(results):
    text = ["# Benchmark", "", about(results) + ".", ""]
    if results["settings"]:
        text += ["Medians of %d rounds of %g s; [low to high] is the middle half of the rounds."
                 % (results["settings"]["rounds"], results["settings"]["seconds"]), ""]
    text += ["%s: %s" % pair for pair in results["versions"].items() if pair[1]] + ["", "## Ratios to " + YARDSTICK, ""]
    for workload, filed in results["workloads"].items():
        base = filed.get(YARDSTICK)
        if not base:
            continue
        keys = [k for k in COMPARED if k in base and median(base[k])]
        words = {k: w for k, w, _ in FIGURES}
        text += ["### " + workload, "", "| | " + " | ".join(words[k] for k in keys) + " |",
                 "|---|" + "---:|" * len(keys)]
        for c, values in filed.items():
            text.append("| %s | %s |" % (c, " | ".join(
                "%.2f" % (median(values[k]) / median(base[k])) if k in values else "" for k in keys)))
        text.append("")
    text += ["## Absolutes", ""]
    for workload, filed in results["workloads"].items():
        keys = [f for f in FIGURES if any(f[0] in v for v in filed.values())]
        text += ["### " + workload, "", "| | " + " | ".join(f[1] for f in keys) + " |", "|---|" + "---:|" * len(keys)]
        for c, values in filed.items():
            cells = []
            for key, _, digits in keys:
                if key not in values:
                    cells.append("")
                    continue
                cell = "%.*f" % (digits, median(values[key]))
                if key in ("cpu_us", "tps", "p50_ms", "p99_ms") and len(values[key]) > 1:
                    cell += " [%.*f to %.*f]" % (digits, middle_half(values[key])[0], digits,
                                                 middle_half(values[key])[1])
                cells.append(cell)
            text.append("| %s | %s |" % (c, " | ".join(cells)))
        for c, why in results["skipped"].get(workload, {}).items():
            text.append("\n%s: skipped, %s" % (c, why))
        text.append("")
    for c, why in results["skipped"].get("start", {}).items():
        text.append("%s: not started, %s" % (c, why))
    return "\n".join(text) + "\n"


def chart(results):
    """Bars of CPU time for each workload; the thin line is the middle half."""
    groups = [(w, [(c, v["cpu_us"]) for c, v in filed.items() if "cpu_us" in v and c != "direct"])
              for w, filed in results["workloads"].items()]
    groups = [(w, bars) for w, bars in groups if bars]
    names = list(dict.fromkeys(c for _, bars in groups for c, _ in bars))
    others = [c for c in names if c not in COLOURS]
    colour = dict(COLOURS, **{c: OTHERS[i % len(OTHERS)] for i, c in enumerate(others)})
    left, width, bar, gap, top = 330, 1000, 15, 22, 96
    height = top + sum(len(bars) * bar + gap + 14 for _, bars in groups) + 60
    svg = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">'
           % (width, height), '<rect width="100%" height="100%" fill="#ffffff"/>',
           '<text x="20" y="30" font-size="18" fill="#222">CPU time of the process in the middle</text>',
           '<text x="20" y="52" fill="#555">microseconds per transaction (bulk: per megabyte), less is better</text>',
           '<text x="20" y="70" fill="#555">%s</text>' % escape(about(results) + rounds(results))]
    y = top
    for workload, bars in groups:
        svg.append('<text x="20" y="%d" font-weight="bold" fill="#222">%s</text>' % (y + 10, escape(workload)))
        y += 16
        longest = max(max(v) for _, v in bars) or 1
        scale = (width - left - 110) / longest
        for c, values in bars:
            value, (low, high) = median(values), middle_half(values)
            svg.append('<text x="%d" y="%d" text-anchor="end" fill="#333">%s</text>' % (left - 8, y + 11, escape(c)))
            svg.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>'
                       % (left, y + 1, value * scale, bar - 3, colour[c]))
            svg.append('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#222"/>'
                       % (left + low * scale, left + high * scale, y + 7, y + 7))
            svg.append('<text x="%.1f" y="%d" fill="#333">%.2f</text>'
                       % (left + max(value, high) * scale + 6, y + 11, value))
            y += bar
        y += gap
    svg.append("</svg>")
    return "\n".join(svg) + "\n"


def compact(body):
    """JSON with five digits and a line for each list: results are kept in git."""
    def shorten(value):
        if isinstance(value, float):
            return float("%.5g" % value)
        if isinstance(value, dict):
            return {k: shorten(v) for k, v in value.items()}
        return [shorten(v) for v in value] if isinstance(value, list) else value

    text = json.dumps(shorten(body), indent=1)
    return re.sub(r"([\[{])\s+([^\[\]{}]*?)\s+([\]}])", lambda m: m[1] + " ".join(m[2].split()) + m[3], text) + "\n"


def write(results, folder, name):
    """Write the three files; returns their paths."""
    stem = os.path.join(folder, name)
    body = {"machine": results["machine"], "versions": results["versions"], "settings": results["settings"],
            "summary": summary(results), "skipped": results["skipped"], "rounds": results["workloads"]}
    for end, text in ((".json", compact(body)), (".md", table(results)), (".svg", chart(results))):
        with open(stem + end, "w") as f:
            f.write(text)
    return [stem + end for end in (".json", ".md", ".svg")]


def write_pair(result, text, folder, kind):
    """Print the text; write it, and the result as JSON, under a name with the hour and the kind."""
    os.makedirs(folder, exist_ok=True)
    stem = os.path.join(folder, time.strftime("%Y%m%d-%H%M-", time.gmtime()) + kind)
    for path, content in ((stem + ".json", json.dumps(result, indent=1)), (stem + ".md", text)):
        with open(path, "w") as f:
            f.write(content)
    print(text)
    print("wrote %s.json and .md" % stem, file=sys.stderr)
