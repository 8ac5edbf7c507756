"""Retention and compaction of the embedded log, a bounded piece at a time."""

from __future__ import annotations

import sqlite3
import time

from cdc.embedded_file import OFFSET_BITS, OFFSET_MASK, EmbeddedFile

CLEAN_RECORDS_MAX = 20_000
"""Records that one call looks at."""


def clean(file: EmbeddedFile, records_max: int = CLEAN_RECORDS_MAX) -> int:
    """Delete records past their retention and, of compacted topics, all but the last per key.

    The number of deleted ones. A tombstone stays as the last of its key until retention."""
    candidates = file.rows(
        "looking for old records",
        "select partitions.id, first, cleaned, next, retention_ms, compacted"
        " from partitions join topics on topics.id = topic"
        " where first < next and (retention_ms >= 0 or compacted and cleaned < next)"
        " order by random()",  # so that none starves when there is much to do
    )
    if not candidates:
        return 0
    deleted = 0
    left = records_max
    with file.transaction("deleting old records") as connection:
        for partition, first, cleaned, end, retention_ms, compacted in candidates:
            if retention_ms >= 0 and left > 0:
                before = int(time.time() * 1000) - retention_ms
                gone = _expire(connection, partition, (first, end), before, left)
                deleted += gone
                left -= gone
            if compacted and left > 0:
                looked, gone = _compact(connection, partition, (cleaned, end), left)
                deleted += gone
                left -= looked
    return deleted


def _expire(
    connection: sqlite3.Connection,
    partition: int,
    offsets: tuple[int, int],
    before_ms: int,
    records_max: int,
) -> int:
    """Delete the partition's first records that are older than `before_ms`."""
    base = partition << OFFSET_BITS
    rows = connection.execute(
        "select place, timestamp_ms from records where place >= ? and place < ?"
        " order by place limit ?",
        (base + offsets[0], base + offsets[1], records_max),
    )
    last = None
    for place, timestamp_ms in rows:
        if timestamp_ms >= before_ms:
            break
        last = place
    if last is None:
        return 0
    connection.execute(
        "delete from last_by_key where partition = ? and place <= ?", (partition, last)
    )
    deleted = connection.execute(
        "delete from records where place >= ? and place <= ?", (base + offsets[0], last)
    )
    first = (last & OFFSET_MASK) + 1
    connection.execute("update partitions set first = ? where id = ?", (first, partition))
    return deleted.rowcount


def _compact(
    connection: sqlite3.Connection, partition: int, offsets: tuple[int, int], records_max: int
) -> tuple[int, int]:
    """Delete records with a later one of the same key; how many were looked at, and deleted."""
    base = partition << OFFSET_BITS
    rows = connection.execute(
        "select place, key from records where place >= ? and place < ? order by place limit ?",
        (base + offsets[0], base + offsets[1], records_max),
    ).fetchall()
    if not rows:
        return 0, 0
    last: dict[bytes, int] = {}
    superseded = []
    for place, key in rows:
        if key is None:
            continue
        if key not in last:
            earlier = connection.execute(
                "select place from last_by_key where partition = ? and key = ?", (partition, key)
            ).fetchone()
            if earlier:
                superseded.append(earlier)
        else:
            superseded.append((last[key],))
        last[key] = place
    connection.executemany("delete from records where place = ?", superseded)
    connection.executemany(
        "insert into last_by_key values (?, ?, ?) on conflict do update set place = excluded.place",
        [(partition, key, place) for key, place in last.items()],
    )
    cleaned = (rows[-1][0] & OFFSET_MASK) + 1
    connection.execute("update partitions set cleaned = ? where id = ?", (cleaned, partition))
    return len(rows), len(superseded)
