"""Whether a checkpoint goes on at this server (invariant 5), and by which coordinates.

A pure decision over what server and checkpoint say; the one place for it. What only the binlog
can tell, `readback` asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cdc.capture import binlog
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.facts import BinaryLog, ServerFacts
from cdc.capture.gtid import MariadbGtidList, MysqlGtidSet
from cdc.capture.source_settings import Coordinates
from cdc.errors import PositionLost, SourceError

POSITION_MAX = (1 << 32) - 1
"""The furthest position that a dump by file can begin at."""
BEGIN_ANEW = (
    "compare the tables with what was published, then begin anew under another connector name"
)
AFTER_PURGE = (
    "go on with a server of the same replication that still has them (source.host), restore these"
    " binlogs, or begin anew under another connector name and take a snapshot; keep them longer:"
    " {keep};"
)
KEEP = "SET PERSIST binlog_expire_logs_seconds = 604800"
KEEP_MARIADB = "SET GLOBAL binlog_expire_logs_seconds = 604800, and in my.cnf"
GTIDS_SHOWN_MAX = 400
"""Characters of a GTID set in a message."""


@dataclass(frozen=True, slots=True)
class Way:
    """How to go on."""

    by: Literal["gtid", "file"]
    is_other: bool
    """At another server than the checkpoint's, where its file and position mean nothing."""


class Behind(SourceError):
    """The server lacks transactions of the checkpoint, and may still get them."""


def way_on(
    facts: ServerFacts, logs: Sequence[BinaryLog], after: Checkpoint, wanted: Coordinates
) -> Way:
    """How to go on after the checkpoint; Behind, SourceError or PositionLost if not at all."""
    if after.flavor != facts.flavor:
        raise SourceError(
            f"the checkpoint is of a {after.flavor} server, this one is {facts.version_text}",
            hint="look at source.host; for another server take another connector name",
        )
    is_other = bool(after.server) and facts.identity != after.server
    if is_other:
        _check_can_move(facts, after, wanted)
    if is_other or _goes_by_gtid(facts, after, wanted):
        _check_sets(facts, after, is_other)
        return Way("gtid", is_other)
    _check_file(logs, after)
    return Way("file", False)


def taken_on(facts: ServerFacts, after: Checkpoint, way: Way) -> Checkpoint:
    """The checkpoint as one of this server's."""
    if not way.is_other:
        return replace(after, server=facts.identity)
    last = after.last and replace(
        after.last, file="", file_seconds=0, pos=binlog.FIRST_POS, digest=0
    )
    return replace(after, server=facts.identity, file="", pos=binlog.FIRST_POS, last=last)


def _check_can_move(facts: ServerFacts, after: Checkpoint, wanted: Coordinates) -> None:
    """SourceError unless GTIDs say where to go on at another server."""
    what = f"the checkpoint is of the server {after.server}, this one is {facts.identity}"
    unnamed = [name for name in after.begun() if is_place(name)]
    if wanted == "file":
        why = "source.coordinates is file, and a place in a file means nothing at another server"
    elif not facts.has_gtid:
        why = "it has gtid_mode off, so nothing says where to go on"
    elif not after.gtid_set:
        why = "the checkpoint has no GTIDs that would say where to go on"
    elif unnamed:
        why = f"the checkpoint is inside a transaction without a GTID: {unnamed[0]}"
    else:
        return
    raise SourceError(
        f"{what}: {why}",
        hint="go on at the checkpoint's own server, or begin anew under another connector name",
    )


def is_place(transaction: str) -> bool:
    """Whether the name is file:pos: GTIDs have no dot."""
    return "." in transaction


def _goes_by_gtid(facts: ServerFacts, after: Checkpoint, wanted: Coordinates) -> bool:
    if wanted == "gtid" and not facts.has_gtid:
        raise SourceError(
            "source.coordinates is gtid, and the server has gtid_mode off",
            hint="set source.coordinates: file, or switch GTIDs on at the server",
        )
    if wanted == "file" and not after.file:
        raise SourceError(
            "source.coordinates is file, and the place to go on is known by GTID only",
            hint="set source.coordinates: auto, or start at file:position",
        )
    # An empty set at a known place: what came before had no GTIDs, so only the place is exact.
    is_known = bool(after.gtid_set) or not after.file
    return facts.has_gtid and (wanted == "gtid" or (wanted == "auto" and is_known))


def _check_sets(facts: ServerFacts, after: Checkpoint, is_other: bool) -> None:
    # What is done in part must come again: a server without it would leave it in part for good.
    begun = [name for name in after.begun() if not is_place(name)]
    if facts.flavor == "mariadb":
        _check_domains(facts, after, begun, is_other)
        return
    done, executed = MysqlGtidSet.parse(after.gtid_set), MysqlGtidSet.parse(facts.gtid_executed)
    unknown = done.union(MysqlGtidSet.parse(",".join(begun))).subtract(executed)
    if unknown:
        is_own = any(source.startswith(facts.server_uuid) for source, _ in unknown.intervals())
        raise _lacking(str(unknown), str(executed), is_own and not is_other)
    gone = MysqlGtidSet.parse(facts.gtid_purged).subtract(done)
    if gone:
        raise PositionLost(
            f"the server purged {gone.count()} transactions that the checkpoint still needs:"
            f" {shown(str(gone))}",
            hint=AFTER_PURGE.format(keep=KEEP),
        )


def _check_domains(
    facts: ServerFacts, after: Checkpoint, begun: Sequence[str], is_other: bool
) -> None:
    have, done = MariadbGtidList.parse(facts.gtid_executed), MariadbGtidList.parse(after.gtid_set)
    wanted = done
    for name in begun:
        wanted = wanted.union(MariadbGtidList.parse(name))
    ahead = str(wanted.subtract(have))
    if ahead:
        is_own = any(gtid.split("-")[1] == facts.identity for gtid in ahead.split(","))
        raise _lacking(ahead, str(have), is_own and not is_other)
    gone = MariadbGtidList.parse(facts.gtid_purged).subtract(done)
    if gone:
        raise PositionLost(
            f"the server purged transactions that the checkpoint still needs: those up to"
            f" {shown(str(gone))}; the checkpoint has those up to {shown(str(done)) or 'none'}",
            hint=AFTER_PURGE.format(keep=KEEP_MARIADB),
        )


def _lacking(missing: str, have: str, is_own: bool) -> Behind:
    """`is_own`: the server made them itself, so that no other one sends them to it."""
    what = (
        f"the server lacks transactions that the checkpoint has: {shown(missing)}"
        f" (it has {shown(have) or 'none'})"
    )
    if is_own:
        # Even these may come: a server writes its binlog before it counts them as executed.
        return Behind(
            f"{what}; it made them itself: it lost the end of its binlog, was reset or restored",
            hint=BEGIN_ANEW,
        )
    return Behind(
        what,
        hint="was it restored, or is it a replica that lags behind? go on with a server that has"
        " them, wait longer (source.lineage_wait_seconds), or begin anew under another connector"
        " name",
    )


def _check_file(logs: Sequence[BinaryLog], after: Checkpoint) -> None:
    sizes = {log.name: log.size for log in logs}
    if after.file not in sizes:
        there = f"{logs[0].name} to {logs[-1].name}" if logs else "none"
        raise PositionLost(
            f"the checkpoint needs the binlog file {after.file}, which is gone; the server has"
            f" {there}",
            hint="restore it, or begin anew under another connector name and take a snapshot;"
            " keep files longer: SET PERSIST binlog_expire_logs_seconds = 604800;",
        )
    if after.pos > sizes[after.file]:
        raise PositionLost(
            f"the checkpoint is at {after.file}:{after.pos}, and the file ends at"
            f" {sizes[after.file]}: the server lost its tail, or was reset",
            hint=BEGIN_ANEW,
        )
    if after.pos > POSITION_MAX:
        raise SourceError(
            f"the checkpoint is at {after.file}:{after.pos}, further than positions reach in the"
            " replication protocol",
            hint="switch GTIDs on at the server, or begin at the next file",
        )


def shown(gtids: str) -> str:
    """A GTID set for a message, its tail left out if it is long."""
    return gtids if len(gtids) <= GTIDS_SHOWN_MAX else f"{gtids[:GTIDS_SHOWN_MAX]}…"
