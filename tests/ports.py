"""Ports on loopback for what the tests start."""

from __future__ import annotations

import socket

# Sockets that keep ports.
KEPT: list[socket.socket] = []


def free_port() -> int:
    """A port on loopback that is nobody else's while this process runs: it is bound, and not listened on, so that only who
    names it can have it. A port that is found and let go may be taken before it is used."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    KEPT.append(kept)
    return kept.getsockname()[1]
