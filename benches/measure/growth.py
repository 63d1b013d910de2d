"""How envgate grows: connections, keys, tenants, bodies, lists and workers, each a line with a plot.

One gateway on a core of its own, the load and the mock upstream on the other, as in `measure.side_by_side`; with two workers it
has both, and shares one with the load. What counts is the CPU time of a request, and the memory that the process has then.
About five minutes; writes docs/growth.md and its plots with `--write`.
"""

import argparse
import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import secrets
import signal
import sqlite3
import sys
import tempfile
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from . import plot, proxies, report, surroundings
from .processes import ENVGATE, GOOD, PATH, ROOT, Gateway, mock_upstream
from .rows import Row

CONNECTIONS = [1, 16, 256, 1024, 4096]
KEYS = [10, 1_000, 100_000, 1_000_000]
TENANTS = [1, 10, 100, 1_000, 10_000]
BODY_BYTES = [100, 1_000, 10_000, 100_000, 1_000_000]
LISTED = [1, 10, 100, 1_000]
WORKERS = [1, 2]
COLLECTION = PATH.rpartition("/")[0]
# Keys that ask in turn: as many as there are, but no more than anybody would see the difference of.
MOST_KEYS_USED = 10_000
# Growing that is within this is none.
FLAT = 1.2


@dataclass
class Point:
    """What was measured at one size."""

    size: int
    row: Row
    gateway: Gateway
    resident: int = 0


@dataclass
class Line:
    """Something that grows, and what was measured at each of its sizes."""

    name: str
    unit: str
    what: str
    points: list[Point] = field(default_factory=list)
    # nginx that swaps headers, at the same sizes, where what grows costs whoever serves it.
    beside: list[Row] = field(default_factory=list)

    @property
    def head(self):
        return ["requests/s", "CPU µs/request", "spread", "memory, MiB", *(["nginx, µs", "spread"] if self.beside else [])]

    @property
    def cells(self):
        cells = [
            [
                f"{point.size:,} {self.unit}",
                f"{point.row.rate:,.0f}",
                f"{point.row.cost:.1f}",
                f"{point.row.spread:.0%}",
                f"{point.resident >> 20}",
            ]
            for point in self.points
        ]
        for told, row in zip(cells, self.beside):
            told += [f"{row.cost:.1f}", f"{row.spread:.0%}"]
        return cells

    def judgement(self):
        """How the dearest point compares with the cheapest, wherever they are; and how those of nginx do."""
        ratio = growth([point.row for point in self.points])
        if ratio is None:
            return "too noisy to be compared"
        told = f"the dearest takes {ratio:.2f} times the CPU time of the cheapest" + (" (flat)" if ratio < FLAT else "")
        beside = growth(self.beside) if self.beside else None
        return told + (f"; of nginx, which swaps headers, {beside:.2f} times" if beside else "")


def growth(rows):
    """How many times the dearest takes what the cheapest does; none where that was too noisy to be said."""
    cheapest, *_, dearest = sorted(rows, key=lambda row: row.cost)
    return None if max(cheapest.spread, dearest.spread) > report.MOST_SPREAD else dearest.cost / cheapest.cost


def row(name, gateway, body=GOOD, **more):
    return Row("envgate", name, gateway.process, gateway.port, gateway.key, body, 200, **more)


def fill(store, tenants, keys):
    """Lets a store that nobody serves have so many of both in all; gives back the texts of the keys that will ask."""
    at = "2026-01-01T00:00:00.000000Z"
    texts = [f"sk-eg-{secrets.token_hex(22)}" for _ in range(keys)]
    with contextlib.closing(sqlite3.connect(store)) as database, database:
        ids = [found for (found,) in database.execute("SELECT id FROM tenants")]
        more = [f"{number:032x}" for number in range(len(ids), tenants)]
        database.executemany(
            "INSERT INTO tenants (id, name, plan, created_at, is_suspended, change_number) VALUES (?, ?, 'default', ?, 0, 1)",
            ((tenant, f"grown-{tenant}", at) for tenant in more),
        )
        ids += more
        database.executemany(
            "INSERT INTO keys (digest, id, tenant_id, created_at, change_number) VALUES (?, ?, ?, ?, 1)",
            (
                (hashlib.sha256(text.encode()).digest(), text[:14], ids[number % tenants], at)
                for number, text in enumerate(texts)
            ),
        )
    return texts[:MOST_KEYS_USED]


def filled(gateway, directory, tenants, keys, **options):
    """A gateway with so many of both, and a file of keys that ask in turn."""
    file = directory / f"keys-{tenants}-{keys}"

    def with_all(store):
        file.write_text("\n".join(fill(store, tenants, keys)) + "\n")

    return gateway(f"grown-{tenants}-{keys}", fill=with_all, **options), file


def lines(stack, directory, upstream, binary, only):
    """Starts what a line needs and gives it back, yet without measurements, one after the other of those that are asked for."""

    def gateway(name, **options):
        return Gateway(stack, directory / name, upstream, binary, options.pop("settings", proxies.NO_AUDIT), **options)

    def plain_with(make):
        plain = gateway(f"plain-{make.__name__}")
        return lambda size: (make(plain, size), plain)

    def held(plain, size):
        return row("", plain, connections=size)

    def sent(plain, size):
        return row("", plain, body(size))

    def listed(plain, size):
        return row("", plain, "", path=f"{COLLECTION}?limit={size}")

    def of_keys(size):
        grown, file = filled(gateway, directory, 1, size)
        return row("", grown, keys=file), grown

    def of_tenants(size):
        grown, file = filled(gateway, directory, size, size, settings=proxies.NO_AUDIT + proxies.LIMITED, stamp=True)
        # What is made is its maker's, so every tenant may.
        return row("", grown, '{"name":"grown"}', keys=file, path=COLLECTION), grown

    def of_workers(size):
        core = "0" if size == 1 else "0,1"
        grown = gateway(f"workers-{size}", variables={"ENVGATE_SERVER__THREADS": str(size)}, core=core)
        return row("", grown), grown

    planned = [
        ("connections", "connections", "an update", CONNECTIONS, lambda: plain_with(held)),
        ("keys", "keys", f"an update; up to {MOST_KEYS_USED:,} of the keys take turns", KEYS, lambda: of_keys),
        ("tenants", "tenants", "a create within a limited budget; all tenants take turns", TENANTS, lambda: of_tenants),
        ("bodies", "bytes", "an update with so large a body", BODY_BYTES, lambda: plain_with(sent)),
        ("lists", "environments", "a list, asked for anew each time", LISTED, lambda: plain_with(listed)),
        ("workers", "workers", "an update; where there are two, one shares its core with the load", WORKERS, lambda: of_workers),
    ]
    for name, unit, what, sizes, start in planned:
        if not only or name in only:
            point = start()
            line = Line(name, unit, what, [Point(size, *point(size)) for size in sizes])
            if name == "connections":
                [swapping] = proxies.nginx(stack, directory, upstream)
                line.beside = [dataclasses.replace(swapping, connections=size, rates=[], costs=[]) for size in sizes]
            yield line


def body(size):
    """An update of about so many bytes: a list of packages."""
    packages, text = [], "package-0000000"
    while len(packages) * (len(text) + 3) < size - 80:
        packages.append(f"package-{len(packages):07}")
    return json.dumps({"config": {"type": "cloud", "packages": {"pip": packages}}}, separators=(",", ":"))


def measure(line, rounds, seconds):
    """Measures each point in rounds."""
    print(line.name, file=sys.stderr)
    pairs = list(zip_longest(line.points, line.beside))
    for row in (row for point, beside in pairs for row in (point.row, beside) if row):
        row.prove()
        row.load(1)
    for _ in range(rounds):
        for point, beside in pairs:
            sample(point.row, seconds)
            # Before the next size, for several share a gateway.
            point.resident = max(point.resident, point.gateway.resident)
            if beside:
                sample(beside, seconds)


def sample(row, seconds):
    """One round of a row."""
    rate, cost = row.load(seconds)
    row.rates.append(rate)
    row.costs.append(cost)


def page(all_lines, options):
    """`docs/growth.md`."""
    told = [
        "# Growth",
        "",
        f"Written by `python3 -m measure.growth` in `make bench` on {datetime.date.today()}: {options.rounds} rounds of {options.seconds} s",
        "each, medians, and beside them how far the rounds were apart. One core for the gateway, which has one worker and no audit;",
        "the load and a mock upstream share the other.",
        "",
    ]
    for line in all_lines:
        told += [
            f"## {line.name.capitalize()}",
            "",
            f"{line.what.capitalize()}: {line.judgement()}.",
            "",
            f"| | {' | '.join(line.head)} |",
            "|---" * (len(line.head) + 1) + "|",
            *(f"| {' | '.join(cells)} |" for cells in line.cells),
            "",
            f"![{line.name}](growth-{line.name}.svg)",
            "",
        ]
    return "\n".join([*told, *(f"- {text}" for text in surroundings.lines()), ""])


def write(all_lines, options):
    """Writes the page and a plot for each line."""
    (ROOT / "docs/growth.md").write_text(page(all_lines, options))
    for line in all_lines:
        points = [(point.size, point.row.cost) for point in line.points]
        (ROOT / f"docs/growth-{line.name}.svg").write_text(plot.line(line.name, "CPU µs a request", points))


def main():
    """Starts all, measures, tells."""
    parser = argparse.ArgumentParser(
        prog="measure.growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="for each point in each round")
    parser.add_argument("--binary", type=Path, default=ENVGATE)
    parser.add_argument("--only", help="names of lines, with commas between them")
    parser.add_argument("--write", action="store_true", help="write docs/growth.md and its plots")
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("two cores are needed: one for the gateway, one for the load")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envgate-growth-")))
        only = options.only.split(",") if options.only else []
        upstream, all_lines = mock_upstream(stack), []
        started = stack.enter_context(contextlib.ExitStack())
        for line in lines(started, directory, upstream, options.binary.resolve(), only):
            with started:
                measure(line, options.rounds, options.seconds)
            all_lines.append(line)
            head = [[f"{line.name}: {line.judgement()}", *line.head]]
            print(report.printed(head + line.cells) + "\n", flush=True)
        if options.write:
            write(all_lines, options)


if __name__ == "__main__":
    main()
