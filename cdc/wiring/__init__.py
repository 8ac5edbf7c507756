"""From configuration to connected objects: the only modules that know all adapters."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from cdc.config import ConnectorConfig
from cdc.observe import Metrics
from cdc.ports import Seam, untouched
from cdc.supervisor import OpenPipeline, Pipeline, Signs, Stage
from cdc.wiring.held import Opened, Opener

SCHEMAS_WAIT_SECONDS = 60.0
"""How long a view waits at start for its events' schemas, at least."""


def stages_of(
    config: ConnectorConfig,
    metrics: Metrics,
    names: tuple[str, ...],
    seam: Seam = untouched,
) -> tuple[Stage, ...]:
    """The stages of these names; views are a stage each."""
    stages: list[Stage] = []
    beside: Callable[[OpenPipeline], OpenPipeline] | None = None
    # Imported here: a process for one stage doesn't load what only the others need.
    if "capture" in names:
        from cdc.wiring.capture import capture_opener, has_standby
        from cdc.wiring.standby import Duty, relieved

        duty = Duty() if has_standby(config) else None
        beside = partial(relieved, duty=duty) if duty else None
        stages.append(_stage("capture", config, metrics, capture_opener(duty), seam))
    if "translate" in names:
        from cdc.wiring.translate import open_translate

        stages.append(_stage("translate", config, metrics, open_translate, seam, beside))
    if "views" in names:
        from cdc.wiring.views import view_opener

        for index, view in enumerate(config.views):
            opener = view_opener(index, view)
            stages.append(_stage(f"views/{view.view}", config, metrics, opener, seam, beside))
    return tuple(stages)


def _stage(
    name: str,
    config: ConnectorConfig,
    metrics: Metrics,
    opener: Opener,
    seam: Seam,
    beside: Callable[[OpenPipeline], OpenPipeline] | None = None,
) -> Stage:
    """`beside` makes it one that runs only where capture does, in the same process."""
    meter = metrics.stage(name)

    def open_pipeline(stop: threading.Event, signs: Signs) -> Pipeline:
        with Opened(seam) as opened:
            return opener(config, meter, stop, signs, opened)

    return Stage(
        name,
        beside(open_pipeline) if beside else open_pipeline,
        meter,
        start_wait_seconds=_start_wait_seconds(config, name),
        outage_seconds_max=config.limits.outage_seconds_max,
        retry_wait_seconds_max=config.limits.retry_wait_seconds_max,
    )


def _start_wait_seconds(config: ConnectorConfig, stage: str) -> float:
    sections = (config.source, config.log, config.registry)
    # A view needs what translate registers, which may start later, or in another process.
    floor_seconds = SCHEMAS_WAIT_SECONDS if stage.startswith("views/") else 0.0
    return max(floor_seconds, *(getattr(one, "wait_seconds", 0.0) for one in sections))
