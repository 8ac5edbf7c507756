"""The demonstration on a real server."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from cdc.demo.background import Background
from cdc.demo.comparison import compare, queried_rows, view_rows
from cdc.demo.folder import DemoFolder
from cdc.demo.pipeline import DemoPipeline, demo_pipeline
from cdc.demo.screens import Sight, counts_line, screen
from cdc.demo.server import ShopServer
from cdc.demo.shop import Shop, keep_shop
from cdc.demo.summary import Summary, show_summary

SEED = 326
"""With it all that can happen happens within the first seconds."""
SLOW_SECONDS, WRITING_SECONDS = 5.0, 13.0
SLOW_PAUSE_SECONDS, FAST_PAUSE_SECONDS, KEEP_PAUSE_SECONDS = 0.4, 0.02, 1.0
"""Between two transactions: slow enough to follow at first, then busy."""

Commands = Sequence[tuple[str, str]]


def show_live(
    console: Console,
    folder: DemoFolder,
    server: ShopServer,
    environment: Mapping[str, str],
    keep: Commands | None,
) -> bool:
    """Run it all; whether the view came out equal. `keep`: go on, with these to try."""
    folder.write_environment(server.environment)
    variables = {**environment, **server.environment}
    clock = server.clock_ahead_seconds
    with (
        demo_pipeline(folder, variables, clock_ahead_seconds=clock) as pipeline,
        server.connect() as connection,
    ):
        pipeline.wait_running()
        story = pipeline.story
        shop = Shop(connection, random.Random(SEED), story.written)  # noqa: S311  # no secret
        sight = Sight(
            story,
            pipeline.view,
            server.label,
            lambda: pipeline.change_event_count(story.rows["deleted"]),
        )
        act = Act(console, server, pipeline, shop, sight)
        summary = act.play()
        show_summary(summary, console)
        if keep is not None:
            act.keep(keep)
        return summary.comparison.is_equal


@dataclass(frozen=True, slots=True)
class Act:
    """One run on a server."""

    console: Console
    server: ShopServer
    pipeline: DemoPipeline
    shop: Shop
    sight: Sight

    def play(self) -> Summary:
        """Write, wait until the view has the last order, compare once."""
        last_order: list[int] = []
        with screen(self.console, self.sight) as shown:
            began = time.monotonic()

            def attend(doing: str) -> None:
                self.pipeline.attend()
                shown.refresh(time.monotonic() - began, doing)

            with self._writing(_tempo(began), last_order) as shop:
                while shop.is_running:
                    attend("the shop is writing")
                shop.raise_failure()
            self.pipeline.wait_caught_up(last_order[0], lambda: attend("the view catches up"))
            attend("the view has the last order")
        return self._summary()

    def keep(self, commands: Commands) -> None:
        """Go on writing, slowly, until Ctrl-C."""
        self._print("\nIt goes on: the shop writes about once a second. Meanwhile, try:\n")
        for command, what in commands:
            self._print(f"  {command}", "cyan")
            self._print(f"      {what}", "dim")
        address = self.pipeline.run.address
        self._print(f"\n  MySQL at {self.server.where}, status at {address}/status\n")
        self._print("Ctrl-C ends it.", "bold")
        last_order: list[int] = []
        try:
            with self._writing(lambda: KEEP_PAUSE_SECONDS, last_order) as shop:
                while shop.is_running:
                    self.pipeline.attend()
                shop.raise_failure()
        except KeyboardInterrupt:
            for order in last_order:
                self.pipeline.wait_caught_up(order, self.pipeline.attend)
            self._print(f"\nended: {counts_line(self.sight)}")

    @contextmanager
    def _writing(
        self, pause_seconds: Callable[[], float | None], last_order: list[int]
    ) -> Iterator[Background]:
        """The shop's program, running; at its end its last order is noted."""

        def work(stop: threading.Event) -> None:
            last_order.append(keep_shop(self.shop, stop, pause_seconds))

        with Background("shop", work) as background:
            yield background

    def _summary(self) -> Summary:
        with self.server.connect() as connection:
            expected = queried_rows(connection)
        story, view = self.sight.story, self.sight.view
        return Summary(
            rows=story.rows.copy(),
            transaction_count=story.transaction_count,
            rolled_back_count=story.rolled_back_count,
            change_event_count=self.sight.change_event_count(),
            events=story.events.copy(),
            view_row_count=view.count(),
            latency=story.latency(),
            comparison=compare(expected, view_rows(view.path)),
            query_source="the SQL query over the shop's tables gives",
        )

    def _print(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=True)


def _tempo(began: float) -> Callable[[], float | None]:
    """The pause before the next transaction; None when it is enough."""

    def pause_seconds() -> float | None:
        elapsed = time.monotonic() - began
        if elapsed > WRITING_SECONDS:
            return None
        return SLOW_PAUSE_SECONDS if elapsed < SLOW_SECONDS else FAST_PAUSE_SECONDS

    return pause_seconds
