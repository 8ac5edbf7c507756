"""The spool of a connector: when it follows, when it is drained, what it is told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import structlog

from cdc.capture.checkpoint import Checkpoint
from cdc.capture.prepared_store import PreparedStore
from cdc.capture.source_settings import ServerSettings
from cdc.config import ConnectorConfig
from cdc.config.log import KafkaLog
from cdc.config.source import derived_server_id
from cdc.config.spool import SpoolSection, size_bytes
from cdc.errors import LockLost, Unreachable
from cdc.model import Output
from cdc.observe import StageMetrics
from cdc.overlap import EitherEvent
from cdc.ports import Seam
from cdc.spool.following import Follower
from cdc.spool.order import Order
from cdc.spool.source import SpooledSource
from cdc.spool.store import Spool
from cdc.supervisor import Signs
from cdc.wiring.ends import reached_log, reached_registry

logger = structlog.get_logger()

NOTE_SECONDS = 5.0
"""How often a committed checkpoint is kept on disk: following may begin there after a restart."""


class Spooling:
    """Lives as long as the process; the spool is its own while the log is away, else the
    pipeline's."""

    def __init__(
        self,
        config: ConnectorConfig,
        section: SpoolSection,
        settings: ServerSettings,
        metrics: StageMetrics,
        seam: Seam,
    ) -> None:
        self._config, self._settings, self._seam = config, settings, seam
        # Another instance may reach the log and run: its dump must not be pushed out.
        self._server_id = derived_server_id(f"{config.connector} spool {socket.gethostname()}")
        self._after_seconds = section.after_seconds
        folder = section.path.resolve()
        self.spool = Spool(
            folder,
            config.connector,
            size_bytes(section.bytes_max),
            Order(settings.coordinates),
            seam,
        )
        self.place = f"{socket.gethostname()}:{folder}"
        """Where the spool lies, for whoever finds the checkpoint."""
        self._changing = threading.Lock()
        """What is opened for a pipeline fails in several threads at once."""
        self._follower: Follower | None = None
        self._away_since: float | None = None
        self._committed: Checkpoint | None = None
        self._may_forget = isinstance(config.log, KafkaLog)
        self._written: Checkpoint | None = None
        """The last one that was committed, which a lone broker may still forget."""
        self._noted_at = float("-inf")
        self._source: SpooledSource | None = None
        metrics.watch_spool(self.state, lambda: self.spool.bytes)

    def state(self) -> str:
        """`idle`, `waiting`, `following`, `full`, `failed` or `draining`."""
        if self._follower is not None:
            return self._follower.state or "waiting"
        return "draining" if self._source is not None and self._source.is_draining else "idle"

    # The log is away

    @contextmanager
    def noting(self, stop: threading.Event) -> Iterator[None]:
        """What is Unreachable in the block is the log, or what belongs to it."""
        try:
            yield
        except Unreachable:
            self.away(stop)
            raise

    def away(self, stop: threading.Event) -> None:
        """The log is away: follow once it has been for long enough."""
        with self._changing:
            if self._follower is not None:
                return
            now = time.monotonic()
            self._away_since = self._away_since or now
            self._follower = Follower(
                self.spool,
                replace(self._settings, server_id=self._server_id),
                committed=self._committed,
                after_seconds=max(0.0, self._away_since + self._after_seconds - now),
                stop=EitherEvent(stop),
            )
            self._follower.start()

    def reach(self, signs: Signs) -> None:
        """Let the spool follow until log and registry have answered; Unreachable before."""
        follower = self._follower
        if follower is None:
            return
        if follower.state == "following":
            signs.kept()
        reached_log(self._config, self._seam).close()
        reached_registry(self._config, self._seam).close()
        follower.stop()
        self._follower = None

    # The log is there

    def open(self) -> None:
        """Take the spool for a pipeline; a follower that hasn't begun is called off."""
        if self._follower is not None:
            self._follower.stop()
            self._follower = None
        self.spool.open()

    def source(
        self,
        live: Any,
        stop: threading.Event,
        on_seen: Callable[[int], None],
        store: PreparedStore | None,
    ) -> Any:
        """The spool, then the live server behind it."""
        settings = self._settings
        self._source = SpooledSource(
            live,
            self.spool,
            place=self.place,
            stop=stop,
            batch_bytes_max=settings.batch_bytes_max,
            event_bytes_max=settings.event_bytes_max,
            on_seen=on_seen,
            store=store,
        )
        return self._source

    def sink(self, sink: Any, stop: threading.Event) -> SpoolingSink:
        return SpoolingSink(sink, self, stop)

    def encode(self, checkpoint: Checkpoint) -> bytes:
        """The checkpoint, with the place of the spool in it."""
        return replace(checkpoint, spool=self.place).to_bytes()

    def written(self, checkpoint: Checkpoint | None) -> None:
        """The log has taken this checkpoint; with Kafka the one before is there for good (0018)."""
        before, self._written = self._written, checkpoint or self._written
        if not self._may_forget or before is None:
            before = checkpoint
        if before is not None:
            self.committed(before)

    def found(self, checkpoint: Checkpoint | None) -> None:
        """The log has shown this checkpoint."""
        self._written = checkpoint
        self.committed(checkpoint)

    def committed(self, checkpoint: Checkpoint | None) -> None:
        """The log has this checkpoint."""
        self._committed = checkpoint
        if checkpoint is None:
            return
        # The source may have purged what is removed: following must not begin before it again.
        has_passed = self.spool.has_passed(checkpoint)
        if has_passed or time.monotonic() - self._noted_at >= NOTE_SECONDS:
            self._note(checkpoint)
        if has_passed:
            self.spool.passed(checkpoint)

    def _note(self, checkpoint: Checkpoint) -> None:
        self._noted_at = time.monotonic()
        try:
            self.spool.note(checkpoint)
        except OSError as error:  # an older one does as well, as long as the source has it
            logger.warning("the spool's begin can't be kept", why=str(error))

    def worked(self) -> None:
        """A write has shown that the log is there."""
        self._away_since = None


class SpoolingSink:
    """A sink that tells what was committed; closed, it lets go of the spool."""

    def __init__(self, sink: Any, spooling: Spooling, stop: threading.Event) -> None:
        self._sink, self._spooling, self._stop = sink, spooling, stop
        self._is_away = False

    def last_checkpoint(self) -> Any:
        checkpoint = self._sink.last_checkpoint()
        self._spooling.found(checkpoint)
        return checkpoint

    def write(self, output: Output[Any, Any]) -> None:
        try:
            self._sink.write(output)
        except Unreachable as error:
            self._is_away = not isinstance(error, LockLost)
            raise
        self._spooling.worked()
        self._spooling.written(output.checkpoint)

    def close(self) -> None:
        try:
            self._sink.close()
        finally:
            self._spooling.spool.close()
            # Not sooner: a follower and the pipeline's reading would push each other out.
            if self._is_away and not self._stop.is_set():
                self._spooling.away(self._stop)
