"""A type that one table of types has, the others have: what is missing fails by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from cdc.capture import opcodes, shapes, source_types, types
from cdc.capture.charsets import BINARY
from cdc.capture.data_types import DATA_TYPES
from cdc.capture.ddl_columns import read_column
from cdc.capture.description import ColumnDescription, Description
from cdc.capture.dialect import Dialect
from cdc.capture.settings import ChangeEventSettings
from cdc.capture.sql_tokens import Tokens, tokens_of

CODES = {
    value: name
    for name, value in vars(shapes).items()
    if name.isupper() and name[0] != "_" and not name.endswith("_MAX") and isinstance(value, int)
}
del CODES[BINARY]  # a collation
SHAPES_OWN = {
    "STRING", "VAR_STRING", "VARCHAR", "VARCHAR_COMPRESSED", "TINY_BLOB", "BLOB", "MEDIUM_BLOB",
    "LONG_BLOB", "BLOB_COMPRESSED", "GEOMETRY",
}  # fmt: skip
"""Codes whose SQL name their charset, length or number of the geometry gives."""
WITHOUT_DEFAULT = {"COMPRESSED_TEXT", "JSON", "GEOMETRY", "POINT", "VECTOR"}
"""Opcodes of types whose defaults can't be literals, or aren't published."""
ARGUMENTS = {"enum": "('a')", "set": "('a')", "varchar": "(9)", "varbinary": "(9)"}


def mentioned(module: str) -> set[str]:
    """The opcodes that a module of capture names."""
    text = Path(opcodes.__file__).with_name(module).read_text()
    return set(re.findall(r"opcodes\.([A-Z][A-Z0-9_]*)", text))


def row_opcodes() -> set[str]:
    """Those that plans of rows are made of."""
    known = {name: value for name, value in vars(opcodes).items() if isinstance(value, int)}
    return {name for name, value in known.items() if value < opcodes.EXCLUDED}


def names(codes: Iterable[int]) -> set[str]:
    return {CODES[code] for code in codes}


def test_every_code_of_a_table_map_has_a_name_and_a_form() -> None:
    assert names(shapes._KNOWN) == set(CODES.values())
    assert names(types._FORMS) == set(CODES.values())


def test_every_code_is_of_a_data_type() -> None:
    known = names(code for one in DATA_TYPES.values() for code in one.codes)
    assert known == set(CODES.values())


def test_every_code_has_a_name_in_sql() -> None:
    assert names(source_types._NAMES) == set(CODES.values()) - SHAPES_OWN


def test_every_opcode_is_some_types_form() -> None:
    assert row_opcodes() - mentioned("types.py") == set()


def test_every_opcode_has_a_default_or_is_known_to_have_none() -> None:
    assert row_opcodes() - mentioned("defaults.py") == WITHOUT_DEFAULT


@pytest.mark.parametrize("name", DATA_TYPES)
def test_every_data_type_is_read_from_ddl_and_agrees_with_its_codes(name: str) -> None:
    text = f"c {name}{ARGUMENTS.get(name, '')}"
    for flavor in ("mysql", "mariadb"):
        column = read_column(Tokens(tokens_of(text)), Dialect(flavor), "utf8mb4").column
        assert column.data_type in DATA_TYPES
    for code in DATA_TYPES[name].codes:
        seen = shapes.Column("c", code, True, length=1, precision=1)
        described = ColumnDescription("c", name, name, True, None)
        assert Description((described,)).agrees(shapes.Shape("d", "t", (seen,)))
        assert types.form_of(seen, described, ChangeEventSettings()).avro
