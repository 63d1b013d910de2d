"""What telemetry costs: an accepted update with one part of it at a time, beside one with none.

A machine's own speed changes by more than that between rounds, so all take turns of a second, in an order that changes, and
each is compared with the turn of `off` of the same round.
"""

import statistics
import subprocess

from .processes import GOOD, Gateway
from .proxies import NO_AUDIT, NO_DRIFT, collector
from .rows import Row

TURNS = 40
OFF = "off"
SPANS = '[telemetry]\ntraces_endpoint = "http://127.0.0.1:{collector}"\nprotocol = "http/protobuf"\n'
TENANTS = "tenants = 100\n"

# By its settings and the level of its log.
WAYS = {
    OFF: (NO_DRIFT, "warn"),
    "lines": (NO_DRIFT, "info"),
    "drift": ("", "warn"),
    "spans and tenants": (NO_DRIFT + SPANS + TENANTS, "warn"),
    "all of it": (SPANS + TENANTS, "info"),
}

MEANING = {
    OFF: "no lines of requests, no spans, nothing measured for drift; the metrics that are always there",
    "lines": "a line for each request",
    "drift": "every reply of the upstream measured against its schema",
    "spans and tenants": "spans of one request in a hundred to a collector, counts of 100 tenants",
    "all of it": "all of that",
}


def measure(stack, directory, upstream):
    """Lines of cells, the first one the head."""
    collecting = collector(stack)
    rows = []
    for name, (settings, level) in WAYS.items():
        settings = NO_AUDIT + settings.format(collector=collecting)
        folder = directory / "telemetry" / name.replace(" ", "-")
        variables = {"ENVGATE_LOG__LEVEL": level}
        gateway = Gateway(stack, folder, upstream, settings=settings, variables=variables, log=subprocess.DEVNULL)
        rows.append(Row("envgate", name, gateway.process, gateway.port, gateway.key, GOOD, 200))
    for row in rows:
        row.prove()
        row.load(1)
    for turn in range(TURNS):
        start = turn % len(rows)
        order = rows[start:] + rows[:start]
        for row in reversed(order) if turn % 2 else order:
            row.costs.append(row.load(1)[1])
    return [["", "CPU µs/request", "more than off", "half of the turns between"], *(line(row, rows[0]) for row in rows)]


def line(row, off):
    """The cells of a row."""
    if row is off:
        return [row.name, f"{row.cost:.1f}", "", ""]
    more = [100 * (cost / without - 1) for cost, without in zip(row.costs, off.costs)]
    low, middle, high = statistics.quantiles(more, n=4)
    return [row.name, f"{row.cost:.1f}", f"{middle:.1f}%", f"{low:.1f}% and {high:.1f}%"]
