"""The table, its page and its picture."""

import datetime
import platform
import re
import subprocess
from pathlib import Path

from .processes import ROOT, program

# Rounds that are further apart than that say nothing.
MOST_SPREAD = 0.25
DOES_NOT = {
    "nginx": "swaps headers; knows no keys, reads no body",
    "HAProxy": "swaps headers; knows no keys, reads no body",
    "Envoy": "swaps headers; knows no keys, reads no body",
    "bare Pingora": "swaps headers in Pingora's ordinary phases; knows no keys, reads no body",
    "nginx with Lua": "looks the key up, parses the body and checks names and types by hand; passes replies on as they come",
    "Fastify": "looks the key up, checks the body by Ajv, writes it anew; passes replies on as they come",
    "envgate": "all of it: key, rights, strict JSON, schema, owner, budget, headers, reply in the dialect, metrics",
    "earlier": "envgate, the build that was given with --earlier",
}


def table(rows, latencies):
    """Lines of cells, the first one the head. A ratio over 1 is more requests for the same CPU time than the peer named."""
    accepted = {row.peer: row for row in rows if row.name == "accepted"}
    references = [peer for peer in ("nginx", "bare Pingora") if peer in accepted]
    lines = [["", "requests/s", "CPU µs/request", "spread", *(f"× {peer}" for peer in references), "p50", "p99", "p99.9 µs"]]
    for row in rows:
        ratios = [ratio(accepted[peer], row) for peer in references]
        delays = [f"{delay:,.0f}" for delay in latencies.get(row.label, ())] or ["", "", ""]
        lines.append([row.label, f"{row.rate:,.0f}", f"{row.cost:.1f}", f"{row.spread:.0%}", *ratios, *delays])
    for name in latencies.keys() - {row.label for row in rows}:
        lines.append([name, *[""] * (3 + len(references)), *(f"{delay:,.0f}" for delay in latencies[name])])
    return lines


def ratio(reference, row):
    """None is given where either was measured too unsteadily."""
    if max(reference.spread, row.spread) > MOST_SPREAD:
        return "too noisy"
    return f"{reference.cost / row.cost:.2f}"


def printed(lines):
    """The table as text."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rows = []
    for line in lines:
        first, *others = zip(line, widths)
        rows.append("  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]))
    return "\n".join(rows)


def version(command):
    """What a program says of itself, or that it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except (OSError, TypeError):
        return "not there"
    found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
    return found[0] if found else "unknown"


def surroundings():
    """Processor, cores, kernel and versions: no names, no paths."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cores = Path("/proc/cpuinfo").read_text().count("processor\t")
    versions = {
        "rustc": version(["rustc", "--version"]),
        "nginx": version([program("nginx"), "-v"]),
        "HAProxy": version([program("haproxy"), "-v"]),
        "Envoy": version([ROOT / ".venv/envoy/bin/envoy", "--version"]),
        "Node": version(["node", "--version"]),
        "Redis": version([program("redis-server"), "--version"]),
    }
    return [
        f"processor: {processor[1] if processor else platform.machine()}, {cores} cores",
        f"kernel: {platform.release().split('-')[0]}",
        *(f"{name} {number}" for name, number in versions.items()),
    ]


def page(lines, options):
    """`docs/benchmarks.md`: written by `make bench`."""
    head, *rows = lines
    cells = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    cells += [f"| {' | '.join(row)} |" for row in rows]
    peers = {row[0].partition(",")[0] for row in rows}
    does = [f"| {peer} | {what} |" for peer, what in DOES_NOT.items() if peer in peers]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"Written by `make bench` on {datetime.date.today()}. One core for the proxy, which has one thread; the load and a mock",
            "upstream share the other. Where that one is the slower, requests a second say little: the CPU time that the proxy spent",
            "on a request is what a core is worth, and what the ratios are of. All take turns, "
            f"{options.rounds} rounds of {options.seconds} s each; medians,",
            "and beside them how far the rounds were apart. `× nginx` is requests for the CPU time of one that nginx forwards.",
            f"Latency is at {options.rate} requests a second, from when a request was due to its answer.",
            "",
            *cells,
            "",
            "![CPU time of a request](benchmarks.svg)",
            "",
            "| peer | what it does |",
            "|---|---|",
            *does,
            "",
            *(f"- {line}" for line in surroundings()),
            "",
        ]
    )


def picture(rows):
    """A bar for each row, as SVG."""
    most = max(row.cost for row in rows)
    height, left, width = 20, 300, 380
    bars = []
    for number, row in enumerate(rows):
        top, length = 10 + number * height, row.cost / most * width
        colour = "#8a5a2b" if row.peer == "envgate" else "#9aa4ad"
        bars.append(
            f'<text x="{left - 8}" y="{top + 14}" text-anchor="end">{row.label}</text>'
            f'<rect x="{left}" y="{top + 3}" width="{length:.1f}" height="{height - 6}" fill="{colour}"/>'
            f'<text x="{left + length + 6:.1f}" y="{top + 14}">{row.cost:.1f}</text>'
        )
    total = 20 + len(rows) * height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 60} {total}" '
        'font-family="sans-serif" font-size="12"><title>CPU µs a request</title>' + "".join(bars) + "</svg>\n"
    )


def write(rows, lines, options):
    """Writes page and picture."""
    (ROOT / "docs/benchmarks.md").write_text(page(lines, options))
    (ROOT / "docs/benchmarks.svg").write_text(picture(rows))
