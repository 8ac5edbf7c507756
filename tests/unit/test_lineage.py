"""A checkpoint goes on at its own server only, and says exactly what stands against it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc.capture.checkpoint import Checkpoint
from cdc.capture.facts import BinaryLog
from cdc.capture.lineage import way_on
from cdc.capture.source_settings import Coordinates
from cdc.errors import PositionLost, SourceError
from tests.unit.test_preflight import MARIADB as MARIADB_FACTS
from tests.unit.test_preflight import MYSQL as MYSQL_FACTS

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
LOGS = (BinaryLog("binlog.000002", 900), BinaryLog("binlog.000003", 500))
MYSQL = replace(MYSQL_FACTS, gtid_executed=f"{A}:1-90", gtid_purged=f"{A}:1-20")
MARIADB = replace(MARIADB_FACTS, gtid_executed="0-1-90,1-1-5")
HERE = Checkpoint("mysql", A, f"{A}:1-50", "binlog.000002", 700)
HERE_MARIADB = Checkpoint("mariadb", "", "0-1-50", "binlog.000002", 700)


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
    wanted: Coordinates, after: Checkpoint, has_gtid: bool, by: str
) -> None:
    assert way_on(replace(MYSQL, has_gtid=has_gtid), LOGS, after, wanted) == by


def test_mariadb_goes_on_by_gtid_or_by_file() -> None:
    assert way_on(MARIADB, LOGS, HERE_MARIADB, "auto") == "gtid"
    assert way_on(MARIADB, LOGS, HERE_MARIADB, "file") == "file"


def test_another_server_is_refused_by_name() -> None:
    other = "11111111-71ca-11e1-9e33-c80aa9429562"
    with pytest.raises(SourceError, match=other):
        way_on(replace(MYSQL, server_uuid=other), LOGS, HERE, "auto")
    with pytest.raises(SourceError, match="of a mysql server"):
        way_on(MARIADB, LOGS, HERE, "auto")


def test_transactions_that_the_server_lacks_are_named() -> None:
    with pytest.raises(SourceError, match=f"{A}:91-95"):
        way_on(MYSQL, LOGS, replace(HERE, gtid_set=f"{A}:1-95"), "auto")
    with pytest.raises(SourceError, match="0-1-91"):
        way_on(MARIADB, LOGS, replace(HERE_MARIADB, gtid_set="0-1-91,1-1-5"), "auto")


def test_purged_transactions_are_named_and_counted() -> None:
    with pytest.raises(PositionLost, match=f"6 transactions .*{A}:15-20"):
        way_on(MYSQL, LOGS, replace(HERE, gtid_set=f"{A}:1-14"), "auto")


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
    assert way_on(MYSQL, LOGS, replace(HERE, file="binlog.000003", pos=500), "file") == "file"


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
