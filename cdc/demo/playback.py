"""The demonstration without a server: a recorded binlog of the same shop."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

from cdc.demo.comparison import Rows, compare, view_rows
from cdc.demo.folder import DemoFolder
from cdc.demo.pipeline import DemoPipeline, demo_pipeline
from cdc.demo.record import BINLOG, Record, packaged
from cdc.demo.story import OfficialEvent
from cdc.demo.summary import Summary, show_summary
from cdc.demo.wording import counted, event_text, order_cells

EVENTS_SHOWN = 10
_SOURCE_SECTION = re.compile(r"^source:\n(?:[ #].*\n)+", re.MULTILINE)
_TABLES = re.compile(r"^  tables: .*\n", re.MULTILINE)


def show_recorded(
    console: Console, folder: DemoFolder, environment: Mapping[str, str], why: str
) -> bool:
    """Play the recorded binlog; whether the view came out as the query did then."""
    record, events = packaged()
    binlog = folder.path / "recorded" / BINLOG
    binlog.parent.mkdir()
    binlog.write_bytes(events)
    read_from_file(folder.connector_file, f"../recorded/{BINLOG}")
    _print(
        console,
        f"No server is used ({why}): what follows is a RECORDED binlog of the shop,"
        f" {binlog.stat().st_size // 1024} kB,\nwritten by {record.server}."
        " It goes through the same pipeline, and the view is compared with what\n"
        "the SQL query gave when it was recorded.\n",
        "bold",
    )
    with demo_pipeline(folder, environment, clock_ahead_seconds=None) as pipeline:
        pipeline.wait_caught_up(record.last_order, pipeline.attend)
        _show_last(console, pipeline)
        summary = _summary(record, pipeline)
    show_summary(summary, console)
    return summary.comparison.is_equal


def read_from_file(connector_file: Path, binlog: str) -> None:
    """Let the connector file read this binlog file instead of a server."""
    text = connector_file.read_text(encoding="utf-8")
    section = _SOURCE_SECTION.search(text)
    tables = _TABLES.search(text)
    assert section is not None and tables is not None, "shop.yaml is the example's own"
    source = f"source:\n  files: [{binlog}]\n{tables[0]}"
    connector_file.write_text(text.replace(section[0], source), encoding="utf-8")


def _show_last(console: Console, pipeline: DemoPipeline) -> None:
    _, recent = pipeline.story.recent()
    events = [one for one in recent if isinstance(one, OfficialEvent)][-EVENTS_SHOWN:]
    _print(console, f"The last {counted(len(events), 'official event')} that came out:")
    for event in events:
        _print(console, f"  event  {event.name:<15} {event_text(event)}")
    _print(console, "\nand the view's rows of these orders:")
    touched = dict.fromkeys(event.order_id for event in events)
    for row in pipeline.view.orders(touched):
        number, *rest = order_cells(row)
        _print(console, f"  order {number}  " + "  ".join(rest))


def _summary(record: Record, pipeline: DemoPipeline) -> Summary:
    expected = Rows(record.columns, record.result)
    return Summary(
        rows=Counter(record.rows),
        transaction_count=record.transaction_count,
        rolled_back_count=record.rolled_back_count,
        change_event_count=pipeline.change_event_count(record.rows.get("deleted", 0)),
        events=pipeline.story.events.copy(),
        view_row_count=pipeline.view.count(),
        latency=None,
        comparison=compare(expected, view_rows(pipeline.view.path)),
        query_source="the SQL query over the shop's tables gave when it was recorded",
    )


def _print(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text.rstrip(" "), style=style), soft_wrap=True)
