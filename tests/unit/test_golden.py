"""The golden binlogs give the records that Debezium wrote: schemas, bytes, order, partitions."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import fastavro
import pytest

from cdc.capture.deviations import Deviation, deviation
from tests.binlogs import GOLDEN, Reading, artificial_rotate
from tests.forms_plugin import Capture

PARTITIONS = 4
OPTIONS = {"provide.transaction.metadata": True, "skipped.operations": "t"}

Key = tuple[str, bytes | None]


@dataclass(frozen=True)
class Wire:
    """One record as it is compared; schemas by their names in the recording."""

    partition: int | None
    key_schema: Any
    value_schema: Any
    value: bytes | None


@dataclass(frozen=True)
class Golden:
    """A recording and its records that differ from ours, each with the reason."""

    name: str
    flavor: str
    file: str
    deviations: Mapping[tuple[str, str | None], Deviation] = field(default_factory=dict)
    """(topic, key as hex) → why these records are not the same."""
    options: Mapping[str, Any] = field(default_factory=lambda: OPTIONS)


YEAR_0 = deviation("YEAR 0000")
MARIADB_DDL = deviation("BEGIN of DDL")
MARIADB_BEGIN = deviation("time of the first BEGIN")


def _id(gtid: str) -> str:
    return bytes([len(gtid) * 2]).hex() + gtid.encode().hex()


RECORDINGS = [
    Golden(
        "gstream2",
        "mysql",
        "binlog.000014",
        {
            ("gstream2.golden.numbers", "04"): YEAR_0,
        },
    ),
    Golden(
        "gopt2",
        "mysql",
        "binlog.000015",
        {
            ("gopt2.golden.numbers", "04"): YEAR_0,
        },
        {
            "decimal.handling.mode": "string",
            "bigint.unsigned.handling.mode": "precise",
            "binary.handling.mode": "base64",
            "time.precision.mode": "connect",
            "include.query": True,
            "column.propagate.source.type": ".*",
            "message.key.columns": "golden.nokey:b",
            "tombstones.on.delete": False,
            "skipped.operations": "none",
        },
    ),
    Golden(
        "mariadb/gmaria5",
        "mariadb",
        "mbin.000008",
        {
            ("gmaria5.golden.numbers", "04"): YEAR_0,
            ("gmaria5.transaction", _id("0-33990-205")): MARIADB_BEGIN,
            **{
                ("gmaria5.transaction", _id(f"0-33990-{number}")): MARIADB_DDL
                for number in (224, 226, 228, 230)
            },
        },
    ),
]


def recorded(golden: Golden) -> dict[Key, list[Wire]]:
    """The recording's records by topic and key, in order."""
    schemas = json.loads((GOLDEN / f"{golden.name}.schemas.json").read_text())
    connector = golden.name.split("/")[-1]
    wires: dict[Key, list[Wire]] = {}
    for line in (GOLDEN / f"{golden.name}.jsonl").read_text().splitlines():
        one = json.loads(line)
        if one["topic"] == connector:
            continue  # schema changes are not compared
        key = None if one["key"] is None else bytes.fromhex(one["key"])
        value = None if one["value"] is None else bytes.fromhex(one["value"])
        value_schema = schemas[str(one["value_schema"])] if value is not None else None
        key_schema = schemas[str(one["key_schema"])] if key is not None else None
        wires.setdefault((one["topic"], key), []).append(
            Wire(
                one["partition"] if key is not None else None,
                key_schema,
                value_schema,
                timeless(value_schema, value),
            )
        )
    return wires


def ours(golden: Golden, capture: Capture) -> dict[Key, list[Wire]]:
    """What the core makes of the recording's binlog."""
    connector = golden.name.split("/")[-1]
    tables = json.loads((GOLDEN / f"{golden.name}.tables.json").read_text())
    reading = Reading(
        capture,
        connector,
        ("golden.*",),
        golden.options,
        capture.description.parse_descriptions(tables),
    )
    data = (GOLDEN / f"{golden.name}.binlog").read_bytes()[4:]
    start = reading.start(golden.flavor, golden.file)
    wires: dict[Key, list[Wire]] = {}
    for record in reading.read(artificial_rotate(golden.file) + data, start).records:
        key, key_schema = unframed(record.key, reading.schemas)
        value, value_schema = unframed(record.value, reading.schemas)
        wires.setdefault((record.topic, key), []).append(
            Wire(
                record.place % PARTITIONS if key is not None else None,
                key_schema,
                value_schema,
                timeless(value_schema, value),
            )
        )
    return wires


def unframed(framed: bytes | None, schemas: Mapping[int, Any]) -> tuple[bytes | None, Any]:
    """Bare Avro body and schema."""
    if framed is None:
        return None, None
    assert framed[0] == 0
    return framed[5:], schemas[int.from_bytes(framed[1:5], "big")]


def timeless(schema: Any, value: bytes | None) -> bytes | None:
    """A change event's bytes less its processing times, which end it: three optional longs."""
    if value is None or schema["name"] != "Envelope":
        return value
    parsed = fastavro.parse_schema(schema)
    event = fastavro.schemaless_reader(io.BytesIO(value), parsed, None)
    tail = io.BytesIO()
    union = {"type": "record", "name": "t", "fields": [{"name": "v", "type": ["null", "long"]}]}
    for name in ("ts_ms", "ts_us", "ts_ns"):
        fastavro.schemaless_writer(tail, fastavro.parse_schema(union), {"v": event[name]})
    assert value.endswith(tail.getvalue())
    return value[: -len(tail.getvalue())]


@pytest.mark.parametrize("golden", RECORDINGS, ids=lambda golden: golden.name)
def test_records_are_debeziums_per_key_but_for_the_deviations_listed(
    golden: Golden, capture: Capture
) -> None:
    theirs, mine = recorded(golden), ours(golden, capture)
    differing = {
        (topic, key.hex() if key is not None else None)
        for topic, key in theirs.keys() | mine.keys()
        if theirs.get((topic, key)) != mine.get((topic, key))
    }
    assert differing == set(golden.deviations)


@pytest.mark.parametrize("golden", RECORDINGS, ids=lambda golden: golden.name)
def test_the_listed_deviations_differ_in_nothing_but_what_their_reason_says(
    golden: Golden, capture: Capture
) -> None:
    theirs, mine = recorded(golden), ours(golden, capture)
    for (topic, key), reason in golden.deviations.items():
        place = (topic, bytes.fromhex(key) if key is not None else None)
        found = set()
        for was, now in zip(theirs[place], mine.get(place, [None] * 9), strict=False):
            found |= set(differences(decoded(was), decoded(now)))
            if now is not None:
                assert was.value_schema == now.value_schema
        assert found == FOUND_BY_REASON[reason]


FOUND_BY_REASON: Mapping[Deviation, set[Any]] = {
    YEAR_0: {("y", 1900, 0)},
    MARIADB_DDL: {("", "BEGIN", None)},
    MARIADB_BEGIN: {("ts_ms", 1795250365000, 1795250377000)},
}


def decoded(wire: Wire | None) -> Any:
    """The record as Python has it, and the defaults of its columns."""
    if wire is None or wire.value is None:
        return None
    if wire.value_schema["name"] != "Envelope":
        parsed = fastavro.parse_schema(wire.value_schema)
        return fastavro.schemaless_reader(io.BytesIO(wire.value), parsed, None)
    no_times = bytes(3)
    parsed = fastavro.parse_schema(wire.value_schema)
    event = fastavro.schemaless_reader(io.BytesIO(wire.value + no_times), parsed, None)
    (value,) = (t for t in wire.value_schema["fields"][0]["type"] if isinstance(t, dict))
    defaults = {f"default of {f['name']}": f.get("default") for f in value["fields"]}
    return {**event, "defaults": defaults}


def differences(was: Any, now: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(field, theirs, ours) wherever two records differ."""
    if now is None and isinstance(was, dict) and "status" in was:
        yield name, was["status"], None  # a transaction record that we don't have
    elif isinstance(was, dict) and isinstance(now, dict):
        for field_name in was.keys() | now.keys():
            yield from differences(was.get(field_name), now.get(field_name), field_name)
    elif was != now:
        yield name, was, now
