"""The shape that a table's rows will come in, told from the catalogue, for checks beforehand.

Rows are never read by it (invariant 6): a check may be wrong about tomorrow, capture may not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cdc.capture import shapes as t
from cdc.capture.checkpoint import Flavor
from cdc.capture.data_types import DATA_TYPES
from cdc.capture.description import Description, parse_descriptions
from cdc.capture.plan import TablePlan, plan_table
from cdc.capture.settings import ChangeEventSettings
from cdc.errors import DecodeError

_BLOBS = {"tiny": 1, "": 2, "medium": 3, "long": 4}
_BLOB = re.compile(r"(tiny|medium|long|)(blob|text)\Z")
_GEOMETRIES = {
    "geometry": 0, "point": 1, "linestring": 2, "polygon": 3, "multipoint": 4,
    "multilinestring": 5, "multipolygon": 6, "geometrycollection": 7, "geomcollection": 7,
}  # fmt: skip
_MARIADB_BINARY = {"uuid": 16, "inet6": 16, "inet4": 4}
_LABEL = re.compile(r"'((?:[^']|'')*)'")

Rows = Sequence[Mapping[str, Any]]


def expected_plans(
    tables: Mapping[str, Rows],
    settings: ChangeEventSettings,
    *,
    connector: str,
    flavor: Flavor,
    refused: list[DecodeError] | None = None,
) -> dict[str, TablePlan]:
    """`database.table` → topic and schemas of its change events, if it were written to now.

    A table that the settings can't be applied to goes into `refused`; without it, it raises."""
    rows: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in tables["columns"]:
        rows.setdefault((row["TABLE_SCHEMA"], row["TABLE_NAME"]), []).append(row)
    plans: dict[str, TablePlan] = {}
    for names, description in parse_descriptions(tables).items():
        shape = expected_shape(*names, rows[names], description)
        try:
            plans[".".join(names)] = plan_table(
                shape, description, settings, connector=connector, flavor=flavor
            )
        except DecodeError as error:
            if refused is None:
                raise
            refused.append(error)
    return plans


def expected_shape(database: str, table: str, rows: Rows, description: Description) -> t.Shape:
    """The shape of a table, from its rows of information_schema.columns."""
    ordered = sorted(rows, key=lambda row: int(row["ORDINAL_POSITION"]))
    names = [row["COLUMN_NAME"] for row in ordered]
    key = tuple(names.index(name) for name in description.primary_key)
    return t.Shape(database, table, tuple(map(_column, ordered)), key)


def _column(row: Mapping[str, Any]) -> t.Column:
    data_type, column_type = row["DATA_TYPE"].lower(), row["COLUMN_TYPE"]
    bytes_max = int(row.get("CHARACTER_OCTET_LENGTH") or row["CHARACTER_MAXIMUM_LENGTH"] or 0)
    known = DATA_TYPES.get(data_type)
    kind, length, geometry = known.codes[0] if known else t.VARCHAR, min(bytes_max, 65535), 0
    if blob := _BLOB.match(data_type):
        length = _BLOBS[blob[1]]
    elif data_type in _GEOMETRIES:
        length, geometry = 4, _GEOMETRIES[data_type]
    elif data_type == "bit":
        length = int(row["NUMERIC_PRECISION"] or 1)
    elif data_type in _MARIADB_BINARY:
        length = _MARIADB_BINARY[data_type]
    elif data_type in ("float", "double"):
        length = 4 if data_type == "float" else 8
    charset = row["CHARACTER_SET_NAME"] or ""
    if kind in (t.STRING, t.VARCHAR, t.BLOB) and not charset:
        charset = "binary"
    labels = _LABEL.findall(column_type) if data_type in ("enum", "set") else []
    return t.Column(
        name=row["COLUMN_NAME"],
        type=kind,
        nullable=row["IS_NULLABLE"] == "YES",
        unsigned="unsigned" in column_type.lower(),
        length=length,
        precision=int(row["DATETIME_PRECISION"] or row["NUMERIC_PRECISION"] or 0),
        scale=int(row["NUMERIC_SCALE"] or 0) if data_type == "decimal" else 0,
        charset=charset,
        labels=tuple(label.replace("''", "'") for label in labels),
        geometry_type=geometry,
    )
