"""The live server as a source of events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from cdc.capture.batch import EventBatch
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.connection import Session
from cdc.capture.dump import Dump, Place
from cdc.capture.facts import ServerFacts, binary_logs, read_facts
from cdc.capture.grants import read_grants
from cdc.capture.lineage import way_on
from cdc.capture.places import first_checkpoint
from cdc.capture.preflight import inspect_rights, inspect_server
from cdc.capture.source_settings import ServerSettings
from cdc.errors import SourceError
from cdc.findings import errors_of


class ServerSource:
    """Follows a server's binlog; implements `ports.Source[EventBatch, Checkpoint]`."""

    def __init__(
        self,
        settings: ServerSettings,
        *,
        stop: threading.Event,
        on_seen: Callable[[int], None] = lambda seconds: None,
    ) -> None:
        """`on_seen` gets the server's time of each batch's last event; now if it has no newer."""
        self._settings, self._stop, self._on_seen = settings, stop, on_seen
        self._session: Session | None = None

    def read(self, after: Checkpoint | None) -> Iterator[EventBatch]:
        """Batches from just after the checkpoint, else from `settings.start`, until `stop`.

        Raises Unreachable when the link is lost: read again from the last committed checkpoint.
        Raises SourceError and PositionLost for what only people can mend."""
        self.close()
        session = self._session = Session(self._settings)
        try:
            facts = read_facts(session)
            _refuse_what_cannot_be_followed(session, facts)
            start = after or first_checkpoint(session, facts, self._settings.start)
            dump = Dump(session, facts, self._place(session, facts, start), on_seen=self._on_seen)
            first: Checkpoint | None = start
            for events in dump.batches(self._stop):
                yield EventBatch(events, first)
                first = None
        finally:
            session.close()

    def close(self) -> None:
        """Give the connection back; a reading that is under way ends."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _place(self, session: Session, facts: ServerFacts, start: Checkpoint) -> Place:
        logs = binary_logs(session)
        if way_on(facts, logs, start, self._settings.coordinates) == "gtid":
            return Place(gtid_set=start.gtid_set)
        return Place(file=start.file, pos=start.pos)


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
