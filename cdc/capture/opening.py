"""How a reading of a live server begins: what must hold, the first checkpoint, the way on."""

from __future__ import annotations

from dataclasses import dataclass

from cdc.capture.checkpoint import Checkpoint
from cdc.capture.connection import Session
from cdc.capture.dump import Place
from cdc.capture.facts import ServerFacts, binary_logs, read_facts
from cdc.capture.grants import read_grants
from cdc.capture.lineage import way_on
from cdc.capture.places import first_checkpoint
from cdc.capture.preflight import inspect_rights, inspect_server
from cdc.errors import SourceError
from cdc.findings import errors_of


@dataclass(frozen=True, slots=True)
class Opening:
    """A server that can be followed, and from where."""

    facts: ServerFacts
    start: Checkpoint
    place: Place


def opening(session: Session, after: Checkpoint | None) -> Opening:
    """Where to begin: after the checkpoint, else at `settings.start`.

    Raises SourceError and PositionLost for what only people can mend."""
    settings = session.settings
    facts = read_facts(session)
    _refuse_what_cannot_be_followed(session, facts)
    start = after or first_checkpoint(session, facts, settings.start)
    if way_on(facts, binary_logs(session), start, settings.coordinates) == "gtid":
        return Opening(facts, start, Place(gtid_set=start.gtid_set))
    return Opening(facts, start, Place(file=start.file, pos=start.pos))


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
