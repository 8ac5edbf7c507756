"""The table of faults in the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
COLUMNS = {
    "fault": "---",
    "what the connector does": "---",
    "struck": "--:",
    "records": "--:",
    "lost": "--:",
    "doubled": "--:",
    "out of order": "--:",
    "wrong content": "--:",
    "s to recover, median": "--:",
    "at most": "--:",
    "RSS, MB": "--:",
}
FIGURES = (
    "strikes", "records", "lost", "doubled", "out_of_order", "wrong_content",
    "recovery_seconds_p50", "recovery_seconds_max", "rss_mb",
)  # fmt: skip


def write_page(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Put the figures between the marks of a page, and leave the rest of it as it is."""
    page = path.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{path} needs the marks {BEGIN} and {END}, once each")
    measured = "\n".join([BEGIN, "", *table(rows), "", END])
    pattern = f"{re.escape(BEGIN)}.*{re.escape(END)}"
    path.write_text(re.sub(pattern, lambda _: measured, page, flags=re.DOTALL))


def table(rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """A row for each fault whose run came to its end."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|{'|'.join(COLUMNS.values())}|"
    areas = list(dict.fromkeys(one["area"] for one in rows))
    for row in sorted(rows, key=lambda one: areas.index(one["area"])):
        if "failed" not in row:
            shown = ("–" if row.get(name) is None else str(row[name]) for name in FIGURES)
            yield "| " + " | ".join([f"{row['area']}: {row['name']}", row["does"], *shown]) + " |"
