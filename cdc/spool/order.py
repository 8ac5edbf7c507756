"""What of the spool a checkpoint has behind it: a pure decision over sets and places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from cdc.capture import binlog
from cdc.capture.checkpoint import Checkpoint, Prepared
from cdc.capture.decisions import place_order
from cdc.capture.gtid import MariadbGtidList, MysqlGtidSet
from cdc.capture.source_settings import Coordinates


class Opened(NamedTuple):
    """A transaction that begins: its GTID's parts (source, or domain; number), and its place."""

    source: str
    """MySQL's `uuid` or `uuid:tag`, MariaDB's domain; empty without a GTID."""
    number: int
    file: str
    pos: int


class Order:
    """Compares checkpoints and places of one replication, as its reading goes: by GTID, or file."""

    def __init__(self, coordinates: Coordinates) -> None:
        self._by_gtid = coordinates != "file"

    def is_behind(self, after: Checkpoint, place: Checkpoint) -> bool:
        """Whether all before `place` is processed at `after`."""
        is_same = _is_same(after, place)
        if is_same and _order(after) < _order(place):
            return False
        if self._by_gtid and place.gtid_set:
            return _contains(after, place)
        return is_same

    def recalls(self, after: Checkpoint) -> Mapping[str, Prepared]:
        """Prepared transactions whose rows stand before the checkpoint alone, and don't come
        again."""
        return {} if self._by_gtid and after.flavor == "mysql" else after.unkept()

    def is_needed(self, after: Checkpoint, start: Checkpoint, end: Checkpoint) -> bool:
        """Whether rows that stand between the two places may still come to count."""
        return _is_same(after, end) and any(
            _order(start) <= place_order(one.file, one.pos) < _order(end)
            for one in self.recalls(after).values()
        )

    def is_done(self, after: Done, opened: Opened) -> bool:
        """Whether the transaction is wholly processed at `after`."""
        return after.has(opened, by_gtid=self._by_gtid)

    def onward(self, place: Checkpoint, after: Checkpoint) -> Checkpoint:
        """Where to go on when all before `place` was read, and all before `after` processed."""
        if _is_same(after, place):
            base = after if _order(after) > _order(place) else place
        else:
            base = after if _contains(after, place) else place
        return replace(
            base,
            gtid_set=_union(after, place),
            transaction="",
            rows_done=0,
            awaited={},
            prepared={},
        )


class Done:
    """What a checkpoint has behind it, as read from one server."""

    def __init__(self, after: Checkpoint, server: str) -> None:
        self._is_mysql = after.flavor == "mysql"
        self._mysql = MysqlGtidSet.parse(after.gtid_set if self._is_mysql else "")
        self._mariadb = MariadbGtidList.parse("" if self._is_mysql else after.gtid_set)
        self._order = _order(after) if after.server == server and after.file else None

    def has(self, opened: Opened, *, by_gtid: bool) -> bool:
        """By GTID where that is exact: MariaDB's numbers need not rise, unless it is strict."""
        if opened.source and by_gtid and self._is_mysql and self._mysql:
            return self._mysql.has(opened.source, opened.number)
        if self._order is not None:
            return place_order(opened.file, opened.pos) < self._order
        return bool(opened.source) and self._mariadb.has(int(opened.source), opened.number)


def at_server(after: Checkpoint, server: str) -> Checkpoint:
    """The checkpoint as one of this server's."""
    if after.server in ("", server):
        return replace(after, server=server)
    last = after.last and replace(
        after.last, file="", file_seconds=0, pos=binlog.FIRST_POS, digest=0
    )
    return replace(after, server=server, file="", pos=binlog.FIRST_POS, last=last)


def _is_same(after: Checkpoint, place: Checkpoint) -> bool:
    """Whether files and positions of one mean the same at the other."""
    return after.server == place.server and bool(after.file and place.file)


def _order(checkpoint: Checkpoint) -> tuple[int, int]:
    return place_order(checkpoint.file, checkpoint.pos)


def _contains(after: Checkpoint, place: Checkpoint) -> bool:
    if after.flavor == "mysql":
        return MysqlGtidSet.parse(after.gtid_set).contains(MysqlGtidSet.parse(place.gtid_set))
    return MariadbGtidList.parse(after.gtid_set).contains(MariadbGtidList.parse(place.gtid_set))


def _union(after: Checkpoint, place: Checkpoint) -> str:
    if after.flavor == "mysql":
        return str(MysqlGtidSet.parse(after.gtid_set).union(MysqlGtidSet.parse(place.gtid_set)))
    return str(MariadbGtidList.parse(after.gtid_set).union(MariadbGtidList.parse(place.gtid_set)))
