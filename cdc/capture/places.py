"""First starts as places of a real server's binlog, with the set of what lies before them."""

from __future__ import annotations

from cdc.capture.binlog import FIRST_POS
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.connection import Session
from cdc.capture.facts import ServerFacts, binary_logs, read_purged
from cdc.capture.gtid import MariadbGtidList, MysqlGtidSet
from cdc.capture.scan import set_before
from cdc.capture.source_settings import StartAt
from cdc.errors import PositionLost, SourceError


def first_checkpoint(session: Session, facts: ServerFacts, start: StartAt) -> Checkpoint:
    """Where a connector without a checkpoint begins on this server."""
    if start.kind == "earliest":
        return _earliest(session, facts)
    if start.kind == "latest":
        return _latest(session, facts)
    if start.kind == "gtid":
        return _after_set(session, facts, start.gtid_set)
    return _at_position(session, facts, start.file, start.position)


def _checkpoint(facts: ServerFacts, gtid_set: str, file: str, pos: int) -> Checkpoint:
    return Checkpoint(facts.flavor, facts.identity, gtid_set, file, pos)


def _earliest(session: Session, facts: ServerFacts) -> Checkpoint:
    logs = binary_logs(session)
    gtid_set = read_purged(session, logs) if facts.flavor == "mariadb" else facts.gtid_purged
    return _checkpoint(facts, gtid_set, logs[0].name, FIRST_POS)


def _latest(session: Session, facts: ServerFacts) -> Checkpoint:
    if facts.flavor == "mysql" and facts.version >= (8, 2):
        statement = "SHOW BINARY LOG STATUS"
    else:
        statement = "SHOW MASTER STATUS"
    (row,) = session.rows("reading the binlog's end", statement)
    file, pos = row["File"], int(row["Position"])
    if facts.flavor == "mysql":
        return _checkpoint(facts, row["Executed_Gtid_Set"].replace("\n", ""), file, pos)
    # The variable may be further by now; the function answers for this very place.
    doing = "reading the GTIDs at the binlog's end"
    (gtids,) = session.rows(doing, "SELECT BINLOG_GTID_POS(%s, %s) AS g", (file, pos))
    return _checkpoint(facts, gtids["g"] or "", file, pos)


def _after_set(session: Session, facts: ServerFacts, text: str) -> Checkpoint:
    what = f"source.start {text!r} at {session.settings.origin}"
    if not facts.has_gtid:
        raise SourceError(
            f"{what}: the server has gtid_mode off",
            hint="start at earliest, latest or file:position, or switch GTIDs on",
        )
    try:
        if facts.flavor == "mysql":
            wanted = MysqlGtidSet.parse(text)
        else:
            return _checkpoint(facts, str(MariadbGtidList.parse(text)), "", FIRST_POS)
    except ValueError as error:
        raise SourceError(f"{what}: {error}", hint=f"this is a {facts.flavor} server") from error
    unknown = wanted.subtract(MysqlGtidSet.parse(facts.gtid_executed))
    if unknown:
        raise SourceError(
            f"{what}: the server never executed {unknown}", hint="is it the right server?"
        )
    gone = MysqlGtidSet.parse(facts.gtid_purged).subtract(wanted)
    if gone:
        raise PositionLost(
            f"{what}: the server purged {gone}",
            hint="start at earliest, or at a set that contains these",
        )
    return _checkpoint(facts, str(wanted), "", FIRST_POS)


def _at_position(session: Session, facts: ServerFacts, file: str, pos: int) -> Checkpoint:
    sizes = {log.name: log.size for log in binary_logs(session)}
    what = f"source.start {file}:{pos} at {session.settings.origin}"
    if file not in sizes:
        raise PositionLost(
            f"{what}: the server has no such file; it has {', '.join(_ends(list(sizes)))}",
            hint="start at one of these, or at earliest",
        )
    if not FIRST_POS <= pos <= sizes[file]:
        raise SourceError(
            f"{what}: the file has the positions {FIRST_POS} to {sizes[file]}",
            hint="SHOW BINLOG EVENTS lists the right ones",
        )
    return _checkpoint(facts, set_before(session.settings, facts, file, pos), file, pos)


def _ends(names: list[str]) -> list[str]:
    return names if len(names) <= 2 else [names[0], "…", names[-1]]
