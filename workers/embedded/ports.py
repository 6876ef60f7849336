"""Which ports to listen on, and who has them if they are taken. All on the loopback interface."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil

from customhouse.contracts.errors import ConfigurationError

LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Can a server listen there now?"""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: ports in TIME_WAIT are free
        try:
            sock.bind((host, port))
            sock.listen(1)
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that no one has right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind((LOOPBACK, 0))
        return int(sock.getsockname()[1])


def remembered_port(wanted: int | None, memory: Path) -> int:
    """`wanted` if it is set; else the port used the last time, if it is free; else a new one, which is remembered.

    So addresses (the Temporal Web UI's above all) stay the same from one start to the next.
    """
    if wanted is not None:
        return wanted
    if memory.exists():
        text = memory.read_text(encoding="utf-8").strip()
        if text.isdecimal() and 0 < int(text) < 65536 and is_free(int(text)):
            return int(text)
    port = free_port()
    memory.write_text(f"{port}\n", encoding="utf-8")
    return port


def require_free(port: int, host: str, variable: str) -> None:
    """Raises ConfigurationError, with the one who listens there if it can be known, if the port is taken."""
    if is_free(port, host):
        return
    holder = _holder(port)
    who = f" by {holder}" if holder else ""
    raise ConfigurationError(
        f"Port {port} on {host} is taken{who}. Stop it, or set {variable} to another port, such as {free_port()}."
    )


def _holder(port: int) -> str | None:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.pid and tuple(connection.laddr)[1:2] == (port,):
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return None  # another user's, or just gone: the message does without
    return None
