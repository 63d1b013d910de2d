"""Millions of mixed requests over HTTP/1, HTTP/1 in TLS and HTTP/2: does memory stay flat, and is all given back?

Each round sends requests of every kind (accepted, refused, unknown key, from memory, HEAD, large, …) on new connections. After
it memory is read; at the end descriptors and what is in flight as well. Fails where the last tenth of the rounds needs
more memory than the second one, by more than one in twenty, or where something is still in flight.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .processes import BAD, ENVGATE, GOOD, LOAD_CORE, PATH, ROOT, Gateway, memory, mock_upstream

MIXED = ROOT / "benches/mixed.lua"
SECONDS = 2  # of each way in a round
IDLE_SECONDS = 35  # after which idle upstream connections are closed


def descriptors(gateway):
    return len(os.listdir(f"/proc/{gateway.process.pid}/fd"))


def in_flight(gateway):
    return int(gateway.metrics()["envgate_requests_in_flight"])


def printed(command):
    command = ["taskset", "-c", LOAD_CORE, *map(str, command)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def http1(gateway):
    """Loads it over HTTP/1; gives back how many requests were answered."""
    command = ["wrk", "-t1", "-c32", f"-d{SECONDS}s", "-s", MIXED, f"{gateway.scheme}://127.0.0.1:{gateway.port}"]
    told = json.loads(printed([*command, "--", gateway.key, GOOD, BAD]).splitlines()[-1])
    if told["broken"]:
        sys.exit(f"{told['broken']} of {told['requests']} broke over {gateway.scheme}")
    return told["requests"]


def http2(gateway):
    """The same over HTTP/2, one kind after the other."""
    unknown = "sk-eg-nobody-has-this-one"
    kinds = [(gateway.key, "POST", GOOD), (gateway.key, "POST", BAD), (unknown, "POST", GOOD)]
    kinds += [(gateway.key, "GET", ""), (gateway.key, "HEAD", "")]
    answered = 0
    for key, method, body in kinds:
        headers = [f":method: {method}", f"authorization: Bearer {key}", "content-type: application/json"]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(body)
            file.flush()
            command = ["h2load", "-t1", "-c16", "-m8", "-D", max(1, SECONDS // len(kinds))]
            command += [part for header in headers for part in ("-H", header)] + (["-d", file.name] if body else [])
            told = printed([*command, f"https://127.0.0.1:{gateway.port}{PATH}"])
        counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed", told)
        if counts is None or int(counts[1]) == 0:
            sys.exit(f"h2load did not go well: {told}")
        answered += int(counts[1])
    return answered


def main():
    """Starts both gateways, loads them in rounds, judges."""
    parser = argparse.ArgumentParser(
        prog="measure.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=5_000_000)
    parser.add_argument("--binary", type=Path, default=ENVGATE)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envgate-soak-")))
        upstream = mock_upstream(stack)
        plain, tls = (
            Gateway(stack, directory / way, upstream, options.binary.resolve(), tls=way == "tls")
            for way in ("plain", "tls")
        )
        gateways = {"plain": plain, "TLS": tls}
        before = {name: descriptors(gateway) for name, gateway in gateways.items()}
        sent = {"HTTP/1": 0, "HTTP/1 in TLS": 0, "HTTP/2": 0}
        used = {name: [] for name in gateways}
        while sum(sent.values()) < options.requests:
            for way, load, gateway in (("HTTP/1", http1, plain), ("HTTP/1 in TLS", http1, tls), ("HTTP/2", http2, tls)):
                sent[way] += load(gateway)
                for name, looked_at in gateways.items():
                    used[name].append(memory(looked_at.process.pid))
            told = ", ".join(f"{name} {of[-1]:,} KiB" for name, of in used.items())
            print(f"{sum(sent.values()):,} requests: {told}", flush=True)
        time.sleep(IDLE_SECONDS)
        print(", ".join(f"{way}: {count:,}" for way, count in sent.items()))
        failed = False
        for name, gateway in gateways.items():
            tenth = max(1, len(used[name]) // 10)
            second = statistics.median(used[name][tenth : 2 * tenth] or used[name])
            last = statistics.median(used[name][-tenth:])
            left, busy = descriptors(gateway) - before[name], in_flight(gateway)
            failed |= last > second * 1.05 or busy != 0
            print(
                f"{name}: second tenth {second:,.0f} KiB, last tenth {last:,.0f} KiB ({last / second:.3f}), "
                f"descriptors {left:+d}, in flight {busy}"
            )
    sys.exit("memory grew, or something is still in flight" if failed else 0)


if __name__ == "__main__":
    main()
