"""Every finding names what is wrong with a server and the statement that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from cdc.capture.connection import is_mariadb, version_numbers
from cdc.capture.facts import ServerFacts, TableFacts, TableName
from cdc.capture.grants import Grants
from cdc.capture.preflight import inspect
from cdc.findings import Finding
from cdc.patterns import TablePatterns

MYSQL = ServerFacts(
    flavor="mysql",
    version=(9, 7, 4),
    version_text="9.7.4",
    server_id=1,
    server_uuid="3e11fa47-71ca-11e1-9e33-c80aa9429562",
    user="cdc@%",
    has_log_bin=True,
    binlog_format="ROW",
    row_image="FULL",
    row_metadata="FULL",
    checksum="CRC32",
    has_gtid=True,
    expire_seconds=2592000,
)
MARIADB = replace(
    MYSQL, flavor="mariadb", version=(10, 11, 18), version_text="10.11.18-MariaDB", server_uuid=""
)
ENOUGH = (
    "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `cdc`@`%`",
    "GRANT SELECT ON `shop`.* TO `cdc`@`%`",
)
ORDERS = TableFacts("shop", "orders")


def findings(
    facts: ServerFacts = MYSQL,
    grants: Sequence[str] = ENOUGH,
    tables: Sequence[str] = ("shop.orders",),
    accept: Sequence[str] = (),
    visible: Sequence[TableName] = (("shop", "orders"), ("shop", "customers")),
    captured: Sequence[TableFacts] = (ORDERS,),
) -> list[Finding]:
    patterns = TablePatterns(tuple(tables))
    return inspect(facts, Grants.parse(grants), patterns, accept, visible, captured)


def test_a_server_that_is_fit_has_no_findings() -> None:
    assert findings() == []
    monitor = ("GRANT REPLICATION SLAVE, BINLOG MONITOR, SELECT ON *.* TO `cdc`@`%`",)
    assert findings(MARIADB, monitor) == []


@pytest.mark.parametrize(
    ("change", "severity", "says", "fix"),
    [
        ({"has_log_bin": False}, "error", "log_bin is OFF", "log_bin = binlog"),
        ({"binlog_format": "MIXED"}, "error", "is MIXED", "SET PERSIST binlog_format = ROW;"),
        ({"row_image": "MINIMAL"}, "error", "MINIMAL", "SET PERSIST binlog_row_image = FULL;"),
        ({"row_metadata": "MINIMAL"}, "error", "MINIMAL", "binlog_row_metadata = FULL;"),
        ({"row_metadata": ""}, "error", "no binlog_row_metadata", "upgrade"),
        ({"has_gtid": False}, "warning", "gtid_mode off", "enforce_gtid_consistency"),
        ({"expire_seconds": 3600}, "warning", "3600 s", "binlog_expire_logs_seconds = 604800;"),
    ],
)
def test_a_setting_that_is_in_the_way(
    change: dict[str, Any], severity: str, says: str, fix: str
) -> None:
    (finding,) = findings(replace(MYSQL, **change))
    assert finding.severity == severity
    assert says in finding.message
    assert fix in finding.hint


def test_mariadb_is_told_to_set_it_in_its_file_too() -> None:
    (finding,) = findings(
        replace(MARIADB, row_metadata="NO_LOG"),
        ("GRANT ALL PRIVILEGES ON *.* TO `cdc`@`%`",),
    )
    assert "SET GLOBAL binlog_row_metadata = FULL;" in finding.hint
    assert "my.cnf" in finding.hint


@pytest.mark.parametrize(
    ("change", "accept"),
    [
        ({"row_image": "NOBLOB"}, "row_image_not_full"),
        ({"row_metadata": "MINIMAL"}, "row_metadata_not_full"),
    ],
)
def test_what_the_configuration_accepts_is_no_finding(change: dict[str, Any], accept: str) -> None:
    assert findings(replace(MYSQL, **change), accept=(accept,)) == []
    assert accept in findings(replace(MYSQL, **change))[0].hint


def test_a_row_image_that_will_stop_is_told_also_where_what_noblob_leaves_out_is_accepted() -> None:
    server = replace(MYSQL, row_image="MINIMAL")
    (finding,) = findings(server, accept=("row_image_not_full",))
    assert (finding.severity, "is MINIMAL" in finding.message) == ("warning", True)
    assert "source.accept" not in findings(server)[0].hint


def test_missing_rights_of_replication_come_with_their_grant() -> None:
    (finding,) = findings(grants=("GRANT SELECT ON *.* TO `cdc`@`%`",))
    assert finding.hint == "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'cdc'@'%';"
    (finding,) = findings(MARIADB, ("GRANT REPLICATION SLAVE, SELECT ON *.* TO `cdc`@`%`",))
    assert finding.hint == "GRANT BINLOG MONITOR ON *.* TO 'cdc'@'%';"


@pytest.mark.parametrize(
    ("tables", "grant"),
    [
        (("shop.orders",), "GRANT SELECT ON `shop`.`orders` TO 'cdc'@'%';"),
        (("shop.*",), "GRANT SELECT ON `shop`.* TO 'cdc'@'%';"),
        (("sh?p.orders",), "GRANT SELECT ON *.* TO 'cdc'@'%';"),
    ],
)
@pytest.mark.parametrize("visible", [(), (("shop", "orders"),)])
def test_a_missing_right_to_read_comes_with_its_grant(
    tables: Sequence[str], grant: str, visible: Sequence[TableName]
) -> None:
    (finding,) = findings(grants=ENOUGH[:1], tables=tables, visible=visible)
    assert finding.path == "source.tables[0]"
    assert finding.hint == grant


def test_a_table_that_is_not_there_comes_with_the_nearest_name() -> None:
    (finding,) = findings(tables=("shop.orders", "shop.costumers"))
    assert finding.path == "source.tables[1]"
    assert "no table shop.costumers" in finding.message
    assert "shop.customers" in finding.hint


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    (finding,) = findings(tables=("shop.order_??",))
    assert finding.severity == "error"
    assert "no table matches shop.order_??" in finding.message


def test_a_table_without_primary_key_is_a_warning() -> None:
    (finding,) = findings(captured=(replace(ORDERS, has_primary_key=False),))
    assert finding.severity == "warning"
    assert "shop.orders has no primary key" in finding.message


def test_cascades_are_a_warning_where_the_server_does_not_log_them() -> None:
    lines = replace(ORDERS, cascades_from=("shop.customers",))
    assert findings(captured=(lines,)) == []
    (finding,) = findings(replace(MYSQL, version=(9, 5, 0)), captured=(lines,))
    assert finding.severity == "warning"
    assert "shop.customers" in finding.message
    everything = ("GRANT ALL PRIVILEGES ON *.* TO `cdc`@`%`",)
    assert len(findings(MARIADB, everything, captured=(lines,))) == 1


@pytest.mark.parametrize(
    ("lines", "table", "is_allowed"),
    [
        (["GRANT SELECT ON *.* TO `u`@`%`"], ("a", "t"), True),
        (["GRANT ALL PRIVILEGES ON `a`.* TO `u`@`%`"], ("a", "t"), True),
        (["GRANT SELECT, INSERT (`x`, `y`) ON `a`.`t` TO `u`@`%`"], ("a", "t"), True),
        (["GRANT SELECT ON `a`.`s` TO `u`@`%`"], ("a", "t"), False),
        (["GRANT SELECT ON `sh\\_p`.* TO `u`@`%`"], ("sh_p", "t"), True),
        (["GRANT SELECT ON `sh\\_p`.* TO `u`@`%`"], ("shop", "t"), False),
        (["GRANT SELECT ON `sh%`.* TO `u`@`%`"], ("shop", "t"), True),
        (["GRANT SELECT ON `we``ird`.* TO `u`@`%`"], ("we`ird", "t"), True),
        (["GRANT `role`@`%` TO `u`@`%`"], ("a", "t"), False),
        (["GRANT USAGE ON *.* TO `u`@`%`"], ("a", "t"), False),
        (
            ["GRANT SELECT ON *.* TO `u`@`%`", "REVOKE SELECT ON `a`.* FROM `u`@`%`"],
            ("a", "t"),
            False,
        ),
        (
            ["GRANT SELECT ON *.* TO `u`@`%`", "REVOKE SELECT ON `b`.* FROM `u`@`%`"],
            ("a", "t"),
            True,
        ),
    ],
)
def test_grants_are_read_as_the_server_applies_them(
    lines: Sequence[str], table: TableName, is_allowed: bool
) -> None:
    assert Grants.parse(lines).allows_select(*table) == is_allowed


@pytest.mark.parametrize(
    ("text", "mariadb", "numbers"),
    [
        ("9.7.4-2", False, (9, 7, 4)),
        ("8.0.mysql_aurora.3.05.2", False, (8, 0)),
        ("10.11.19-MariaDB-log", True, (10, 11, 19)),
        ("5.5.5-10.6.4-MariaDB-1:10.6.4+maria~focal", True, (10, 6, 4)),
        ("", False, ()),
    ],
)
def test_odd_versions_are_read(text: str, mariadb: bool, numbers: tuple[int, ...]) -> None:
    assert (is_mariadb(text), version_numbers(text)) == (mariadb, numbers)
