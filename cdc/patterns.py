"""Patterns of table names: `shop.orders`, `shop.*`, `tenant_??.orders`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TablePatterns:
    """Which tables a connector captures; `*` and `?` stand for characters of one name."""

    patterns: tuple[str, ...]
    _regex: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        alternatives = "|".join(_regex(pattern) for pattern in self.patterns)
        object.__setattr__(self, "_regex", re.compile(f"(?:{alternatives})\\Z"))

    def matches(self, database: str, table: str) -> bool:
        # NUL can't be in a name of MySQL, so a dot in a name is never taken for the separator.
        return self._regex.match(f"{database}\0{table}") is not None

    def may_match_database(self, database: str) -> bool:
        """Whether some table of this database could be captured."""
        names = (pattern.partition(".")[0] for pattern in self.patterns)
        return any(re.match(_part(name) + r"\Z", database) for name in names)

    def covers(self, name: str) -> bool:
        """Whether the table written as `database.table` is captured."""
        database, _, table = name.partition(".")
        return self.matches(database, table)

    def exact(self) -> Sequence[tuple[str, str]]:
        """The tables that are named without wildcards and so have to exist."""
        names = (pattern.partition(".") for pattern in self.patterns if not is_glob(pattern))
        return [(database, table) for database, _, table in names]


def is_glob(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def check_table_pattern(pattern: str) -> str:
    """The pattern itself; ValueError if it isn't `database.table`."""
    database, dot, table = pattern.partition(".")
    if not (database and dot and table):
        raise ValueError("allowed: database.table, where * and ? stand for characters")
    return pattern


def _regex(pattern: str) -> str:
    database, _, table = pattern.partition(".")
    return f"{_part(database)}\0{_part(table)}"


def _part(pattern: str) -> str:
    wildcards = {"*": "[^\0]*", "?": "[^\0]"}
    return "".join(wildcards.get(character) or re.escape(character) for character in pattern)
