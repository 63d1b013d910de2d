"""What a request costs in instructions and allocations, and what has moved since it was counted last.

The counts stand in benches/counts/counts.json with what they depend on: processor, glibc, rustc, valgrind. Says what has moved by
more than 2 %, and fails for nothing. `--write` puts the new counts there.
"""

import argparse
import json
import os
import platform
import subprocess
import sys

from .processes import ROOT
from .surroundings import processor, version

COUNTS = ROOT / "benches/counts/counts.json"
MOVED = 0.02
HALVES = {"judge": "judging half", "whole": "both halves"}
COMMAND = "bench --locked --quiet --profile fast --package envgate-counts --bench requests -- --output-format=json"


def surroundings():
    """What the counts depend on, besides the code."""
    glibc = os.confstr("CS_GNU_LIBC_VERSION") if hasattr(os, "confstr") else platform.libc_ver()[1]
    return {
        "processor": processor(),
        "glibc": (glibc or "").removeprefix("glibc "),
        "rustc": version(["rustc", "--version"]),
        "valgrind": version(["valgrind", "--version"]),
    }


def count():
    """Runs the bench; gives back instructions, allocations and allocated bytes by request and half."""
    cargo = os.environ.get("CARGO", "cargo")
    done = subprocess.run([cargo, *COMMAND.split()], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit("the requests could not be counted")
    summaries = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    counts = {}
    for summary in summaries:
        totals = {profile["tool"].lower(): metrics(profile) for profile in summary["profiles"]}
        name = f"{summary['id'].replace('_', ' ')}, {HALVES[summary['function_name']]}"
        counts[name] = {
            "instructions": totals["callgrind"]["Ir"],
            "allocations": totals["dhat"]["TotalBlocks"],
            "bytes": totals["dhat"]["TotalBytes"],
        }
    return counts


def metrics(profile):
    """The numbers that a tool gives for this run, whether or not there is an earlier one to compare with."""
    of_tool = profile["data"]["total"]["metrics"]
    return {name: metric["values"]["new"] for name, metric in of_tool.items()}


def table(counts):
    """Lines of cells, the first one the head."""
    lines = [["", "instructions", "allocations", "bytes allocated"]]
    return lines + [[name, *(f"{number:,}" for number in of.values())] for name, of in counts.items()]


def told():
    """The counts that stand in the repository, as Markdown."""
    if not COUNTS.exists():
        return []
    known = json.loads(COUNTS.read_text())
    head, *rows = table(known["counts"])
    on = ", ".join(f"{name} {of}" for name, of in known["surroundings"].items())
    return [
        f"Counted by valgrind, without sockets (`make counts`; {on}):",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def moves(before, after):
    """What has moved by more than 2 %, in words."""
    told = []
    for name, of in after.items():
        for what, number in of.items():
            was = before.get(name, {}).get(what)
            if was is None:
                continue
            if abs(number - was) > MOVED * max(was, 1):
                told.append(f"{name}: {what} {was:,} -> {number:,} ({(number - was) / max(was, 1):+.1%})")
    return told


def main():
    """Counts, compares, tells."""
    parser = argparse.ArgumentParser(prog="measure.counts", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {COUNTS.relative_to(ROOT)}")
    options = parser.parse_args()
    here, counts = surroundings(), count()
    for line in table(counts):
        print(f"{line[0]:32}" + "".join(f"{cell:>16}" for cell in line[1:]))
    earlier = json.loads(COUNTS.read_text()) if COUNTS.exists() else {"surroundings": here, "counts": {}}
    for name, was in earlier["surroundings"].items():
        if was != here[name]:
            print(f"{name} was {was} and is {here[name]}: the counts may have moved for that")
    told = moves(earlier["counts"], counts)
    print("\n".join(told) or "nothing has moved by more than 2 %")
    if options.write:
        COUNTS.write_text(json.dumps({"surroundings": here, "counts": counts}, indent=2) + "\n")


if __name__ == "__main__":
    main()
