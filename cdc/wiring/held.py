"""What was opened for a pipeline, closed with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from cdc.config import ConnectorConfig
from cdc.observe import StageMetrics
from cdc.ports import Seam, untouched
from cdc.supervisor import Pipeline, Signs


class Opened:
    """Closes what was opened already when the rest of an opening fails."""

    def __init__(self, seam: Seam = untouched) -> None:
        self.seam = seam
        self._closers: list[Callable[[], None]] = []
        self._of_sink: list[Callable[[], None]] = []

    def __call__(self, thing: Any) -> Any:
        """Closed with the pipeline's source."""
        self._closers.append(thing.close)
        return thing

    def for_sink(self, thing: Any) -> Any:
        """Closed by the pipeline's sink, once there is one."""
        self._of_sink.append(thing.close)
        return thing

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            try:
                self.close()
            finally:
                while self._of_sink:
                    self._of_sink.pop()()

    def close(self) -> None:
        while self._closers:
            self._closers.pop()()


class Held:
    """A source that takes with it what was opened for its pipeline."""

    def __init__(self, source: Any, opened: Opened) -> None:
        self._source, self._opened = source, opened

    def read(self, after: Any) -> Any:
        return self._source.read(after)

    def close(self) -> None:
        self._opened.close()


Opener = Callable[[ConnectorConfig, StageMetrics, threading.Event, Signs, Opened], Pipeline]
