"""The views stage: official events to view tables."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from cdc.codec.official import load_official
from cdc.config import ConnectorConfig
from cdc.errors import Unreachable
from cdc.metering import Meter
from cdc.observe import StageMetrics
from cdc.ports import Registry
from cdc.supervisor import Pipeline, Signs
from cdc.translate.check import event_names
from cdc.views.materializer import Materializer, event_schemas
from cdc.views.projection import Projection, compile_view
from cdc.views.settings import ViewSettings
from cdc.views.store import ViewSink
from cdc.wiring.ends import create_topics, reached_log, reached_registry
from cdc.wiring.held import Held, Opened, Opener
from cdc.wiring.topics import message_bytes, offsets_text, topic_source


def view_opener(index: int, view: ViewSettings) -> Opener:
    def open_view(
        config: ConnectorConfig,
        metrics: StageMetrics,
        stop: threading.Event,
        signs: Signs,
        opened: Opened,
    ) -> Pipeline:
        # Here, since SQLAlchemy is a sixth of the memory of a process that only captures.
        from cdc.views.sqlite import SqliteViewStore

        log = opened(reached_log(config, opened.seam))
        registry = opened(reached_registry(config, opened.seam))
        create_topics(log, config.topics.event_topic(view.topic))
        projection = compiled_view(
            f"views[{index}]", view, registry, _own_events(config, view.topic)
        )
        store = SqliteViewStore(projection.table, view.store.path)
        materializer = Materializer(projection, registry)
        reader = opened(log.reader([view.topic], f"{config.connector}.{view.group}", is_sole=True))
        source = topic_source(config, metrics, reader, stop, signs.alive)
        meter = Meter(
            metrics,
            materializer,
            ViewSink(store),
            bytes_of=message_bytes,
            checkpoint_text=offsets_text,
            dropped=lambda: materializer.dropped,
            written=signs.alive,
        )
        return Pipeline(Held(source, opened), meter.step, meter.sink)

    return open_view


def _own_events(config: ConnectorConfig, topic: str) -> dict[str, Any]:
    """The topic's events that the connector file itself makes."""
    official = load_official(config.schemas, event_names(config.streams))
    return {name.event: one for name, one in official.by_event.items() if name.topic == topic}


def compiled_view(
    path: str, view: ViewSettings, registry: Registry, own: Mapping[str, Any]
) -> Projection:
    """The view over its topic's events, as registered, else its `own`; Unreachable while some
    are neither."""
    events = {**own, **event_schemas(registry, view.topic)}
    missing = sorted(set(view.events) - set(events))
    if missing:
        raise Unreachable(
            f"view {view.view} waits for the schemas of {', '.join(missing)} on {view.topic}",
            hint="start the connector that publishes them; or correct the names in the view",
        )
    return compile_view(path, view, events)
