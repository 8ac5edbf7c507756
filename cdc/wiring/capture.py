"""The capture stage: binlog to change events."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from cdc.capture.batch import with_rests
from cdc.capture.binder import Announce, Binder, descriptions_topic
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.decisions import Decision
from cdc.capture.decoder import Decoder
from cdc.capture.description import Descriptions, parse_descriptions
from cdc.capture.files import FilesSource
from cdc.capture.live_catalogue import LiveCatalogue
from cdc.capture.lock import ConnectorLock
from cdc.capture.prepared_store import PreparedStore, prepared_topic
from cdc.capture.server import ServerSource
from cdc.capture.settings import ChangeEventSettings, parse_settings
from cdc.capture.source_settings import ServerSettings, Tls
from cdc.codec.keys import key_schema_id
from cdc.config import ConnectorConfig
from cdc.config.source import FileSource
from cdc.config.source import ServerSource as ServerSection
from cdc.dead_letters import CAPTURE_KINDS, OVERSIZED_RECORD, DeadLetters
from cdc.errors import ConfigError
from cdc.log.late_drops import LateDrops
from cdc.log.sink import CheckpointSink
from cdc.metering import Meter
from cdc.observe import StageMetrics
from cdc.overlap import EitherEvent, Overlapped
from cdc.ports import Log, LogWriter, Registry, Seam, untouched
from cdc.spool.ahead import SpoolAhead
from cdc.supervisor import Pipeline, Signs
from cdc.wiring.dead_letters import open_dead_letters
from cdc.wiring.ends import create_own_topics, create_topics, reached_log, reached_registry
from cdc.wiring.held import Held, Opened, Opener
from cdc.wiring.spool import Spooling
from cdc.wiring.standby import Duty, Endings, LockedSink, LockedSource


def event_settings(config: ConnectorConfig) -> ChangeEventSettings:
    """The settings of change events, checked before by the configuration's loading."""
    settings, faults = parse_settings(config.change_events)
    if faults:
        raise ConfigError("; ".join(f"change_events.{name} {text}" for name, text in faults))
    return settings


def server_settings(config: ConnectorConfig, seam: Seam = untouched) -> ServerSettings:
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
        lineage_wait_seconds=source.lineage_wait_seconds,
        batch_bytes_max=config.limits.batch_bytes_max,
        seam=seam,
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


def announcer(config: ConnectorConfig, log: Log, registry: Registry) -> Any:
    """Makes a change topic and its subjects known; the decoder's way to ids."""

    def announce(
        topic: str, key_schema: dict[str, Any] | None, value_schema: dict[str, Any]
    ) -> tuple[int, int]:
        is_schema_changes = topic == config.connector
        make = config.topics.schema_topic if is_schema_changes else config.topics.change_topic
        create_own_topics(log, make(topic))
        key_id = key_schema_id(registry, f"{topic}-key", key_schema) if key_schema else 0
        return key_id, registry.register(f"{topic}-value", value_schema)

    return announce


def stored_decisions(config: ConnectorConfig, log: Log) -> list[Decision]:
    """What earlier runs decided on the tables' descriptions; their topic is there afterwards."""
    topic = descriptions_topic(config.connector)
    create_topics(log, config.topics.internal_topic(topic))
    return [
        Decision.from_record(message.key, message.value)
        for message in log.follow(topic, {}, wait_seconds=0)
    ]


def has_standby(config: ConnectorConfig) -> bool:
    """Whether capture runs under the connector's lock."""
    return isinstance(config.source, ServerSection) and config.source.standby


def is_reference_reader(config: ConnectorConfig) -> bool:
    """Whether mysql-replication reads the binlog, instead of cdc's own reader."""
    return isinstance(config.source, ServerSection) and config.source.reader == "reference"


def _reader(
    config: ConnectorConfig,
    settings: ServerSettings,
    stop: threading.Event,
    idle: threading.Event,
    on_seen: Callable[[float], None],
    store: PreparedStore,
) -> Any:
    """What follows a live server."""
    if is_reference_reader(config):
        from cdc.reference.source import ReferenceSource  # the library takes memory

        return ReferenceSource(settings, stop=stop, idle=idle, on_seen=on_seen)
    return ServerSource(settings, stop=stop, idle=idle, on_seen=on_seen, store=store)


def _decoder(
    config: ConnectorConfig,
    settings: ChangeEventSettings,
    announce: Announce,
    log: Log,
    registry: Registry,
    catalogue: LiveCatalogue | None,
    given: Descriptions,
    dead_letters: DeadLetters,
    store: PreparedStore,
) -> Any:
    """What makes change events of what the reader gives."""
    assert config.source is not None
    # Otherwise the log's own word on a record counts, which knows what compression saves.
    policy = dead_letters.policy
    counts_bytes = policy.speaks_of(OVERSIZED_RECORD)
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
        record_bytes_max=log.record_bytes_max if counts_bytes else lambda topic: 0,
    )
    if is_reference_reader(config):
        if policy.dead_letter or policy.skip or dead_letters.held_keys.by_topic:
            raise ConfigError(
                "source.reader: reference makes no dead letters, and stops at every fault",
                hint="leave out dead_letters and redrive or drop those that are kept, or set"
                " source.reader: cdc",
            )
        from cdc.reference.step import ReferenceStep
        from cdc.reference.tables import Tables

        return ReferenceStep(Tables(binder, settings), settings)
    return Decoder(
        binder,
        settings,
        accept=config.source.accept,
        dead_letters=dead_letters,
        store=store,
    )


def capture_opener(duty: Duty | None) -> Opener:
    """Opens capture, as often as needed; under the connector's lock where there is a duty."""
    endings = Endings()
    spooling: Spooling | None = None

    def opener(
        config: ConnectorConfig,
        metrics: StageMetrics,
        stop: threading.Event,
        signs: Signs,
        opened: Opened,
    ) -> Pipeline:
        nonlocal spooling
        if config.spool is not None and spooling is None:
            settings = server_settings(config, opened.seam)
            spooling = Spooling(config, config.spool, settings, metrics, opened.seam)
        return _open_capture(config, metrics, stop, signs, opened, duty, endings, spooling)

    return opener


def _open_capture(
    config: ConnectorConfig,
    metrics: StageMetrics,
    stop: threading.Event,
    signs: Signs,
    opened: Opened,
    duty: Duty | None,
    endings: Endings,
    spooling: Spooling | None,
) -> Pipeline:
    settings = event_settings(config)
    if spooling is not None:
        spooling.reach(signs)
    section = config.source
    source: Any
    ended = EitherEvent(stop)  # the reading ends as well when a write has failed, or the lock
    lock: ConnectorLock | None = None
    if duty is not None:
        lock_settings = server_settings(config, opened.seam)
        lock = opened.for_sink(ConnectorLock(lock_settings, on_lost=ended.set))
    noting = partial(spooling.noting, stop) if spooling is not None else nullcontext
    log, writer, registry = _ends(config, lock, duty, stop, signs, opened, noting)
    idle = threading.Event()
    is_reference = is_reference_reader(config)
    store = PreparedStore(log, config.topics.internal_topic(prepared_topic(config.connector)))
    catalogue: LiveCatalogue | None = None
    given: Descriptions = {}
    if isinstance(section, FileSource):
        given = read_descriptions(section.tables_file)
        source = FilesSource(
            section.files,
            start=section.start_at,
            stop=ended,
            batch_bytes_max=config.limits.batch_bytes_max,
            store=store,
        )
    else:
        server = server_settings(config, opened.seam)
        kept = SpoolAhead(spooling.spool) if spooling is not None else None
        catalogue = opened(LiveCatalogue(server, kept=kept))
        source = _reader(config, server, ended, idle, metrics.seen, store)
    opened(source)
    announce = announcer(config, log, registry)
    policy = config.dead_letters.policy(CAPTURE_KINDS, settings.dead_letter_kinds)
    with noting():
        letters = open_dead_letters(config, log, "capture", policy)
        decoder = _decoder(
            config, settings, announce, log, registry, catalogue, given, letters, store
        )
    if spooling is not None:
        spooling.open()
        opened.for_sink(spooling.spool)
        source = spooling.source(source, ended, metrics.seen, store)
    encode = spooling.encode if spooling is not None else Checkpoint.to_bytes
    if config.delivery != "exactly_once":
        writer = LateDrops(writer, store.topic)
    sink: Any = CheckpointSink(writer, encode, Checkpoint.from_bytes)
    if lock is not None:
        sink = LockedSink(sink, lock, endings, stop)
        source = LockedSource(source, lock, endings)
    if spooling is not None:
        sink = spooling.sink(sink, stop)
    meter = Meter(
        metrics,
        decoder,
        sink,
        bytes_of=lambda batch: batch.bytes if is_reference else len(batch.events),
        checkpoint_text=_checkpoint_text,
        dropped=lambda: decoder.dropped,
        written=signs.alive,
        dead_letters=letters.made.total,
        **({} if is_reference else _looks(decoder)),
    )
    if not is_reference:
        source = _Parted(source, decoder)
    return Pipeline(Held(source, opened), meter.step, Overlapped(meter.sink, ended, idle))


def _ends(
    config: ConnectorConfig,
    lock: ConnectorLock | None,
    duty: Duty | None,
    stop: threading.Event,
    signs: Signs,
    opened: Opened,
    noting: Callable[[], AbstractContextManager[None]],
) -> tuple[Log, LogWriter, Registry]:
    """All at once: Kafka's writer takes a tenth of a second of waiting, or half a one where an
    earlier one left a transaction open; the registry's client half a second to load.

    The writer comes after the lock: opening it ends who wrote before. Nothing is read before the
    writer is there: what an earlier one left open is settled first, and can't come between."""
    failed = EitherEvent(stop)

    def open_writer(log: Log, locked: Future[None] | None) -> LogWriter:
        if locked is not None:
            locked.result()
        opening = log.writer if config.delivery == "exactly_once" else log.acknowledged_writer
        with noting():
            writer: LogWriter = opened.for_sink(opening(config.connector))
        if lock is not None:
            lock.check()
        return writer

    with ThreadPoolExecutor(2) as beside:
        try:
            locked = beside.submit(duty.take, lock, failed, signs) if lock and duty else None
            with noting():
                log = opened(reached_log(config, opened.seam))
            writer = beside.submit(open_writer, log, locked)
            with noting():
                registry = opened(reached_registry(config, opened.seam))
            return log, writer.result(), registry
        except BaseException:
            failed.set()  # a standby would go on waiting
            raise


class _Parted:
    """A source that gives what the decoder has left of a batch before the next batch."""

    def __init__(self, source: Any, decoder: Decoder) -> None:
        self._source, self._decoder = source, decoder

    def read(self, after: Any) -> Any:
        return with_rests(self._source.read(after), self._decoder)


def _looks(decoder: Decoder) -> dict[str, Any]:
    """What the metrics look at now and then."""
    return {"substituted": decoder.substitutions, "undescribed": lambda: decoder.undescribed}


def _checkpoint_text(checkpoint: Checkpoint) -> str:
    place = f"{checkpoint.file}:{checkpoint.pos}"
    return f"{checkpoint.gtid_set} at {place}" if checkpoint.gtid_set else place
