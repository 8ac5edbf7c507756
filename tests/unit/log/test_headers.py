"""Headers survive as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.errors import LogError
from cdc.log.headers import NAME_BYTES_MAX, NAMES_KEPT_MAX, pack, unpack

names = st.text(max_size=60)


@given(st.lists(st.tuples(names, st.binary(max_size=300))))
def test_headers_come_back_in_order_with_repeated_names(headers: list[tuple[str, bytes]]) -> None:
    assert unpack(pack(headers)) == headers


def test_more_names_than_are_remembered_are_no_harm() -> None:
    headers = [(f"name {number}", b"v") for number in range(3 * NAMES_KEPT_MAX)]
    assert unpack(pack(headers)) == headers


def test_a_name_that_is_too_long_is_refused() -> None:
    assert unpack(pack([("x" * NAME_BYTES_MAX, b"")])) == [("x" * NAME_BYTES_MAX, b"")]
    with pytest.raises(LogError, match="256 bytes"):
        pack([("x" * (NAME_BYTES_MAX + 1), b"")])
