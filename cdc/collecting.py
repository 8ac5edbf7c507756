"""What becomes of memory: how often Python looks for cycles, how much the C library keeps."""

from __future__ import annotations

import ctypes
import gc

THRESHOLDS = (200_000, 20, 20)
ARENAS_MAX = 2
"""Of glibc's allocator: the main thread's, and one for all others."""
_M_ARENA_MAX = -8  # as malloc.h has it


def collect_seldom() -> None:
    """Batches make many objects that live for one batch and hold no cycles.

    With Python's own thresholds, looking for cycles among them takes half of capture's time."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def share_arenas() -> None:
    """Let threads use the memory that others have freed; to be called before there are any.

    By itself glibc gives each few of them an arena of its own, up to eight for a core, which
    keeps what was freed at its end. The log's client comes with new threads at each connection:
    after ten that failed in mid-transaction 74 MB were free and kept."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS_MAX)
