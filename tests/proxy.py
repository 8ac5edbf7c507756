"""A TCP proxy between a reader and its server that can stall or cut the link."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress

LOOK_SECONDS = 0.05
CHUNK = 1 << 16


class Proxy:
    """Passes bytes both ways to one server, until it is told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._links: list[socket.socket] = []
        self._is_stalled = threading.Event()
        self._is_shut = threading.Event()
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def stall(self) -> None:
        """From now on no byte passes, and nothing is closed."""
        self._is_stalled.set()

    def cut(self) -> None:
        """Close what is open; new connections pass."""
        for link in self._links:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def shut(self) -> None:
        """Close what is open, and whatever comes, at once."""
        self._is_shut.set()
        self.cut()

    def open(self) -> None:
        """After `shut`: new connections pass again."""
        self._is_shut.clear()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed.set()
        self._thread.join(10)
        for one in (self._listener, *self._links):
            one.close()

    def _run(self) -> None:
        peers: dict[socket.socket, socket.socket] = {}
        while not self._is_closed.is_set():
            sources = [self._listener, *([] if self._is_stalled.is_set() else peers)]
            for ready in select.select(sources, [], [], LOOK_SECONDS)[0]:
                if ready is self._listener and self._is_shut.is_set():
                    ready.accept()[0].close()
                elif ready is self._listener:
                    client, server = ready.accept()[0], socket.create_connection(self._server)
                    peers |= {client: server, server: client}
                    self._links += [client, server]
                elif ready in peers:  # not closed with its peer in this very round
                    self._pass(ready, peers)

    def _pass(self, ready: socket.socket, peers: dict[socket.socket, socket.socket]) -> None:
        peer = peers[ready]
        data = b""
        with suppress(OSError):
            data = ready.recv(CHUNK)
            peer.sendall(data)
        if not data:
            for one in (ready, peer):
                peers.pop(one, None)
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
