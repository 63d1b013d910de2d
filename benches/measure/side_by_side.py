"""envgate beside other proxies: one core, the same mock upstream, the same run.

The proxy that is measured has core 0 for itself with one thread; the load generator and the mock upstream
share core 1. Where core 1 is the slower of the two, requests a second say little; the CPU time that the proxy
spent on one request is what a core is worth, and what the ratios are of. Peers take turns in rounds,
so that a machine that gets slower does so for all; the median of the rounds counts.

What the rows are: `accepted` is an update that reaches the upstream and comes back; `rejected` one that
breaks the schema (400); `unknown key` one whose key nobody has (401); `audited` is `accepted` with a record of each in
SQLite, which the same core writes; `from memory` a retrieve that the gateway has just had. The others are `accepted` with
one thing more.
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path

from . import report, telemetry
from .idle import idle_memory
from .processes import GOOD, UPSTREAM_KEY, mock_upstream
from .proxies import ALL, envgate
from .rows import Row


def main():
    """Starts all, measures in rounds, reports, ends all."""
    parser = argparse.ArgumentParser(
        prog="measure.side_by_side", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="for each row in each round")
    parser.add_argument("--rate", type=int, default=1000, help="requests a second for the latency")
    parser.add_argument("--peers", default=",".join(ALL), help="which to measure (%(default)s)")
    parser.add_argument("--earlier", type=Path, help="another build of envgate, to be measured beside this one")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and its picture")
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("two cores are needed: one for the proxy, one for the load")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))

    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envgate-bench-")))
        upstream = mock_upstream(stack)
        rows = [row for peer in options.peers.split(",") for row in ALL[peer](stack, directory, upstream)]
        if options.earlier:
            rows += envgate(stack, directory, upstream, options.earlier.resolve(), "earlier")
        for row in rows:
            row.prove()
        idle = {row.label: idle_memory(row) for row in rows if row.name == "accepted"}
        for row in rows:
            row.load(1)
        for round_number in range(1, options.rounds + 1):
            print(f"round {round_number} of {options.rounds}", file=sys.stderr)
            for row in rows:
                rate, cost = row.load(options.seconds)
                row.rates.append(rate)
                row.costs.append(cost)
        latencies = {}
        for row in rows:
            if row.name in ("accepted", "audited", "from memory") and row.scheme == "http":
                latencies[row.label] = row.latency(options.rate, options.seconds * 2)
        straight = Row("straight to the upstream", "accepted", None, upstream, UPSTREAM_KEY, GOOD, 200)
        latencies["straight to the upstream"] = straight.latency(options.rate, options.seconds * 2)
        lines = report.table(rows, latencies, idle)
        costs = telemetry.measure(stack, directory, upstream) if "envgate" in options.peers.split(",") else []
        for told in filter(None, (lines, costs)):
            print(report.printed(told))
        if options.write:
            report.write(rows, lines, costs, options)


if __name__ == "__main__":
    main()
