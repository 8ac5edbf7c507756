"""A column's type as SQL names it: name, length and scale, as the catalogue or the shape has it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cdc.capture import shapes as t
from cdc.capture.description import ColumnDescription


@dataclass(frozen=True, slots=True)
class SourceType:
    """`DECIMAL UNSIGNED`, 10, 2."""

    name: str
    length: int | None = None
    scale: int | None = None


_TYPE = re.compile(r"(\w+)(?:\((\d+)(?:,(\d+))?\))?([^/]*)")

_NAMES = {
    t.TINY: "TINYINT", t.SHORT: "SMALLINT", t.INT24: "MEDIUMINT", t.LONG: "INT",
    t.LONGLONG: "BIGINT", t.FLOAT: "FLOAT", t.DOUBLE: "DOUBLE", t.NEWDECIMAL: "DECIMAL",
    t.BIT: "BIT", t.YEAR: "YEAR", t.DATE: "DATE", t.NEWDATE: "DATE", t.TIME: "TIME",
    t.TIME2: "TIME", t.DATETIME: "DATETIME", t.DATETIME2: "DATETIME", t.TIMESTAMP: "TIMESTAMP",
    t.TIMESTAMP2: "TIMESTAMP", t.ENUM: "ENUM", t.SET: "SET", t.JSON: "JSON", t.VECTOR: "VECTOR",
}  # fmt: skip
_BLOBS = {1: "TINY", 2: "", 3: "MEDIUM", 4: "LONG"}
_GEOMETRIES = (
    "GEOMETRY", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON",
    "GEOMCOLLECTION",
)  # fmt: skip
_CHARACTER_BYTES = {
    "utf8mb4": 4, "utf16": 4, "utf16le": 4, "utf32": 4, "gb18030": 4, "utf8mb3": 3, "ujis": 3,
    "eucjpms": 3, "ucs2": 2, "big5": 2, "sjis": 2, "cp932": 2, "gbk": 2, "gb2312": 2, "euckr": 2,
}  # fmt: skip
"""Character set → bytes of its longest character, where that is more than one."""


def source_type(column: t.Column, described: ColumnDescription | None) -> SourceType:
    """The column's type; without a description as far as the shape tells."""
    if column.type == t.ENUM:
        return SourceType("ENUM", 1)
    if column.type == t.SET:  # Debezium counts a character each and the commas
        return SourceType("SET", max(0, 2 * len(column.labels) - 1))
    matched = _TYPE.match(described.column_type) if described else None
    if matched is None:
        return _of_shape(column)
    name, length, scale, flags = matched.groups()
    words = [name, *(flag for flag in ("unsigned", "zerofill") if flag in flags.split())]
    return SourceType(" ".join(words).upper(), _number(length), _number(scale))


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _of_shape(column: t.Column) -> SourceType:
    if column.type == t.GEOMETRY:
        known = column.geometry_type < len(_GEOMETRIES)
        return SourceType(_GEOMETRIES[column.geometry_type if known else 0])
    if column.type in (t.TINY_BLOB, t.BLOB, t.MEDIUM_BLOB, t.LONG_BLOB, t.BLOB_COMPRESSED):
        is_binary = column.charset in ("binary", "")
        return SourceType(_BLOBS[column.length] + ("BLOB" if is_binary else "TEXT"))
    if column.type not in _NAMES:  # CHAR, VARCHAR and their binary twins
        fixed = column.type == t.STRING
        if column.charset in ("binary", ""):
            return SourceType("BINARY" if fixed else "VARBINARY", column.length)
        characters = column.length // _CHARACTER_BYTES.get(column.charset, 1)
        return SourceType("CHAR" if fixed else "VARCHAR", characters)
    name = _NAMES[column.type] + (" UNSIGNED" if column.unsigned else "")
    if column.type == t.NEWDECIMAL:
        return SourceType(name, column.precision, column.scale)
    length = column.length if column.type == t.BIT else column.precision or column.dimensions
    return SourceType(name, length or None)
