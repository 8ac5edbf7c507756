"""From configuration to connected objects: the only module that knows all adapters."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import structlog

from cdc.capture.binder import Announce, Binder, descriptions_topic
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.decisions import Decision
from cdc.capture.decoder import Decoder
from cdc.capture.description import Descriptions, parse_descriptions
from cdc.capture.files import FilesSource
from cdc.capture.live_catalogue import LiveCatalogue
from cdc.capture.server import ServerSource
from cdc.capture.settings import ChangeEventSettings, parse_settings
from cdc.capture.source_settings import ServerSettings, Tls
from cdc.codec.keys import key_schema_id
from cdc.codec.official import load_official
from cdc.codec.registry_embedded import EmbeddedRegistry
from cdc.config import ConnectorConfig
from cdc.config import log as log_sections
from cdc.config.source import FileSource
from cdc.config.source import ServerSource as ServerSection
from cdc.errors import CdcError, ConfigError, RegistryError, Unreachable
from cdc.log.embedded import EmbeddedLog
from cdc.log.kafka import KafkaLog
from cdc.log.sink import CheckpointSink, TopicSink
from cdc.log.source import TopicSource
from cdc.metering import Meter
from cdc.model import Message, Offsets, TopicSpec
from cdc.observe import Metrics, StageMetrics
from cdc.overlap import EitherEvent, Overlapped
from cdc.ports import Log, LogReader, Registry
from cdc.supervisor import Pipeline, Stage
from cdc.translate.check import event_names
from cdc.translate.translator import Translator
from cdc.views.materializer import Materializer, event_schemas
from cdc.views.projection import Projection, compile_view
from cdc.views.settings import ViewSettings
from cdc.views.store import ViewSink

POLL_WAIT_SECONDS = 0.5
"""How long a reader of topics waits for records before it looks whether to stop."""

ANSWER_SECONDS_MAX = 5.0
"""How long a broker may take to answer at all, before it counts as away."""

FIRST_SCHEMA_ID = 1

SCHEMAS_WAIT_SECONDS = 60.0
"""How long a view waits at start for its events' schemas, at least."""

LAG_EVERY_SECONDS = 1.0
"""How often a reader is asked how many records it has still to read."""

logger = structlog.get_logger()


def open_log(config: ConnectorConfig) -> Log:
    """The log of the configuration."""
    section = config.log
    if isinstance(section, log_sections.KafkaLog):
        return KafkaLog(section.bootstrap_servers, section.options)
    return EmbeddedLog(section.path)


def reached_log(config: ConnectorConfig) -> Log:
    """The log, which has answered; where it doesn't, Unreachable sooner than other calls are."""
    section = config.log
    if isinstance(section, log_sections.KafkaLog):
        probe = KafkaLog(
            section.bootstrap_servers, section.options, timeout_seconds=ANSWER_SECONDS_MAX
        )
        probe.topics()
    return open_log(config)


def open_registry(config: ConnectorConfig) -> Registry:
    """The schema registry of the configuration."""
    section = config.registry
    if isinstance(section, log_sections.EmbeddedRegistry):
        return EmbeddedRegistry(config.registry_path)
    from cdc.codec.registry_confluent import ConfluentRegistry  # its HTTP client takes memory

    auth = section.auth
    return ConfluentRegistry(
        section.url,
        user=auth.user if auth else None,
        password=auth.password.get_secret_value() if auth and auth.password else "",
        bearer_token=auth.token.get_secret_value() if auth and auth.token else None,
        ca_file=section.tls.ca,
        certificate_file=section.tls.cert,
        key_file=section.tls.key,
    )


def reached_registry(config: ConnectorConfig) -> Registry:
    """The registry, which has answered; Unreachable where it doesn't."""
    registry = open_registry(config)
    try:
        registry.schema(FIRST_SCHEMA_ID)
    except RegistryError:
        pass  # an answer, and no schema is needed yet
    except CdcError:
        registry.close()
        raise
    return registry


def event_settings(config: ConnectorConfig) -> ChangeEventSettings:
    """The settings of change events, checked before by the configuration's loading."""
    settings, faults = parse_settings(config.change_events)
    if faults:
        raise ConfigError("; ".join(f"change_events.{name} {text}" for name, text in faults))
    return settings


def server_settings(config: ConnectorConfig) -> ServerSettings:
    """How to reach and follow the server of the configuration."""
    source = config.source
    assert isinstance(source, ServerSection)
    tls = source.tls
    return ServerSettings(
        name=config.connector,
        host=source.host,
        port=source.port,
        user=source.user,
        password=source.password.get_secret_value(),
        tls=Tls(tls.mode, *(str(path) if path else None for path in (tls.ca, tls.cert, tls.key))),
        server_id=config.server_id,
        coordinates=source.coordinates,
        start=source.start_at,
        tables=source.patterns,
        accept=frozenset(source.accept),
        heartbeat_seconds=source.heartbeat_seconds,
        connect_timeout_seconds=source.connect_timeout_seconds,
        batch_bytes_max=config.limits.batch_bytes_max,
    )


def read_descriptions(path: Path | None) -> Descriptions:
    """The tables' descriptions in a file as `cdc describe` writes it; none without a file."""
    if path is None:
        return {}
    try:
        return parse_descriptions(orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"the tables' descriptions in {path} can't be read: {error}",
            hint="write the file anew with `cdc describe`",
        ) from error


class _Open:
    """Closes what was opened already when the rest of an opening fails."""

    def __init__(self) -> None:
        self._closers: list[Callable[[], None]] = []

    def __call__(self, thing: Any) -> Any:
        self._closers.append(thing.close)
        return thing

    def __enter__(self) -> _Open:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.close()

    def close(self) -> None:
        while self._closers:
            self._closers.pop()()


class _Held:
    """A source that takes with it what was opened for its pipeline."""

    def __init__(self, source: Any, opened: _Open) -> None:
        self._source, self._opened = source, opened

    def read(self, after: Any) -> Any:
        return self._source.read(after)

    def close(self) -> None:
        self._opened.close()


def stages_of(
    config: ConnectorConfig, metrics: Metrics, names: tuple[str, ...]
) -> tuple[Stage, ...]:
    """The stages of these names; views are a stage each."""
    stages: list[Stage] = []
    if "capture" in names:
        stages.append(_stage("capture", config, metrics, _open_capture))
    if "translate" in names:
        stages.append(_stage("translate", config, metrics, _open_translate))
    if "views" in names:
        for index, view in enumerate(config.views):
            opener = _view_opener(index, view)
            stages.append(_stage(f"views/{view.view}", config, metrics, opener))
    return tuple(stages)


Opener = Callable[
    [ConnectorConfig, StageMetrics, threading.Event, Callable[[], None], _Open], Pipeline
]


def _stage(name: str, config: ConnectorConfig, metrics: Metrics, opener: Opener) -> Stage:
    meter = metrics.stage(name)

    def open_pipeline(stop: threading.Event, alive: Callable[[], None]) -> Pipeline:
        with _Open() as opened:
            return opener(config, meter, stop, alive, opened)

    return Stage(
        name,
        open_pipeline,
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


def announcer(config: ConnectorConfig, log: Log, registry: Registry) -> Any:
    """Makes a change topic and its subjects known; the decoder's way to ids."""

    def announce(
        topic: str, key_schema: dict[str, Any] | None, value_schema: dict[str, Any]
    ) -> tuple[int, int]:
        create_topics(log, config.topics.change_topic(topic))
        key_id = key_schema_id(registry, f"{topic}-key", key_schema) if key_schema else 0
        return key_id, registry.register(f"{topic}-value", value_schema)

    return announce


def create_topics(log: Log, *specs: TopicSpec) -> None:
    """Create what is missing; an existing topic that differs is reported, not changed."""
    for difference in log.create_topics(specs):
        logger.warning(
            "topic differs from its configuration",
            topic=difference.topic,
            setting=difference.setting,
            wanted=difference.wanted,
            found=difference.found,
        )


def stored_decisions(config: ConnectorConfig, log: Log) -> list[Decision]:
    """What earlier runs decided on the tables' descriptions; their topic is there afterwards."""
    topic = descriptions_topic(config.connector)
    create_topics(log, config.topics.internal_topic(topic))
    return [
        Decision.from_record(message.key, message.value)
        for message in log.follow(topic, {}, wait_seconds=0)
    ]


def is_reference_reader(config: ConnectorConfig) -> bool:
    """Whether mysql-replication reads the binlog, instead of cdc's own reader."""
    return isinstance(config.source, ServerSection) and config.source.reader == "reference"


def _reader(config: ConnectorConfig) -> Any:
    """The class that follows a live server."""
    if is_reference_reader(config):
        from cdc.reference.source import ReferenceSource  # the library takes memory

        return ReferenceSource
    return ServerSource


def _decoder(
    config: ConnectorConfig,
    settings: ChangeEventSettings,
    announce: Announce,
    log: Log,
    registry: Registry,
    catalogue: LiveCatalogue | None,
    given: Descriptions,
) -> Any:
    """What makes change events of what the reader gives."""
    assert config.source is not None
    binder = Binder(
        config.connector,
        config.source.patterns,
        settings,
        announce,
        catalogue=catalogue,
        stored=stored_decisions(config, log),
        given=given,
        topic=descriptions_topic(config.connector),
        last_schema=lambda topic: next(reversed(registry.versions(f"{topic}-value")), None),
    )
    if is_reference_reader(config):
        from cdc.reference.step import ReferenceStep
        from cdc.reference.tables import Tables

        return ReferenceStep(Tables(binder, settings), settings)
    return Decoder(binder, settings, accept=config.source.accept)


def _open_capture(
    config: ConnectorConfig,
    metrics: StageMetrics,
    stop: threading.Event,
    alive: Callable[[], None],
    opened: _Open,
) -> Pipeline:
    settings = event_settings(config)
    log = opened(reached_log(config))
    registry = opened(reached_registry(config))
    section = config.source
    source: Any
    ended = EitherEvent(stop)  # the reading ends as well when a write has failed
    idle = threading.Event()
    is_reference = is_reference_reader(config)
    catalogue: LiveCatalogue | None = None
    given: Descriptions = {}
    if isinstance(section, FileSource):
        given = read_descriptions(section.tables_file)
        source = FilesSource(
            section.files,
            start=section.start_at,
            stop=ended,
            batch_bytes_max=config.limits.batch_bytes_max,
        )
    else:
        server = server_settings(config)
        catalogue = opened(LiveCatalogue(server))
        source = _reader(config)(server, stop=ended, idle=idle, on_seen=metrics.seen)
    opened(source)
    is_exact = config.delivery == "exactly_once"
    # First: what an earlier writer left open is settled, and can't come between what is read.
    writer = (log.writer if is_exact else log.acknowledged_writer)(config.connector)
    announce = announcer(config, log, registry)
    decoder = _decoder(config, settings, announce, log, registry, catalogue, given)
    sink = CheckpointSink(writer, Checkpoint.to_bytes, Checkpoint.from_bytes)
    meter = Meter(
        metrics,
        decoder,
        sink,
        bytes_of=lambda batch: batch.bytes if is_reference else len(batch.events),
        checkpoint_text=_checkpoint_text,
        dropped=lambda: decoder.dropped,
        written=alive,
        **({} if is_reference else _looks(decoder)),
    )
    return Pipeline(_Held(source, opened), meter.step, Overlapped(meter.sink, ended, idle))


def _looks(decoder: Decoder) -> dict[str, Any]:
    """What the metrics look at now and then."""
    return {"substituted": decoder.substitutions, "undescribed": lambda: decoder.undescribed}


def _checkpoint_text(checkpoint: Checkpoint) -> str:
    place = f"{checkpoint.file}:{checkpoint.pos}"
    return f"{checkpoint.gtid_set} at {place}" if checkpoint.gtid_set else place


def _topic_source(
    config: ConnectorConfig,
    metrics: StageMetrics,
    reader: LogReader,
    stop: threading.Event,
    alive: Callable[[], None],
) -> TopicSource:
    asked_at = 0.0

    def polled(messages: Sequence[Message]) -> None:
        nonlocal asked_at
        alive()
        if messages:
            metrics.seen(messages[-1].timestamp_ms / 1000)
        else:
            metrics.heartbeat()
        now = time.monotonic()
        if now - asked_at >= LAG_EVERY_SECONDS:  # with Kafka it is a request to the broker
            asked_at = now
            metrics.lag_records(sum(reader.lag().values()))

    return TopicSource(
        reader,
        records_max=config.limits.batch_rows_max,
        poll_wait_seconds=POLL_WAIT_SECONDS,
        stop=stop,
        on_poll=polled,
    )


def _open_translate(
    config: ConnectorConfig,
    metrics: StageMetrics,
    stop: threading.Event,
    alive: Callable[[], None],
    opened: _Open,
) -> Pipeline:
    log = opened(reached_log(config))
    registry = opened(reached_registry(config))
    translator = Translator(
        connector=config.connector,
        streams=config.streams,
        official=load_official(config.schemas, event_names(config.streams)),
        registry=registry,
        topic_delimiter=event_settings(config).topic_delimiter,
    )
    # Both ends exist before the first record: a reader sees a topic from its beginning on.
    create_topics(
        log,
        *(config.topics.change_topic(topic) for topic in translator.input_topics),
        *(config.topics.event_topic(topic) for topic in translator.output_topics),
    )
    name = f"{config.connector}.translate"
    reader = opened(log.reader(translator.input_topics, name))
    source = _topic_source(config, metrics, reader, stop, alive)
    meter = Meter(
        metrics,
        translator,
        TopicSink(log.writer(name), reader),
        bytes_of=_message_bytes,
        checkpoint_text=_offsets_text,
        dropped=lambda: _by_table(translator.dropped),
        written=alive,
    )
    return Pipeline(_Held(source, opened), meter.step, meter.sink)


def _by_table(dropped: Mapping[tuple[str, str, str], int]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for (table, operation, reason), count in dropped.items():
        counts[table, f"{operation}: {reason}"] += count
    return counts


def _message_bytes(batch: Any) -> int:
    return sum(len(message.value or b"") for message in batch.messages)


def _offsets_text(offsets: Offsets) -> str:
    places = sorted(offsets.items())
    shown = ", ".join(f"{topic}[{partition}]@{at}" for (topic, partition), at in places[:8])
    return shown + (f" and {len(places) - 8} more" if len(places) > 8 else "")


def _view_opener(index: int, view: ViewSettings) -> Opener:
    def open_view(
        config: ConnectorConfig,
        metrics: StageMetrics,
        stop: threading.Event,
        alive: Callable[[], None],
        opened: _Open,
    ) -> Pipeline:
        # Here, since SQLAlchemy is a sixth of the memory of a process that only captures.
        from cdc.views.sqlite import SqliteViewStore

        log = opened(reached_log(config))
        registry = opened(reached_registry(config))
        create_topics(log, config.topics.event_topic(view.topic))
        projection = compiled_view(
            f"views[{index}]", view, registry, _own_events(config, view.topic)
        )
        store = SqliteViewStore(projection.table, view.store.path)
        materializer = Materializer(projection, registry)
        reader = opened(log.reader([view.topic], f"{config.connector}.{view.group}"))
        source = _topic_source(config, metrics, reader, stop, alive)
        meter = Meter(
            metrics,
            materializer,
            ViewSink(store),
            bytes_of=_message_bytes,
            checkpoint_text=_offsets_text,
            dropped=lambda: materializer.dropped,
            written=alive,
        )
        return Pipeline(_Held(source, opened), meter.step, meter.sink)

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
