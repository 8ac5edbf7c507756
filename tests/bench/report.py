"""Results: a table for people, JSON for programs, a page for the documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.bench.figures import Figure

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
HEADINGS = ("measure", "value", "unit", "must / aim", "set-up")


def show(figures: Iterable[Figure], surroundings: Mapping[str, str], console: Console) -> None:
    """A table on a terminal, lines with tabs where the output is piped."""
    console.print()
    for name, text in surroundings.items():
        console.print(Text(f"{name}: {text}"), soft_wrap=True)
    console.print()
    if not console.is_terminal:
        for figure in figures:
            print(*figure.line, sep="\t", file=console.file)  # rich would make spaces of them
        return
    table = Table(*HEADINGS[:1], show_edge=False)
    table.add_column(HEADINGS[1], justify="right", no_wrap=True)
    table.add_column(HEADINGS[2], no_wrap=True)
    table.add_column(HEADINGS[3])
    table.add_column(HEADINGS[4], style="dim")
    for figure in figures:
        table.add_row(*map(Text, figure.line))
    console.print(table)


def write_json(figures: Sequence[Figure], surroundings: Mapping[str, str], path: Path) -> None:
    """A list of name, value, unit and set-up, with goals where there are; each stands by itself."""
    around = "; ".join(f"{name}: {text}" for name, text in surroundings.items())
    found = [
        {
            "name": figure.name,
            "value": round(figure.value, 4),
            "unit": figure.unit,
            "setup": f"{figure.setup}; {around}" if figure.setup else around,
            **_goal(figure),
        }
        for figure in figures
    ]
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def _goal(figure: Figure) -> dict[str, Any]:
    goal = figure.goal
    if goal is None:
        return {}
    reached = goal.reached(figure.value)
    return {"must": goal.must, "aim": goal.aim, "reached": reached}


def write_page(figures: Sequence[Figure], surroundings: Mapping[str, str], path: Path) -> None:
    """Puts the results between the marks of a page, and leaves the rest of it as it is."""
    page = path.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{path} needs the marks {BEGIN} and {END}, once each")
    measured = "\n".join([BEGIN, "", *_page_lines(figures, surroundings), "", END])
    pattern = f"{re.escape(BEGIN)}.*{re.escape(END)}"
    path.write_text(re.sub(pattern, lambda _: measured, page, flags=re.DOTALL))


def _page_lines(figures: Sequence[Figure], surroundings: Mapping[str, str]) -> Iterable[str]:
    for name, text in surroundings.items():
        yield f"- {name}: {text}"
    yield ""
    yield f"| {' | '.join(HEADINGS)} |"
    yield "|---|--:|---|---|---|"
    for figure in figures:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in figure.line)} |"
