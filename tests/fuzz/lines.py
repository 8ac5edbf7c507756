"""Which steps of the plain form an input takes: pairs of lines, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
WATCHED = "/cdc/capture/"


class TooMuchWork(Exception):
    """An input that keeps the reader busy beyond all measure of its size."""


class Watch:
    """Counts and collects the lines that run in the capture package."""

    def __init__(self, lines_max: int) -> None:
        self.steps = set[tuple[str, int, int]]()
        self.lines = 0
        self._lines_max = lines_max

    def run(self, function: Callable[[], T]) -> T:
        """Call the function under watch. Raises TooMuchWork beyond `lines_max`."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            return function()
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if WATCHED not in name or not name.endswith(".py"):
            return None
        last = 0

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            if event == "line":
                self.steps.add((name, last, frame.f_lineno))
                last = frame.f_lineno
                self.lines += 1
                if self.lines > self._lines_max:
                    raise TooMuchWork(f"more than {self._lines_max} lines, now at {name}:{last}")
            return line

        return line
