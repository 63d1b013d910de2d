#!/usr/bin/env python3
"""envgate beside a bare Pingora proxy and nginx: one core, the same mock upstream, the same run.

The proxy that is measured has core 0 for itself with one thread; the load generator and the mock upstream
share core 1. Where core 1 is the slower of the two, requests a second say little; the CPU time that the proxy
spent on one request is what a core is worth, and what the ratios are of. Peers take turns in rounds,
so that a machine that gets slower does so for all; the median of the rounds counts.

What the rows are: `accepted` is an update that reaches the upstream and comes back; `rejected` one that
breaks the schema (400); `unknown key` one whose key nobody has (401); `audited` is `accepted` with a record of each in
SQLite, which the same core writes; `from memory` a retrieve that the gateway has just had. Only envgate knows the last four.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVGATE = ROOT / "target/release/envgate"
PEERS = ROOT / "target/peers/release"
LOAD = ROOT / "benches/load.lua"

PROXY_CORE, LOAD_CORE = "0", "1"
CONNECTIONS = 32
UPSTREAM_KEY = "sk-ant-of-the-operator"
PATH = "/v1/environments/env_011CZkZ9X2dpNyB7HsEFoRfW"
GOOD = '{"description":"Data analysis","config":{"type":"cloud","packages":{"pip":["pandas","numpy"]}}}'
BAD = '{"config":{"type":"cloud","networking":{"type":"limited","allowed_host":["a.example.com"]}}}'
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

NGINX = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 100000000;
    upstream environments {{
        server {upstream};
        keepalive 128;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://environments;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "";
            proxy_set_header X-Api-Key {key};
            proxy_set_header anthropic-version 2023-06-01;
            proxy_set_header anthropic-beta managed-agents-2026-04-01;
        }}
    }}
}}
"""


@dataclass
class Row:
    """One line of the table: a request to a peer, and what its rounds measured."""

    peer: str
    name: str
    process: subprocess.Popen
    port: int
    key: str
    body: str
    status: int
    rates: list = field(default_factory=list)
    costs: list = field(default_factory=list)

    @property
    def rate(self):
        """Requests a second."""
        return statistics.median(self.rates)

    @property
    def cost(self):
        """Microseconds of CPU that the proxy spent on a request."""
        return statistics.median(self.costs)

    def prove(self):
        """Sends one request and insists on its status, so that no row measures something else."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request("POST" if self.body else "GET", PATH, self.body or None, headers)
        reply = connection.getresponse()
        text = reply.read().decode(errors="replace")
        connection.close()
        if reply.status != self.status:
            sys.exit(f"{self.peer}, {self.name}: expected {self.status}, got {reply.status}: {text}")

    def load(self, seconds):
        """Loads the peer; returns requests a second and CPU microseconds a request."""
        command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(LOAD)]
        command += [f"http://127.0.0.1:{self.port}", "--", self.key, self.body]
        before = cpu_seconds(self.process.pid)
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        spent = cpu_seconds(self.process.pid) - before
        told = json.loads(output.splitlines()[-1])
        requests = told["requests"]
        refused = requests if self.status >= 400 else 0
        if requests == 0 or told["broken"] or told["refused"] != refused:
            sys.exit(f"{self.peer}, {self.name}: the load did not go well: {told}")
        return requests / told["seconds"], spent * 1e6 / requests


def cpu_seconds(pid):
    """User and system time of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def free_port():
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, name):
    """Returns once something accepts at the port."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    sys.exit(f"{name} does not listen")


def start(stack, name, core, command, **options):
    """Starts a process on a core; it ends with the stack."""
    process = subprocess.Popen(["taskset", "-c", core, *map(str, command)], **options)

    def end():
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(end)
    return process


def listening(stack, name, core, command, port, **options):
    """Starts a process and waits for its port."""
    process = start(stack, name, core, command, **options)
    wait_for(port, process, name)
    return process


def nginx(stack, directory, upstream):
    """nginx that swaps headers: one row."""
    port = free_port()
    configuration = directory / "nginx.conf"
    text = NGINX.format(directory=directory, upstream=f"127.0.0.1:{upstream}", port=port, key=UPSTREAM_KEY)
    configuration.write_text(text)
    command = ["nginx", "-c", configuration, "-p", directory, "-e", "stderr"]
    process = listening(stack, "nginx", PROXY_CORE, command, port)
    return [Row("nginx", "accepted", process, port, "any", GOOD, 200)]


def bare(stack, directory, upstream):
    """A Pingora proxy that only forwards: one row."""
    port = free_port()
    command = [PEERS / "bare-proxy", f"127.0.0.1:{port}", f"127.0.0.1:{upstream}", UPSTREAM_KEY]
    process = listening(stack, "bare Pingora", PROXY_CORE, command, port)
    return [Row("bare Pingora", "accepted", process, port, "any", GOOD, 200)]


def envgate(stack, directory, upstream, binary=ENVGATE, name="envgate"):
    """envgate, with a tenant and a key made by its own commands: five rows, one of them with the audit."""
    process, port, key = gateway(stack, directory / name, upstream, binary, audit="false")
    audited, audited_port, audited_key = gateway(stack, directory / name, upstream, binary, audit="true")
    return [
        Row(name, "accepted", process, port, key, GOOD, 200),
        Row(name, "audited", audited, audited_port, audited_key, GOOD, 200),
        Row(name, "from memory", process, port, key, "", 200),
        Row(name, "rejected", process, port, key, BAD, 400),
        Row(name, "unknown key", process, port, "sk-eg-nobody-has-this-one", GOOD, 401),
    ]


def gateway(stack, directory, upstream, binary, audit):
    """Starts one; returns its process, its port and a key."""
    directory.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "ENVGATE_LISTEN__ADDRESS": "127.0.0.1:0",
        "ENVGATE_ADMIN__ADDRESS": "127.0.0.1:0",
        "ENVGATE_UPSTREAM__URL": f"http://127.0.0.1:{upstream}",
        "ENVGATE_UPSTREAM__CREDENTIAL": UPSTREAM_KEY,
        "ENVGATE_OWNERSHIP__STAMP": "false",  # one tenant; the mock upstream keeps no environments
        "ENVGATE_STORE__URL": f"sqlite:{directory}/audit-{audit}.db",
        "ENVGATE_AUDIT__ENABLED": audit,
        "ENVGATE_LOG__LEVEL": "warn",
        "ENVGATE_SERVER__THREADS": "1",
    }

    def run(*arguments):
        command = [binary, *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    run("tenants", "create", "bench")
    key = run("keys", "create", "--tenant", "bench", "--quiet")
    process = start(
        stack, "envgate", PROXY_CORE, [binary, "serve"], env=environment, stdout=subprocess.PIPE, text=True
    )
    port = next((int(at[1]) for line in process.stdout if (at := re.search(r"http://127\.0\.0\.1:(\d+)", line))), None)
    if port is None:
        sys.exit("envgate does not say where it listens")
    wait_for(port, process, "envgate")
    return process, port, key


def report(rows):
    """Prints the table. A ratio over 1 is more requests for the same CPU time than the peer named."""
    accepted = {row.peer: row.cost for row in rows if row.name == "accepted"}
    references = [peer for peer in ("nginx", "bare Pingora") if peer in accepted]
    heads = ["", "requests/s", "CPU µs/request", *(f"× {peer}" for peer in references)]
    lines = [heads]
    for row in rows:
        ratios = [f"{accepted[peer] / row.cost:.2f}" for peer in references]
        lines.append([f"{row.peer}, {row.name}", f"{row.rate:,.0f}", f"{row.cost:.1f}", *ratios])
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        first, *others = zip(line, widths)
        print(first[0].ljust(first[1]), *(text.rjust(width) for text, width in others), sep="  ")
    print("\n× peer: requests for the CPU time of one request that the peer forwards.")


def main():
    """Starts all, measures in rounds, reports, ends all."""
    starts = {"nginx": nginx, "bare": bare, "envgate": envgate}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="for each row in each round")
    parser.add_argument("--peers", default=",".join(starts), help="which to measure (%(default)s)")
    parser.add_argument("--earlier", type=Path, help="another build of envgate, to be measured beside this one")
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("two cores are needed: one for the proxy, one for the load")
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))

    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envgate-bench-")))
        upstream = free_port()
        command = [PEERS / "mock-upstream", f"127.0.0.1:{upstream}", UPSTREAM_KEY]
        listening(stack, "the mock upstream", LOAD_CORE, command, upstream)
        rows = [row for peer in options.peers.split(",") for row in starts[peer](stack, directory, upstream)]
        if options.earlier:
            rows += envgate(stack, directory, upstream, options.earlier.resolve(), "earlier")
        for row in rows:
            row.prove()
            row.load(1)
        for round_number in range(1, options.rounds + 1):
            print(f"round {round_number} of {options.rounds}", file=sys.stderr)
            for row in rows:
                rate, cost = row.load(options.seconds)
                row.rates.append(rate)
                row.costs.append(cost)
        report(rows)


if __name__ == "__main__":
    main()
