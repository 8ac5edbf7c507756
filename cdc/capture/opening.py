"""How a reading of a live server begins: what must hold, the first checkpoint, the way on."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from cdc.capture.checkpoint import Checkpoint, Prepared
from cdc.capture.connection import Session
from cdc.capture.dump import Place
from cdc.capture.facts import BinaryLog, ServerFacts, binary_logs, read_facts, read_purged
from cdc.capture.grants import read_grants
from cdc.capture.lineage import Behind, Way, taken_on, way_on
from cdc.capture.places import first_checkpoint
from cdc.capture.preflight import inspect_rights, inspect_server
from cdc.capture.prepared import to_recall, warn_of_prepared
from cdc.capture.readback import why_unproven
from cdc.capture.source_settings import ServerSettings
from cdc.errors import SourceError
from cdc.findings import errors_of

CATCH_UP_LOOK_SECONDS = 0.2
"""How often a server that lags behind is asked."""

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Opening:
    """A server that can be followed, and from where."""

    facts: ServerFacts
    start: Checkpoint
    place: Place
    prepared: Mapping[str, Prepared]
    """Whose rows must be fetched first."""


def opening(session: Session, after: Checkpoint | None, stop: threading.Event) -> Opening | None:
    """Where to begin: after the checkpoint, else at `settings.start`; None if `stop` was set.

    A server that lacks transactions of the checkpoint is waited for, as long as the settings say.
    Raises SourceError and PositionLost for what only people can mend."""
    wait_seconds = session.settings.lineage_wait_seconds
    until = time.monotonic() + wait_seconds
    is_told = False
    while not stop.is_set():
        try:
            return _opening(session, after)
        except Behind as behind:
            if time.monotonic() >= until:
                raise SourceError(
                    f"{behind.message}; waited {wait_seconds:g} s (source.lineage_wait_seconds)",
                    hint=behind.hint,
                ) from behind
            if not is_told:
                logger.warning("waiting for the source to catch up", why=behind.message)
                is_told = True
        stop.wait(CATCH_UP_LOOK_SECONDS)
    return None


def _opening(session: Session, after: Checkpoint | None) -> Opening:
    settings = session.settings
    facts = read_facts(session)
    _refuse_what_cannot_be_followed(session, facts)
    start = after or first_checkpoint(session, facts, settings.start)
    logs = binary_logs(session)
    if facts.flavor == "mariadb":
        facts = replace(facts, gtid_purged=read_purged(session, logs))
    way = way_on(facts, logs, start, settings.coordinates)
    if after is not None:
        _check_continuity(settings, facts, logs, after, way)
    else:
        warn_of_prepared(session)
    prepared = to_recall(facts, logs, start, way)
    start = taken_on(facts, start, way)
    if way.by == "gtid":
        place = Place(gtid_set=start.gtid_set)
    else:
        place = Place(file=start.file, pos=start.pos)
    return Opening(facts, start, place, prepared)


def _check_continuity(
    settings: ServerSettings,
    facts: ServerFacts,
    logs: Sequence[BinaryLog],
    after: Checkpoint,
    way: Way,
) -> None:
    """PositionLost if the server's binlog isn't the one that the checkpoint is of."""
    unproven = why_unproven(settings, facts, logs, after, way)
    if way.is_other:
        logger.warning("going on at another server", server=facts.identity, before=after.server)
    if unproven:
        logger.info("going on by what the server says, without proof", why=unproven)


def _refuse_what_cannot_be_followed(session: Session, facts: ServerFacts) -> None:
    """SourceError with all that stands in the way, each with its fix."""
    settings = session.settings
    findings = [
        *inspect_server(facts, settings.accept),
        *inspect_rights(facts, read_grants(session)),
    ]
    errors = errors_of(findings)
    if errors:
        raise SourceError(
            f"the source {settings.origin} can't be followed: "
            + "; ".join(finding.message for finding in errors),
            hint="\n    ".join(finding.hint for finding in errors),
        )
