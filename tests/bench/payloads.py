"""Rows that are large: 600 bytes of text, 20 kB of JSON, 20 kB of bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.bench.tables import WORDS

TEXT_BYTES = 140
TEXTS = 4
LARGE_BYTES = 20_000
LINE_BYTES = 125
"""About what one line of a document takes."""
LINES = 5_000
"""Different lines that documents are made of."""


class Texts:
    """Four texts, 600 bytes a row."""

    columns: ClassVar[str] = "code CHAR(12) NOT NULL, " + ", ".join(
        f"text{number} VARCHAR(400) NOT NULL" for number in range(TEXTS)
    )
    checked_sql: ClassVar[str] = "CONCAT_WS('|', code, text0, text3)"

    def __init__(self, seed: int = 3) -> None:
        self._random = random.Random(seed)

    def row(self, number: int) -> tuple[Any, ...]:
        texts = (self._text() for _ in range(TEXTS))
        return number, 1, f"{self._random.getrandbits(48):012x}", *texts

    @staticmethod
    def checked(row: Mapping[str, Any]) -> bytes:
        return f"{row['code']}|{row['text0']}|{row['text3']}".encode()

    def _text(self) -> str:
        words: list[str] = []
        size = 0
        while size < TEXT_BYTES:
            words.append(self._random.choice(WORDS))
            size += len(words[-1].encode()) + 1
        return " ".join(words)


class Documents:
    """A JSON document of 20 kB: lines of an order, nested, of several types."""

    columns: ClassVar[str] = "document JSON NOT NULL"
    checked_sql: ClassVar[str] = (
        "CONCAT_WS('|', document->>'$.seal', JSON_LENGTH(document, '$.lines'))"
    )

    def __init__(self, seed: int = 4) -> None:
        self._random = random.Random(seed)
        # Made once: a line for each document anew would take longer than all that is measured.
        self._lines = [json.dumps(self._line(), ensure_ascii=False) for _ in range(LINES)]

    def row(self, number: int) -> tuple[Any, ...]:
        chance = self._random
        count = LARGE_BYTES // LINE_BYTES + chance.randrange(-9, 9)
        lines = ", ".join(chance.choices(self._lines, k=count))
        seal = f"{chance.getrandbits(64):x}"
        return number, 1, f'{{"order": {number}, "lines": [{lines}], "seal": "{seal}"}}'

    @staticmethod
    def checked(row: Mapping[str, Any]) -> bytes:
        document = json.loads(row["document"])
        return f"{document['seal']}|{len(document['lines'])}".encode()

    def _line(self) -> dict[str, Any]:
        chance = self._random
        return {
            "sku": f"{chance.getrandbits(40):010x}",
            "name": " ".join(chance.choices(WORDS, k=4)),
            "price": chance.randrange(10**6) / 100,
            "count": chance.randrange(1, 99),
            "gift": chance.random() < 0.1,
            "note": None,
        }


class Blobs:
    """Bytes that don't compress, as an image or an archive is: 20 kB."""

    columns: ClassVar[str] = "payload BLOB NOT NULL"
    checked_sql: ClassVar[str] = "payload"

    def __init__(self, seed: int = 5) -> None:
        self._random = random.Random(seed)

    def row(self, number: int) -> tuple[Any, ...]:
        size = LARGE_BYTES + self._random.randrange(-2000, 2000)
        return number, 1, self._random.randbytes(size)

    @staticmethod
    def checked(row: Mapping[str, Any]) -> bytes:
        return bytes(row["payload"])
