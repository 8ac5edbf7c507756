"""What the tables that are measured with have in common: an id, a version, columns to check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

TEXT = (
    "please leave the parcel at the back door ring twice gift wrap blue ribbon fragile glass"
    " second floor neighbour invoice company Zürich Łódź Ångström café 東京 отправить voilà"
    " late delivery evening only call before arriving no substitutes returns accepted"
)
WORDS = TEXT.split()


class Rows(Protocol):
    """Rows of one table with payloads that differ, the same at every run."""

    columns: ClassVar[str]
    """Of the DDL, after `id` and `version`."""
    checked_sql: ClassVar[str]
    """The expression whose CRC32 is a row's checksum at the server."""

    def row(self, number: int) -> tuple[Any, ...]:
        """A new row, in version 1."""
        ...

    @staticmethod
    def checked(row: Mapping[str, Any]) -> bytes:
        """The same as `checked_sql`, of the row in a change event."""
        ...
