"""What mysql-replication 1.0.17 drops or reads wrongly, found by running it; each with its reason.

One table, used twice: as a source the reader refuses what stands here, in a comparison it is
listed apart from differences.
"""

from __future__ import annotations

from cdc.capture import binlog
from cdc.capture import shapes as t

NAME_BYTES_MAX = 127
"""Longer names and labels it takes for two bytes of length."""

EVENTS = {
    binlog.TRANSACTION_PAYLOAD: "compressed transactions are dropped",
    binlog.GTID_TAGGED: "tagged GTIDs are dropped",
    binlog.PARTIAL_UPDATE_ROWS: "of a partial JSON update only the first change is read",
    binlog.XA_PREPARE: "XA transactions are taken for committed when they are prepared",
    binlog.MARIADB_QUERY_COMPRESSED: "compressed statements are dropped",
    binlog.MARIADB_WRITE_ROWS_COMPRESSED_V1: "compressed rows are dropped",
    binlog.MARIADB_UPDATE_ROWS_COMPRESSED_V1: "compressed rows are dropped",
    binlog.MARIADB_DELETE_ROWS_COMPRESSED_V1: "compressed rows are dropped",
    binlog.MARIADB_WRITE_ROWS_COMPRESSED: "compressed rows are dropped",
    binlog.MARIADB_UPDATE_ROWS_COMPRESSED: "compressed rows are dropped",
    binlog.MARIADB_DELETE_ROWS_COMPRESSED: "compressed rows are dropped",
}
"""Event types that hide changes from it."""

XA = "XA transactions are taken for committed when they are prepared"
INCOMPLETE_IMAGE = "a column that the row image leaves out looks like NULL"

_MISALIGNING = {
    t.VECTOR: "VECTOR columns stop it",
    t.VARCHAR_COMPRESSED: "compressed columns shift all others",
    t.BLOB_COMPRESSED: "compressed columns shift all others",
    t.NEWDATE: "the old DATE format stops it",
    t.TINY_BLOB: "this form of BLOB stops it",
    t.MEDIUM_BLOB: "this form of BLOB stops it",
    t.LONG_BLOB: "this form of BLOB stops it",
}
_WRONG = {
    t.JSON: "JSON strings come as bytes, JSON null as NULL, times and timestamps wrong",
    t.TIME: "negative values of the old TIME format come wrong",
    t.DATETIME: "the old DATETIME format can't be told right for certain",
    t.TIMESTAMP: "the old TIMESTAMP format can't be told right for certain",
}
_UTF8 = frozenset({"utf8mb4", "utf8mb3", "ascii"})
_TEXT_RIGHT = _UTF8 | {"latin1", "binary", ""}
_LIKE_ASCII = ("latin", "cp125")
"""Character sets, by how their names begin, whose ASCII is one octet each, as in UTF-8."""
_TEXT = frozenset({t.STRING, t.VARCHAR, t.VAR_STRING, t.BLOB})


def of_table(shape: t.Shape) -> str:
    """Why no row of the table can be read rightly; empty if rows can."""
    if not shape.named:
        return "without binlog_row_metadata=FULL it knows neither names nor signs"
    for column in shape.columns:
        if column.type in _MISALIGNING:
            return _MISALIGNING[column.type]
        raw = [column.name.encode(), *(label.encode() for label in column.labels)]
        if max(map(len, raw)) > NAME_BYTES_MAX:
            return f"names and labels longer than {NAME_BYTES_MAX} bytes are misread"
    return ""


def of_column(column: t.Column) -> str:
    """Why a column's values can't be trusted; empty if they can, but for single values."""
    if column.type in _WRONG:
        return _WRONG[column.type]
    if column.type in _TEXT and column.charset not in _TEXT_RIGHT:
        return f"text in {column.charset} is not decoded as the server does"
    if column.type in (t.ENUM, t.SET):
        is_like_ascii = column.charset.startswith(_LIKE_ASCII) and all(
            map(_is_plain, column.labels)
        )
        if column.charset not in _UTF8 and not is_like_ascii:
            return f"labels in {column.charset} are read as UTF-8"
        if len(set(column.labels)) < len(column.labels):
            return "of equal labels only one is told"
    return ""


def _is_plain(label: str) -> bool:
    return label.isascii() and label != ""
