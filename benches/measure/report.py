"""The table, its page and its picture."""

import datetime

from . import counts, plot, surroundings, telemetry
from .processes import ROOT

# Rounds that are further apart than that say nothing.
MOST_SPREAD = 0.25
DOES_NOT = {
    "nginx": "swaps headers; knows no keys, reads no body, keeps no log",
    "HAProxy": "swaps headers; knows no keys, reads no body, keeps no log",
    "Envoy": "swaps headers; knows no keys, reads no body, keeps no log, counts little",
    "bare Pingora": "swaps headers in Pingora's ordinary phases; knows no keys, reads no body",
    "nginx with Lua": "looks the key up, parses the body and checks names and types by hand; passes replies on as they come",
    "Fastify": "looks the key up, checks the body by Ajv, writes it anew; passes replies on as they come",
    "envgate": "all of it: key, rights, strict JSON, schema, owner, budget, headers, reply in the dialect, metrics; no audit and no "
    "owner but where the row says so",
    "earlier": "envgate, the build that was given with --earlier",
}

ROWS = {
    "accepted": "an update that reaches the upstream and comes back",
    "audited": "`accepted`, with a record of each in SQLite, written by the same core",
    "from memory": "a retrieve that the gateway has just had",
    "rejected": "an update that breaks the schema: 400, nothing goes up",
    "unknown key": "401, the body is not read",
    "stamped": "`accepted`, of an environment that is its tenant's by its stamp, which is looked at and hidden",
    "policy (two upstream requests)": "`accepted` under a policy: the environment is read, what would result is judged, then it is updated",
    "limited budget": "`accepted`, with a limit of requests a minute and of those in flight, in memory",
    "limited budget in Redis": "the same, by a Redis on the core of the load",
    "TLS": "`accepted` on TLS connections that stay",
    "HTTP/2": "`accepted` on HTTP/2 in TLS, eight streams to a connection",
}


def table(rows, latencies, idle):
    """Lines of cells, the first one the head. A ratio over 1 is more requests for the same CPU time than the peer named."""
    accepted = {row.peer: row for row in rows if row.name == "accepted"}
    references = [peer for peer in ("nginx", "bare Pingora") if peer in accepted]
    costs = ["requests/s", "CPU µs/request", "spread", *(f"× {peer}" for peer in references)]
    lines = [["", *costs, "p50", "p99", "p99.9 µs", "MiB", "KiB/connection"]]
    for row in rows:
        ratios = [ratio(accepted[peer], row) for peer in references]
        delays = [f"{delay:,.0f}" for delay in latencies.get(row.label, ())] or ["", "", ""]
        memory = [f"{idle[row.label][0] / 1024:.0f}", f"{idle[row.label][1]:.1f}"] if row.label in idle else ["", ""]
        lines.append([row.label, f"{row.rate:,.0f}", f"{row.cost:.1f}", f"{row.spread:.0%}", *ratios, *delays, *memory])
    for name in latencies.keys() - {row.label for row in rows}:
        lines.append([name, *[""] * (3 + len(references)), *(f"{delay:,.0f}" for delay in latencies[name]), "", ""])
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


def cells_of(lines):
    """The table as Markdown."""
    head, *rows = lines
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]


def told_of_telemetry(lines):
    """What telemetry costs; nothing where that was not measured."""
    if not lines:
        return []
    head, *rows = lines
    explained = [[*row, telemetry.MEANING[row[0]]] for row in rows]
    return [
        "What telemetry costs an accepted update. A machine's own speed changes by more than that between rounds, so all take",
        f"{telemetry.TURNS} turns of a second, and each is compared with that of `{telemetry.OFF}` in the same round; medians.",
        "",
        *cells_of([[*head, "what it is"], *explained]),
        "",
    ]


def page(lines, costs, options):
    """`docs/benchmarks.md`: written by `make bench`."""
    rows = lines[1:]
    peers = {row[0].partition(",")[0] for row in rows}
    does = [f"| {peer} | {what} |" for peer, what in DOES_NOT.items() if peer in peers]
    names = {row[0].partition(", ")[2] for row in rows}
    means = [f"| {name} | {what} |" for name, what in ROWS.items() if name in names]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"Written by `make bench` on {datetime.date.today()}. One core for the proxy, which has one thread; the load and a mock",
            "upstream share the other. Where that one is the slower, requests a second say little: the CPU time that the proxy spent",
            "on a request is what a core is worth, and what the ratios are of. All take turns, "
            f"{options.rounds} rounds of {options.seconds} s each; medians,",
            "and beside them how far the rounds were apart. `× nginx` is requests for the CPU time of one that nginx forwards.",
            f"Latency is at {options.rate} requests a second, from when a request was due to its answer. Memory is that of the process",
            "before it is loaded, and what each of 1,000 connections adds that have had an answer and wait. A ratio of what",
            f"was further apart than {MOST_SPREAD:.0%} from round to round is not told. How envgate grows stands in [growth.md](growth.md).",
            "",
            *cells_of(lines),
            "",
            "![CPU time of a request](benchmarks.svg)",
            "",
            *told_of_telemetry(costs),
            *counts.told(),
            "| row | what it is |",
            "|---|---|",
            *means,
            "",
            "| peer | what it does |",
            "|---|---|",
            *does,
            "",
            *(f"- {line}" for line in surroundings.lines()),
            "",
        ]
    )


def picture(rows):
    """A bar for each row, as SVG."""
    return plot.bars("CPU µs a request", [(row.label, row.cost, row.peer == "envgate") for row in rows])


def write(rows, lines, costs, options):
    """Writes page and picture."""
    (ROOT / "docs/benchmarks.md").write_text(page(lines, costs, options))
    (ROOT / "docs/benchmarks.svg").write_text(picture(rows))
