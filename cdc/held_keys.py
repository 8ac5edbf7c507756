"""Keys that have a dead letter: their later records wait behind it (invariant 3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cdc.model import Revision

Key = tuple[str, bytes | None]
"""Topic and bare key of records whose order is one; None: all of the topic, where nobody can tell
which key it is."""


class First(NamedTuple):
    """The first dead letter of a key."""

    id: str
    revision: Revision
    transaction: str = ""
    ordinal: int = 0
    """Of the row in its transaction."""


class HeldKeys:
    """By topic and key the dead letter that is waited for; bounded by what a stage may keep."""

    def __init__(self) -> None:
        self.by_topic: dict[str, dict[bytes | None, First]] = {}

    def add(self, keys: Iterable[Key], first: First) -> None:
        """These keys wait for it, if they wait for none yet."""
        for topic, key in keys:
            self.by_topic.setdefault(topic, {}).setdefault(key, first)

    def firsts(self, keys: Iterable[Key]) -> Iterator[First]:
        """What records of these keys may have to wait for."""
        for topic, key in keys:
            held = self.by_topic.get(topic, {})
            if key is None:
                yield from held.values()
                continue
            for name in (key, None):
                if name in held:
                    yield held[name]
