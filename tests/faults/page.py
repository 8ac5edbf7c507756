"""The table of faults in the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults.cases import Case

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


def write_page(kept: Sequence[Mapping[str, Any]], cases: Iterable[Case], path: Path) -> None:
    """Put the figures between the marks of a page, and leave the rest of it as it is."""
    page = path.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{path} needs the marks {BEGIN} and {END}, once each")
    measured = "\n".join([BEGIN, "", *table(kept, cases), "", END])
    pattern = f"{re.escape(BEGIN)}.*{re.escape(END)}"
    path.write_text(re.sub(pattern, lambda _: measured, page, flags=re.DOTALL))


def table(kept: Sequence[Mapping[str, Any]], cases: Iterable[Case]) -> Iterable[str]:
    """A row for each case that was run."""
    figures = {one["name"]: one for one in kept if "failed" not in one}
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|{'|'.join(COLUMNS.values())}|"
    for case in cases:
        if found := figures.get(case.name):
            shown = ("–" if found[name] is None else str(found[name]) for name in FIGURES)
            yield f"| {' | '.join([f'{case.area}: {case.name}', case.does, *shown])} |"
