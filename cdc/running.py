"""`cdc run`: the stages of one connector in this process, until told to stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog

import cdc
from cdc.capture import is_compiled
from cdc.collecting import collect_seldom, share_arenas
from cdc.config import ConnectorConfig
from cdc.config.source import ServerSource
from cdc.console import discovery
from cdc.console.server import ConsoleServer, serve
from cdc.errors import CdcError
from cdc.observe import Metrics
from cdc.ports import Seam, untouched
from cdc.supervisor import Supervisor
from cdc.wiring import stages_of
from cdc.wiring.capture import is_reference_reader

QUIET_HEARTBEATS = 3
"""So many heartbeats may fail to come before silence counts as lag."""

logger = structlog.get_logger()


@contextmanager
def running(
    config: ConnectorConfig,
    stages: tuple[str, ...],
    environment: Mapping[str, str],
    seam: Seam = untouched,
) -> Iterator[Running]:
    """The connector's stages, started; stopped and joined at the end of the block."""
    if not is_compiled():
        logger.warning(
            "running the plain form of the hot path, which is many times slower",
            fix="install a C compiler and Cython, then build again with `make setup`",
        )
    if "capture" in stages and is_reference_reader(config):
        logger.warning(
            "reading the binlog with mysql-replication, which is a hundred times slower",
            fix="leave out source.reader",
        )
    collect_seldom()
    share_arenas()
    heartbeat = config.source.heartbeat_seconds if isinstance(config.source, ServerSource) else 5.0
    metrics = Metrics(
        config.connector,
        version=cdc.__version__,
        is_compiled=is_compiled(),
        pid=os.getpid(),
        quiet_seconds_max=QUIET_HEARTBEATS * heartbeat,
    )
    supervisor = Supervisor(stages_of(config, metrics, stages, seam))
    run = Running(config, metrics, supervisor)
    with _console(run, environment):
        supervisor.start()
        try:
            yield run
        finally:
            supervisor.stop.set()
            supervisor.join()


class Running:
    """A connector whose stages run in threads of this process."""

    def __init__(self, config: ConnectorConfig, metrics: Metrics, supervisor: Supervisor) -> None:
        self.config, self.metrics, self._supervisor = config, metrics, supervisor
        self.address = ""

    @property
    def stop(self) -> threading.Event:
        return self._supervisor.stop

    def wait(self) -> None:
        """Until all stages have ended; raises what made one fail."""
        self._supervisor.join()
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raise the first stage's failure, if one failed."""
        for stage, error in self._supervisor.failures:
            failure = CdcError(f"stage {stage}: {error.message}", hint=error.hint)
            failure.exit_code = error.exit_code
            raise failure from error


@contextmanager
def _console(run: Running, environment: Mapping[str, str]) -> Iterator[ConsoleServer]:
    """The HTTP listener, announced where `cdc status` looks."""

    def stop(_: Mapping[str, Any]) -> Mapping[str, Any]:
        run.stop.set()
        return {"stopping": True}

    http = run.config.http
    console = serve(
        run.metrics,
        {"stop": stop},
        host=http.host,
        port=http.port,
        is_port_fixed=http.is_port_fixed,
        ready_within_seconds=http.ready_within_seconds,
    )
    run.address = console.address
    me = discovery.Running(run.config.connector, console.address, os.getpid(), time.time())
    try:
        discovery.announce(me, environment)
        logger.info("listening", address=console.address)
        yield console
    finally:
        discovery.withdraw(me, environment)
        console.close()


@contextmanager
def signals_stop(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT call `stop` while the block runs; a second one has its usual effect."""
    before: dict[int, Any] = {}

    def handle(number: int, _: Any) -> None:
        logger.info("stopping", signal=signal.Signals(number).name)
        stop()
        signal.signal(number, before[number])

    for each in (signal.SIGTERM, signal.SIGINT):
        before[int(each)] = signal.signal(each, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
