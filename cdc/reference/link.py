"""The library's connection: what it reads comes through the gate, and nothing fails in silence.

mysql-replication reconnects by itself on errors 2013 and 2006 and asks for the first place again.
Everything that ends a dump is raised here as an error of ours, which gets past that; waiting
ends with silence, as capture's own does.
"""

from __future__ import annotations

import select
import ssl
import threading
import time
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants.COMMAND import COM_BINLOG_DUMP, COM_BINLOG_DUMP_GTID
from pymysql.protocol import MysqlPacket

from cdc.capture.refusals import code_and_text, dump_refusal
from cdc.capture.source_settings import ServerSettings
from cdc.errors import SourceError, Unreachable
from cdc.reference.gate import Gate

STOP_SLICE_SECONDS = 0.1
"""How long a wait lasts at most before `stop` is looked at."""
FIRST_EVENT_SECONDS_MAX = 60.0
"""How long the server may look for the place to begin at."""
SILENT_PERIODS_MAX = 2.5
"""Heartbeat periods without a byte after which the link counts as dead."""
RECEIVE_BYTES = 1 << 16


class Quiet(Exception):
    """Nothing more is there to be read at once; the next call goes on."""


class Link(Connection):
    """A connection that turns into the dump's: packet by packet through the gate."""

    def __init__(
        self,
        settings: ServerSettings,
        gate: Gate,
        stop: threading.Event,
        **options: Any,
    ) -> None:
        self._settings, self._gate, self._stop = settings, gate, stop
        self._arrived = bytearray()
        self._is_dump = self._has_begun = False
        if "db" in options:  # PyMySQL's name of before
            options["database"] = options.pop("db")
        super().__init__(**options)

    def _write_bytes(self, data: bytes) -> None:
        super()._write_bytes(data)  # type: ignore[misc]  # not among PyMySQL's types
        if data[4:5] in (bytes([COM_BINLOG_DUMP]), bytes([COM_BINLOG_DUMP_GTID])):
            self._is_dump = True
            self._sock.setblocking(False)  # type: ignore[attr-defined]

    def _read_packet(self, packet_type: Any = MysqlPacket) -> Any:
        """The next packet that the library may see; Quiet when there is none at once."""
        while True:
            if not self._is_dump:
                return self._packet(packet_type)
            if self._gate.is_full:
                raise Quiet
            if not self._arrived and not self._receive():
                if self._gate.is_waited_for:
                    raise Quiet
                self._wait()
                continue
            try:
                packet = self._packet(packet_type)
            except (pymysql.MySQLError, OSError) as error:
                raise dump_refusal(
                    self._settings, self._gate.flavor, *code_and_text(error)
                ) from error
            data: bytes = packet._data
            if data[:1] == b"\xfe":
                raise self._lost("the server ended it")
            if self._gate.admits(data[1:]):
                return packet

    def _packet(self, packet_type: Any) -> Any:
        return super()._read_packet(packet_type)  # type: ignore[no-untyped-call]

    def _read_bytes(self, count: int) -> bytes:
        if not self._is_dump:
            return super()._read_bytes(count)  # type: ignore[misc, no-any-return]
        while len(self._arrived) < count:
            if count > self._settings.event_bytes_max:
                raise SourceError(f"an event is larger than {count} bytes (event_bytes_max)")
            if not self._receive():
                self._wait()
        data = bytes(self._arrived[:count])
        del self._arrived[:count]
        return data

    def _receive(self) -> bool:
        """Receive what is there; False if nothing is."""
        try:
            data = self._sock.recv(RECEIVE_BYTES)  # type: ignore[attr-defined]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as error:
            raise self._lost(str(error)) from error
        if not data:
            raise self._lost("the server closed the connection")
        self._has_begun = True
        self._arrived += data
        return True

    def _wait(self) -> None:
        """Return when there is something to be read; Quiet when `stop` is set."""
        silent_max = SILENT_PERIODS_MAX * self._settings.heartbeat_seconds
        if not self._has_begun:
            silent_max = max(silent_max, FIRST_EVENT_SECONDS_MAX)
        deadline = time.monotonic() + silent_max
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)  # type: ignore[attr-defined]
        while not self._stop.is_set():
            if poll.poll(STOP_SLICE_SECONDS * 1000):
                return
            if time.monotonic() > deadline:
                raise self._lost(
                    f"the server is silent: not even a heartbeat came for {silent_max:g} s"
                )
        raise Quiet

    def _lost(self, why: str) -> Unreachable:
        return Unreachable(
            f"following the binlog of {self._settings.origin}: {why}",
            hint="is the server up and the network whole? going on at the last checkpoint",
        )
