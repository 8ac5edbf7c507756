"""Whether the server still has the very transaction that the checkpoint saw last (invariant 5).

After a reset, or a crash that lost an unsynced tail, the same server and the same numbers name
other transactions, which no comparison of sets shows. So the event that opened the last one is
read back: at its place in its file, where that is this server's; else, from MySQL, by its GTID,
and then it is known by the time of its first commit, which goes with it from server to server.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from cdc.capture import binlog
from cdc.capture.checkpoint import Checkpoint, LastTransaction
from cdc.capture.connection import Session
from cdc.capture.decisions import place_order
from cdc.capture.dump import Dump, Place
from cdc.capture.facts import BinaryLog, ServerFacts, read_identity
from cdc.capture.gtid import MysqlGtidSet
from cdc.capture.gtid_event import commit_micros_of
from cdc.capture.lineage import BEGIN_ANEW, POSITION_MAX, Way, is_place
from cdc.capture.scan import headers
from cdc.capture.source_settings import ServerSettings
from cdc.errors import PositionLost, SourceError


@dataclass(frozen=True, slots=True)
class _Opening:
    """An event that opens a transaction, as it stands in the binlog now."""

    file_seconds: int
    digest: int
    commit_micros: int


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Why the place of the last transaction doesn't prove anything."""

    why: str
    is_refuted: bool = False
    """Something else is there, and not only nothing any more."""


def why_unproven(
    settings: ServerSettings,
    facts: ServerFacts,
    logs: Sequence[BinaryLog],
    after: Checkpoint,
    way: Way,
) -> str:
    """Why nothing can be proven; empty if the last transaction is still there.

    Raises PositionLost if another one stands where it stood."""
    last = after.last
    if last is None:
        return "the checkpoint keeps no transaction that could be looked for"
    doubt: _Doubt | None = _Doubt(f"{last.name} was read from another server")
    if last.file and not way.is_other:
        doubt = _doubt_of_place(settings, facts, logs, last)
    if doubt is None:
        return ""
    if way.by == "gtid" and last.commit_micros and not is_place(last.name):
        found = _by_gtid(settings, facts, last)
        if found is not None and found.commit_micros:
            if found.commit_micros == last.commit_micros:
                return ""
            doubt = _Doubt(
                f"it was committed at {last.commit_micros} µs, the one that has its number now at"
                f" {found.commit_micros} µs",
                is_refuted=True,
            )
    if doubt.is_refuted:
        raise PositionLost(
            f"the transaction that was captured last, {last.name}, is no longer in the server's"
            f" binlog: {doubt.why}. The server lost the end of its binlog (a crash without"
            " sync_binlog=1), was reset or restored",
            hint=BEGIN_ANEW,
        )
    return doubt.why


def _doubt_of_place(
    settings: ServerSettings, facts: ServerFacts, logs: Sequence[BinaryLog], last: LastTransaction
) -> _Doubt | None:
    """None if it stands in its file where it stood."""
    place = f"{last.file}:{last.pos}"
    sizes = {log.name: log.size for log in logs}
    if last.file not in sizes:
        # Purging takes the oldest files; one that is newer than all was another's.
        is_newer = bool(logs) and place_order(last.file, 0) > place_order(logs[-1].name, 0)
        return _Doubt(f"its file {last.file} is gone", is_refuted=is_newer)
    if last.pos >= sizes[last.file]:
        return _Doubt(f"{last.file} ends at {sizes[last.file]}, it stood at {last.pos}", True)
    if last.pos > POSITION_MAX:
        return _Doubt(f"{place} is further than positions reach in the replication protocol")
    try:
        found = _first_opening(settings, facts, Place(file=last.file, pos=last.pos))
    except SourceError as error:  # such as a position where no event begins
        return _Doubt(f"it stood at {place}: {error.message}", True)
    except _Elsewhere:
        return _Doubt("a second connection came to another server")
    if found is None:
        return _Doubt(f"at {place}, where it stood, and behind it no transaction begins", True)
    if found.file_seconds != last.file_seconds:
        return _Doubt(
            f"its file {last.file} was begun at {last.file_seconds}, the one of that name now at"
            f" {found.file_seconds} (seconds since 1970)",
            True,
        )
    if found.digest != last.digest:
        return _Doubt(f"at {place}, where it stood, stands another transaction", True)
    return None


def _by_gtid(
    settings: ServerSettings, facts: ServerFacts, last: LastTransaction
) -> _Opening | None:
    """The transaction of that GTID; None if the server can't send it any more."""
    # All but this one: the server sends it, wherever it stands.
    others = MysqlGtidSet.parse(facts.gtid_executed).subtract(MysqlGtidSet.parse(last.name))
    try:
        return _first_opening(settings, facts, Place(gtid_set=str(others)))
    except (PositionLost, _Elsewhere):
        return None


class _Elsewhere(Exception):
    """A second connection to the same address came to another server."""


def _first_opening(settings: ServerSettings, facts: ServerFacts, place: Place) -> _Opening | None:
    """The first transaction from the place on; None if none follows."""
    with Session(settings) as session:
        if read_identity(session) != facts.identity:
            raise _Elsewhere
        file_seconds, checksum_bytes = 0, 0
        for events in Dump(session, facts, place, ends=True).batches(threading.Event()):
            for kind, _, at, end in headers(events):
                if kind == binlog.FORMAT_DESCRIPTION:
                    file_seconds = int.from_bytes(events[at : at + 4], "little")
                    checksum_bytes = binlog.CHECKSUM_BYTES * (events[end - 5] == 1)
                elif kind in binlog.OPENING:
                    return _opening(facts, file_seconds, kind, events[at : end - checksum_bytes])
    return None


def _opening(facts: ServerFacts, file_seconds: int, kind: int, event: bytes) -> _Opening:
    body = event[binlog.HEADER_BYTES :]
    digest = zlib.crc32(event[: binlog.SENDER_BYTES]) ^ zlib.crc32(body)
    micros = commit_micros_of(kind, body) if facts.flavor == "mysql" else 0
    return _Opening(file_seconds, digest, micros)
