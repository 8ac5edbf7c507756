"""How often Python looks for cycles: seldom, for batches hold none."""

from __future__ import annotations

import gc

THRESHOLDS = (200_000, 20, 20)


def collect_seldom() -> None:
    """Batches make many objects that live for one batch and hold no cycles.

    With Python's own thresholds, looking for cycles among them takes half of capture's time."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
