"""The connector of the example, running in this process, with those who watch it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from cdc.config import load
from cdc.demo.background import Background
from cdc.demo.folder import DemoFolder
from cdc.demo.shop import DATABASE
from cdc.demo.story import Story
from cdc.demo.watching import EventWatch, ViewGlance, ViewWatch, wait_until
from cdc.errors import CdcError
from cdc.running import Running, running
from cdc.wiring.ends import open_log

LOOK_SECONDS = 0.125
"""Between two looks at how far it is, and two pictures of it."""
START_SECONDS_MAX = 20.0
CATCH_UP_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True)
class DemoPipeline:
    """All stages, the story that is told of them, and the view that they keep."""

    run: Running
    story: Story
    view: ViewGlance
    watches: tuple[Background, ...]

    def change_event_count(self, deleted_rows: int) -> int:
        """Change events so far; a deletion is followed by a tombstone, which isn't one.

        By their topics' ends: capture also writes what it knows of tables, and DDL."""
        config = self.run.config
        with closing(open_log(config)) as log:
            of_tables = (t for t in log.topics() if t.startswith(f"{config.connector}.{DATABASE}."))
            records = sum(sum(log.end_offsets(topic).values()) for topic in of_tables)
        return max(0, records - deleted_rows)

    def attend(self) -> None:
        """A moment's wait; raises what failed in the meantime."""
        self.run.stop.wait(LOOK_SECONDS)
        self.run.raise_failure()
        for watch in self.watches:
            watch.raise_failure()

    def wait_running(self) -> None:
        """Until every stage is connected."""

        def is_running() -> bool:
            return all(stage.state == "running" for stage in self.run.metrics.status().stages)

        if not wait_until(is_running, START_SECONDS_MAX, self.attend):
            raise CdcError(
                f"the pipeline did not start within {START_SECONDS_MAX:.0f} s", hint=self._states()
            )

    def wait_caught_up(self, last_order: int, meanwhile: Callable[[], None]) -> None:
        """Until the view, and who watches, have the order that was placed last."""

        # The stream has one partition: what was written last arrives last.
        def has_last() -> bool:
            return self.view.holds(last_order) and self.story.has_order(last_order)

        if not wait_until(has_last, CATCH_UP_SECONDS_MAX, meanwhile):
            raise CdcError(
                f"the last order ({last_order}) did not reach the view within"
                f" {CATCH_UP_SECONDS_MAX:.0f} s",
                hint=self._states(),
            )

    def _states(self) -> str:
        stages = self.run.metrics.status().stages
        return "; ".join(
            f"{one.stage} is {one.state}" + (f" ({one.reason})" if one.reason else "")
            for one in stages
        )


@contextmanager
def demo_pipeline(
    folder: DemoFolder,
    environment: Mapping[str, str],
    *,
    clock_ahead_seconds: float | None,
) -> Iterator[DemoPipeline]:
    """The example's connector, started; stopped at the end of the block."""
    story = Story()
    try:
        config = load(folder.connector_file, environment)
        with ExitStack() as held:
            run = held.enter_context(running(config, config.stages, environment))
            view = held.enter_context(closing(ViewGlance(folder.views_file)))
            watches = (
                Background("events", EventWatch(config, story, clock_ahead_seconds)),
                Background("view", ViewWatch(folder.views_file, story)),
            )
            for watch in watches:
                held.enter_context(watch)
            yield DemoPipeline(run, story, view, watches)
    except CdcError as error:
        error.hint = "; ".join(filter(None, (error.hint, f"its log lines: {folder.log_lines}")))
        raise
