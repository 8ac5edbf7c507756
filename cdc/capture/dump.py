"""The server's binlog as a stream of whole events, over a session of its own."""

from __future__ import annotations

import select
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.constants import COMMAND

from cdc.capture.connection import Session
from cdc.capture.facts import ServerFacts
from cdc.capture.framing import PacketFramer
from cdc.capture.gtid import MysqlGtidSet
from cdc.capture.refusals import code_and_text, dump_refusal
from cdc.capture.source_settings import ServerSettings
from cdc.errors import Unreachable

STOP_SLICE_SECONDS = 0.1
"""How long a wait lasts at most before `stop` is looked at."""
FIRST_EVENT_SECONDS_MAX = 60.0
"""How long the server may look for the place to begin at."""
SILENT_PERIODS_MAX = 2.5
"""Heartbeat periods without a byte after which the link counts as dead."""
PATIENCE_SECONDS = 600
"""`net_write_timeout` of our session: how long the server waits while we don't read."""

DUMP_NON_BLOCKING = 0x01
DUMP_THROUGH_GTID = 0x04
DUMP_ANNOTATE_ROWS = 0x02  # MariaDB's meaning of the bit
MARIADB_CAPABILITY_GTID = 4
HOST_NAME_MAX = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where a dump begins: after a set of transactions, or at a position of a file."""

    gtid_set: str | None = None
    file: str = ""
    pos: int = 4


class Dump:
    """One reading of a server's binlog. The session belongs to it from here on."""

    def __init__(
        self,
        session: Session,
        facts: ServerFacts,
        place: Place,
        *,
        ends: bool = False,
        idle: threading.Event | None = None,
        on_seen: Callable[[int], None] = lambda seconds: None,
    ) -> None:
        """Begin at `place`; with `ends`, stop at the binlog's present end. What isn't a full batch
        is held back while `idle` isn't set."""
        settings = session.settings
        self._settings, self._facts, self._on_seen = settings, facts, on_seen
        self._ends, self._has_begun = ends, False
        self._idle = idle
        self._framer = PacketFramer(
            settings.batch_bytes_max, settings.event_bytes_max, settings.origin
        )
        # Id 0 is nobody's: reading up to the end alone must not push out a follower of ours.
        server_id, flags = (0, DUMP_NON_BLOCKING) if ends else (settings.server_id, 0)
        for statement in _session_statements(settings, facts, place):
            session.rows("preparing to follow the binlog", statement)
        try:
            connection: Any = session.connection  # what PyMySQL's types leave out
            if server_id:
                connection._execute_command(
                    COMMAND.COM_REGISTER_SLAVE, registration(server_id, settings.name)
                )
                connection._read_ok_packet()
            command, body = dump_command(server_id, facts, place, flags)
            connection._execute_command(command, body)
        except (pymysql.MySQLError, OSError) as error:
            raise dump_refusal(settings, facts.flavor, *code_and_text(error)) from error
        self._socket = settings.seam(connection._sock)
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def batches(self, stop: threading.Event) -> Iterator[bytes]:
        """Whole events back to back; returns when `stop` is set, or at the end if it has one.

        A batch ends where it is full, or where nothing more is there to be read at once and
        whoever takes it is idle: while a small one is being written the next one grows, instead
        of queueing behind it."""
        framer = self._framer
        while not stop.is_set():
            is_more = self._receive()
            while framer.is_full:
                yield self._take()
                if stop.is_set():
                    return
            if framer.error or framer.is_ended or not is_more:
                if self._is_held_back():
                    continue
                if framer.ready_bytes():
                    yield self._take()
                if framer.error:
                    raise dump_refusal(self._settings, self._facts.flavor, *framer.error)
                if framer.is_ended and self._ends:
                    return
                if framer.is_ended:  # so a server that shuts down says good-bye
                    raise self._lost("the server ended it")
                if not is_more:
                    self._wait(stop)

    def _is_held_back(self) -> bool:
        """Wait a slice for whoever takes the batches; True if there is reason to look again."""
        if self._idle is None or self._framer.error or self._idle.is_set():
            return False
        self._idle.wait(STOP_SLICE_SECONDS)
        return not self._framer.is_ended

    def _take(self) -> bytes:
        events: bytes = self._framer.take()
        seconds = int(time.time()) if self._framer.is_idle else self._framer.seconds
        if seconds:
            self._on_seen(seconds)
        return events

    def _receive(self) -> bool:
        """Receive what is there; False if nothing is."""
        try:
            with self._framer.room() as room:
                count = self._socket.recv_into(room)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as error:
            raise self._lost(str(error)) from error
        if count == 0:
            raise self._lost("the server closed the connection")
        self._has_begun = True
        self._framer.received(count)
        return True

    def _wait(self, stop: threading.Event) -> None:
        """Return when there is something to be read, or `stop` is set."""
        silent_max = SILENT_PERIODS_MAX * self._settings.heartbeat_seconds
        if not self._has_begun:
            silent_max = max(silent_max, FIRST_EVENT_SECONDS_MAX)
        deadline = time.monotonic() + silent_max
        while not stop.is_set():
            if self._poll.poll(STOP_SLICE_SECONDS * 1000):
                return
            if time.monotonic() > deadline:
                raise self._lost(
                    f"the server is silent: not even a heartbeat came for {silent_max:g} s"
                )

    def _lost(self, why: str) -> Unreachable:
        return Unreachable(
            f"following the binlog of {self._settings.origin}: {why}",
            hint="is the server up and the network whole? going on at the last checkpoint",
        )


def _session_statements(
    settings: ServerSettings, facts: ServerFacts, place: Place
) -> Iterator[str]:
    """What the server must know of this session before the dump."""
    period = int(settings.heartbeat_seconds * 1e9)
    yield f"SET SESSION net_write_timeout = {PATIENCE_SECONDS}"
    yield "SET @master_binlog_checksum = @@GLOBAL.binlog_checksum"
    yield f"SET @master_heartbeat_period = {period}"
    if facts.flavor == "mysql":
        yield "SET @source_binlog_checksum = @@GLOBAL.binlog_checksum"
        yield f"SET @source_heartbeat_period = {period}"
        return
    yield f"SET @mariadb_slave_capability = {MARIADB_CAPABILITY_GTID}"
    if place.gtid_set is not None:
        yield f"SET @slave_connect_state = '{place.gtid_set}'"
        # Strict: a transaction that the server doesn't know is refused, not stepped over.
        yield "SET @slave_gtid_strict_mode = 1"
        yield "SET @slave_gtid_ignore_duplicates = 0"


def registration(server_id: int, name: str) -> bytes:
    """The body of COM_REGISTER_SLAVE: how the server lists us among its replicas."""
    host = name.encode()[:HOST_NAME_MAX]
    user_password_port_rank_source = bytes(1 + 1 + 2 + 4 + 4)
    return struct.pack("<IB", server_id, len(host)) + host + user_password_port_rank_source


def dump_command(server_id: int, facts: ServerFacts, place: Place, flags: int) -> tuple[int, bytes]:
    """Command and body that ask for the binlog from `place` on."""
    if facts.flavor == "mysql" and place.gtid_set is not None:
        gtids = MysqlGtidSet.parse(place.gtid_set).to_bytes()
        head = struct.pack("<HII", flags | DUMP_THROUGH_GTID, server_id, 0)
        return COMMAND.COM_BINLOG_DUMP_GTID, head + struct.pack("<QI", 4, len(gtids)) + gtids
    # MySQL's newer command always goes by GTID, whatever position it is given; so positions
    # have 32 bits. Only the end of a file that one huge transaction closes can be further.
    if facts.flavor == "mariadb":
        flags |= DUMP_ANNOTATE_ROWS
    name = place.file.encode() if place.gtid_set is None else b""
    return COMMAND.COM_BINLOG_DUMP, struct.pack("<IHI", place.pos, flags, server_id) + name
