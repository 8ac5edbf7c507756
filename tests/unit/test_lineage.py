"""Where a checkpoint goes on: at its own server, or at another one that has all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cdc.capture.checkpoint import Checkpoint, LastTransaction
from cdc.capture.facts import BinaryLog, ServerFacts
from cdc.capture.lineage import Behind, Way, taken_on, way_on
from cdc.capture.source_settings import Coordinates
from cdc.errors import PositionLost, SourceError
from tests.unit.test_preflight import MARIADB as MARIADB_FACTS
from tests.unit.test_preflight import MYSQL as MYSQL_FACTS

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "11111111-71ca-11e1-9e33-c80aa9429562"
LOGS = (BinaryLog("binlog.000002", 900), BinaryLog("binlog.000003", 500))
MYSQL = replace(MYSQL_FACTS, gtid_executed=f"{A}:1-90", gtid_purged=f"{A}:1-20")
OTHER = replace(MYSQL, server_uuid=B)
MARIADB = replace(MARIADB_FACTS, gtid_executed="0-1-90,1-1-5")
HERE = Checkpoint("mysql", A, f"{A}:1-50", "binlog.000002", 700)
HERE_MARIADB = Checkpoint("mariadb", "", "0-1-50", "binlog.000002", 700)
LAST = LastTransaction(f"{A}:50", 1_700_000_000_000_000, "binlog.000002", 1_700_000_000, 600, 1)


@pytest.mark.parametrize(
    ("wanted", "after", "has_gtid", "by"),
    [
        ("auto", HERE, True, "gtid"),
        ("auto", HERE, False, "file"),
        ("file", HERE, True, "file"),
        ("gtid", HERE, True, "gtid"),
        ("auto", replace(HERE, gtid_set=""), True, "file"),
        ("auto", replace(HERE, file=""), True, "gtid"),
    ],
)
def test_it_goes_on_by_gtid_where_that_is_exact(
    wanted: Coordinates, after: Checkpoint, has_gtid: bool, by: Any
) -> None:
    assert way_on(replace(MYSQL, has_gtid=has_gtid), LOGS, after, wanted) == Way(by, False)


def test_mariadb_goes_on_by_gtid_or_by_file() -> None:
    for server in ("", MARIADB.identity):  # the first version's checkpoints don't say
        after = replace(HERE_MARIADB, server=server)
        assert way_on(MARIADB, LOGS, after, "auto") == Way("gtid", False)
        assert way_on(MARIADB, LOGS, after, "file") == Way("file", False)
        assert taken_on(MARIADB, after, Way("gtid", False)).server == MARIADB.identity


@pytest.mark.parametrize(
    ("facts", "after"),
    [
        (replace(MYSQL, server_uuid=B), HERE),
        (replace(MARIADB, server_id=7), replace(HERE_MARIADB, server="1")),
    ],
    ids=["mysql", "mariadb"],
)
def test_another_server_that_has_all_is_gone_on_with_by_gtid(
    facts: ServerFacts, after: Checkpoint
) -> None:
    after = replace(after, last=LAST)
    way = way_on(facts, LOGS, after, "auto")
    assert way == Way("gtid", True)
    taken = taken_on(facts, after, way)
    assert (taken.server, taken.file, taken.pos) == (facts.identity, "", 4)
    assert taken.gtid_set == after.gtid_set
    assert taken.last is not None
    assert (taken.last.name, taken.last.commit_micros) == (LAST.name, LAST.commit_micros)
    assert taken.last.file == ""  # where it stands here isn't known


@pytest.mark.parametrize(
    ("facts", "after", "wanted", "says"),
    [
        (OTHER, HERE, "file", "coordinates is file"),
        (replace(OTHER, has_gtid=False), HERE, "auto", "gtid_mode off"),
        (OTHER, replace(HERE, gtid_set=""), "auto", "no GTIDs"),
        (OTHER, replace(HERE, transaction="binlog.000002:700"), "auto", "without a GTID"),
    ],
)
def test_another_server_is_refused_where_nothing_says_where_to_go_on(
    facts: ServerFacts, after: Checkpoint, wanted: Coordinates, says: str
) -> None:
    with pytest.raises(SourceError, match=f"{A}.*{B}.*{says}"):
        way_on(facts, LOGS, after, wanted)


def test_a_server_of_the_other_kind_is_refused() -> None:
    with pytest.raises(SourceError, match="of a mysql server"):
        way_on(MARIADB, LOGS, HERE, "auto")


def test_a_transaction_that_is_done_in_part_must_come_again() -> None:
    """A server without it would leave it in part for good."""
    for facts, after, name in (
        (OTHER, HERE, f"{A}:95"),
        (MYSQL, HERE, f"{A}:95"),
        (MARIADB, replace(HERE_MARIADB, server="7"), "0-1-95"),
    ):
        with pytest.raises(Behind, match=name):
            way_on(facts, LOGS, replace(after, transaction=name, rows_done=1), "auto")
        with pytest.raises(Behind, match=name):
            way_on(facts, LOGS, replace(after, awaited={name: 1}), "auto")


def test_transactions_that_the_server_lacks_are_named() -> None:
    with pytest.raises(Behind, match=f"{A}:91-95.* made them itself"):
        way_on(MYSQL, LOGS, replace(HERE, gtid_set=f"{A}:1-95"), "auto")
    with pytest.raises(Behind, match=f"{A}:91-95") as behind:
        way_on(OTHER, LOGS, replace(HERE, gtid_set=f"{A}:1-95"), "auto")
    assert "lags behind" in behind.value.hint
    with pytest.raises(Behind, match=r"0-1-91.* made them itself"):
        way_on(MARIADB, LOGS, replace(HERE_MARIADB, gtid_set="0-1-91,1-1-5"), "auto")


def test_gaps_that_another_server_has_filled_are_no_hindrance() -> None:
    assert way_on(OTHER, LOGS, replace(HERE, gtid_set=f"{A}:1-50:52"), "auto") == Way("gtid", True)
    with pytest.raises(Behind, match=f"{A}:51 "):
        gap = replace(OTHER, gtid_executed=f"{A}:1-50:52-90")
        way_on(gap, LOGS, replace(HERE, gtid_set=f"{A}:1-52"), "auto")


def test_purged_transactions_are_named_and_counted() -> None:
    with pytest.raises(PositionLost, match=f"6 transactions .*{A}:15-20"):
        way_on(MYSQL, LOGS, replace(HERE, gtid_set=f"{A}:1-14"), "auto")
    purged = replace(MARIADB, gtid_purged="0-2-51,1-1-5")
    after = replace(HERE_MARIADB, gtid_set="0-1-50,1-1-5")
    with pytest.raises(PositionLost, match=r"up to 0-2-51; .* up to 0-1-50,1-1-5"):
        way_on(purged, LOGS, after, "auto")
    assert way_on(replace(purged, gtid_purged="0-1-50,1-1-4"), LOGS, after, "auto").by == "gtid"


@pytest.mark.parametrize(
    ("file", "pos", "says"),
    [
        ("binlog.000001", 4, r"binlog.000001, which is gone; .*binlog.000002 to binlog.000003"),
        ("binlog.000003", 501, "ends at 500"),
    ],
)
def test_a_place_in_a_file_that_is_gone_is_lost(file: str, pos: int, says: str) -> None:
    with pytest.raises(PositionLost, match=says):
        way_on(MYSQL, LOGS, replace(HERE, file=file, pos=pos), "file")


def test_the_end_of_a_file_is_a_place() -> None:
    assert way_on(MYSQL, LOGS, replace(HERE, file="binlog.000003", pos=500), "file") == Way(
        "file", False
    )


def test_coordinates_that_cannot_be_had_are_refused() -> None:
    with pytest.raises(SourceError, match="gtid_mode off"):
        way_on(replace(MYSQL, has_gtid=False), LOGS, HERE, "gtid")
    with pytest.raises(SourceError, match="by GTID only"):
        way_on(MYSQL, LOGS, replace(HERE, file=""), "file")
    far = (BinaryLog("binlog.000002", 1 << 33),)
    with pytest.raises(SourceError, match="further than positions reach"):
        way_on(MYSQL, far, replace(HERE, pos=1 << 32), "file")


def test_a_long_set_is_cut_in_the_message() -> None:
    gaps = ":".join(str(number) for number in range(101, 1101, 2))
    with pytest.raises(SourceError) as refused:
        way_on(MYSQL, LOGS, replace(HERE, gtid_set=f"{A}:1-50:{gaps}"), "auto")
    assert len(str(refused.value)) < 1200
