#!/usr/bin/env python3
"""What a flood of slow clients does to a normal one.

2,000 connections whose heads never end, 2,000 whose bodies never end and 2,000 that do not read their answers, all at once and all
with good keys: first from 60 addresses of this machine, then from one alone. Whoever is closed comes again. Beside them one
client sends updates, as it did before; its p99 must stay under twice that. The memory must stay under 24 KiB for each open connection,
plus `listen.max_unread_bytes`, plus what the process had when it was quiet, in every moment.

It needs the binary and nothing else: python3, and the addresses 127.0.0.0/8, which Linux has anyway. The upstream and the floods are
processes of their own, so the machine should have cores for them. About two minutes.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import multiprocessing
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# So large that most of an answer waits at the gateway, and so small that those of 2,000 readers together stay under
# listen.max_unread_bytes and those of one tenant under its quarter: none is refused, every reader holds its own.
LIST_BYTES = 110 * 1024
UNREAD_BYTES = 256 * 1024 * 1024
BYTES_FOR_CONNECTION = 24 * 1024
TENANTS = ["normal", "slow-1", "slow-2", "slow-3", "slow-4"]
PATH = "/v1/environments/env_011CZkZ9X2dpNyB7HsEFoRfW"
UPDATE = b'{"description":"Data analysis"}'
NORMAL_ADDRESS = "127.0.9.9"
UPDATES_PER_SECOND = 100
DRIP_SECONDS = 4
# Whoever was closed comes again after this: faster, and the floods would take the processor from what is measured.
AGAIN_SECONDS = 0.5
KINDS = ["heads", "bodies", "readers"]

ENVIRONMENT = json.dumps(
    {
        "id": "env_011CZkZ9X2dpNyB7HsEFoRfW",
        "type": "environment",
        "name": "n",
        "description": None,
        "config": {
            "type": "cloud",
            "networking": {"type": "unrestricted"},
            "packages": {name: [] for name in ("apt", "cargo", "gem", "go", "npm", "pip")},
        },
        "metadata": {},
        "archived_at": None,
        "created_at": "2026-05-29T10:00:00Z",
        "updated_at": "2026-05-29T10:00:00Z",
    }
)


def response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def raise_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# The upstream


def serve_upstream(port) -> None:
    """An environments service that says what it always says; no list is like another."""
    raise_descriptors()
    environments = ",".join([ENVIRONMENT] * (LIST_BYTES // len(ENVIRONMENT)))
    rest = f'"next_page":null,"data":[{environments}]}}'.encode()
    one = response(ENVIRONMENT.encode())
    lists = 0

    async def serve(reader, writer):
        nonlocal lists
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length:")[2].partition(b"\r\n")[0].strip()
                await reader.readexactly(int(length or 0))
                if head.startswith(b"get /v1/environments?"):
                    lists += 1
                    writer.write(response(b'{"list":%d,' % lists + rest))
                else:
                    writer.write(one)
                await writer.drain()
        writer.close()

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
        port.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    asyncio.run(run())


# The floods


def flood(kind: str, target: int, keys: list[str], addresses: list[str], count: int, seen, stop) -> None:
    """Holds `count` connections of a kind open until it is told to stop, and opens each again that is closed."""
    raise_descriptors()
    # An attacker has a machine of its own; this one is there for the gateway, its upstream and the normal client.
    os.nice(10)

    def opening(number: int) -> bytes:
        key = keys[number % len(keys)]
        head = f"host: a\r\nauthorization: Bearer {key}\r\n"
        if kind == "heads":
            return f"GET {PATH} HTTP/1.1\r\n{head}x-slow: ".encode()
        if kind == "bodies":
            return f"POST {PATH} HTTP/1.1\r\n{head}content-type: application/json\r\ncontent-length: 1000\r\n\r\n".encode()
        # The same for nobody else, so that no answer is shared.
        limit = number // len(keys) % 1000 + 1
        return f"GET /v1/environments?limit={limit} HTTP/1.1\r\n{head}cache-control: no-cache\r\n\r\n".encode()

    async def connect(address):
        connecting = socket.socket()
        connecting.setblocking(False)
        # What waits for a client waits at the gateway, and not in the client's own system.
        connecting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connecting.bind(address)
        try:
            await asyncio.get_running_loop().sock_connect(connecting, ("127.0.0.1", target))
            return await asyncio.open_connection(sock=connecting, limit=1024)
        except BaseException:
            connecting.close()
            raise

    async def hold(number: int) -> None:
        address = (addresses[number % len(addresses)], 0)
        # Not all in one moment: whoever is closed after a while was so a while after the one before.
        await asyncio.sleep(number / count * 5)
        while not stop.is_set():
            writer = None
            try:
                reader, writer = await connect(address)
                writer.write(opening(number))
                seen.value += 1
                if kind == "readers":
                    writer.transport.pause_reading()
                    while not writer.transport.is_closing() and not stop.is_set():
                        await asyncio.sleep(DRIP_SECONDS)
                        # Nothing is read, so a reset shows only to whoever writes.
                        writer.write(b" ")
                    continue
                reading = asyncio.ensure_future(reader.read(1024))
                while not reading.done() and not stop.is_set():
                    await asyncio.wait([reading], timeout=DRIP_SECONDS)
                    writer.write(b"a")
                reading.cancel()
            except OSError:
                pass
            finally:
                if writer is not None:
                    writer.transport.abort()
            await asyncio.sleep(AGAIN_SECONDS)

    async def run():
        holding = [asyncio.create_task(hold(number)) for number in range(count)]
        while not stop.is_set():
            await asyncio.sleep(0.2)
        for task in holding:
            task.cancel()
        await asyncio.gather(*holding, return_exceptions=True)

    asyncio.run(run())


@contextlib.contextmanager
def floods(target: int, keys: list[str], addresses: list[str], count: int):
    """All three kinds at once."""
    stop = multiprocessing.Event()
    opened = {kind: multiprocessing.Value("q", 0) for kind in KINDS}
    processes = [
        multiprocessing.Process(target=flood, args=(kind, target, keys, addresses, count, opened[kind], stop), daemon=True)
        for kind in KINDS
    ]
    for process in processes:
        process.start()
    try:
        yield opened
    finally:
        stop.set()
        for process in processes:
            process.join(10)
            process.kill()


# The gateway


class Envgate:
    """envgate before an upstream, with a tenant for each credential."""

    def __init__(self, binary: Path, directory: Path, upstream: int):
        self.binary, self.directory = binary, directory
        plans = "".join(
            f'[credentials.{name}]\nkey = {{ env = "KEY_{number}" }}\nbudget = "default"\n[plans.{name}]\ncredential = "{name}"\n'
            for number, name in enumerate(TENANTS)
        )
        (directory / "envgate.toml").write_text(plans)
        self.environment = {
            "PATH": os.environ["PATH"],
            **{f"KEY_{number}": f"sk-ant-{number}" for number in range(len(TENANTS))},
            "ENVGATE_UPSTREAM__URL": f"http://127.0.0.1:{upstream}",
            "ENVGATE_UPSTREAM__CREDENTIAL": "sk-ant-of-the-operator",
            "ENVGATE_UPSTREAM__LIST_AT_START": "false",
            "ENVGATE_OWNERSHIP__STAMP": "false",
            "ENVGATE_STORE__URL": f"sqlite:{directory}/envgate.db",
            "ENVGATE_LISTEN__ADDRESS": "127.0.0.1:0",
            "ENVGATE_ADMIN__ADDRESS": "127.0.0.1:0",
            # The addresses of this machine are those of clients.
            "ENVGATE_LISTEN__TRUSTED_NETWORKS": "",
            "ENVGATE_LISTEN__MAX_UNREAD_BYTES": str(UNREAD_BYTES),
            "ENVGATE_LOG__LEVEL": "warn",
        }
        self.keys = {name: self.tenant(name) for name in TENANTS}
        self.process = self.spawn(["serve"], stdout=subprocess.PIPE, stderr=(directory / "log").open("w"))
        said = []
        while len(said) < 2:
            line = self.process.stdout.readline().decode()
            if not line:
                sys.exit(f"envgate did not start: {(directory / 'log').read_text()}")
            if "http://127.0.0.1:" in line and ("gateway" in line or "admin" in line):
                said.append(int(line.rsplit(":", 1)[1]))
        self.port, self.admin = said
        while self.get("/readyz")[0] != 200:
            time.sleep(0.05)

    def spawn(self, arguments, **options):
        command = [self.binary, *arguments, "--config", "envgate.toml"]
        return subprocess.Popen(command, env=self.environment, cwd=self.directory, stdin=subprocess.DEVNULL, **options)

    def tenant(self, name: str) -> str:
        for arguments in (["tenants", "create", name, "--plan", name], ["keys", "create", "--tenant", name, "--quiet"]):
            command = self.spawn(arguments, stdout=subprocess.PIPE)
            output, _ = command.communicate()
            if command.returncode != 0:
                sys.exit(f"envgate {arguments} failed")
        return output.decode().strip()

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def metrics(self) -> dict[str, float]:
        lines = self.get("/metrics")[1].splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@dataclass
class Measured:
    """What a normal client sees for a while, and what the gateway has meanwhile."""

    name: str
    milliseconds: list[float] = field(default_factory=list)
    failed: int = 0
    # Of the moment in which memory was furthest above what open connections may take.
    open: float = 0
    memory: int = 0
    counted: dict[str, float] = field(default_factory=dict)

    def look(self, envgate: Envgate) -> dict[str, float]:
        """Looks at the memory and at the connections that are open in the same moment; gives back all metrics."""
        metrics = envgate.metrics()
        is_open, memory = metrics['envgate_connections_open{address="listen"}'], envgate.resident_bytes()
        if memory - is_open * BYTES_FOR_CONNECTION > self.memory - self.open * BYTES_FOR_CONNECTION:
            self.open, self.memory = is_open, memory
        return metrics

    @property
    def p50(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.milliseconds, n=100)[98]


def measure(name: str, envgate: Envgate, seconds: float) -> Measured:
    """One client, so many updates a second on a connection that is kept."""
    measured = Measured(name)
    headers = {"authorization": f"Bearer {envgate.keys['normal']}", "content-type": "application/json"}
    connection = None
    before, began = envgate.metrics(), time.monotonic()
    for number in range(int(seconds * UPDATES_PER_SECOND)):
        pause = began + number / UPDATES_PER_SECOND - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        since = time.monotonic()
        try:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", envgate.port, timeout=10, source_address=(NORMAL_ADDRESS, 0))
            connection.request("POST", PATH, UPDATE, headers)
            answer = connection.getresponse()
            answer.read()
            measured.failed += answer.status != 200
            if answer.will_close:
                connection = None
        except (OSError, http.client.HTTPException):
            measured.failed += 1
            connection = None
        measured.milliseconds.append(1000 * (time.monotonic() - since))
        if number % UPDATES_PER_SECOND == 0:
            measured.look(envgate)
    after = measured.look(envgate)
    measured.counted = {metric: value - before.get(metric, 0) for metric, value in after.items()}
    return measured


CLOSED = {
    "closed, an older one of its address": 'envgate_connections_closed_for_client_total{address="listen",which="older"}',
    "closed at once, its address being full": 'envgate_connections_closed_for_client_total{address="listen",which="new"}',
    "closed to make room among all": 'envgate_connections_closed_for_room_total{address="listen"}',
    "heads given up (408)": 'envgate_requests_total{error="malformed",operation="none",status="4xx"}',
    "bodies given up (408)": 'envgate_requests_total{error="body_timeout",operation="update",status="4xx"}',
    "answers given up": 'envgate_requests_total{error="answer_not_taken",operation="list",status="2xx"}',
    "lists refused for their memory (503)": 'envgate_requests_total{error="out_of_resources",operation="list",status="5xx"}',
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/envgate")
    parser.add_argument("--count", type=int, default=2000, help="connections of each kind")
    parser.add_argument("--addresses", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=30, help="how long each state is measured")
    options = parser.parse_args()
    raise_descriptors()

    port = multiprocessing.Value("i", 0)
    upstream = multiprocessing.Process(target=serve_upstream, args=(port,), daemon=True)
    upstream.start()
    while port.value == 0:
        time.sleep(0.01)

    states = []
    for name, addresses in [
        (f"from {options.addresses} addresses", [f"127.0.1.{number + 1}" for number in range(options.addresses)]),
        ("from one", ["127.0.2.1"]),
    ]:
        with tempfile.TemporaryDirectory() as directory:
            envgate = Envgate(options.binary.resolve(), Path(directory), port.value)
            try:
                measure("warm-up", envgate, 2)
                quiet = measure("quiet", envgate, options.seconds / 2)
                before = envgate.metrics()
                slow = [key for tenant, key in envgate.keys.items() if tenant != "normal"]
                with floods(envgate.port, slow, addresses, options.count) as opened:
                    # All of them are open by then, and the first have been given up.
                    time.sleep(12)
                    flooded = measure(name, envgate, options.seconds)
                    after = envgate.metrics()
                    flooded.counted = {metric: value - before.get(metric, 0) for metric, value in after.items()}
                    attempts = {kind: value.value for kind, value in opened.items()}
                states.append((quiet, flooded, attempts))
            finally:
                envgate.stop()
    upstream.kill()

    is_good = True
    for quiet, flooded, attempts in states:
        bound = quiet.memory + flooded.open * BYTES_FOR_CONNECTION + UNREAD_BYTES
        is_fast, is_small = flooded.p99 < 2 * quiet.p99, flooded.memory < bound
        is_good = is_good and is_fast and is_small and flooded.failed == 0
        print(f"\n| {3 * options.count} slow connections, {flooded.name} | quiet | flooded | |\n|---|---|---|---|")
        print(f"| p50 of a normal client, ms | {quiet.p50:.2f} | {flooded.p50:.2f} | |")
        print(f"| p99 | {quiet.p99:.2f} | {flooded.p99:.2f} | {'good' if is_fast else 'over twice'} |")
        print(f"| requests, failed | {len(quiet.milliseconds)}, {quiet.failed} | {len(flooded.milliseconds)}, {flooded.failed} | |")
        print(f"| connections open | {quiet.open:.0f} | {flooded.open:.0f} | |")
        print(f"| memory, MiB | {quiet.memory >> 20} | {flooded.memory >> 20} | {'good' if is_small else 'over'}: bound {int(bound) >> 20} |")
        for kind, count in attempts.items():
            print(f"| slow {kind} opened | | {count} | |")
        for what, metric in CLOSED.items():
            print(f"| {what} | | {flooded.counted.get(metric, 0):.0f} | |")
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
