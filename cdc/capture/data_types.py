"""SQL's data types by the catalogue's names for them: what each is in a TABLE_MAP, and to JDBC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cdc.capture import shapes as t

JDBC_OTHER = 1111
"""java.sql.Types' word for what it doesn't know."""


@dataclass(frozen=True, slots=True)
class DataType:
    """What a data type is elsewhere."""

    codes: tuple[int, ...]
    """Type codes that a TABLE_MAP may have for it; the first is that of a table made today."""
    jdbc: int = JDBC_OTHER
    """Of java.sql.Types, as Debezium has it."""


_BLOBS = (t.BLOB, t.TINY_BLOB, t.MEDIUM_BLOB, t.LONG_BLOB, t.BLOB_COMPRESSED)
_VARYING = (t.VARCHAR, t.VAR_STRING, t.VARCHAR_COMPRESSED)
_TEXT, _BLOB = DataType(_BLOBS, 12), DataType(_BLOBS, 2004)
_GEOMETRY = DataType((t.GEOMETRY,))

DATA_TYPES: Mapping[str, DataType] = {
    "tinyint": DataType((t.TINY,), 5), "smallint": DataType((t.SHORT,), 5),
    "mediumint": DataType((t.INT24,), 4), "int": DataType((t.LONG,), 4),
    "bigint": DataType((t.LONGLONG,), -5), "decimal": DataType((t.NEWDECIMAL,), 3),
    "float": DataType((t.FLOAT,), 6), "double": DataType((t.DOUBLE,), 8),
    "bit": DataType((t.BIT,), -7), "year": DataType((t.YEAR,), 4),
    "date": DataType((t.DATE, t.NEWDATE), 91), "time": DataType((t.TIME2, t.TIME), 92),
    "datetime": DataType((t.DATETIME2, t.DATETIME), 93),
    "timestamp": DataType((t.TIMESTAMP2, t.TIMESTAMP), 2014),
    "char": DataType((t.STRING,), 1), "varchar": DataType(_VARYING, 12),
    "binary": DataType((t.STRING,), -2), "varbinary": DataType(_VARYING, -3),
    "tinytext": _TEXT, "text": _TEXT, "mediumtext": _TEXT, "longtext": _TEXT,
    "tinyblob": _BLOB, "blob": _BLOB, "mediumblob": _BLOB, "longblob": _BLOB,
    "enum": DataType((t.ENUM,), 1), "set": DataType((t.SET,), 1),
    "json": DataType((t.JSON, *_BLOBS)),  # MariaDB's is LONGTEXT
    "vector": DataType((t.VECTOR, *_VARYING)),  # MariaDB's is VARBINARY
    "uuid": DataType((t.STRING,)), "inet4": DataType((t.STRING,)), "inet6": DataType((t.STRING,)),
    "geometry": _GEOMETRY, "point": _GEOMETRY, "linestring": _GEOMETRY, "polygon": _GEOMETRY,
    "multipoint": _GEOMETRY, "multilinestring": _GEOMETRY, "multipolygon": _GEOMETRY,
    "geomcollection": _GEOMETRY, "geometrycollection": _GEOMETRY,
}  # fmt: skip
"""By `information_schema.columns.DATA_TYPE`."""
