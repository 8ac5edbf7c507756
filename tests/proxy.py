"""A TCP proxy between a client and its server that can stall, cut or break the link at a byte."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

LOOK_SECONDS = 0.05
CHUNK = 1 << 16
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset, whatever was not sent yet."""

Direction = Literal["to_server", "to_client"]
BOTH: tuple[Direction, ...] = ("to_server", "to_client")
Breaker = Callable[[socket.socket, Direction, bytes], int | None]
"""Given a link by its client, and a chunk: how many bytes of it pass before the link is reset."""


class Proxy:
    """Passes bytes both ways to one server, until it is told otherwise."""

    def __init__(self, host: str, port: int, *, at: str = "127.0.0.1") -> None:
        self._server = (host, port)
        self._listener = socket.create_server((at, 0))
        self._links: list[socket.socket] = []
        self._peers: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._stalled: frozenset[Direction] = frozenset()
        self._breaker: Breaker = lambda link, direction, data: None
        self._holds = False
        self.breaks = 0
        """How often the breaker broke a link, or held it."""
        self._is_shut = threading.Event()
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def stall(self, *directions: Direction) -> None:
        """From now on no byte passes in these directions, else in both, and nothing is closed: what
        connects is taken and never answered."""
        self._stalled = frozenset(directions or BOTH)

    def resume(self) -> None:
        """After `stall`: what was sent meanwhile passes, on the same links."""
        self._stalled = frozenset()

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

    def break_at(self, breaker: Breaker, *, holds: bool = False) -> None:
        """Reset links where the breaker says so; or let nothing more pass there for good."""
        self._breaker, self._holds = breaker, holds

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed.set()
        self.cut()  # who waits in a send goes on
        self._thread.join(10)
        for one in (self._listener, *self._links):
            one.close()

    def _run(self) -> None:
        while not self._is_closed.is_set():
            stalled = self._stalled
            passing = [one for one in self._peers if self._direction(one) not in stalled]
            for ready in select.select([self._listener, *passing], [], [], LOOK_SECONDS)[0]:
                if ready is self._listener:
                    self._accept()
                elif ready in self._peers:  # not closed with its peer in this very round
                    self._pass(ready)

    def _accept(self) -> None:
        client = self._listener.accept()[0]
        try:
            if self._is_shut.is_set():
                raise ConnectionRefusedError
            server = socket.create_connection(self._server)
        except OSError:  # nobody listens there now
            client.close()
            return
        self._peers |= {client: server, server: client}
        self._clients.add(client)
        self._links += [client, server]

    def _direction(self, sender: socket.socket) -> Direction:
        return "to_server" if sender in self._clients else "to_client"

    def _pass(self, ready: socket.socket) -> None:
        peer = self._peers[ready]
        data = b""
        end: int | None = None
        with suppress(OSError):
            data = ready.recv(CHUNK)
            link = ready if ready in self._clients else peer
            end = self._breaker(link, self._direction(ready), data)
            peer.sendall(data[:end])
        if data and end is None:
            return
        for one in (ready, peer):
            self._peers.pop(one, None)
            with suppress(OSError):
                if end is not None and self._holds:
                    continue
                if end is None:
                    one.shutdown(socket.SHUT_RDWR)
                else:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    one.close()
        self.breaks += end is not None


@dataclass
class AfterBytes:
    """Breaks the link that has so many bytes of the direction passed, of all links together."""

    count: int
    direction: Direction = "to_client"

    def __call__(self, link: socket.socket, direction: Direction, data: bytes) -> int | None:
        if direction != self.direction or self.count < 0:
            return None
        end = self.count
        self.count -= len(data)
        return end if self.count < 0 else None


EVENT_TYPE_AT = 9
"""In a packet: 3 bytes of length, a number, a zero, 4 bytes of time, the event's type."""
DUMP_COMMANDS = {18: 9, 30: 5}
"""COM_BINLOG_DUMP and COM_BINLOG_DUMP_GTID: where in the packet their flags are."""
DUMP_ENDS = 0x01
INSIDE = {"packet header": 2, "event header": 14}
Inside = Literal["packet header", "event header", "event"]


@dataclass
class _Packet:
    head: bytes = b""
    left: int = 0
    """Bytes until the next packet begins, once the head is whole."""
    end: int | None = None
    """Bytes until the link breaks."""


@dataclass
class InEvent:
    """Breaks a link of a plain MySQL connection that follows the binlog, inside an event of one of
    the types. A look at a stretch of the binlog, beside, isn't meant."""

    types: frozenset[int]
    inside: Inside
    number: int = 1
    """The how manieth event of these types it is."""
    _packets: dict[socket.socket, _Packet] = field(default_factory=dict)
    """Of the links that follow."""

    def __call__(self, link: socket.socket, direction: Direction, data: bytes) -> int | None:
        if direction == "to_server":
            if _follows(data):
                self._packets[link] = _Packet()
            return None
        packet = self._packets.get(link)
        if packet is None:
            return None
        at = 0
        while at < len(data):
            if packet.left == 0:
                at = self._read_head(packet, data, at)
            if packet.end is not None:
                if packet.end <= len(data) - at:
                    del self._packets[link]
                    return max(0, at + packet.end)
                packet.end -= len(data) - at
            step = min(packet.left, len(data) - at)
            packet.left -= step
            at += step
            if packet.left == 0 and _is_whole(packet.head):
                packet.head = b""
        return None

    def _read_head(self, packet: _Packet, data: bytes, at: int) -> int:
        """Take the packet's first bytes, as far as they are there; where they end."""
        while at < len(data) and not _is_whole(packet.head):
            packet.head += data[at : at + 1]
            at += 1
        if not _is_whole(packet.head):
            return at
        size = 4 + int.from_bytes(packet.head[:3], "little")
        packet.left = size - len(packet.head)
        if packet.head[4:5] == b"\0" and packet.head[EVENT_TYPE_AT:] in self._wanted():
            self.number -= 1
            if self.number == 0:
                packet.end = INSIDE.get(self.inside, size // 2) - len(packet.head)
        return at

    def _wanted(self) -> set[bytes]:
        return {bytes([one]) for one in self.types}


def _is_whole(head: bytes) -> bool:
    """Whether these are a packet's first bytes up to the event's type, or all of a shorter one."""
    whole = 4 + int.from_bytes(head[:3], "little") if len(head) >= 4 else EVENT_TYPE_AT + 1
    return len(head) >= min(whole, EVENT_TYPE_AT + 1)


def _follows(data: bytes) -> bool:
    """Whether this is a command that asks for the binlog without an end."""
    flags_at = DUMP_COMMANDS.get(data[4]) if len(data) > 4 else None
    return flags_at is not None and not data[flags_at] & DUMP_ENDS
