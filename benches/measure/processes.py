"""Processes on a core of their own, and what they cost."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVGATE = ROOT / "target/release/envgate"
PEERS = ROOT / "target/peers/release"
CONFIG = ROOT / "benches/peers/config"

PROXY_CORE, LOAD_CORE = "0", "1"
UPSTREAM_KEY = "sk-ant-of-the-operator"
PATH = "/v1/environments/env_011CZkZ9X2dpNyB7HsEFoRfW"
GOOD = '{"description":"Data analysis","config":{"type":"cloud","packages":{"pip":["pandas","numpy"]}}}'
BAD = '{"config":{"type":"cloud","networking":{"type":"limited","allowed_host":["a.example.com"]}}}'
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """User and system time of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def memory(pid):
    """Resident memory in KiB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def free_port():
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, name):
    """Returns once something accepts at the port."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    sys.exit(f"{name} does not listen")


def start(stack, name, core, command, **options):
    """Starts a process on a core, or wherever there is room; it ends with the stack."""
    pinned = ["taskset", "-c", core] if core else []
    process = subprocess.Popen([*pinned, *map(str, command)], **options)

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


def mock_upstream(stack, stamp=None):
    """An upstream that answers at once, on the core of the load; gives back its port. With `stamp` what it answers with
    belongs to that tenant."""
    port = free_port()
    command = [PEERS / "mock-upstream", f"127.0.0.1:{port}", UPSTREAM_KEY, *([stamp] if stamp else [])]
    listening(stack, "the mock upstream", LOAD_CORE, command, port)
    return port


def certificate(directory):
    """A certificate for `localhost` and its key, made by openssl; gives back both files."""
    files = directory / "tls.pem", directory / "tls.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command.split(), *names, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


class Gateway:
    """An envgate that runs, with a key for each of its tenants; `key` is the first one's.

    `settings` are more of them, in TOML, and `variables` in the environment, which go before. `tenants` names them with their
    plans. With `stamp` the upstream's environment is stamped as the first one's, as it would be with many tenants; without it
    the tenant has the upstream for itself. `fill` is called with the file of its store before it is served. Its log goes to `log`.
    """

    def __init__(
        self,
        stack,
        directory,
        upstream,
        binary=ENVGATE,
        settings="",
        tls=False,
        stamp=False,
        tenants=None,
        variables=None,
        core=PROXY_CORE,
        fill=None,
        log=None,
    ):
        directory.mkdir(parents=True)
        self.scheme = "https" if tls else "http"
        if tls:
            file, key = certificate(directory)
            settings += f'\n[[listen.tls.certificates]]\ncertificate = "{file}"\nkey = "{key}"\n'
        if not stamp:
            settings += "\n[ownership]\nstamp = false\n"
        path, store = directory / "envgate.toml", directory / "envgate.db"
        path.write_text(settings)
        environment = {
            "PATH": os.environ["PATH"],
            "ENVGATE_LISTEN__ADDRESS": "127.0.0.1:0",
            "ENVGATE_ADMIN__ADDRESS": "127.0.0.1:0",
            "ENVGATE_UPSTREAM__URL": f"http://127.0.0.1:{upstream}",
            "ENVGATE_UPSTREAM__CREDENTIAL": UPSTREAM_KEY,
            "ENVGATE_STORE__URL": f"sqlite:{store}",
            "ENVGATE_LOG__LEVEL": "warn",
            "ENVGATE_SERVER__THREADS": "1",
            **(variables or {}),
        }

        def run(*arguments):
            command = [binary, *arguments, "--config", path]
            return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

        self.keys = {}
        for name, plan in (tenants or {"bench": "default"}).items():
            created = run("tenants", "create", name, "--plan", plan)
            if stamp and not self.keys:
                tenant = re.search(r"[0-9a-f]{32}|ten[a-z]*_\w+", created)[0]
                environment["ENVGATE_UPSTREAM__URL"] = f"http://127.0.0.1:{mock_upstream(stack, tenant)}"
            self.keys[name] = run("keys", "create", "--tenant", name, "--quiet")
        self.key = next(iter(self.keys.values()))
        if fill:
            fill(store)
        command = [binary, "serve", "--config", path]
        self.process = start(
            stack, "envgate", core, command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        ports = []
        while len(ports) < 2 and (line := self.process.stdout.readline()):
            if at := re.search(r"(?:gateway|admin) +https?://127\.0\.0\.1:(\d+)", line):
                ports.append(int(at[1]))
        if len(ports) < 2:
            sys.exit("envgate does not say where it listens")
        self.port, self.admin = ports
        self._wait_until_ready()

    def _wait_until_ready(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.get("/readyz"):
                    return
            time.sleep(0.05)
        sys.exit("envgate does not get ready")

    def get(self, path):
        """What the admin address answers with a 200."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=10) as reply:
            return reply.read().decode()

    def metrics(self):
        """All of them, by name and labels."""
        lines = (line.rsplit(" ", 1) for line in self.get("/metrics").splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    @property
    def resident(self):
        """Resident memory in bytes."""
        return memory(self.process.pid) * 1024


def program(name):
    """Where a program is, or none."""
    return shutil.which(name, path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
