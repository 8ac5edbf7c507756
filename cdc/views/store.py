"""Where views are kept: rows and offsets of one view, in one place, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cdc.model import Offsets, Output
from cdc.views.projection import RowChange


class ViewStore(Protocol):
    """One view's rows and the offsets that they stand at."""

    def last_offsets(self) -> Offsets:
        """The next offset of every partition that has been applied; from now on the store
        expects to find these."""
        ...

    def apply(self, changes: Sequence[RowChange], offsets: Offsets) -> None:
        """Apply the changes and move on to the offsets, both or neither (invariant 1).

        Changes from before the stored offsets are left out: they are applied already. Where the
        stored offsets aren't those that this store last saw, another builder writes this view:
        nothing is written, and it raises `Fenced`, or `Unreachable` if this store has not written
        yet. `Unreachable` also where trying again may help."""
        ...

    def close(self) -> None: ...


class ViewSink:
    """The end of the pipeline: the store holds the rows and is the checkpoint."""

    def __init__(self, store: ViewStore) -> None:
        self._store = store

    def last_checkpoint(self) -> Offsets | None:
        return self._store.last_offsets() or None

    def write(self, output: Output[RowChange, Offsets]) -> None:
        self._store.apply(output.records, output.checkpoint)

    def close(self) -> None:
        self._store.close()
