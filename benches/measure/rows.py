"""One line of the table: a request to a peer, and what its rounds measured."""

import http.client
import json
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from .processes import LOAD_CORE, PATH, PEERS, ROOT, cpu_seconds

LOAD = ROOT / "benches/load.lua"
CONNECTIONS = 32
# Streams on each connection, for HTTP/2.
STREAMS = 8


@dataclass
class Row:
    """A request, the process that answers it, and what came of it. `loader` is `wrk`, or `h2load` for HTTP/2. `keys` is a
    file with more of them, which take turns; with a `path` of its own a read is asked for anew each time."""

    peer: str
    name: str
    process: subprocess.Popen
    port: int
    key: str
    body: str
    status: int
    scheme: str = "http"
    loader: str = "wrk"
    connections: int = CONNECTIONS
    path: str = ""
    keys: Path | None = None
    rates: list = field(default_factory=list)
    costs: list = field(default_factory=list)

    @property
    def label(self):
        return f"{self.peer}, {self.name}"

    @property
    def rate(self):
        """Requests a second."""
        return statistics.median(self.rates)

    @property
    def cost(self):
        """Microseconds of CPU that the proxy spent on a request."""
        return statistics.median(self.costs)

    @property
    def spread(self):
        """How far the dearest and the cheapest round are apart, as a part of the median."""
        return (max(self.costs) - min(self.costs)) / self.cost

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}

    def prove(self):
        """Sends one request and insists on its status, so that no row measures something else."""
        if self.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=5, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("POST" if self.body else "GET", (self.path or PATH).replace("*", "000"), self.body or None, self.headers)
        reply = connection.getresponse()
        text = reply.read().decode(errors="replace")
        connection.close()
        if reply.status != self.status:
            sys.exit(f"{self.label}: expected {self.status}, got {reply.status}: {text}")

    def load(self, seconds):
        """Loads the peer; returns requests a second and CPU microseconds a request."""
        before = cpu_seconds(self.process.pid)
        requests, took = self._wrk(seconds) if self.loader == "wrk" else self._h2load(seconds)
        spent = cpu_seconds(self.process.pid) - before
        return requests / took, spent * 1e6 / requests

    def _wrk(self, seconds):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as body:
            body.write(self.body)
            body.flush()
            command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "-s", LOAD]
            command += [f"{self.scheme}://127.0.0.1:{self.port}", "--", f"@{self.keys}" if self.keys else self.key]
            # An argument is no place for a large one.
            command += [f"@{body.name}" if self.body else "", *([self.path] if self.path else [])]
            told = json.loads(self._printed(command).splitlines()[-1])
        refused = told["requests"] if self.status >= 400 else 0
        if told["requests"] == 0 or told["broken"] or told["refused"] != refused:
            sys.exit(f"{self.label}: the load did not go well: {told}")
        return told["requests"], told["seconds"]

    def _h2load(self, seconds):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as body:
            body.write(self.body)
            body.flush()
            command = ["taskset", "-c", LOAD_CORE, "h2load", "-t1", f"-c{CONNECTIONS // STREAMS}", f"-m{STREAMS}"]
            command += ["-D", str(seconds), *(["-d", body.name] if self.body else [])]
            command += [part for header in self.headers.items() for part in ("-H", ": ".join(header).lower())]
            # Header names are in lower case, the key is not.
            command = [part.replace(self.key.lower(), self.key).replace("bearer", "Bearer") for part in command]
            printed = self._printed([*command, f"{self.scheme}://127.0.0.1:{self.port}{PATH}"])
        counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed", printed)
        if counts is None or int(counts[1]) == 0:
            sys.exit(f"{self.label}: the load did not go well: {printed}")
        return int(counts[1]), seconds

    def _printed(self, command):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{self.label}: {command[3]} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def latency(self, rate, seconds):
        """Microseconds from when a request should have been sent to its answer, at a fixed rate: p50, p99, p99.9."""
        command = ["taskset", "-c", LOAD_CORE, PEERS / "open-loop", f"127.0.0.1:{self.port}", rate, seconds]
        told = json.loads(self._printed([*command, self.key, PATH, self.body]))
        if told["refused"]:
            sys.exit(f"{self.label}: {told['refused']} requests were refused")
        return told["p50_us"], told["p99_us"], told["p999_us"]
