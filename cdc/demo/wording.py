"""How rows, events and counts are put into words."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from cdc.demo.story import OfficialEvent

_SPACES = re.compile(r"\s+")


def statement_text(statement: str) -> str:
    """An SQL statement on one line."""
    return _SPACES.sub(" ", statement).strip()


def event_text(event: OfficialEvent) -> str:
    """`order 12  customer_id 3, items 2, total 59.80`; moments and nulls are left out."""
    fields = ", ".join(
        f"{name} {value}"
        for name, value in event.fields.items()
        if value is not None and not name.endswith("_at")
    )
    return f"order {event.order_id}" + (f"  {fields}" if fields else "")


def milliseconds(seconds: float | None) -> str:
    """`8 ms`; nothing if unknown."""
    return "" if seconds is None else f"{max(seconds, 0) * 1000:,.0f} ms"


def counted(count: int, one: str, many: str = "") -> str:
    """`1 row`, `1,024 rows`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def by_name(counts: Counter[str]) -> str:
    """`OrderPlaced 12, OrderPaid 9`: the most frequent first."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def order_cells(row: tuple[Any, ...]) -> tuple[str, ...]:
    """A row of the view as the screens show it."""
    order_id, customer_id, status, items, total, carrier = row
    return (
        str(order_id), f"customer {customer_id}", status, counted(items, "item"), total,
        f"by {carrier}" if carrier else "",
    )  # fmt: skip
