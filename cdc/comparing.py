"""`cdc check --compare`: capture and the reference reader over one stretch of the live binlog."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from cdc.capture.batch import with_rests
from cdc.capture.binder import Binder
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.column_rules import NO_RULES, ColumnRules
from cdc.capture.connection import Session
from cdc.capture.decoder import Decoder
from cdc.capture.facts import read_facts
from cdc.capture.places import first_checkpoint
from cdc.capture.server import ServerSource
from cdc.capture.settings import ChangeEventSettings
from cdc.capture.source_settings import ServerSettings, StartAt
from cdc.codec.avro import SchemaCache
from cdc.config import ConnectorConfig
from cdc.config import ServerSource as ServerSection
from cdc.config.source import derived_server_id
from cdc.errors import ConfigError
from cdc.reference.changes import Changes
from cdc.reference.comparison import Comparison, IsHidden, Place, line_of_record, place_of
from cdc.reference.source import ReferenceSource
from cdc.reference.tables import Tables
from cdc.testing import MemoryRegistry
from cdc.wiring.capture import event_settings, server_settings

HEARTBEAT_SECONDS = 1.0
"""How often the server says that it has nothing new: also how late an end is seen."""
BATCH_BYTES_MAX = 1 << 20
"""Of capture's batches: so much of one side waits for the other (invariant 7)."""
VALUE_CHARACTERS_MAX = 60
"""Of a value in the terminal's table; `--json` has it whole."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is compared: from where, and until when; without a limit, to the binlog's end now."""

    start: StartAt | None = None
    """None: the binlog's end now."""
    seconds: float | None = None
    events: int | None = None


@dataclass
class Compared:
    """The outcome."""

    comparison: Comparison
    begin: str
    end: str = ""
    seconds: float = 0.0

    @property
    def is_equal(self) -> bool:
        return not self.comparison.difference_count


def compare(config: ConnectorConfig, stretch: Stretch) -> Compared:
    """Read the stretch twice and compare row by row; nothing is written anywhere."""
    if not isinstance(config.source, ServerSection):
        raise ConfigError(
            "--compare needs a live server, and source names files",
            hint="compare where the files came from",
        )
    settings = replace(
        server_settings(config),
        heartbeat_seconds=HEARTBEAT_SECONDS,
        name=f"{config.connector} =",
        batch_bytes_max=BATCH_BYTES_MAX,
    )
    with Session(settings) as session:
        facts = read_facts(session)
        start = first_checkpoint(session, facts, stretch.start or StartAt("latest"))
    run = _Run(config, settings, start, stretch)
    return run.finish()


class _Run:
    """Both readers, and what has come of them so far."""

    def __init__(
        self,
        config: ConnectorConfig,
        settings: ServerSettings,
        start: Checkpoint,
        stretch: Stretch,
    ) -> None:
        self._settings, self._stretch = settings, stretch
        self._stop = threading.Event()
        self._begun_at = time.monotonic()
        registry = MemoryRegistry()

        def announce(topic: str, key: dict[str, Any] | None, value: dict[str, Any]) -> Any:
            key_id = registry.register(f"{topic}-key", key) if key else 0
            return key_id, registry.register(f"{topic}-value", value)

        # As the binlog has them, neither masked nor chosen: so values meet values.
        plain = ChangeEventSettings(tombstones_on_delete=False)
        assert config.source is not None
        common = (config.connector, config.source.patterns, plain, announce)
        binder = Binder(*common, is_plain=True)
        tables = Tables(Binder(*common, is_plain=True), plain)
        rules = event_settings(config).columns
        self.result = Compared(Comparison(_hidden_columns(rules, tables)), _text(start))
        decoder = Decoder(binder, plain, accept=config.source.accept)
        self._sides = [
            self._ours(decoder, SchemaCache(registry, plain=True), start),
            self._reference(Changes(tables, with_gaps=True), start),
        ]
        # Not the start's own: the server's set may lag behind its position, and the set decides.
        self._passed: list[Place] = [place_of("", 0)] * 2
        self._last = start

    def finish(self) -> Compared:
        """Read until the end of the stretch is passed by both."""
        comparison = self.result.comparison
        if self._stretch.seconds is None and self._stretch.events is None:
            self._end_now()
        try:
            while not self._is_done():
                side = comparison.waits_for
                if side is None:
                    side = 0 if self._passed[0] <= self._passed[1] else 1
                self._passed[side] = next(self._sides[side])
                comparison.join(*self._passed)
                if comparison.end is None and self._is_time_up():
                    self._end_now()
        finally:
            self._stop.set()
            for reading in self._sides:
                reading.close()
        self.result.end = _text(self._last)
        self.result.seconds = time.monotonic() - self._begun_at
        return self.result

    def _is_time_up(self) -> bool:
        seconds = self._stretch.seconds
        return seconds is not None and time.monotonic() - self._begun_at >= seconds

    def _end_now(self) -> None:
        """The end is where the binlog ends at this moment."""
        with Session(self._settings) as session:
            place = first_checkpoint(session, read_facts(session), StartAt("latest"))
        self.result.comparison.end = place_of(place.file, place.pos)

    def _is_done(self) -> bool:
        comparison, events = self.result.comparison, self._stretch.events
        if events is not None and comparison.compared_count >= events:
            return True
        end = comparison.end
        return end is not None and min(self._passed) >= end

    def _side(self, name: str) -> ServerSettings:
        # Neither may push out the connector itself, which may be running.
        server_id = derived_server_id(f"{self._settings.name} {name} {os.getpid()}")
        return replace(self._settings, server_id=server_id)

    def _ours(self, decoder: Decoder, schemas: SchemaCache, start: Checkpoint) -> Generator[Place]:
        source = ServerSource(self._side("capture"), stop=self._stop)
        for batch in with_rests(source.read(start), decoder):
            output = decoder(batch)
            lines = (line_of_record(record, schemas) for record in output.records)
            self.result.comparison.ours(line for line in lines if line is not None)
            self._last = output.checkpoint
            yield place_of(self._last.file, self._last.pos)

    def _reference(self, changes: Changes, start: Checkpoint) -> Generator[Place]:
        for batch in ReferenceSource(self._side("reference"), stop=self._stop).read(start):
            self.result.comparison.reference(changes.of(batch))
            checkpoint = changes.checkpoint(0)
            yield place_of(checkpoint.file, checkpoint.pos)


def _hidden_columns(rules: ColumnRules, tables: Tables) -> IsHidden:
    """Columns whose values the configuration keeps out of sight, wholly or in part."""

    def is_hidden(table: str, field: str) -> bool:
        column = tables.column_of(table, field)
        if rules == NO_RULES:
            return False
        if column is None:
            return True
        name = f"{table}.{column}"
        is_whole = rules.is_included(name) and rules.length_max_of(name) is None
        return not is_whole or rules.is_excluded(name) or rules.mask_of(name) is not None

    return is_hidden


def _text(checkpoint: Checkpoint) -> str:
    place = f"{checkpoint.file}:{checkpoint.pos}" if checkpoint.file else ""
    return " ".join(part for part in (checkpoint.gtid_set, place) if part)


def to_json(compared: Compared) -> dict[str, Any]:
    """The outcome for scripts."""
    comparison = compared.comparison
    return {
        "equal": compared.is_equal,
        "from": compared.begin,
        "to": compared.end,
        "seconds": round(compared.seconds, 3),
        "compared": dict(comparison.compared),
        "difference_count": comparison.difference_count,
        "differences": [asdict(one) for one in comparison.differences],
        "known_weaknesses": [
            {"table": table, "column": column, "reason": reason, "count": count}
            for (table, column, reason), count in comparison.weaknesses.items()
        ],
    }


def show(compared: Compared, console: Console) -> None:
    """The outcome as tables."""
    comparison = compared.comparison
    _show_table(
        console,
        "compared",
        ("table", "changes"),
        [(table, f"{count:,}") for table, count in sorted(comparison.compared.items())],
    )
    _show_table(
        console,
        "known weaknesses of the reference, not compared",
        ("table", "column", "times", "reason"),
        [
            (table or "any", column or "whole rows", f"{count:,}", reason)
            for (table, column, reason), count in comparison.weaknesses.most_common()
        ],
    )
    _show_table(
        console,
        "differences",
        ("place", "table", "what", "capture", "reference"),
        [
            (f"{one.file}:{one.position}#{one.row}", one.table, one.what, _short(one.ours),
             _short(one.reference))
            for one in comparison.differences
        ],
    )  # fmt: skip
    console.print(f"from {compared.begin}\nto   {compared.end}", highlight=False, markup=False)
    verdict = f"{comparison.compared_count:,} changes compared in {compared.seconds:.1f} s: "
    if compared.is_equal:
        console.print(f"{verdict}equal", style="green", highlight=False)
    else:
        more = f"{comparison.difference_count:,} differences"
        console.print(f"{verdict}{more}", style="red", highlight=False)


def _show_table(
    console: Console, title: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]
) -> None:
    if not rows:
        return
    if not console.is_terminal:
        for row in rows:
            console.print(f"{title}: " + " | ".join(row), soft_wrap=True, highlight=False,
                          markup=False)  # fmt: skip
        return
    table = Table(*heads, title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(_escaped, row))
    console.print(table)


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")


def _short(text: str) -> str:
    if len(text) <= VALUE_CHARACTERS_MAX:
        return text
    return f"{text[:VALUE_CHARACTERS_MAX]}… ({len(text)} characters)"
