"""Who is compared, and how each is started. Every one has one thread on a core of its own.

`nginx`, `HAProxy`, `Envoy` and `bare Pingora` swap the headers and forward, nothing else. `nginx with Lua` and `Fastify` do the
whole job as far as it is usually done: they look the key up, check the body, swap the headers. They know no tenants' objects,
keep no audit, count nothing, and pass replies on as they come.
"""

import subprocess
import sys

from .processes import (
    BAD, CONFIG, ENVGATE, GOOD, LOAD_CORE, PATH, PEERS, PROXY_CORE, ROOT, UPSTREAM_KEY, Gateway, free_port, listening,
    program, start, wait_for,
)
from .rows import Row

UNKNOWN_KEY = "sk-eg-nobody-has-this-one"
KEY = "sk-eg-of-the-bench"
# More than anybody sends: what is measured is the counting.
LIMITED = "[budgets.default]\nrequests_per_minute = 1000000\nconcurrent_requests = 1000\n"
POLICY = '[plans.default.policy]\nnetworking = "limited"\n'
NO_AUDIT = "[audit]\nenabled = false\n"
NO_DRIFT = "[drift]\nenabled = false\n"


def configured(directory, name, **values):
    """Writes a configuration with its places filled in."""
    written = directory / name
    text = (CONFIG / name).read_text()
    written.write_text(text.format(directory=directory, config=CONFIG, upstream_key=UPSTREAM_KEY, key=KEY, **values))
    return written


def swapping(stack, name, command, port):
    """One that swaps headers: one row."""
    process = listening(stack, name, PROXY_CORE, command, port, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return [Row(name, "accepted", process, port, "any", GOOD, 200)]


def nginx(stack, directory, upstream):
    port = free_port()
    file = configured(directory, "nginx.conf", port=port, upstream=upstream)
    return swapping(stack, "nginx", [program("nginx"), "-c", file, "-p", directory, "-e", "stderr"], port)


def haproxy(stack, directory, upstream):
    port = free_port()
    file = configured(directory, "haproxy.cfg", port=port, upstream=upstream)
    return swapping(stack, "HAProxy", [program("haproxy"), "-db", "-f", file], port)


def envoy(stack, directory, upstream):
    port = free_port()
    file = configured(directory, "envoy.yaml", port=port, upstream=upstream)
    binary = ROOT / ".venv/envoy/bin/envoy"
    command = [binary, "-c", file, "--concurrency", "1", "-l", "off", "--disable-hot-restart"]
    return swapping(stack, "Envoy", command, port)


def bare(stack, _directory, upstream):
    port = free_port()
    command = [PEERS / "bare-proxy", f"127.0.0.1:{port}", f"127.0.0.1:{upstream}", UPSTREAM_KEY]
    return swapping(stack, "bare Pingora", command, port)


def whole_job(name, process, port):
    """The rows of one that judges as well."""
    return [
        Row(name, "accepted", process, port, KEY, GOOD, 200),
        Row(name, "rejected", process, port, KEY, BAD, 400),
        Row(name, "unknown key", process, port, UNKNOWN_KEY, GOOD, 401),
    ]


def nginx_lua(stack, directory, upstream):
    port = free_port()
    modules = "/usr/lib/nginx/modules"
    file = configured(directory, "nginx-lua.conf", port=port, upstream=upstream, modules=modules)
    command = [program("nginx"), "-c", file, "-p", directory, "-e", "stderr"]
    return whole_job("nginx with Lua", listening(stack, "nginx with Lua", PROXY_CORE, command, port), port)


def fastify(stack, _directory, upstream):
    port = free_port()
    command = ["node", ROOT / ".tools/fastify/server.cjs", port, upstream, UPSTREAM_KEY, KEY]
    return whole_job("Fastify", listening(stack, "Fastify", PROXY_CORE, command, port), port)


def redis(stack, directory):
    """A Redis on the core of the load; gives back its URL."""
    port = free_port()
    command = [program("redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", directory]
    process = start(stack, "Redis", LOAD_CORE, command, stdout=subprocess.DEVNULL)
    wait_for(port, process, "Redis")
    return f"redis://127.0.0.1:{port}"


def collector(stack):
    """A collector of traces on the core of the load; gives back its port."""
    port = free_port()
    listening(stack, "the collector", LOAD_CORE, [sys.executable, "-m", "measure.collector", port], port)
    return port


def envgate(stack, directory, upstream, binary=ENVGATE, name="envgate"):
    """The rows that every build has."""
    plain = Gateway(stack, directory / name / "plain", upstream, binary, NO_AUDIT)
    audited = Gateway(stack, directory / name / "audited", upstream, binary)

    def row(row_name, gateway, body, status, key=None):
        return Row(name, row_name, gateway.process, gateway.port, key or gateway.key, body, status)

    return [
        row("accepted", plain, GOOD, 200),
        row("audited", audited, GOOD, 200),
        row("from memory", plain, "", 200),
        row("rejected", plain, BAD, 400),
        row("unknown key", plain, GOOD, 401, UNKNOWN_KEY),
    ]


def envgate_ways(stack, directory, upstream):
    """What else an update may have to go through: each beside `accepted`, which has none of it."""
    folder = directory / "envgate-ways"
    shared = f'[quota]\nreplicas = 1\nredis = "{redis(stack, directory)}"\n'
    ways = {
        "stamped": Gateway(stack, folder / "stamped", upstream, settings=NO_AUDIT, stamp=True),
        "policy (two upstream requests)": Gateway(stack, folder / "policy", upstream, settings=NO_AUDIT + POLICY),
        "limited budget": Gateway(stack, folder / "limited", upstream, settings=NO_AUDIT + LIMITED),
        "limited budget in Redis": Gateway(stack, folder / "redis", upstream, settings=NO_AUDIT + LIMITED + shared),
    }
    # Updates of one environment under a policy wait for each other: those of many are what a gateway has.
    many = "/v1/environments/env_011CZkZ9X2dpNyB7HsEFo*"
    rows = [
        Row("envgate", name, way.process, way.port, way.key, GOOD, 200, path=many if "policy" in name else "")
        for name, way in ways.items()
    ]
    tls = Gateway(stack, folder / "tls", upstream, settings=NO_AUDIT, tls=True)
    over_tls = dict(process=tls.process, port=tls.port, key=tls.key, body=GOOD, status=200, scheme="https")
    rows.append(Row("envgate", "TLS", **over_tls))
    rows.append(Row("envgate", "HTTP/2", loader="h2load", **over_tls))
    return rows


ALL = {
    "nginx": nginx,
    "haproxy": haproxy,
    "envoy": envoy,
    "bare": bare,
    "nginx-lua": nginx_lua,
    "fastify": fastify,
    "envgate": envgate,
    "ways": envgate_ways,
}
