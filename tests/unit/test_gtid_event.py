"""Tagged GTID events: what MySQL's own serialisation holds, and what can't be read of it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.capture.gtid_event import tagged_gtid
from cdc.errors import DecodeError

# As MySQL 9.7 wrote it after `set gtid_next = 'automatic:mytag'`.
REAL = bytes.fromhex(
    "0278000000026102c503c902409503a50222c5037d02910304f103000000020404060a6d7974616708280a38"
    "0c7fd5f076c4c8600610ad051283120b"
)
UUID = "98f1b220-e5a9-11f1-9fe4-02fc00000001"


def number(value: int) -> bytes:
    """As short as can be: trailing ones of the first byte say how many bytes follow."""
    for size in range(1, 9):
        if value < 1 << 7 * size:
            return (value << size | (1 << size - 1) - 1).to_bytes(size, "little")
    return b"\xff" + value.to_bytes(8, "little")


def event(*fields: bytes, version: int = 1, last_needed: int = 0) -> bytes:
    body = number(version) + b"%s" + number(last_needed) + b"".join(fields)
    for size in range(1, 500):
        whole = body.replace(b"%s", number(size), 1)
        if len(whole) == size:
            return whole
    raise AssertionError


UUID_FIELD = number(1) + b"".join(map(number, range(200, 216)))


def test_a_real_event_names_source_number_and_time() -> None:
    gtid = tagged_gtid(REAL)
    assert (gtid.source, gtid.number) == (f"{UUID}:mytag", 1)
    assert gtid.commit_micros == 1_795_265_266_118_869


@given(gno=st.integers(1, 2**62), micros=st.integers(0, 2**64 - 1))
def test_numbers_of_every_size_are_read(gno: int, micros: int) -> None:
    fields = (UUID_FIELD, number(2) + number(gno << 1), number(6) + number(micros))
    gtid = tagged_gtid(event(*fields))
    assert (gtid.number, gtid.commit_micros) == (gno, micros)
    assert ":" not in gtid.source


def test_the_original_time_counts_and_later_fields_may_be_left_out() -> None:
    fields = (UUID_FIELD, number(2) + number(8), number(6) + number(9), number(7) + number(5))
    assert tagged_gtid(event(*fields, number(99) + b"\xff")).commit_micros == 5
    with pytest.raises(DecodeError, match="field 99 is not known"):
        tagged_gtid(event(*fields, number(99) + b"\xff", last_needed=99))


def test_what_names_no_transaction_is_refused() -> None:
    for fields in ((UUID_FIELD,), (number(2) + number(8),), (UUID_FIELD, number(2) + number(3))):
        with pytest.raises(DecodeError, match="names no transaction"):
            tagged_gtid(event(*fields))
    with pytest.raises(DecodeError, match="of version 2"):
        tagged_gtid(event(version=2))


@given(data=st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        tagged_gtid(data)


@pytest.mark.parametrize("end", range(len(REAL)))
def test_every_cut_is_refused(end: int) -> None:
    with pytest.raises(DecodeError):
        tagged_gtid(REAL[:end])
