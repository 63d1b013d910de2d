"""Puts requests of all kinds through an envgate that counts what runs, for scripts/release.

    python3 scripts/train.py BINARY

They are what official clients put on the wire, and what tenants get wrong, over HTTP/1.1, TLS and HTTP/2, answered by the
embedded environments service. How many there are of each kind is a guess at what a gateway has to do: most are updates and
reads. It takes no part in what `make bench` measures.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CAPTURES = ROOT / "tests/captures"
CLIENTS = 4
ROUNDS = 250
HTTP2_REQUESTS = 2000
SETTINGS = """
[plans.limited]
requests_per_minute = 1000000
[plans.limited.policy]
networking = "limited"
[budgets.default]
requests_per_minute = 1000000
concurrent_requests = 100
"""
# What both plans allow.
MADE = {"config": {"type": "cloud", "networking": {"type": "limited"}}}
WRONG = [
    {"config": {"type": "cloud", "networking": {"type": "limited", "allowed_host": ["a.example.com"]}}},
    {"config": {"type": "cloud", "packages": {"pip": "pandas"}}},
    {"name": "", "metadata": {"team": 7}},
    {"nmae": "data"},
    {"config": {"networking": {"type": "unrestricted"}}},
]
RIGHT = [
    {},
    {"name": "python-data-analysis", "description": None},
    {"metadata": {"team": "data", "cost-centre": "4711", "gone": None}},
    {"config": {"type": "cloud", "packages": {"pip": ["pandas", "numpy>=2"], "apt": ["ffmpeg"]}}},
    {"config": {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["api.example.com", "*.example.org"]}}},
]


class Connection:
    """One connection of HTTP/1.1 that is used for all requests, in TLS if there is any."""

    def __init__(self, port, tls=None):
        self.port, self.tls = port, tls
        self.reader = None

    def open(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = self.tls.wrap_socket(connection) if self.tls else connection
        self.reader = self.socket.makefile("rb")

    def send(self, request):
        """Sends a request as it stands and gives back the status and the body."""
        if not self.reader:
            self.open()
        self.socket.sendall(request)
        status = int(self.reader.readline().split()[1])
        length, closes = 0, False
        while (line := self.reader.readline().lower()) != b"\r\n":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            closes |= line.startswith(b"connection:") and b"close" in line
        body = self.reader.read(length) if b" HEAD " not in request[:16] else b""
        if closes:
            self.reader = self.reader.close()
        return status, body


def with_body(head, method, path, key, body):
    """A captured head with another first line, key and body."""
    _, *fields = head.split("\r\n")
    kept = [f for f in fields if not re.match(r"(?i)content-(length|type)|transfer-encoding|authorization|x-api-key|host", f)]
    text = json.dumps(body, separators=(",", ":")) if body is not None else ""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}", *kept]
    if text:
        lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()


def heads():
    """The head of a request of each version of each SDK."""
    files = [min(folder.iterdir()) for folder in sorted(CAPTURES.glob("*/*")) if folder.is_dir()]
    return [file.read_bytes().decode().split("\r\n\r\n")[0] for file in files]


def work(connection, keys, all_heads):
    """What one client does, of one tenant after the other."""
    path = "/v1/environments"
    for number in range(ROUNDS):
        head, key = all_heads[number % len(all_heads)], keys[number % len(keys)]
        status, made = connection.send(with_body(head, "POST", path, key, MADE | {"name": f"trained-{number}"}))
        if status != 200:
            raise RuntimeError(f"a create was answered with {status}: {made.decode()}")
        one = f"{path}/{json.loads(made)['id']}"
        for body in RIGHT:
            connection.send(with_body(head, "POST", one, key, body))
            connection.send(with_body(head, "GET", one, key, None))
            connection.send(with_body(head, "GET", one, key, None))
        connection.send(with_body(head, "POST", one, key, WRONG[number % len(WRONG)]))
        connection.send(with_body(head, "POST", one, key, WRONG[(number + 1) % len(WRONG)]))
        connection.send(with_body(head, "POST", one, "sk-eg-that-nobody-has", RIGHT[1]))
        connection.send(with_body(head, "GET", f"{path}/env_011AbsentAbsentAbsent", key, None))
        if number % 10 == 0:
            connection.send(with_body(head, "GET", f"{path}?limit=20", key, None))
        connection.send(with_body(head, "POST", f"{one}/archive", key, None))
        connection.send(with_body(head, "DELETE", one, key, None))


def over_http2(directory, port, key):
    """Updates and reads over HTTP/2, by curl."""
    if "HTTP2" not in subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout:
        return print("train: curl has no HTTP/2, which stays untrained", file=sys.stderr)
    url = f"https://127.0.0.1:{port}/v1/environments"
    common = f'header = "Authorization: Bearer {key}"\ninsecure\nhttp2\nsilent\noutput = "/dev/null"\n'
    body = json.dumps(json.dumps({"name": "trained"}))
    one = f'{common}url = "{url}"\nheader = "Content-Type: application/json"\ndata = {body}\n'
    other = f'{common}url = "{url}?limit=5"\n'
    file = directory / "curl.conf"
    file.write_text("next\n".join([one, other] * (HTTP2_REQUESTS // 2)))
    subprocess.run(["curl", "--no-progress-meter", "--parallel", "--parallel-max", "16", "--config", file], check=True, stdout=subprocess.DEVNULL)
    return None


def certificate(directory):
    """TLS settings with a certificate of openssl's; nothing where there is no openssl."""
    if not shutil.which("openssl"):
        print("train: without openssl there is no TLS, which stays untrained", file=sys.stderr)
        return ""
    file, key = directory / "tls.pem", directory / "tls.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*command.split(), "-out", file, "-keyout", key], check=True, capture_output=True)
    return f'\n[[listen.tls.certificates]]\ncertificate = "{file}"\nkey = "{key}"\n'


def is_ready(admin):
    """Whether it answers requests by now."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=5):
        return True
    return False


@contextlib.contextmanager
def serving(binary, directory, settings):
    """An envgate that serves; gives its port and a key for a tenant of each plan. It writes its counts when it ends."""
    directory.mkdir()
    config = directory / "envgate.toml"
    config.write_text(settings)
    environment = {
        "PATH": os.environ["PATH"],
        "ENVGATE_LISTEN__ADDRESS": "127.0.0.1:0",
        "ENVGATE_ADMIN__ADDRESS": "127.0.0.1:0",
        "ENVGATE_STORE__URL": f"sqlite:{directory / 'envgate.db'}",
    }

    def run(*arguments):
        command = [binary, *arguments, "--config", config]
        # Only the counts of what serves are wanted.
        quiet = {**environment, "LLVM_PROFILE_FILE": "/dev/null"}
        return subprocess.run(command, env=quiet, check=True, capture_output=True, text=True).stdout.strip()

    keys = []
    for plan in ("default", "limited"):
        run("tenants", "create", f"of-{plan}", "--plan", plan)
        keys.append(run("keys", "create", "--tenant", f"of-{plan}", "--quiet"))
    command = [binary, "serve", "--config", config]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        ports = {}
        while len(ports) < 2 and (line := process.stdout.readline()):
            if at := re.search(r"(gateway|admin) +https?://127\.0\.0\.1:(\d+)", line):
                ports[at[1]] = int(at[2])
        while process.poll() is None and not is_ready(ports["admin"]):
            time.sleep(0.1)
        yield ports["gateway"], keys
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        if process.wait(timeout=60):
            sys.exit(f"envgate ended with {process.returncode}")


def main():
    """Trains without TLS and with it."""
    binary, all_heads = Path(sys.argv[1]).resolve(), heads()
    with tempfile.TemporaryDirectory(prefix="envgate-train-") as temporary:
        directory = Path(temporary)
        with serving(binary, directory / "plain", SETTINGS) as (port, keys):
            with ThreadPoolExecutor() as clients:
                list(clients.map(lambda _: work(Connection(port), keys, all_heads), range(CLIENTS)))
        if tls := certificate(directory):
            with serving(binary, directory / "tls", SETTINGS + tls) as (port, keys):
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                work(Connection(port, context), keys, all_heads)
                over_http2(directory, port, keys[0])


main()
