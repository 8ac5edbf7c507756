"""A block of records is a sequence of the records that were put into it."""

import pytest

from cdc.model import ID_HEADER, REVISION_HEADER, Record
from cdc.records import Joined, bytes_held
from tests.blocks import block_of

OWN = [(REVISION_HEADER, b"12345678"), (ID_HEADER, b"c/t/1")]
RECORDS = [
    Record("a", 7, b"key", b"value", [*OWN]),
    Record("b", 0, None, b"", ()),
    Record("a", 1, b"", None, ()),
    Record("b", 2, b"k", b"v", [*OWN, ("more", b"x"), ("more", b"")]),
    Record("a", 3, b"k", b"v", [("only", b"y")]),
]


def test_it_gives_back_what_was_put_in():
    block = block_of(RECORDS)
    assert list(block) == RECORDS == block
    assert (len(block), block[3], block[-1]) == (5, RECORDS[3], RECORDS[4])
    assert block[1:3] == RECORDS[1:3]


def test_it_ends_where_it_says():
    with pytest.raises(IndexError, match="record 5 of 5"):
        block_of(RECORDS)[5]
    assert list(block_of([])) == []


def test_joined_is_one_sequence_of_all_its_parts():
    joined = Joined([block_of(RECORDS[:2]), [], RECORDS[2:]])
    assert list(joined) == RECORDS
    assert (len(joined), joined[2], joined[-1]) == (5, RECORDS[2], RECORDS[4])
    assert joined[1:3] == RECORDS[1:3]
    with pytest.raises(IndexError, match="record 5 of 5"):
        joined[5]


def test_only_of_blocks_is_known_what_they_hold():
    block = block_of(RECORDS)
    assert bytes_held(block) >= sum(len(r.key or b"") + len(r.value or b"") for r in RECORDS)
    assert bytes_held(RECORDS) == 0
