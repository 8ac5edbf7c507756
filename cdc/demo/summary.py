"""What is said at the end: what happened, and whether the view is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdc.demo.comparison import VIEW, Comparison, Row
from cdc.demo.story import Latency
from cdc.demo.wording import by_name, counted, milliseconds

LABEL_WIDTH = 16


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of one run."""

    rows: Counter[str]
    transaction_count: int
    rolled_back_count: int
    change_event_count: int
    events: Counter[str]
    view_row_count: int
    latency: Latency | None
    comparison: Comparison
    query_source: str
    """What gave the rows to compare with: `the query gives`."""


def show_summary(summary: Summary, console: Console) -> None:
    """The numbers, one line each; the comparison last."""
    is_piped = not console.is_terminal
    console.print()
    lines = Table.grid(padding=(0, 2))
    lines.add_column(justify="right", style="bold", no_wrap=True)
    lines.add_column()
    for label, text in _lines(summary):
        lines.add_row(label, Text(text))
        if is_piped:  # one line each, however long
            console.print(Text(f"{label:>{LABEL_WIDTH}}  {text}"), soft_wrap=True)
    if not is_piped:
        console.print(lines)
    console.print()
    if summary.comparison.is_equal:
        console.print(Text(equal_line(summary), style="bold green"), soft_wrap=is_piped)
        return
    console.print(Text(unequal_line(summary), style="bold red"), soft_wrap=is_piped)
    for line in _differences(summary.comparison):
        console.print(Text(line), soft_wrap=is_piped)


def _lines(summary: Summary) -> Iterator[tuple[str, str]]:
    rows = by_name(summary.rows)
    transactions = counted(summary.transaction_count, "transaction")
    undone = f"; {counted(summary.rolled_back_count, 'more was', 'more were')} rolled back"
    written = counted(summary.rows.total(), "row")
    yield "the shop wrote", f"{written} ({rows}) in {transactions}{undone}"
    changes = counted(summary.change_event_count, "change event")
    is_whole = summary.change_event_count == summary.rows.total()
    yield "capture", f"{changes}, {'one for each row' if is_whole else 'NOT one for each row'}"
    events = counted(summary.events.total(), "official event")
    yield "translate", f"{events} on orders.v1: {by_name(summary.events)}"
    yield "view", f"{counted(summary.view_row_count, 'row')} in {VIEW}"
    if summary.latency is not None:
        latency = summary.latency
        yield (
            "latency",
            f"from commit to view: {milliseconds(latency.median_seconds)} median,"
            f" {milliseconds(latency.p99_seconds)} at 99 %, over {latency.event_count:,} events",
        )


def equal_line(summary: Summary) -> str:
    """The line that says that the view is right."""
    comparison = summary.comparison
    return (
        f"equal: all {counted(comparison.row_count, 'row')} × {len(comparison.columns)} columns"
        f" of the view are what {summary.query_source}"
    )


def unequal_line(summary: Summary) -> str:
    """The line that says that the view is wrong."""
    differing = counted(summary.comparison.difference_count, "row differs", "rows differ")
    return f"NOT equal: {differing} between the view and what {summary.query_source}"


def _differences(comparison: Comparison) -> Iterator[str]:
    for one in comparison.differences:
        yield f"  query  {_row(comparison.columns, one.expected)}"
        yield f"  view   {_row(comparison.columns, one.found)}"
    more = comparison.difference_count - len(comparison.differences)
    if more:
        yield f"  and {counted(more, 'row')} more"


def _row(columns: tuple[str, ...], row: Row | None) -> str:
    if row is None:
        return "no such row"
    return ", ".join(f"{name} {value!r}" for name, value in zip(columns, row, strict=True))
