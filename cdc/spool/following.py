"""Keeps what the source writes while the log is away."""

from __future__ import annotations

import threading
from dataclasses import replace

import structlog

from cdc.capture.checkpoint import Checkpoint
from cdc.capture.connection import Session
from cdc.capture.dump import Dump
from cdc.capture.opening import opening
from cdc.capture.source_settings import ServerSettings
from cdc.errors import CdcError, Unreachable
from cdc.spool.appending import Appender
from cdc.spool.store import Spool, SpoolFull

HEARTBEAT_SECONDS_MAX = 1.0
"""At least so often the server says that it has nothing new: then all that came goes to disk."""
RETRY_SECONDS = 1.0
"""Between two tries while the source is away."""

logger = structlog.get_logger()


class Follower:
    """A thread that appends to the spool from its end on, until told to stop."""

    def __init__(
        self,
        spool: Spool,
        settings: ServerSettings,
        *,
        committed: Checkpoint | None,
        after_seconds: float,
        stop: threading.Event,
    ) -> None:
        """`committed` is the last checkpoint known to be in the log, if any is; following begins
        `after_seconds` from now."""
        heartbeat_seconds = min(settings.heartbeat_seconds, HEARTBEAT_SECONDS_MAX)
        self._settings = replace(settings, heartbeat_seconds=heartbeat_seconds)
        self._spool, self._committed = spool, committed
        self._after_seconds, self._stop = after_seconds, stop
        self.state = ""
        """Empty before it follows; `following`, `full`, `failed`."""
        self._thread = threading.Thread(target=self._run, name="spool")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What it has is on disk afterwards."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        if self._stop.wait(self._after_seconds):
            return
        told = ""
        while not self._stop.is_set():
            try:
                self._follow()
            except Unreachable as error:
                if error.message != told:
                    logger.warning("the spool waits", why=error.message)
                told = error.message
            except SpoolFull as full:
                self._say(
                    "full",
                    f"{full}: reading stops until the log is back; nothing is lost as long as the"
                    " source keeps its binlogs",
                )
                return
            except CdcError as error:
                self._say("failed", "; ".join(filter(None, (self._spool.damage, str(error)))))
                return
            except Exception as error:  # a fault of our own: all of it goes to the log
                logger.exception("the spool stopped by a fault of cdc")
                self._say("failed", f"{type(error).__name__}: {error}")
                return
            self._stop.wait(RETRY_SECONDS)

    def _say(self, state: str, why: str) -> None:
        self.state = state
        logger.error(f"the spool is {state}", why=why, bytes=self._spool.bytes)

    def _follow(self) -> None:
        self._spool.open()
        try:
            place = self._place()
            with Session(self._settings) as session:
                begun = opening(session, place, self._stop)
                if begun is None:
                    return
                dump = Dump(session, begun.facts, begun.place)
                self.state = "following"
                logger.warning(
                    "spooling: the log is away",
                    folder=str(self._spool.folder),
                    from_place=f"{begun.start.file}:{begun.start.pos}",
                )
                appender = Appender(self._spool, begun.start)
                try:
                    for events in dump.batches(self._stop):
                        appender.take(events)
                finally:
                    appender.close()
        finally:
            self.state = ""
            self._spool.close()

    def _place(self) -> Checkpoint:
        """Where to go on: at the spool's end, else after the last checkpoint that is known."""
        committed = self._committed or self._spool.begin()
        if committed is None:
            raise CdcError(
                "nothing can be kept: the log was never reached, so no checkpoint is known",
                hint="the spool works once this connector has run on this host",
            )
        self._spool.passed(committed)
        end = self._spool.end
        if end is None:
            return replace(committed, prepared={})  # of use to who reads, not to who keeps
        return self._spool.order.onward(end.checkpoint, committed)
