"""XA transactions that were prepared before the place where a reading begins.

Their rows count at XA COMMIT, which may come after a restart. `PreparedStore` has them. What it
hasn't, since a row of theirs can't be published or an earlier version wrote the checkpoint, MySQL
sends again by GTID: it is left out of the checkpoint's set. MariaDB's list of GTIDs has no gaps,
and a place in a file has none either: there the rows are fetched from where they stand."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence

import pymysql
import structlog

from cdc.capture.checkpoint import Checkpoint, Prepared
from cdc.capture.connection import Session
from cdc.capture.dump import Dump, Place
from cdc.capture.facts import BinaryLog, ServerFacts
from cdc.capture.lineage import BEGIN_ANEW, Way
from cdc.capture.source_settings import ServerSettings
from cdc.capture.unfolding import Unfolder
from cdc.errors import PositionLost, SourceError

NAMES_SHOWN_MAX = 5

logger = structlog.get_logger()


def to_recall(
    facts: ServerFacts, logs: Sequence[BinaryLog], after: Checkpoint, way: Way
) -> Mapping[str, Prepared]:
    """What must be fetched; SourceError and PositionLost for what can't be."""
    unkept = after.unkept()
    if not unkept or (facts.flavor == "mysql" and way.by == "gtid"):
        return {}
    if way.is_other:
        raise SourceError(
            f"{_named(unkept)} of the checkpoint wait for XA COMMIT, and their rows stand"
            f" in the binlog of the server {after.server}; this one is {facts.identity}",
            hint="go on at the checkpoint's own server until they are decided, or " + BEGIN_ANEW,
        )
    there = {log.name for log in logs}
    gone = {xid: place for xid, place in unkept.items() if place.file not in there}
    if gone:
        files = ", ".join(sorted({place.file for place in gone.values()}))
        raise PositionLost(
            f"{_named(gone)} of the checkpoint wait for XA COMMIT, and the binlog files with their"
            f" rows are gone: {files}",
            hint="restore these files, or " + BEGIN_ANEW,
        )
    return unkept


def recall(
    unfolder: Unfolder,
    settings: ServerSettings,
    facts: ServerFacts,
    prepared: Mapping[str, Prepared],
) -> None:
    """Fetch the rows, over sessions of their own; SourceError where they aren't."""
    for xid, place in prepared.items():
        with Session(settings) as session:
            dump = Dump(session, facts, Place(file=place.file, pos=place.pos), ends=True)
            if not unfolder.recall(xid, dump.batches(threading.Event())):
                raise PositionLost(
                    f"the rows of the XA transaction {xid}, which waits for XA COMMIT, are no"
                    f" longer at {place.file}:{place.pos}",
                    hint=BEGIN_ANEW,
                )


def warn_of_prepared(session: Session) -> None:
    """At a first start: what is prepared already, if the user may ask."""
    try:
        with session.connection.cursor() as cursor:
            cursor.execute("XA RECOVER")
            names = [row["data"] for row in cursor.fetchall()]
    except pymysql.MySQLError:
        return  # MySQL asks for a right that nothing else needs; XA COMMIT will stop us
    if names:
        logger.warning(
            "XA transactions are prepared whose rows may lie before the start",
            transactions=_named(names),
            fix="commit or roll them back first, or begin before they were prepared; else capture"
            " stops where one is committed",
        )


def _named(names: Iterable[object]) -> str:
    every = [str(name) for name in names]
    more = f" and {len(every) - NAMES_SHOWN_MAX} more" if len(every) > NAMES_SHOWN_MAX else ""
    return "the XA transactions " + ", ".join(every[:NAMES_SHOWN_MAX]) + more
