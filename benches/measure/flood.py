"""What a flood of slow clients does to a normal one.

2,000 connections whose heads never end, 2,000 whose bodies never end and 2,000 that do not read their answers, all at once and all
with good keys: first from 60 addresses of this machine, then from one alone. Whoever is closed comes again. Beside them one
client sends updates, as it did before. From 60 addresses its p99 must stay under twice what it was; from one it is told and
judged by nobody, for the address is closed as often as it comes, which is work on the processor that the client shares. The
memory must stay under 24 KiB for each open connection, plus `listen.max_unread_bytes`, in every moment; those
count that were open half a second before, for their memory goes back to the system only then.

It needs the binary and nothing else: python3, and the addresses 127.0.0.0/8, which Linux has anyway. The upstream and the floods are
processes of their own, so the machine should have cores for them. About two minutes.
"""

import argparse
import asyncio
import contextlib
import http.client
import multiprocessing
import os
import resource
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from .processes import ENVGATE, PATH, ROOT, Gateway

# So large that most of an answer waits at the gateway, and so small that those of 2,000 readers together stay under
# listen.max_unread_bytes and those of one tenant under its quarter: none is refused, every reader holds its own.
LIST_BYTES = 110 * 1024
UNREAD_BYTES = 256 * 1024 * 1024
# Half a second: what connections had is given back a tenth after they are gone, on a busy machine later.
LOOKS_TO_GIVE_BACK = 5
BYTES_FOR_CONNECTION = 24 * 1024
TENANTS = ["normal", "slow-1", "slow-2", "slow-3", "slow-4"]
UPDATE = b'{"description":"Data analysis"}'
NORMAL_ADDRESS = "127.0.9.9"
UPDATES_PER_SECOND = 100
DRIP_SECONDS = 4
# Whoever was closed comes again after this: faster, and the floods would take the processor from what is measured.
AGAIN_SECONDS = 0.5
KINDS = ["heads", "bodies", "readers"]

ENVIRONMENT = (ROOT / "benches/environment.json").read_text().strip()


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


def envgate(stack, directory: Path, upstream: int, binary: Path) -> Gateway:
    """One before that upstream, with a plan and a credential for each tenant."""
    plans = "".join(
        f'[credentials.{name}]\nkey = {{ env = "KEY_{number}" }}\nbudget = "default"\n[plans.{name}]\ncredential = "{name}"\n'
        for number, name in enumerate(TENANTS)
    )
    variables = {
        **{f"KEY_{number}": f"sk-ant-{number}" for number in range(len(TENANTS))},
        "ENVGATE_UPSTREAM__LIST_AT_START": "false",
        # The addresses of this machine are those of clients.
        "ENVGATE_LISTEN__TRUSTED_NETWORKS": "",
        "ENVGATE_LISTEN__MAX_UNREAD_BYTES": str(UNREAD_BYTES),
        "ENVGATE_SERVER__THREADS": str(os.cpu_count()),
    }
    tenants = {name: name for name in TENANTS}
    return Gateway(
        stack, directory / "envgate", upstream, binary, plans, tenants=tenants, variables=variables, core=None
    )


@dataclass
class Measured:
    """What a normal client sees for a while, and what the gateway has meanwhile."""

    name: str
    milliseconds: list[float] = field(default_factory=list)
    failed: int = 0
    # Of the moment in which memory was furthest above what open connections may take.
    open: float = 0
    memory: int = 0
    opened: deque = field(default_factory=lambda: deque(maxlen=LOOKS_TO_GIVE_BACK))
    counted: dict[str, float] = field(default_factory=dict)

    def look(self, envgate: Gateway) -> None:
        """Looks at the memory, and at the connections that are open. The allocator gives memory back a tenth of a second
        after they are gone, so those count that were open at one of the last looks."""
        self.opened.append(envgate.metrics()['envgate_connections_open{address="listen"}'])
        is_open, memory = max(self.opened), envgate.resident
        if memory - is_open * BYTES_FOR_CONNECTION > self.memory - self.open * BYTES_FOR_CONNECTION:
            self.open, self.memory = is_open, memory

    @property
    def p50(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.milliseconds, n=100)[98]


@contextlib.contextmanager
def watched(envgate: Gateway, measured: Measured):
    """Looks at the memory ten times a second, so that no moment is missed: not that either in which all close at once."""
    stop = threading.Event()

    def watch():
        while not stop.wait(0.1):
            measured.look(envgate)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        stop.set()
        watching.join()


def measure(measured: Measured, envgate: Gateway, seconds: float) -> None:
    """One client, so many updates a second on a connection that is kept."""
    headers = {"authorization": f"Bearer {envgate.keys['normal']}", "content-type": "application/json"}
    connection = None
    began = time.monotonic()
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


CLOSED = {
    "closed, an older one of its address": 'envgate_connections_closed_for_client_total{address="listen",which="older"}',
    "closed at once, its address being full": 'envgate_connections_closed_for_client_total{address="listen",which="new"}',
    "closed to make room among all": 'envgate_connections_closed_for_room_total{address="listen"}',
    "heads given up (408)": 'envgate_requests_total{error="malformed",operation="none",status="4xx"}',
    "bodies given up (408)": 'envgate_requests_total{error="body_timeout",operation="update",status="4xx"}',
    "answers given up": 'envgate_requests_total{error="answer_not_taken",operation="list",status="2xx"}',
    "lists refused for their memory (503)": 'envgate_requests_total{error="out_of_resources",operation="list",status="5xx"}',
}


def look_at(name: str, addresses: list[str], upstream: int, options) -> tuple[Measured, Measured, dict[str, int]]:
    """What a new gateway has and its client sees: quiet, then under floods from these addresses."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envgate-flood-")))
        gateway = envgate(stack, directory, upstream, options.binary.resolve())
        measure(Measured("warm-up"), gateway, 2)
        quiet, flooded = Measured("quiet"), Measured(name)
        with watched(gateway, quiet):
            measure(quiet, gateway, options.seconds / 2)
        before = gateway.metrics()
        slow = [key for tenant, key in gateway.keys.items() if tenant != "normal"]
        with watched(gateway, flooded):
            with floods(gateway.port, slow, addresses, options.count) as opened:
                # All of them are open by then, and the first have been given up.
                time.sleep(12)
                measure(flooded, gateway, options.seconds)
                after = gateway.metrics()
                flooded.counted = {metric: value - before.get(metric, 0) for metric, value in after.items()}
                attempts = {kind: value.value for kind, value in opened.items()}
            time.sleep(2)
    return quiet, flooded, attempts


def tell(quiet: Measured, flooded: Measured, attempts: dict[str, int], count: int) -> dict[str, bool]:
    """Prints the table of a state; gives back what of it is good."""
    bound = flooded.open * BYTES_FOR_CONNECTION + UNREAD_BYTES
    is_fast, is_small = flooded.p99 < 2 * quiet.p99, flooded.memory < bound
    print(f"\n| {3 * count} slow connections, {flooded.name} | quiet | flooded | |\n|---|---|---|---|")
    print(f"| p50 of a normal client, ms | {quiet.p50:.2f} | {flooded.p50:.2f} | |")
    print(f"| p99 | {quiet.p99:.2f} | {flooded.p99:.2f} | {flooded.p99 / quiet.p99:.1f} times |")
    print(f"| requests, failed | {len(quiet.milliseconds)}, {quiet.failed} | {len(flooded.milliseconds)}, {flooded.failed} | |")
    print(f"| connections open | {quiet.open:.0f} | {flooded.open:.0f} | |")
    share = f"{flooded.memory / bound:.0%} of {int(bound) >> 20}"
    print(f"| memory, MiB | {quiet.memory >> 20} | {flooded.memory >> 20} | {share} |")
    for kind, opened in attempts.items():
        print(f"| slow {kind} opened | | {opened} | |")
    for what, metric in CLOSED.items():
        print(f"| {what} | | {flooded.counted.get(metric, 0):.0f} | |")
    return {"p99 twice as long": is_fast, "memory over its bound": is_small, "failed requests": flooded.failed == 0}


def main() -> None:
    """Starts the upstream, looks at both states, judges."""
    parser = argparse.ArgumentParser(
        prog="measure.flood", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--binary", type=Path, default=ENVGATE)
    parser.add_argument("--count", type=int, default=2000, help="connections of each kind")
    parser.add_argument("--addresses", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=30, help="how long each state is measured")
    parser.add_argument("--only-many", action="store_true", help="leave out the flood from one address")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    raise_descriptors()

    port = multiprocessing.Value("i", 0)
    upstream = multiprocessing.Process(target=serve_upstream, args=(port,), daemon=True)
    upstream.start()
    while port.value == 0:
        time.sleep(0.01)

    many = [f"127.0.1.{number + 1}" for number in range(options.addresses)]
    states = [(f"from {options.addresses} addresses", many, True)]
    if not options.only_many:
        states.append(("from one", ["127.0.2.1"], False))
    failed = []
    for name, addresses, is_p99_judged in states:
        seen = look_at(name, addresses, port.value, options)
        good = tell(*seen, options.count)
        if not is_p99_judged and not good.pop("p99 twice as long"):
            print(f"\n{name}: p99 is more than twice as long, which is told and not judged")
        failed += [f"{name}: {what}" for what, is_good in good.items() if not is_good]
    upstream.kill()
    sys.exit("; ".join(failed) or 0)


if __name__ == "__main__":
    main()
