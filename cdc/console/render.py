"""The status of running stages as people read it: a table in a terminal, lines when piped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdc.observe import ProcessStatus, StageStatus

COLUMNS = ("stage", "state", "lag", "rate", "checkpoint", "age", "dropped", "dead", "errors")
_RIGHT = ("lag", "rate", "age", "dropped", "dead", "errors")
_STYLES = {
    "running": "green",
    "standby": "cyan",
    "starting": "yellow",
    "connecting": "yellow",
    "waiting": "yellow",
    "stopped": "dim",
    "failed": "bold red",
}


def show(processes: Sequence[ProcessStatus], console: Console) -> None:
    """Print the stages of all processes of a connector."""
    if not console.is_terminal:
        for line in lines(processes):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        return
    for process in processes:
        console.print(_table(process))
        for note in _notes(process):
            console.print(Text(note, style="yellow"))


def lines(processes: Sequence[ProcessStatus]) -> Iterator[str]:
    """One line per stage: `shop capture state=running lag=0.0s rate=12/s …`."""
    for process in processes:
        for stage in process.stages:
            pairs = zip(COLUMNS[1:], _cells(stage)[1:], strict=True)
            text = " ".join(f"{name}={value.replace(' ', '_')}" for name, value in pairs)
            yield f"{process.connector} {stage.stage} {text}"
        yield from _notes(process)


def _table(process: ProcessStatus) -> Table:
    kind = "compiled" if process.is_compiled else "plain"
    title = f"{process.connector} · cdc {process.version} ({kind}) · pid {process.pid}"
    table = Table(title=title, title_justify="left")
    for name in COLUMNS:
        justify = "right" if name in _RIGHT else "left"
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for stage in process.stages:
        cells = [Text(cell) for cell in _cells(stage)]
        cells[1].stylize(_STYLES[stage.state])
        table.add_row(*cells)
    return table


def _notes(process: ProcessStatus) -> Iterator[str]:
    for stage in process.stages:
        if stage.state != "running" and stage.reason:
            yield f"{stage.stage} {stage.state}: {stage.reason}"
        if stage.last_error and stage.last_error != stage.reason:
            yield f"{stage.stage} last error: {stage.last_error}"
        if stage.spool_state:
            yield f"{stage.stage} spool: {stage.spool_state}, {stage.spool_bytes or 0:,} bytes"


def _cells(stage: StageStatus) -> tuple[str, ...]:
    return (
        stage.stage,
        stage.state,
        _lag(stage),
        f"{stage.records_per_second:,.0f}/s",
        stage.checkpoint or "-",
        _seconds(stage.checkpoint_age_seconds),
        str(stage.dropped_total),
        str(stage.dead_letters_total),
        str(stage.errors_total),
    )


def _lag(stage: StageStatus) -> str:
    text = _seconds(stage.lag_seconds)
    return f"{text} ({stage.lag_records:,})" if stage.lag_records else text


def _seconds(seconds: float | None) -> str:
    """`0.4s`, `12s`, `3m`, `5h`, `2d`; `-` if unknown."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f}s"
    for unit, size, limit in (("s", 1, 120), ("m", 60, 7200), ("h", 3600, 172800)):
        if seconds < limit:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds / 86400:.0f}d"
