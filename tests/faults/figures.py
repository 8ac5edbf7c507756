"""The figures of faults, kept in a file; a later run of a fault replaces its row."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

JSON = Path(__file__).parent.parent.parent / "faults.json"


def kept(path: Path) -> list[dict[str, Any]]:
    """All rows."""
    return json.loads(path.read_text()) if path.exists() else []


def keep(path: Path, row: dict[str, Any]) -> None:
    """A row, in the place of the one of that area and name if there was one."""
    rows = {(one["area"], one["name"]): one for one in kept(path)}
    rows[row["area"], row["name"]] = row
    path.write_text(json.dumps(list(rows.values()), indent=1, ensure_ascii=False) + "\n")


def of_recoveries(seconds: Iterable[float]) -> dict[str, float | None]:
    """The median and the longest."""
    found = list(seconds)
    return {
        "recovery_seconds_p50": round(median(found), 2) if found else None,
        "recovery_seconds_max": round(max(found), 2) if found else None,
    }
