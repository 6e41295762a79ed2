"""A name server as small as can be: it knows one name, and listens where /etc/resolv.conf can name it."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# resolv.conf names an address, never a port.
PORT = 53
ADDRESS_RECORD, NO_SUCH_NAME = 1, 3


@dataclass
class Names:
    """The name that it knows, and the names that it was asked for."""

    known: str
    address: str = ""
    asked: set[str] = field(default_factory=set)

    def answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, question = ".".join(labels), query[12 : at + 5]
        self.asked.add(name)
        [kind] = struct.unpack_from(">H", query, at + 1)
        records = b""
        if name == self.known and kind == ADDRESS_RECORD:
            # The name is the question's; then type, class, seconds to live and an address.
            records = struct.pack(">HHHIH4B", 0xC00C, ADDRESS_RECORD, 1, 60, 4, 127, 0, 0, 1)
        code = 0 if name == self.known else NO_SUCH_NAME
        return query[:2] + struct.pack(">5H", 0x8180 | code, 1, bool(records), 0, 0) + question + records


@contextmanager
def names(known: str) -> Iterator[Names]:
    served = Names(known)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        # Nobody else's address: all of 127.0.0.0/8 is this machine's.
        served.address = ".".join(["127", *(str(random.randrange(2, 250)) for _ in range(3))])
        server.bind((served.address, PORT))
        server.settimeout(0.2)
        ends = threading.Event()

        def serve() -> None:
            while not ends.is_set():
                try:
                    query, sender = server.recvfrom(512)
                except TimeoutError:
                    continue
                server.sendto(served.answer(query), sender)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            ends.set()
            thread.join(timeout=5)
