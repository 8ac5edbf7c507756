"""QUERY events: a statement as text, and in what session it was said.

Source of the format: both servers' `log_event.h`.
"""

from __future__ import annotations

from dataclasses import dataclass

QUERY_HEAD_BYTES = 13
LOAD_QUERY_HEAD_BYTES = 26
"""Of EXECUTE_LOAD_QUERY, which has more in front of its variables."""
_DATABASE_BYTES_AT, _VARIABLES_BYTES_AT = 8, 11


@dataclass(frozen=True, slots=True)
class Query:
    """What an event holds, as bytes; texts may be in any charset."""

    variables: bytes
    """The session's, as `dialect.py` reads them."""
    database: bytes
    """The session's own."""
    text: bytes


def query_of(body: bytes, head_bytes: int = QUERY_HEAD_BYTES) -> Query:
    """What the event says; ValueError if it can't be read."""
    at = text_at(body, head_bytes)
    database_at = at - 1 - body[_DATABASE_BYTES_AT]
    return Query(body[head_bytes:database_at], body[database_at : at - 1], body[at:])


def text_at(body: bytes, head_bytes: int = QUERY_HEAD_BYTES) -> int:
    """Where the text begins; ValueError if that is behind the end."""
    if len(body) >= head_bytes:
        variables_bytes = int.from_bytes(body[_VARIABLES_BYTES_AT:QUERY_HEAD_BYTES], "little")
        at = head_bytes + variables_bytes + body[_DATABASE_BYTES_AT] + 1
        if at <= len(body):
            return at
    raise ValueError("it is too short")
