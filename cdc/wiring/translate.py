"""The translate stage: change events to official events."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping

from cdc.codec.official import load_official
from cdc.config import ConnectorConfig
from cdc.dead_letters import TRANSLATE_KINDS, DeadLetters
from cdc.log.sink import TopicSink
from cdc.metering import Meter
from cdc.observe import StageMetrics
from cdc.ports import Registry
from cdc.supervisor import Pipeline, Signs
from cdc.translate.check import event_names
from cdc.translate.dead_messages import DeadMessages
from cdc.translate.translator import Translator
from cdc.wiring.capture import event_settings
from cdc.wiring.dead_letters import open_dead_letters
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
    name = f"{config.connector}.translate"
    writer = opened.for_sink(log.writer(name))  # ends who wrote before, dead letters among it
    policy = config.dead_letters.policy(TRANSLATE_KINDS)
    dead_letters = open_dead_letters(config, log, "translate", policy)
    translator = translator_of(config, registry, dead_letters)
    # Both ends exist before the first record: a reader sees a topic from its beginning on.
    create_topics(log, *map(config.topics.change_topic, translator.input_topics))
    create_own_topics(log, *map(config.topics.event_topic, translator.output_topics))
    reader = opened(log.reader(translator.input_topics, name, is_sole=True))
    source = topic_source(config, metrics, reader, stop, signs.alive)
    meter = Meter(
        metrics,
        translator,
        TopicSink(writer, reader),
        bytes_of=message_bytes,
        checkpoint_text=offsets_text,
        dropped=lambda: _by_table(translator.dropped),
        written=signs.alive,
        dead_letters=dead_letters.made.total,
    )
    return Pipeline(Held(source, opened), meter.step, meter.sink)


def translator_of(
    config: ConnectorConfig, registry: Registry, dead_letters: DeadLetters
) -> Translator:
    """The rules of the configuration, ready; the schemas that they write are registered."""
    return Translator(
        connector=config.connector,
        streams=config.streams,
        official=load_official(config.schemas, event_names(config.streams)),
        registry=registry,
        topic_delimiter=event_settings(config).topic_delimiter,
        dead_messages=DeadMessages(config.connector, dead_letters, time.time_ns),
    )


def _by_table(dropped: Mapping[tuple[str, str, str], int]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for (table, operation, reason), count in dropped.items():
        counts[table, f"{operation}: {reason}"] += count
    return counts
