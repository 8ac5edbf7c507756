"""The translate stage: change events to official events."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from cdc.codec.official import load_official
from cdc.config import ConnectorConfig
from cdc.log.sink import TopicSink
from cdc.metering import Meter
from cdc.observe import StageMetrics
from cdc.supervisor import Pipeline, Signs
from cdc.translate.check import event_names
from cdc.translate.translator import Translator
from cdc.wiring.capture import event_settings
from cdc.wiring.ends import create_own_topics, create_topics, reached_log, reached_registry
from cdc.wiring.held import Held, Opened
from cdc.wiring.topics import message_bytes, offsets_text, topic_source


def open_translate(
    config: ConnectorConfig,
    metrics: StageMetrics,
    stop: threading.Event,
    signs: Signs,
    opened: Opened,
) -> Pipeline:
    log = opened(reached_log(config, opened.seam))
    registry = opened(reached_registry(config, opened.seam))
    translator = Translator(
        connector=config.connector,
        streams=config.streams,
        official=load_official(config.schemas, event_names(config.streams)),
        registry=registry,
        topic_delimiter=event_settings(config).topic_delimiter,
    )
    # Both ends exist before the first record: a reader sees a topic from its beginning on.
    create_topics(log, *map(config.topics.change_topic, translator.input_topics))
    create_own_topics(log, *map(config.topics.event_topic, translator.output_topics))
    name = f"{config.connector}.translate"
    reader = opened(log.reader(translator.input_topics, name, is_sole=True))
    source = topic_source(config, metrics, reader, stop, signs.alive)
    meter = Meter(
        metrics,
        translator,
        TopicSink(log.writer(name), reader),
        bytes_of=message_bytes,
        checkpoint_text=offsets_text,
        dropped=lambda: _by_table(translator.dropped),
        written=signs.alive,
    )
    return Pipeline(Held(source, opened), meter.step, meter.sink)


def _by_table(dropped: Mapping[tuple[str, str, str], int]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for (table, operation, reason), count in dropped.items():
        counts[table, f"{operation}: {reason}"] += count
    return counts
