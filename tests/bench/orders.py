"""Orders: eleven columns, as a shop has them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from tests.bench.tables import WORDS

UPDATE = (
    "UPDATE {table} SET version = %s, status = %s, total = total + %s, note = %s,"
    " updated_at = %s WHERE id = %s"
)
UPDATE_RANGE = (
    "UPDATE {table} SET version = version + 1, status = 'paid', total = total + MOD(id, 97),"
    " note = CONCAT_WS(' ', SUBSTRING_INDEX(note, ' ', -3), id * 31, LEFT(email, 12)),"
    " updated_at = updated_at + INTERVAL MOD(id, 1000) SECOND WHERE id BETWEEN %s AND %s"
)
STATUSES = ("placed", "paid", "shipped")
NULL_NOTES = 0.1
EPOCH = datetime(2024, 1, 1)


class Orders:
    """Rows of orders, and their updates."""

    columns: ClassVar[str] = """
      customer_id INT UNSIGNED NOT NULL,
      status ENUM('placed', 'paid', 'shipped', 'cancelled') NOT NULL,
      item_count SMALLINT NOT NULL,
      total DECIMAL(12,2) NOT NULL,
      currency CHAR(3) NOT NULL,
      email VARCHAR(120) NOT NULL,
      note VARCHAR(255) NULL,
      created_at DATETIME(3) NOT NULL,
      updated_at TIMESTAMP(6) NOT NULL
    """
    checked_sql: ClassVar[str] = "CONCAT(email, '|', COALESCE(note, ''))"

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def row(self, number: int) -> tuple[Any, ...]:
        """A new order, in version 1."""
        chance = self._random
        created = EPOCH + timedelta(milliseconds=number * 977)
        return (
            number,
            1,
            chance.randrange(1, 4_000_000_000),
            "placed",
            chance.randrange(1, 40),
            f"{chance.randrange(100, 99_999_999) / 100:.2f}",
            chance.choice(("EUR", "USD", "CHF", "JPY")),
            f"{chance.choice(WORDS)}.{chance.getrandbits(40):x}@example.org",
            self._note(),
            created,
            created + timedelta(microseconds=chance.randrange(1_000_000)),
        )

    def update(self, number: int, version: int) -> tuple[Any, ...]:
        """What makes this version of the one before."""
        updated = EPOCH + timedelta(milliseconds=number * 977, days=version)
        status = STATUSES[(version - 1) % len(STATUSES)]
        return version, status, self._random.randrange(100), self._note(), updated, number

    @staticmethod
    def checked(row: Mapping[str, Any]) -> bytes:
        return f"{row['email']}|{row['note'] or ''}".encode()

    def _note(self) -> str | None:
        chance = self._random
        if chance.random() < NULL_NOTES:
            return None
        return " ".join(chance.choices(WORDS, k=chance.randrange(3, 18)))
