"""The live server as a source of events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

from cdc.capture.batch import EventBatch
from cdc.capture.checkpoint import Checkpoint, Prepared
from cdc.capture.connection import Session
from cdc.capture.dump import Dump
from cdc.capture.facts import read_facts
from cdc.capture.opening import opening
from cdc.capture.prepared import recall
from cdc.capture.prepared_store import PreparedStore
from cdc.capture.source_settings import ServerSettings
from cdc.capture.unfolding import Unfolder
from cdc.errors import PositionLost


class ServerSource:
    """Follows a server's binlog; implements `ports.Source[EventBatch, Checkpoint]`."""

    def __init__(
        self,
        settings: ServerSettings,
        *,
        stop: threading.Event,
        idle: threading.Event | None = None,
        on_seen: Callable[[int], None] = lambda seconds: None,
        store: PreparedStore | None = None,
    ) -> None:
        """`on_seen` gets the server's time of each batch's last event; now if it has no newer.
        While `idle` isn't set, only full batches come: small ones would queue. `store` keeps the
        rows of prepared XA transactions."""
        self._settings, self._stop, self._on_seen = settings, stop, on_seen
        self._idle, self._store = idle, store
        self._session: Session | None = None

    def read(self, after: Checkpoint | None) -> Iterator[EventBatch]:
        """Batches from just after the checkpoint, else from `settings.start`, until `stop`.

        Raises Unreachable when the link is lost: read again from the last committed checkpoint.
        Raises SourceError and PositionLost for what only people can mend."""
        settings = self._settings
        unfolder = Unfolder(settings.batch_bytes_max, settings.event_bytes_max, self._store)
        return unfolder.unfold(self.events(after, unfolder), self._stop)

    def events(self, after: Checkpoint | None, unfolder: Unfolder) -> Iterator[EventBatch]:
        """The events as the server sends them, for the unfolder; else like `read`."""
        self.close()
        session = self._session = Session(self._settings)
        try:
            begun = opening(session, after, self._stop)
            if begun is None:
                return
            recall(unfolder, self._settings, begun.facts, begun.prepared)
            dump = Dump(session, begun.facts, begun.place, idle=self._idle, on_seen=self._on_seen)
            first: Checkpoint | None = begun.start
            for events in dump.batches(self._stop):
                yield EventBatch(events, first)
                first = None
        except PositionLost as error:
            if after is None or not after.spool:
                raise
            raise PositionLost(
                f"{error.message}; this connector ran with a spool, which lies at {after.spool}",
                hint="if the log was away, the spool may hold what is gone: start the connector"
                f" on that host, or with that folder as its spool.path; else {error.hint}",
            ) from error
        finally:
            session.close()

    def recall(self, prepared: Mapping[str, Prepared], unfolder: Unfolder) -> None:
        """Fetch the rows of prepared transactions; PositionLost where they are gone."""
        with Session(self._settings) as session:
            recall(unfolder, self._settings, read_facts(session), prepared)

    def close(self) -> None:
        """Give the connection back; a reading that is under way ends."""
        if self._session is not None:
            self._session.close()
            self._session = None
