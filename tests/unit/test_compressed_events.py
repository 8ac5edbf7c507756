"""MariaDB's compressed events stand for plain ones; hostile ones end in an error, not in memory."""

from __future__ import annotations

import contextlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.capture import compressed_events
from cdc.capture.compressed_events import plain_query, plain_rows
from cdc.errors import DecodeError


def packed(tail: bytes, claimed: int | None = None) -> bytes:
    size = len(tail) if claimed is None else claimed
    width = max((size.bit_length() + 7) // 8, 1)
    return bytes([0x80 | width]) + size.to_bytes(width, "big") + zlib.compress(tail)


def rows_head(kind: int, columns: int) -> bytes:
    """Table id, flags, extra data in version 2, width, bitmaps."""
    extra = b"\x05\0abc" if kind >= 169 else b""
    width = bytes([columns]) if columns < 251 else b"\xfc" + struct.pack("<H", columns)
    bitmaps = b"\xff" * ((columns + 7) // 8) * (2 if kind in (167, 170) else 1)
    return b"\x4d\0\0\0\0\0\1\0" + extra + width + bitmaps


@given(kind=st.integers(166, 171), columns=st.integers(1, 600), images=st.binary(min_size=1))
def test_rows_of_both_versions_are_inflated_behind_their_bitmaps(
    kind: int, columns: int, images: bytes
) -> None:
    head = rows_head(kind, columns)
    plain_kind = kind - 166 + 23 if kind < 169 else kind - 169 + 30
    assert plain_rows(kind, head + packed(images)) == (plain_kind, head + images)


@given(status=st.binary(max_size=40), text=st.text(min_size=1))
def test_statements_are_inflated_behind_their_database(status: bytes, text: str) -> None:
    head = struct.pack("<IIBHH", 7, 0, 4, 0, len(status)) + status + b"shop\0"
    assert plain_query(head + packed(text.encode())) == head + text.encode()


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        b"plain",
        packed(b"rows", 5),
        packed(b"rows", 3),
        packed(b"rows")[:-3],
        packed(bytes(1 << 20), 10),
        b"\x84\xff\xff\xff\xff" + zlib.compress(b"rows"),
        b"\x92" + packed(b"rows")[1:],
    ],
)
def test_what_is_not_as_long_as_it_claims_is_damaged(tail: bytes) -> None:
    with pytest.raises(DecodeError, match="compressed event can't be inflated"):
        plain_rows(166, rows_head(166, 2) + tail)


@given(kind=st.integers(165, 171), body=st.binary(max_size=60))
def test_any_bytes_are_inflated_or_refused(kind: int, body: bytes) -> None:
    with contextlib.suppress(DecodeError):
        plain_query(body) if kind == 165 else plain_rows(kind, body)


def test_the_bound_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed_events, "INFLATED_BYTES_MAX", 100)
    with pytest.raises(DecodeError, match="claims 101 bytes; the bound is 100"):
        plain_rows(166, rows_head(166, 2) + packed(bytes(101)))
