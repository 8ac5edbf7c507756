"""The benchmarks run, count and verify; the check sees what is lost, doubled or out of order."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from cdc.services import MySQLServer
from tests.bench import report
from tests.bench.figures import Figure, repeated
from tests.bench.goals import AGAINST_DEBEZIUM, GOALS, Goal
from tests.bench.servers import Servers
from tests.bench.sizes import TINY
from tests.bench.suite import measured
from tests.bench.surroundings import surroundings
from tests.bench.verify import Change, verify

ORDERS, VERSIONS = 4, 3


def written() -> list[Change]:
    """All versions of all orders, in the order in which they were committed."""
    pairs = [(key, version) for version in (1, 2, 3) for key in range(1, ORDERS + 1)]
    return [
        Change(offset, key, version, ("binlog.000001", 100 * offset, 0), key * 31, version - 1)
        for offset, (key, version) in enumerate(pairs, 1)
    ]


DIGEST = ORDERS, sum(key * 31 for key in range(1, ORDERS + 1))


def faults(changes: list[Change]) -> str:
    verdict = verify(changes, orders=ORDERS, last_version=VERSIONS, digest=DIGEST)
    assert verdict.is_right == (not verdict.faults)
    return "; ".join(verdict.faults)


def test_what_was_written_is_found_right() -> None:
    assert faults(written()) == ""


@pytest.mark.parametrize("index", range(ORDERS * VERSIONS))
def test_a_change_that_is_lost_is_a_fault(index: int) -> None:
    changes = written()
    lost = changes.pop(index)
    assert "11 changes came, 12 were made" in faults(changes)
    assert f"order {lost.key}" in faults(changes)


@pytest.mark.parametrize("index", range(ORDERS * VERSIONS))
def test_a_change_that_comes_twice_is_a_fault(index: int) -> None:
    changes = written()
    changes.insert(index, changes[index])
    assert "13 changes came, 12 were made" in faults(changes)
    assert "comes in version" in faults(changes)


def test_two_versions_of_an_order_that_changed_places_are_a_fault() -> None:
    changes = written()
    changes[0], changes[ORDERS] = changes[ORDERS], changes[0]
    assert "order 1 comes in version 2, expected was 1" in faults(changes)


def test_two_orders_that_changed_places_are_a_fault() -> None:
    changes = written()
    changes[0], changes[1] = changes[1], changes[0]
    assert "comes after" in faults(changes)


def test_a_value_that_differs_is_a_fault() -> None:
    changes = written()
    changes[-1] = changes[-1]._replace(checksum=1)
    assert "rows and checksums" in faults(changes)


def test_a_row_before_that_is_not_the_one_before_is_a_fault() -> None:
    changes = written()
    changes[-1] = changes[-1]._replace(before=1)
    assert "order 4 was in version 1 before version 3" in faults(changes)


def test_updates_alone_begin_with_the_version_that_they_made() -> None:
    updates = [change for change in written() if change.version == VERSIONS]
    wanted = {"orders": ORDERS, "first_version": VERSIONS, "last_version": VERSIONS}
    assert verify(updates, **wanted, digest=DIGEST).is_right
    assert not verify(updates[1:], **wanted, digest=DIGEST).is_right


def test_only_the_first_faults_are_told_and_the_rest_counted() -> None:
    assert "and 22 more" in faults(written()[::-1])


def test_results_are_a_table_a_json_list_and_a_part_of_a_page(tmp_path: Path) -> None:
    figures, around = [Figure("drain", 1234.5, "rows/s", "10 rows | 2 runs")], {"machine": "small"}
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    out = StringIO()

    report.show(figures, around, Console(file=out))
    report.write_json(figures, around, tmp_path / "bench.json")
    report.write_page(figures, around, page)

    assert "drain\t1,234\trows/s\t\t10 rows | 2 runs" in out.getvalue()
    assert json.loads((tmp_path / "bench.json").read_text()) == [
        {
            "name": "drain",
            "value": 1234.5,
            "unit": "rows/s",
            "setup": "10 rows | 2 runs; machine: small",
        }
    ]
    assert "old" not in page.read_text()
    assert page.read_text().startswith("before\n") and page.read_text().endswith("after\n")
    assert "| drain | 1,234 | rows/s |  | 10 rows / 2 runs |" in page.read_text()


def test_a_goal_is_missed_reached_or_its_aim_is() -> None:
    fast, low = Goal(8, 12), Goal(150, 100, is_at_most=True)
    assert [fast.reached(value) for value in (7.9, 8, 12)] == ["no", "must", "aim"]
    assert [low.reached(value) for value in (151, 150, 100)] == ["no", "must", "aim"]
    assert Goal(5).reached(50) == "must"


def test_a_figure_with_a_goal_says_so_in_the_table_and_in_json(tmp_path: Path) -> None:
    figure = Figure("decode only, bulk", 1_500_000.0, "rows/s", "")
    assert "≥ 1,000,000 / 2,000,000: reached" in figure.line
    report.write_json([figure], {}, tmp_path / "bench.json")
    (found,) = json.loads((tmp_path / "bench.json").read_text())
    assert (found["must"], found["aim"], found["reached"]) == (1_000_000, 2_000_000, "must")


def test_the_same_run_again_gives_the_spread() -> None:
    value, spread = repeated("drain", [90.0, 110.0], "rows/s", "")
    assert (value.value, spread.value, spread.unit) == (100, 20, "%")


@pytest.mark.timeout(900)  # some thirty runs of the command, each with its start
def test_all_measures_run_and_what_arrives_is_what_was_written(
    mysql_server: MySQLServer, kafka_address: str, registry_url: str, tmp_path: Path
) -> None:
    servers = Servers(mysql_server, kafka_address, registry_url)

    figures = {one.name: one for one in measured(servers, TINY, tmp_path / "runs")}

    of_peers = {name for name in GOALS if name.endswith(AGAINST_DEBEZIUM)}
    assert GOALS.keys() - of_peers <= figures.keys()
    assert {
        "one-row transactions into the embedded log",
        "mysql-replication 1.0.17, bulk",
        "JSON of 20 kB into Kafka",
        "one giant transaction into Kafka, peak memory",
        "commit to view, embedded log, p99",
    } <= figures.keys()
    assert all(one.value >= 0 for one in figures.values())
    assert "sync_binlog=" in surroundings(servers, tmp_path)["MySQL"]
