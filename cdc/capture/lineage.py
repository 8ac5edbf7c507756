"""Whether a checkpoint goes on at this server (invariant 5), and by which coordinates.

A pure decision over what server and checkpoint say; the one place for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from cdc.capture.checkpoint import Checkpoint
from cdc.capture.facts import BinaryLog, ServerFacts
from cdc.capture.gtid import MariadbGtidList, MysqlGtidSet
from cdc.capture.source_settings import Coordinates
from cdc.errors import PositionLost, SourceError

POSITION_MAX = (1 << 32) - 1
"""The furthest position that a dump by file can begin at."""
GTIDS_SHOWN_MAX = 400
"""Characters of a GTID set in a message."""


def way_on(
    facts: ServerFacts, logs: Sequence[BinaryLog], after: Checkpoint, wanted: Coordinates
) -> Literal["gtid", "file"]:
    """By what to go on after the checkpoint; SourceError or PositionLost if not at all."""
    if after.flavor != facts.flavor:
        raise SourceError(
            f"the checkpoint is of a {after.flavor} server, this one is {facts.version_text}",
            hint="look at source.host; for another server take another connector name",
        )
    if after.server and facts.server_uuid != after.server:
        raise SourceError(
            f"the checkpoint is of the server {after.server}, this one is {facts.server_uuid}",
            hint="look at source.host; for another server take another connector name",
        )
    if _goes_by_gtid(facts, after, wanted):
        _check_sets(facts, after)
        return "gtid"
    _check_file(logs, after)
    return "file"


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


def _check_sets(facts: ServerFacts, after: Checkpoint) -> None:
    if facts.flavor == "mariadb":
        have = MariadbGtidList.parse(facts.gtid_executed)
        ahead = MariadbGtidList.parse(after.gtid_set).subtract(have)
        if ahead:
            raise _unknown(str(ahead), str(have))
        return  # what was purged the server says itself: it looks for the place anyway
    ours, executed = MysqlGtidSet.parse(after.gtid_set), MysqlGtidSet.parse(facts.gtid_executed)
    unknown = ours.subtract(executed)
    if unknown:
        raise _unknown(str(unknown), str(executed))
    gone = MysqlGtidSet.parse(facts.gtid_purged).subtract(ours)
    if gone:
        raise PositionLost(
            f"the server purged {gone.count()} transactions that the checkpoint still needs:"
            f" {shown(str(gone))}",
            hint="restore these binlogs, or begin anew under another connector name and take a"
            " snapshot; keep them longer: SET PERSIST binlog_expire_logs_seconds = 604800;",
        )


def _unknown(missing: str, have: str) -> SourceError:
    return SourceError(
        f"the server lacks transactions that the checkpoint has: {shown(missing)}"
        f" (it has {shown(have) or 'none'})",
        hint="was it reset or restored, or is it a replica that lags behind? go on with a server"
        " that has them, or begin anew under another connector name",
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
            hint="compare the tables with what was published, then begin anew under another"
            " connector name",
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
