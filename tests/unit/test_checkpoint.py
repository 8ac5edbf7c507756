"""A checkpoint is read back as it was written, also by a newer version."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from cdc.capture.checkpoint import Checkpoint, LastTransaction
from cdc.errors import SourceError

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
LAST = LastTransaction(f"{A}:7", 1_700_000_000_000_000, "binlog.000002", 1_700_000_000, 600, 12)
WHOLE = Checkpoint(
    "mysql", A, f"{A}:1-7", "binlog.000002", 700, f"{A}:8", 3, 2, 40, 1_700_000_001, {f"{A}:9": 1},
    LAST,
)  # fmt: skip
FIRST_VERSION = {
    "version": 1, "flavor": "mysql", "server": A, "gtid_set": f"{A}:1-7", "file": "binlog.000002",
    "pos": 700, "transaction": f"{A}:8", "rows_done": 3, "epoch": 2, "sequence": 40,
    "time_seconds": 1_700_000_001,
}  # fmt: skip


@pytest.mark.parametrize("checkpoint", [WHOLE, Checkpoint("mariadb", "2", "", "b.000001", 4)])
def test_what_was_written_is_read(checkpoint: Checkpoint) -> None:
    assert Checkpoint.from_bytes(checkpoint.to_bytes()) == checkpoint


def test_the_first_versions_checkpoint_is_read_without_what_it_did_not_keep() -> None:
    found = Checkpoint.from_bytes(orjson.dumps(FIRST_VERSION))
    assert (found.gtid_set, found.pos, found.sequence) == (WHOLE.gtid_set, WHOLE.pos, 40)
    assert found.begun() == {f"{A}:8": 3}
    assert found.last is None


def test_all_that_is_done_in_part_is_told() -> None:
    assert WHOLE.begun() == {f"{A}:8": 3, f"{A}:9": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        orjson.dumps({**FIRST_VERSION, "version": 99}),
        orjson.dumps({**FIRST_VERSION, "last": {"name": "x"}}),
        orjson.dumps({**FIRST_VERSION, "last": 7}),
        orjson.dumps({**FIRST_VERSION, "more": 1}),
    ],
)
def test_what_is_damaged_or_of_a_later_version_is_refused(data: bytes) -> None:
    with pytest.raises(SourceError, match="can't be read"):
        Checkpoint.from_bytes(data)


def test_no_bit_of_it_changes_unseen() -> None:
    data = WHOLE.to_bytes()
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SourceError, match="can't be read"):
            Checkpoint.from_bytes(bytes(changed))


def test_what_was_written_before_there_was_a_checksum_is_read() -> None:
    fields = orjson.loads(WHOLE.to_bytes())
    del fields["crc32"]
    assert Checkpoint.from_bytes(orjson.dumps({**fields, "version": 2})) == WHOLE


def test_the_place_of_a_spool_is_told_and_one_without_a_spool_is_as_ever() -> None:
    spooling = replace(WHOLE, spool="host:/var/lib/cdc/shop")
    assert Checkpoint.from_bytes(spooling.to_bytes()) == spooling
    assert b"spool" not in WHOLE.to_bytes()
