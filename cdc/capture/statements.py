"""What a QUERY event's text is, as far as a follower of rows must know. Never fatal."""

from __future__ import annotations

import re
from typing import Final

BEGIN: Final = "begin"
COMMIT: Final = "commit"
ROLLBACK: Final = "rollback"
ROLLBACK_TO: Final = "rollback to"
SAVEPOINT: Final = "savepoint"
TRUNCATE: Final = "truncate"
ROWS: Final = "rows"
"""DML as text: a session wrote it with binlog_format other than ROW."""
XA: Final = "xa"
OTHER: Final = "other"

_LEADING = re.compile(r"\s*(?:/\*(?!!).*?\*/\s*|--[^\n]*\n\s*|#[^\n]*\n\s*)*", re.DOTALL)
_FIRST_WORD = re.compile(r"(?:/\*!\d*\s*)?([A-Za-z_]+)")
_KINDS = {
    "BEGIN": BEGIN, "COMMIT": COMMIT, "SAVEPOINT": SAVEPOINT, "RELEASE": SAVEPOINT, "XA": XA,
    "INSERT": ROWS, "UPDATE": ROWS, "DELETE": ROWS, "REPLACE": ROWS, "LOAD": ROWS, "WITH": ROWS,
    # As servers write the call of a function that changes rows.
    "SELECT": ROWS, "DO": ROWS, "CALL": ROWS, "TRUNCATE": TRUNCATE,
}  # fmt: skip
_NAME = r"(?:`((?:[^`]|``)+)`|([\w$]+))"
_TRUNCATED = re.compile(rf"TRUNCATE\s+(?:TABLE\s+)?{_NAME}(?:\s*\.\s*{_NAME})?", re.IGNORECASE)
# Nothing is tried twice (`++`, and what has no end goes to the text's): literals may have
# megabytes.
_WORD = re.compile(r"`((?:[^`]|``)++)(?:`|\Z)|([\w$]++)")
_DOT = re.compile(r"\s*+\.")
_CREATE_TABLE = re.compile(r"CREATE\s+(?:OR\s+REPLACE\s+)?TABLE\b", re.IGNORECASE)
_TEXT = (
    r"""'(?:[^'\\]|\\(?:.|\Z)|'')*+(?:'|\Z)|"(?:[^"\\]|\\(?:.|\Z)|"")*+(?:"|\Z)"""
    r"""|/\*.*?(?:\*/|\Z)"""
)
_TEXTS = re.compile(_TEXT, re.DOTALL)
_QUOTED = re.compile(rf"{_TEXT}|`(?:[^`]|``)*+(?:`|\Z)", re.DOTALL)
_SELECT = re.compile(r"\bSELECT\b", re.IGNORECASE)
_ALTER = re.compile(
    rf"ALTER\s+(?:ONLINE\s+|IGNORE\s+)*TABLE\s+(?:IF\s+EXISTS\s+)?{_NAME}(?:\s*\.\s*{_NAME})?"
    r".*?\b(?:(?:DROP|TRUNCATE|EXCHANGE)\s+PARTITION|IMPORT\s+(?:PARTITION\b.*?)?TABLESPACE)\b",
    re.IGNORECASE | re.DOTALL,
)
_ROLLBACK_TO = re.compile(r"ROLLBACK\s+(WORK\s+)?TO\b", re.IGNORECASE)


def _without_comments(text: str) -> str:
    return text[_LEADING.match(text).end() :]  # type: ignore[union-attr]  # it matches nothing too


def kind_of(text: str) -> str:
    """Which of the kinds above a statement is."""
    text = _without_comments(text)
    word = _FIRST_WORD.match(text)
    first = word.group(1).upper() if word else ""
    if first == "ROLLBACK":
        return ROLLBACK_TO if _ROLLBACK_TO.match(text) else ROLLBACK
    if first == "CREATE" and _CREATE_TABLE.match(text) and _SELECT.search(_QUOTED.sub("", text)):
        return ROWS  # in row format the rows come as rows, the statement without SELECT
    return _KINDS.get(first, OTHER)


def databases_in(text: str) -> set[str]:
    """Every name in a statement that may be a database's: those that a dot follows."""
    return {
        (word[1] or word[2]).replace("``", "`")
        for word in _WORD.finditer(text)
        if _DOT.match(text, word.end())
    }


def truncated_table(text: str, database: str) -> tuple[str, str] | None:
    """(database, table) of a TRUNCATE statement; None if it can't be told."""
    return _named(_TRUNCATED.match(_without_comments(text)), database)


def table_changed_in_bulk(text: str, database: str) -> tuple[str, str] | None:
    """The table of DDL that changes rows without events: partitions, tablespaces; else None."""
    return _named(_ALTER.match(_TEXTS.sub("''", _without_comments(text))), database)


def _named(found: re.Match[str] | None, database: str) -> tuple[str, str] | None:
    if not found:
        return None
    quoted_or_plain = (found.group(1, 2), found.group(3, 4))
    names = [(a or b).replace("``", "`") for a, b in quoted_or_plain if a or b]
    return (names[0], names[1]) if len(names) == 2 else (database, names[0])
