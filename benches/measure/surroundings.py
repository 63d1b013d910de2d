"""What measurements depend on: processor, kernel and versions. No names, no paths."""

import os
import platform
import re
import subprocess
from pathlib import Path

from .processes import ROOT, program


def version(command):
    """What a program says of itself, or that it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except (OSError, TypeError):
        return "not there"
    found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
    return found[0] if found else "unknown"


def processor():
    """Which one it is."""
    name = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return name[1] if name else platform.machine()


def lines():
    """All of it, a line each."""
    versions = {
        "rustc": version(["rustc", "--version"]),
        "nginx": version([program("nginx"), "-v"]),
        "HAProxy": version([program("haproxy"), "-v"]),
        "Envoy": version([ROOT / ".venv/envoy/bin/envoy", "--version"]),
        "Node": version(["node", "--version"]),
        "Redis": version([program("redis-server"), "--version"]),
    }
    return [
        f"processor: {processor()}, {os.cpu_count()} cores",
        f"kernel: {platform.release().split('-')[0]}",
        *(f"{name} {number}" for name, number in versions.items()),
    ]
