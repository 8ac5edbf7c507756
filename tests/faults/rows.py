"""Tables whose rows carry their version and a hash of themselves, as the workload knows them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

Value = int | str | bytes | Decimal | None
"""As it is in a change event: a DATETIME is microseconds since the epoch."""
Key = int | str
Row = dict[str, Value]

LETTERS = "abcdefghij KLMNOPäöüß€→日本語😀'\"\\\n\t%_"
NULLS = 0.2
EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def _text(dice: Random) -> str:
    return "".join(dice.choices(LETTERS, k=dice.randrange(60)))


KINDS: Mapping[str, Callable[[Random], Value]] = {
    "int": lambda dice: dice.randrange(-(2**31), 2**31),
    "bigint": lambda dice: dice.randrange(-(2**63), 2**63),
    "varchar(60)": _text,
    "varchar(300)": _text,
    "decimal(20,4)": lambda dice: Decimal(dice.randrange(-(10**18), 10**18)).scaleb(-4),
    "datetime(6)": lambda dice: dice.randrange(4 * 10**15),
    "varbinary(80)": lambda dice: dice.randbytes(dice.randrange(80)),
}
WIDER = {"int": "bigint", "varchar(60)": "varchar(300)"}


def as_parameter(kind: str, value: Value) -> Any:
    """The value as a statement's parameter."""
    if kind == "datetime(6)" and value is not None:
        return EPOCH + timedelta(microseconds=int(value))
    return value


def as_value(selected: Any) -> Value:
    """The value as a change event has it, of what the driver selected."""
    if isinstance(selected, datetime):
        return (selected - EPOCH) // _MICROSECOND
    assert selected is None or isinstance(selected, int | str | bytes | Decimal), selected
    return selected


def spelled(value: Value) -> str:
    """The value and its type as text."""
    if isinstance(value, bytes):
        return f"x{value.hex()}"
    if isinstance(value, Decimal):
        return f"d{value:f}"
    if isinstance(value, int):
        return f"i{value}"
    return "null" if value is None else f"s{value}"


def row_hash(row: Mapping[str, Value]) -> str:
    """MD5 of all columns but `h`; a null is left out, as if its column were not there yet."""
    text = "\n".join(
        f"{name}={spelled(row[name])}"
        for name in sorted(row)
        if name != "h" and row[name] is not None
    )
    return hashlib.md5(text.encode()).hexdigest()


@dataclass
class Table:
    """What one writer knows of a table that is its own."""

    name: str
    is_text_key: bool
    columns: dict[str, str]
    """Name → type, of all but `id`, `ver`, `tx` and `h`."""
    rows: dict[Key, Row] = field(default_factory=dict)
    versions: dict[Key, int] = field(default_factory=dict)
    """The last version of each key, also of keys that are gone."""
    numbers: int = 0
    """Keys given so far."""
    added: int = 0
    """Columns added so far."""

    @property
    def create(self) -> str:
        key = "varchar(24)" if self.is_text_key else "bigint"
        columns = ", ".join(f"{name} {kind} null" for name, kind in self.columns.items())
        return (
            f"create table {self.name} (id {key} primary key, ver int not null,"
            f" tx varchar(40) not null, h char(32) not null, {columns}) default charset utf8mb4"
        )

    @property
    def key_type(self) -> str:
        """In Avro."""
        return "string" if self.is_text_key else "long"

    def new_key(self, dice: Random) -> Key:
        """A key that no row has; now and then one that had a life before."""
        if self.numbers and dice.random() < 0.3:
            used = self._key(dice.randrange(self.numbers) + 1)
            if used not in self.rows:
                return used
        self.numbers += 1
        return self._key(self.numbers)

    def _key(self, number: int) -> Key:
        return f"k{number}é" if self.is_text_key else number

    def values(self, dice: Random) -> Row:
        """Something for each column."""
        return {
            name: None if dice.random() < NULLS else KINDS[kind](dice)
            for name, kind in self.columns.items()
        }

    def parameters(self, row: Row, names: list[str]) -> list[Any]:
        return [as_parameter(self.columns.get(name, ""), row[name]) for name in names]
