"""Wide rows: sixty columns of every common type."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from tests.bench.tables import WORDS

EPOCH = datetime(2019, 1, 1)
Chance = random.Random


def _moment(chance: Chance, microseconds: int) -> datetime:
    whole = EPOCH + timedelta(seconds=chance.randrange(200_000_000))
    return whole + timedelta(microseconds=chance.randrange(10**6) // microseconds * microseconds)


def _words(chance: Chance, most: int) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randrange(1, most)))


def _clock(chance: Chance) -> str:
    return f"{chance.randrange(-120, 400)}:{chance.randrange(60):02}:{chance.randrange(60):02}"


def _document(chance: Chance) -> str:
    return json.dumps({"n": chance.randrange(10**6), "on": True, "tags": [_words(chance, 3)]})


TYPES: tuple[tuple[str, Callable[[Chance], Any]], ...] = (
    ("TINYINT NOT NULL", lambda c: c.randrange(-128, 128)),
    ("TINYINT UNSIGNED", lambda c: c.randrange(256)),
    ("SMALLINT NOT NULL", lambda c: c.randrange(-32768, 32768)),
    ("MEDIUMINT", lambda c: c.randrange(-(2**23), 2**23)),
    ("INT NOT NULL", lambda c: c.randrange(-(2**31), 2**31)),
    ("INT UNSIGNED", lambda c: c.randrange(2**32)),
    ("BIGINT NOT NULL", lambda c: c.randrange(-(2**63), 2**63)),
    ("BIGINT UNSIGNED", lambda c: c.randrange(2**63)),
    ("FLOAT", lambda c: c.uniform(-1000, 1000)),
    ("DOUBLE NOT NULL", lambda c: c.gauss(0, 1e6)),
    ("DECIMAL(10,2) NOT NULL", lambda c: f"{c.randrange(-(10**9), 10**9) / 100:.2f}"),
    ("DECIMAL(24,6)", lambda c: f"{c.randrange(10**17)}.{c.randrange(10**6):06}"),
    ("DATE NOT NULL", lambda c: _moment(c, 1).date()),
    ("TIME", _clock),
    ("TIME(3) NOT NULL", lambda c: f"{_clock(c)}.{c.randrange(1000):03}"),
    ("DATETIME", lambda c: _moment(c, 10**6)),
    ("DATETIME(6) NOT NULL", lambda c: _moment(c, 1)),
    ("TIMESTAMP NULL", lambda c: _moment(c, 10**6)),
    ("TIMESTAMP(3) NOT NULL", lambda c: _moment(c, 1000)),
    ("YEAR", lambda c: c.randrange(1950, 2100)),
    ("CHAR(8) NOT NULL", lambda c: f"{c.getrandbits(32):08x}"),
    ("VARCHAR(60) NOT NULL", lambda c: _words(c, 5)),
    ("VARCHAR(400)", lambda c: None if c.random() < 0.3 else _words(c, 12)),
    ("VARCHAR(40) CHARACTER SET latin1", lambda c: c.choice(("Zürich", "café", "voilà", "Malmö"))),
    ("TEXT", lambda c: _words(c, 16)),
    ("VARBINARY(24)", lambda c: c.randbytes(c.randrange(8, 24))),
    ("ENUM('new', 'open', 'held', 'done') NOT NULL", lambda c: c.choice(("new", "held", "done"))),
    ("SET('red', 'green', 'blue')", lambda c: c.choice(("", "red", "red,blue", "green"))),
    ("BIT(12)", lambda c: c.randrange(2**12)),
)
"""Each is there twice: with id and version that makes sixty."""


class Wide:
    """Rows of all these types."""

    columns: ClassVar[str] = ", ".join(
        f"c{number} {type_}" for number, (type_, _) in enumerate(TYPES + TYPES)
    )
    checked_sql: ClassVar[str] = "CONCAT_WS('|', c4, c6, c20, c21, COALESCE(c22, ''), HEX(c54))"

    def __init__(self, seed: int = 2) -> None:
        self._random = random.Random(seed)

    def row(self, number: int) -> tuple[Any, ...]:
        chance = self._random
        return number, 1, *(make(chance) for _, make in TYPES + TYPES)

    @staticmethod
    def checked(row: Mapping[str, Any]) -> bytes:
        texts = row["c4"], row["c6"], row["c20"], row["c21"], row["c22"] or ""
        return "|".join(map(str, (*texts, row["c54"].hex().upper()))).encode()
