"""Diffs of JSON documents: applied as the server does, or refused; real ones stand in
integration/test_event_types.py."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.capture.json_binary import json_text
from cdc.capture.json_diff import apply_diffs, legs_of
from cdc.errors import DecodeError
from tests.binlogs import length
from tests.json_binary import json_binary as encode

REPLACE, INSERT, REMOVE = 0, 1, 2


def diff(operation: int, path: str, value: bytes = b"") -> bytes:
    def counted(data: bytes) -> bytes:
        return length(len(data)) + data

    return bytes([operation]) + counted(path.encode()) + (b"" if operation == 2 else counted(value))


def after(document: object, *diffs: bytes) -> str:
    return json_text(apply_diffs(encode(document), b"".join(diffs)))


def test_diffs_apply_in_their_order() -> None:
    made = after(
        {"a": [1, 2]},
        diff(INSERT, "$.a[0]", encode(0)),
        diff(REMOVE, "$.a[1]"),
        diff(INSERT, "$.a[last-9]", encode("first")),
        diff(REPLACE, "$.a[last]", encode({"k": None})),
        diff(INSERT, "$.a[99]", encode("end")),
    )
    assert made == '{"a":["first",0,{"k":null},"end"]}'


def test_a_new_key_stands_where_the_server_puts_it() -> None:
    """Short keys first, equally long ones by their bytes."""
    made = after({"b": 1, "aa": 2}, *(diff(INSERT, f"$.{key}", encode(0)) for key in "ac"))
    assert made == '{"a":0,"b":1,"c":0,"aa":2}'


def test_a_whole_document_is_replaced() -> None:
    assert after({"a": 1}, diff(REPLACE, "$", encode([True]))) == "[true]"
    assert json_text(apply_diffs(b"", diff(REPLACE, "$", encode(2)))) == "2"


def test_a_path_has_keys_quoted_keys_and_indexes() -> None:
    assert legs_of('$.a."b c".\xfc."q\\"]."[3][last][last-2]') == [
        b"a", b"b c", "ü".encode(), b'q"].', 3, -1, -3,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        diff(REPLACE, "$.x", encode(1)),
        diff(REMOVE, "$.a[9]"),
        diff(REMOVE, "$.a.k"),
        diff(INSERT, "$.a", encode(1)),
        diff(INSERT, "$[0]", encode(1)),
        diff(REMOVE, "$.s.t"),
        diff(REMOVE, "$"),
        diff(REMOVE, "a"),
        diff(REMOVE, "$..a"),
        diff(REMOVE, "$" + "[0]" * 101),
        diff(REPLACE, "$.a", b""),
        b"\x03\1$",
        b"\0\xfe" + b"\xff" * 8,
        b"\0\xff",
    ],
)
def test_what_does_not_fit_the_document_is_refused(wrong: bytes) -> None:
    with pytest.raises(DecodeError, match="partial JSON update"):
        after({"a": [1], "s": "text"}, wrong)


@given(document=st.binary(min_size=1, max_size=60), index=st.integers(0, 3))
def test_any_bytes_are_changed_or_refused(document: bytes, index: int) -> None:
    with contextlib.suppress(DecodeError):
        apply_diffs(document, diff(INSERT, f"$[{index}][0]", encode(1)) + diff(REMOVE, "$.a"))


def test_members_that_overlap_do_not_multiply() -> None:
    """A hostile container of n entries that all lead to one value."""
    count, size = 2000, 40_000
    text = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + b"x" * size
    head = struct.pack("<BHH", 2, count, 4 + 3 * count + len(text))
    entry = b"\x0c" + struct.pack("<H", 4 + 3 * count)
    with pytest.raises(DecodeError, match="overlap"):
        apply_diffs(head + entry * count + text, diff(REMOVE, "$[0]"))
