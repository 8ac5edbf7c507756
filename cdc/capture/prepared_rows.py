"""Rows of a prepared XA transaction as they are kept: what their change events will say, but for
what only XA COMMIT knows. Their values are as published: masked, without what is excluded
(invariant 9)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import orjson

from cdc.model import Headers

_HEAD = struct.Struct("<QBqqqq9I")
"""Bytes of the whole row; operation, ordinal, row, server_id, thread; bytes of each part."""
_SIZE = struct.Struct("<QB")
_HALF = 0x80


class PreparedRow(NamedTuple):
    """One change event to come."""

    operation: int
    """c, u, d as in change events, by its octet."""
    ordinal: int
    """Of the row in its transaction, captured or not."""
    row: int
    """Of the row in its event."""
    server_id: int
    thread: int
    name: str
    """`database.table`"""
    is_half: bool
    """The row's other change event follows: it changed its key."""
    topic: str
    database: bytes
    table: bytes
    """As Avro strings."""
    query: bytes
    """The statement, as an optional Avro string."""
    headers: Headers
    """What the statement's comments say."""
    other_key: tuple[str, bytes] | None
    """Name and value of the header that has the other key, where a row changed its own."""
    key: bytes
    images: bytes
    """The framed value up to `source`."""


def pack(row: PreparedRow) -> bytes:
    """The row as it is kept; it begins with its size."""
    about = [[name, value.decode()] for name, value in row.headers]
    other_name, other_key = row.other_key or ("", b"")
    parts = (
        row.name.encode(), row.topic.encode(), row.database, row.table, row.query,
        orjson.dumps([other_name, about]), other_key, row.key, row.images,
    )  # fmt: skip
    sizes = [len(part) for part in parts]
    head = _HEAD.pack(
        _HEAD.size + sum(sizes), row.operation | _HALF * row.is_half, row.ordinal, row.row,
        row.server_id, row.thread, *sizes,
    )  # fmt: skip
    return b"".join((head, *parts))


def rows_of(data: bytes) -> Iterator[PreparedRow]:
    """The rows that `pack` made, one behind the other."""
    at = 0
    while at < len(data):
        _, operation, ordinal, row, server_id, thread, *sizes = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        parts = []
        for size in sizes:
            parts.append(data[at : at + size])
            at += size
        name, topic, database, table, query, about, other_key, key, images = parts
        other_name, headers = orjson.loads(about)
        yield PreparedRow(
            operation & ~_HALF,
            ordinal,
            row,
            server_id,
            thread,
            name.decode(),
            bool(operation & _HALF),
            topic.decode(),
            database,
            table,
            query,
            [(each, value.encode()) for each, value in headers],
            (other_name, other_key) if other_name else None,
            key,
            images,
        )


def whole_bytes(data: bytes) -> int:
    """How many bytes of `data` are whole rows, with all of their change events; the last one may be
    cut."""
    at = end = 0
    while at + _SIZE.size <= len(data):
        size, operation = _SIZE.unpack_from(data, at)
        at += size
        if at > len(data):
            break
        if not operation & _HALF:
            end = at
    return end
