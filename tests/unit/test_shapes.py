"""TABLE_MAP events give a table's shape, or an error that says what is wrong with them."""

from __future__ import annotations

import json
import struct
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.capture.charsets import charset_of, decoder_of
from cdc.capture.checkpoint import Flavor
from cdc.capture.shapes import Shape, parse_table_map, table_of
from cdc.errors import DecodeError
from tests import binlogs
from tests.binlogs import GOLDEN, Col, counted, golden_events, label_list, length, table_map_body

GOLDENS: dict[str, Flavor] = {"gstream2": "mysql", "mariadb/gmaria5": "mariadb"}
INT, VARCHAR, BLOB, ENUM, SET, GEOMETRY, VECTOR = 3, 15, 252, 247, 248, 255, 242
TABLE_MAP = 19


def varchar(name: str = "v", charset: int = 255) -> Col:
    return Col(VARCHAR, struct.pack("<H", 80), name, charset=charset)


def label_column(kind: int, name: str, *labels: str | bytes) -> Col:
    return Col(254, bytes([kind, 1]), name, labels=labels)


@cache
def golden_bodies(name: str) -> tuple[bytes, ...]:
    """Every TABLE_MAP body of a golden binlog, from after id and flags."""
    events = golden_events(name)
    return tuple(dict.fromkeys(e[27:-4] for e in events if e[4] == TABLE_MAP))


ALL_BODIES = tuple(
    (body, flavor) for name, flavor in GOLDENS.items() for body in golden_bodies(name)
)


@pytest.mark.parametrize("name", GOLDENS)
def test_the_golden_shapes_are_what_the_catalogue_says(name: str) -> None:
    rows = json.loads((GOLDEN / f"{name}.tables.json").read_text())["columns"]
    tables: dict[str, list[Any]] = {}
    for row in sorted(rows, key=lambda row: int(row["ORDINAL_POSITION"])):
        tables.setdefault(row["TABLE_NAME"], []).append(row)
    compared = set()
    for body in golden_bodies(name):
        shape = parse_table_map(body, GOLDENS[name])
        known = tables.get(shape.table)
        if known is None or len(known) != len(shape.columns) or shape.table in compared:
            continue  # altered in mid-file
        compared.add(shape.table)
        for column, row in zip(shape.columns, known, strict=True):
            assert column.name == row["COLUMN_NAME"]
            assert column.nullable == (row["IS_NULLABLE"] == "YES")
            assert column.unsigned == (
                "unsigned" in row["COLUMN_TYPE"] or row["DATA_TYPE"] == "year"
            )
            is_text = row["CHARACTER_SET_NAME"] is not None
            assert column.charset == (row["CHARACTER_SET_NAME"] if is_text else column.charset)
            if row["DATA_TYPE"] in ("enum", "set"):
                quoted = [label.replace("'", "''") for label in column.labels]
                assert row["COLUMN_TYPE"].endswith("('" + "','".join(quoted) + "')")
        keys = [row["COLUMN_NAME"] for row in known if row["COLUMN_KEY"] == "PRI"]
        assert [shape.columns[i].name for i in shape.primary_key] == keys
    assert compared == set(tables)


def test_the_names_alone_can_be_had() -> None:
    body = table_map_body([Col(INT)], database="Ä", table="a.b")
    assert table_of(body) == ("Ä", "a.b")


def parse(
    columns: list[Col], fields: dict[int, bytes] | None = None, flavor: Flavor = "mysql"
) -> Shape:
    return parse_table_map(table_map_body(columns, fields=fields), flavor)


def test_a_default_charset_holds_for_all_but_its_exceptions() -> None:
    columns = [varchar(), Col(INT), Col(BLOB, b"\2"), varchar(), label_column(ENUM, "e", "a")]
    exceptions = length(255) + length(1) + length(63) + length(2) + length(8)
    shape = parse(columns, {binlogs.DEFAULT_CHARSET: exceptions})
    assert [c.charset for c in shape.columns] == ["utf8mb4", "", "binary", "latin1", ""]


def test_a_default_charset_may_have_no_exceptions() -> None:
    shape = parse([varchar(), varchar()], {binlogs.DEFAULT_CHARSET: length(33)})
    assert [c.charset for c in shape.columns] == ["utf8mb3", "utf8mb3"]


def test_charsets_may_be_given_one_by_one() -> None:
    numbers = length(255) + length(2304) + length(45)
    columns = [varchar(), Col(INT), varchar(), varchar()]
    shape = parse(columns, {binlogs.COLUMN_CHARSET: numbers})
    assert [c.charset for c in shape.columns] == ["utf8mb4", "", "utf8mb4", "utf8mb4"]


@pytest.mark.parametrize(
    ("flavor", "numbers", "charsets"),
    [
        ("mysql", [8, 63, 11, 7], ["latin1", "", "binary", "ascii", "koi8r"]),
        ("mariadb", [8, 63, 11, 7], ["latin1", "binary", "", "ascii", "koi8r"]),
    ],
)
def test_mysql_counts_vectors_and_mariadb_geometries_among_the_columns_with_a_collation(
    flavor: Flavor, numbers: list[int], charsets: list[str]
) -> None:
    columns = [varchar(), Col(GEOMETRY, b"\4"), Col(VECTOR, b"\4"), varchar(), varchar()]
    each = {binlogs.COLUMN_CHARSET: b"".join(map(length, numbers))}
    shape = parse(columns, each, flavor)
    assert [c.charset for c in shape.columns] == charsets
    exception = {binlogs.DEFAULT_CHARSET: length(8) + b"\2" + length(11)}
    assert parse(columns, exception, flavor).columns[3].charset == "ascii"


def test_another_number_of_collations_than_columns_is_refused() -> None:
    for count in (1, 3):
        with pytest.raises(DecodeError, match=f"{count} collations for 2 columns"):
            parse([varchar(), varchar()], {binlogs.COLUMN_CHARSET: length(8) * count})


def test_enum_and_set_have_charsets_of_their_own() -> None:
    columns = [
        varchar(), label_column(ENUM, "e"), label_column(SET, "s"), label_column(ENUM, "f"),
    ]  # fmt: skip
    labels = {
        binlogs.ENUM_LABELS: label_list(["Ü", "b"]) + label_list([b"\xdc"]),
        binlogs.SET_LABELS: label_list([b"\x01\x16"]),
    }
    defaults = {binlogs.LABEL_DEFAULT_CHARSET: length(45) + b"\1" + length(35) + b"\2" + length(8)}
    each = {binlogs.LABEL_COLUMN_CHARSET: length(45) + length(35) + length(8)}
    for charsets in (defaults, each):
        shape = parse(columns, {**labels, **charsets})
        assert [c.charset for c in shape.columns] == ["", "utf8mb4", "ucs2", "latin1"]
        assert [c.labels for c in shape.columns] == [(), ("Ü", "b"), ("Ė",), ("Ü",)]


def test_labels_without_a_charset_are_utf8() -> None:
    shape = parse([label_column(ENUM, "e")], {binlogs.ENUM_LABELS: label_list(["Ü"])})
    assert shape.columns[0].labels == ("Ü",)


def test_labels_that_their_charset_does_not_know_are_refused() -> None:
    with pytest.raises(DecodeError, match="labels of column 1"):
        parse([label_column(ENUM, "e")], {binlogs.ENUM_LABELS: label_list([b"\xff"])})


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({binlogs.SIMPLE_KEY: b"\2\0"}, (2, 0)),
        ({binlogs.PREFIX_KEY: b"\2\0\1\x0a"}, (2, 1)),
        ({}, ()),
    ],
)
def test_a_primary_key_is_plain_or_has_prefix_lengths(
    fields: dict[int, bytes], key: tuple[int, ...]
) -> None:
    assert parse([varchar(), varchar(), Col(INT)], fields).primary_key == key


@pytest.mark.parametrize("indexes", [b"\3", b"\0\0"])
def test_a_primary_key_of_columns_that_cannot_be_is_refused(indexes: bytes) -> None:
    with pytest.raises(DecodeError, match="primary key"):
        parse([Col(INT)] * 3, {binlogs.SIMPLE_KEY: indexes})


def test_signs_are_one_bit_per_numeric_column_first_bit_highest() -> None:
    columns = [Col(code) for code in (1, 10, 3, 8, 13, 3)] + [varchar()]
    columns += [Col(code) for code in (2, 9, 1, 3, 3)]
    shape = parse(columns, {binlogs.SIGNEDNESS: bytes([0b10110001, 0b01000000])})
    unsigned = [c.unsigned for c in shape.columns]
    assert unsigned == [
        True, False, False, True, True, False, False, False, False, True, False, True,
    ]  # fmt: skip


def test_visibility_geometry_types_and_dimensions_are_per_column() -> None:
    columns = [
        Col(GEOMETRY, b"\4"), Col(INT), Col(VECTOR, b"\4"), Col(GEOMETRY, b"\4"),
        Col(VECTOR, b"\4"),
    ]  # fmt: skip
    fields = {
        binlogs.VISIBILITY: bytes([0b10111000]),
        binlogs.GEOMETRY_TYPE: b"\1" + b"\7",
        binlogs.DIMENSIONS: length(300) + b"\3",
    }
    shape = parse(columns, fields)
    assert [c.visible for c in shape.columns] == [True, False, True, True, True]
    assert [c.geometry_type for c in shape.columns] == [1, 0, 0, 7, 0]
    assert [c.dimensions for c in shape.columns] == [0, 0, 300, 0, 3]


def test_without_names_columns_have_numbers_and_the_shape_says_so() -> None:
    shape = parse([Col(INT), varchar()], {})
    assert [c.name for c in shape.columns] == ["@1", "@2"]
    assert not shape.named


def test_more_than_250_columns() -> None:
    columns = [Col(INT, name=f"c{i}", nullable=i % 3 == 0) for i in range(1017)]
    shape = parse(columns)
    assert [c.name for c in shape.columns] == [f"c{i}" for i in range(1017)]
    assert [c.nullable for c in shape.columns] == [i % 3 == 0 for i in range(1017)]


def test_unknown_optional_fields_are_stepped_over() -> None:
    names = counted(b"a")
    shape = parse([Col(INT)], {200: b"new", binlogs.COLUMN_NAME: names, 201: b""})
    assert shape.columns[0].name == "a"


def test_a_table_that_is_not_wanted_is_read_without_its_metadata() -> None:
    fields = {binlogs.COLUMN_CHARSET: length(9999), binlogs.SIMPLE_KEY: b"\x63"}
    body = table_map_body([varchar()], fields=fields)
    with pytest.raises(DecodeError):
        parse_table_map(body, "mysql")
    assert parse_table_map(body, "mysql", sizes_only=True).columns[0].length == 80


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (Col(200), "column type 200"),
        (Col(0), "column type 0"),
        (Col(6), "column type 6"),
        (Col(246, b"\x42\0"), "metadata 4200"),
        (Col(246, b"\0\0"), "metadata 0000"),
        (Col(246, b"\5\6"), "metadata 0506"),
        (Col(16, b"\0\0"), "metadata 0000"),
        (Col(16, b"\1\x08"), "metadata 0108"),
        (Col(16, b"\x08\0"), "metadata 0800"),
        (Col(17, b"\7"), "metadata 07"),
        (Col(252, b"\0"), "metadata 00"),
        (Col(252, b"\x08"), "metadata 08"),
        (Col(245, b"\5"), "metadata 05"),
        (Col(254, b"\xf7\3"), "metadata f703"),
        (Col(254, b"\xf8\x09"), "metadata f809"),
        (Col(254, b"\xf6\1"), "metadata f601"),
        (Col(254, b"\0\0"), "metadata 0000"),
    ],
)
def test_types_and_lengths_that_no_server_has_are_refused(column: Col, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        parse([column], {})


def test_a_table_without_columns_is_refused() -> None:
    with pytest.raises(DecodeError, match="no columns"):
        parse([], {})


def test_more_columns_and_labels_than_servers_have_are_refused_unread() -> None:
    with pytest.raises(DecodeError, match="has 4097 columns"):
        parse([Col(1)] * 4097, {})
    assert len(parse([Col(1)] * 4096, {}).columns) == 4096
    for kind, bytes_each, bound in ((247, 2, 65_535), (248, 8, 64)):
        labelled = Col(254, bytes([kind, bytes_each]), labels=("",) * (bound + 1))
        with pytest.raises(DecodeError, match=f"column 1 has {bound + 1} labels"):
            parse_table_map(table_map_body([labelled]), "mysql")


@pytest.mark.parametrize("first", [0xFB, 0xFF])
def test_what_is_no_length_is_refused(first: int) -> None:
    with pytest.raises(DecodeError, match="where a length should be"):
        parse_table_map(bytes([first]) + bytes(60), "mysql")


def outcome(body: bytes, flavor: Flavor) -> Any:
    """The shape, or None where it is refused; nothing else may come out."""
    try:
        shape = parse_table_map(body, flavor)
    except DecodeError:
        return None
    assert isinstance(shape, Shape)
    assert shape.columns
    parse_table_map(body, flavor, sizes_only=True)
    return shape


@pytest.mark.parametrize(("body", "flavor"), ALL_BODIES, ids=range(len(ALL_BODIES)))
def test_every_truncation_is_a_shape_or_an_error(body: bytes, flavor: Flavor) -> None:
    outcomes = [outcome(body[:size], flavor) for size in range(len(body))]
    assert outcomes[0] is None
    # Cut inside the optional metadata, at the end of a field, it is a shorter shape.
    assert any(outcomes)
    assert outcome(body, flavor) is not None


@given(
    known=st.sampled_from(ALL_BODIES),
    flips=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_flipped_bytes_are_a_shape_or_an_error(
    known: tuple[bytes, Flavor], flips: list[tuple[int, int]]
) -> None:
    changed = bytearray(known[0])
    for at, byte in flips:
        changed[at % len(changed)] = byte
    outcome(bytes(changed), known[1])


@given(data=st.binary(max_size=80))
def test_any_bytes_are_a_shape_or_an_error(data: bytes) -> None:
    outcome(data, "mysql")


def test_every_collation_of_a_known_charset_has_its_decoder_or_a_clear_refusal() -> None:
    for collation in range(1, 4096):
        try:
            decode = decoder_of(charset_of(collation))
        except DecodeError as error:
            assert error.hint
        else:
            assert decode(bytes(4)).strip("\0") == ""
