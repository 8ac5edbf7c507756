"""Keeps a stage running: what may heal is tried again within bounds, everything else ends it.

After any failure the stage is opened anew and goes on after its last committed checkpoint, so
a retry neither loses nor repeats anything (invariants 1 and 4).
"""

from __future__ import annotations

import gc
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from cdc.errors import CdcError, Unreachable
from cdc.loop import run
from cdc.observe import StageMetrics
from cdc.ports import Sink, Source, Step

FIRST_WAIT_SECONDS = 0.1
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A stage that is connected: what `loop.run` needs."""

    source: Source[Any, Any]
    step: Step[Any, Any, Any]
    sink: Sink[Any, Any]

    def close(self) -> None:
        """Close both ends; what was not committed is dropped."""
        try:
            self.source.close()
        finally:
            self.sink.close()


@dataclass(frozen=True, slots=True)
class Signs:
    """What a stage that is being opened, or runs, tells its supervisor."""

    alive: Callable[[], None]
    """The whole stage has shown that it works: a batch was written, or there was nothing to be
    read."""
    standby: Callable[[str], None]
    """Another instance runs the connector, as the text says; called again while it is so."""
    took_over: Callable[[], None]
    """Nobody else runs it; if another did, waiting as a standby is over."""
    kept: Callable[[], None]
    """The log is away, and what the source writes is kept meanwhile: that may last."""


OpenPipeline = Callable[[threading.Event, Signs], Pipeline]


class Stopped(Exception):
    """Told to stop before the stage was open."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage that can be opened, as often as needed."""

    name: str
    open: OpenPipeline
    """Connects; the source ends when the event is set. Raises Stopped if it is set before."""
    metrics: StageMetrics
    start_wait_seconds: float
    """How long the servers may be away before the first connection."""
    outage_seconds_max: float
    """How long they may be away after that."""
    retry_wait_seconds_max: float


def supervise(stage: Stage, stop: threading.Event) -> None:
    """Run the stage until `stop` is set or its source ends; CdcError if it can't go on."""
    patience = _Patience(stage)
    while not stop.is_set():
        try:
            _run_once(stage, stop, patience)
            break
        except Stopped:
            break
        except Unreachable as error:
            wait_seconds = patience.after(error)
            stage.metrics.retrying(error)
            log.warning(
                "waiting", stage=stage.name, why=error.message, retry_seconds=round(wait_seconds, 1)
            )
        # Invariant 7: what the failed run held, clients and their threads too, lies in cycles that
        # Python would look for after hours; out here the error no longer holds its frames.
        gc.collect()
        stop.wait(wait_seconds)
    reason = "" if stop.is_set() else "the source has ended"
    stage.metrics.stopped(reason)
    log.info("stopped", stage=stage.name, **({"why": reason} if reason else {}))


def _run_once(stage: Stage, stop: threading.Event, patience: _Patience) -> None:
    stage.metrics.connecting("")
    pipeline = stage.open(stop, _signs(stage, patience))
    try:
        run(pipeline.source, pipeline.step, pipeline.sink)
    finally:
        pipeline.close()


def _signs(stage: Stage, patience: _Patience) -> Signs:
    """For one opening of the stage."""
    is_running = False
    standby_since: float | None = None

    def alive() -> None:
        nonlocal is_running
        patience.alive()
        if not is_running:
            is_running = True
            stage.metrics.running()
            log.info("running", stage=stage.name)

    def standby(why: str) -> None:
        nonlocal standby_since
        patience.alive()  # a standby may wait for as long as it likes
        if standby_since is None:
            standby_since = time.monotonic()
            stage.metrics.standby(why)
            log.info("standby", stage=stage.name, why=why)

    def took_over() -> None:
        if standby_since is None:
            return
        waited_seconds = time.monotonic() - standby_since
        stage.metrics.connecting("")
        log.info("took over", stage=stage.name, standby_seconds=round(waited_seconds, 1))

    return Signs(alive, standby, took_over, patience.kept)


class _Patience:
    """How long to wait before the next try, and when to give up (invariant 7)."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._bound = ("wait_seconds", stage.start_wait_seconds)
        self._well_at = time.monotonic()
        self._wait_seconds = FIRST_WAIT_SECONDS

    def alive(self) -> None:
        """The stage works: the next failure begins a new outage."""
        self._bound = ("limits.outage_seconds_max", self._stage.outage_seconds_max)
        self._well_at = time.monotonic()
        self._wait_seconds = FIRST_WAIT_SECONDS

    def kept(self) -> None:
        """Nothing works, and nothing is missed either."""
        self._bound = ("limits.outage_seconds_max", self._stage.outage_seconds_max)
        self._well_at = time.monotonic()

    def after(self, error: Unreachable) -> float:
        """Seconds to wait after this failure; CdcError when the bound is reached."""
        name, bound_seconds = self._bound
        away_seconds = time.monotonic() - self._well_at
        if away_seconds >= bound_seconds:
            raise CdcError(
                f"gave up after {away_seconds:.0f} s ({name}: {bound_seconds:g}): {error.message}",
                hint=error.hint or "start it again when the server is back; nothing is lost",
            ) from error
        jitter = random.uniform(0.5, 1.5)  # noqa: S311  # no secret
        wait_seconds = min(self._wait_seconds * jitter, bound_seconds - away_seconds)
        self._wait_seconds = min(self._wait_seconds * 2, self._stage.retry_wait_seconds_max)
        return max(wait_seconds, 0.01)


@dataclass(slots=True)
class Supervisor:
    """All stages of a process, each in a thread of its own; one that fails stops the others."""

    stages: tuple[Stage, ...]
    stop: threading.Event = field(default_factory=threading.Event)
    failures: list[tuple[str, CdcError]] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for stage in self.stages:
            thread = threading.Thread(target=self._keep, args=(stage,), name=stage.name)
            self._threads.append(thread)
            thread.start()

    def is_running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        """Wait until all stages have ended; they end soon after `stop` is set."""
        for thread in self._threads:
            # In slices, so that the main thread still takes signals.
            while thread.is_alive():
                thread.join(0.2)

    def _keep(self, stage: Stage) -> None:
        try:
            supervise(stage, self.stop)
        except CdcError as error:
            self._fail(stage, error)
        except Exception as error:  # a fault of our own: all of it goes to the log
            log.exception("stopped by a fault of cdc", stage=stage.name)
            self._fail(stage, _fault(error))
        except:  # noqa: E722  # C code can raise what is no exception; no stage ends untold
            fault = sys.exc_info()[1]
            log.error("stopped by a fault of cdc", stage=stage.name, fault=repr(fault))
            self._fail(stage, _fault(fault))

    def _fail(self, stage: Stage, error: CdcError) -> None:
        stage.metrics.failed(error)
        self.failures.append((stage.name, error))
        self.stop.set()


def _fault(fault: object) -> CdcError:
    wrapped = CdcError(
        f"stopped by a fault of cdc: {type(fault).__name__}: {fault}",
        hint="nothing is lost; please report it with the log lines above",
    )
    if isinstance(fault, BaseException):
        wrapped.__cause__ = fault
    return wrapped
