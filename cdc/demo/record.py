"""A recorded run of the shop: its binlog, and what was known when it was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

import orjson

BINLOG, FACTS = "shop.binlog", "shop.json"


@dataclass(frozen=True, slots=True)
class Record:
    """What was known when the binlog was recorded."""

    server: str
    rows: Mapping[str, int]
    transaction_count: int
    rolled_back_count: int
    last_order: int
    columns: tuple[str, ...]
    result: tuple[tuple[Any, ...], ...]
    """What the SQL query gave over the tables, as views keep values."""

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2)

    @classmethod
    def from_json(cls, data: bytes) -> Record:
        values = orjson.loads(data)
        values["columns"] = tuple(values["columns"])
        values["result"] = tuple(map(tuple, values["result"]))
        return cls(**values)


def packaged() -> tuple[Record, bytes]:
    """The record that comes with the package, and its binlog."""
    folder = resources.files("cdc.demo") / "recorded"
    return Record.from_json((folder / FACTS).read_bytes()), (folder / BINLOG).read_bytes()
