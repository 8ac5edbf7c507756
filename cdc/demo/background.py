"""A thread whose failure is told to who started it."""

from __future__ import annotations

import threading
from collections.abc import Callable

JOIN_SECONDS_MAX = 10.0


class Background:
    """Runs a function beside the rest until it returns; it is given the event that ends it."""

    def __init__(self, name: str, work: Callable[[threading.Event], None]) -> None:
        self.stop = threading.Event()
        self._work = work
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Background:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(JOIN_SECONDS_MAX)

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def raise_failure(self) -> None:
        """Raise what ended the function, if it failed."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._work(self.stop)
        except Exception as failure:  # noqa: BLE001  # raised again by who asks
            self._failure = failure
