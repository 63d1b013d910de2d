"""What a proxy needs while nobody asks for anything."""

import contextlib
import socket
import sys
import time

from .processes import PATH, memory

CONNECTIONS = 1000
# After that what was only needed to open them has been given back, if it is.
SETTLE_SECONDS = 1.5


def idle_memory(row):
    """Resident memory in KiB: of the process, and of each connection that has had one answer and waits."""
    before = memory(row.process.pid)
    head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "a", **row.headers}.items())
    request = f"POST {PATH} HTTP/1.1\r\n{head}Content-Length: {len(row.body)}\r\n\r\n{row.body}".encode()
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", row.port), timeout=5))
            connection.sendall(request)
            if not connection.recv(64 * 1024).startswith(b"HTTP/1.1 200"):
                sys.exit(f"{row.label}: a connection that should idle got no answer")
        time.sleep(SETTLE_SECONDS)
        after = memory(row.process.pid)
    return before, (after - before) / CONNECTIONS
