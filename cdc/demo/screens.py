"""What one sees while it runs: a picture that moves in a terminal, plain lines when piped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cdc.demo.shop import Transaction
from cdc.demo.story import OfficialEvent, Story
from cdc.demo.watching import ViewGlance
from cdc.demo.wording import counted, event_text, milliseconds, order_cells, statement_text

FRAMES_PER_SECOND = 8
PLAIN_HAPPENINGS_MAX = 24
"""So many transactions and events are printed in full when piped; then counts alone."""
PLAIN_SECONDS = 2.0
"""Between two lines of counts when piped."""
PART_LINES_MIN, PART_LINES_MAX = 3, 9
PICTURE_LINES = 15
"""Lines of the screen that aren't lines of the three parts."""
ROLLED_BACK = "ROLLBACK (nothing of this may come out)"

STATUS_STYLES = {"placed": "yellow", "paid": "cyan", "shipped": "green", "cancelled": "red"}


@dataclass(frozen=True, slots=True)
class Sight:
    """What a screen looks at."""

    story: Story
    view: ViewGlance
    source: str
    """The server's name and version."""
    change_event_count: Callable[[], int]


class Screen(Protocol):
    """Shows the story so far, again and again."""

    def __enter__(self) -> Screen: ...
    def __exit__(self, *_: object) -> None: ...

    def refresh(self, seconds: float, doing: str) -> None:
        """So many seconds after the start, while this is being done."""
        ...


def screen(console: Console, sight: Sight) -> Screen:
    """The screen that fits where the output goes."""
    return Picture(console, sight) if console.is_terminal else Lines(console, sight)


class Picture:
    """The pipeline with its counts, and the last of each part below it."""

    def __init__(self, console: Console, sight: Sight) -> None:
        self._console, self._sight = console, sight
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Picture:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def refresh(self, seconds: float, doing: str) -> None:
        self._live.update(self._frame(seconds, doing), refresh=True)

    def _frame(self, seconds: float, doing: str) -> RenderableType:
        spare = (self._console.height - PICTURE_LINES) // 3
        height = max(PART_LINES_MIN, min(PART_LINES_MAX, spare))
        _, recent = self._sight.story.recent()
        return Group(
            self._picture(),
            _part("the shop writes rows (SQL)", "blue", height, _sql_lines(recent)[-height:]),
            _part(
                "official events come out: orders.v1 (on the right: since the commit)",
                "magenta", height, [self._events(recent, height)],
            ),
            _part(
                "the view follows: order_overview (rows that changed last)",
                "green", height, [self._view(recent, height)],
            ),
            Text(f" {seconds:4.0f} s  {doing}", style="dim"),
        )  # fmt: skip

    def _picture(self) -> RenderableType:
        story, sight = self._sight.story, self._sight
        grid = Table.grid(padding=(0, 1), expand=True)
        names = (sight.source, "capture", "translate", "view")
        counts = (
            (story.row_count, "rows written"),
            (sight.change_event_count(), "change events"),
            (story.event_count, "official events"),
            (sight.view.count(), "rows"),
        )
        for index in range(7):
            grid.add_column(justify="center", no_wrap=True, ratio=None if index % 2 else 1)
        grid.add_row(*_with_arrows([Text(name, style="bold") for name in names], "──▶"))
        numbers = [Text(f"{count:,}", style="bold cyan") for count, _ in counts]
        grid.add_row(*_with_arrows(numbers, ""))
        grid.add_row(*_with_arrows([Text(words, style="cyan") for _, words in counts], ""))
        return Panel(grid, title="cdc demo", style="default", border_style="dim")

    def _events(self, recent: list[Transaction | OfficialEvent], height: int) -> RenderableType:
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(no_wrap=True, style="bold")
        grid.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        grid.add_column(no_wrap=True, justify="right", style="dim")
        for event in [one for one in recent if isinstance(one, OfficialEvent)][-height:]:
            late = milliseconds(event.latency_seconds)
            grid.add_row(Text(event.name), Text(event_text(event)), late)
        return grid

    def _view(self, recent: list[Transaction | OfficialEvent], height: int) -> RenderableType:
        touched = [one.order_id for one in reversed(recent) if isinstance(one, OfficialEvent)]
        grid = Table.grid(padding=(0, 3))
        for justify in ("right", "left", "left", "right", "right", "left"):
            grid.add_column(justify=justify, no_wrap=True)
        for row in self._sight.view.orders(list(dict.fromkeys(touched))[:height]):
            number, customer, status, *rest = order_cells(row)
            coloured = Text(status, style=STATUS_STYLES.get(status, ""))
            grid.add_row(f"order {number}", customer, coloured, *rest)
        return grid


def _with_arrows(cells: list[Text], arrow: str) -> list[Text]:
    joined = [cells[0]]
    for cell in cells[1:]:
        joined += [Text(arrow, style="dim"), cell]
    return joined


def _part(title: str, colour: str, height: int, lines: list[RenderableType]) -> Panel:
    return Panel(
        Group(*lines), title=title, title_align="left", border_style=colour, height=height + 2
    )


def _sql_lines(recent: list[Transaction | OfficialEvent]) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for transaction in recent:
        if not isinstance(transaction, Transaction):
            continue
        style = "dim red" if transaction.is_rolled_back else ""
        texts = [statement_text(one) for one in transaction.statements]
        if transaction.is_rolled_back:
            texts.append(ROLLED_BACK)
        lines += [Text(text, style, no_wrap=True, overflow="ellipsis") for text in texts]
    return lines


class Lines:
    """Plain lines: the first things one by one, then counts."""

    def __init__(self, console: Console, sight: Sight) -> None:
        self._console, self._sight = console, sight
        self._shown = 0
        self._counts_at = 0.0

    def __enter__(self) -> Lines:
        self._print("  sql    what the shop sends to the database")
        self._print("  event  what comes out for others to use, on the topic orders.v1\n")
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put back."""

    def refresh(self, seconds: float, doing: str) -> None:
        count, recent = self._sight.story.recent()
        if self._shown < PLAIN_HAPPENINGS_MAX:
            fresh = recent[max(0, len(recent) - (count - self._shown)) :]
            for what in fresh[: PLAIN_HAPPENINGS_MAX - self._shown]:
                self._happening(what)
            self._shown = min(count, PLAIN_HAPPENINGS_MAX)
            if self._shown == PLAIN_HAPPENINGS_MAX:
                self._print("  … and so on, faster; from here on only how many:")
                self._counts_at = seconds
        elif seconds - self._counts_at >= PLAIN_SECONDS:
            self._counts_at = seconds
            self._print(f"  {seconds:4.0f} s  {counts_line(self._sight)}")

    def _happening(self, what: Transaction | OfficialEvent) -> None:
        if isinstance(what, OfficialEvent):
            late = milliseconds(what.latency_seconds)
            tail = f"  ({late} after the commit)" if late else ""
            self._print(f"  event  {what.name:<15} {event_text(what)}{tail}")
            return
        for statement in what.statements:
            self._print(f"  sql    {statement_text(statement)}")
        if what.is_rolled_back:
            self._print(f"  sql    {ROLLED_BACK}")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


def counts_line(sight: Sight) -> str:
    """How much there is at each place of the pipeline."""
    return " → ".join(
        (
            f"{counted(sight.story.row_count, 'row')} written",
            counted(sight.change_event_count(), "change event"),
            counted(sight.story.event_count, "official event"),
            f"{counted(sight.view.count(), 'row')} in the view",
        )
    )
