"""What our process and those of the validators say to each other: frames of JSON over a socket."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

import orjson

_HEAD = struct.Struct(">I")

MAX_FRAME = 256 * 1024 * 1024
"""Bytes. A request of 20 MB is the most that the API takes; this only keeps a broken peer from filling memory."""


class Closed(Exception):
    """The other side has gone."""


def send(connection: socket.socket, message: Any) -> None:
    """Raises Closed, and TimeoutError where the socket has a time-out."""
    body = orjson.dumps(message)
    try:
        connection.sendall(_HEAD.pack(len(body)) + body)
    except TimeoutError:
        raise
    except OSError as error:
        raise Closed(str(error)) from error


def receive(connection: socket.socket, deadline: float | None = None) -> Any:
    """The next message. `deadline`, of `time.monotonic`, is for all of it. Raises Closed and TimeoutError."""
    (length,) = _HEAD.unpack(_exactly(connection, _HEAD.size, deadline))
    if length > MAX_FRAME:
        raise Closed(f"a message of {length} bytes cannot be right")
    return orjson.loads(_exactly(connection, length, deadline))


def _exactly(connection: socket.socket, length: int, deadline: float | None) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
        try:
            part = connection.recv(length - len(parts))
        except TimeoutError:
            raise
        except OSError as error:
            raise Closed(str(error)) from error
        if not part:
            raise Closed("the connection was closed")
        parts += part
    return bytes(parts)
