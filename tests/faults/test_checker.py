"""The checker finds a good run good, and everything that isn't."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from cdc.services import MySQLServer
from tests.faults.checker import check
from tests.faults.evidence import Evidence, Place, by_partition
from tests.faults.mutations import MUTATIONS
from tests.faults.self_test import damage, good_run
from tests.services_plugin import fresh_database

PLACES = 8


@pytest.fixture(scope="module")
def good(mysql_server: MySQLServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    """A small real run."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    with fresh_database(mysql_server) as database:
        yield good_run(tmp_path_factory.mktemp("good"), database, seed)


def test_each_damage_is_found_at_every_place(good: Evidence) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    result = damage(good, seed, PLACES)
    assert result.missed == {name: [] for name in MUTATIONS}


def test_a_saved_run_is_the_same_run(good: Evidence, tmp_path: Path) -> None:
    good.save(tmp_path / "run.gz")
    again = Evidence.load(tmp_path / "run.gz")
    assert check(again).as_json() == check(good).as_json()
    assert [one[:5] for one in again.messages] == [one[:5] for one in good.messages]


def test_a_row_that_the_source_has_otherwise_is_found(good: Evidence) -> None:
    table = next(name for name, rows in good.rows.items() if rows)
    rows = dict(good.rows[table])
    rows.popitem()
    assert check(replace(good, rows={**good.rows, table: rows})).faults["wrong_content"] == 1


def test_counts_other_than_mysqlbinlogs_are_found(good: Evidence) -> None:
    if good.counted is None:
        pytest.skip("mysqlbinlog can't be had here")
    counted = {**good.counted, "ledger": [good.counted["ledger"][0] + 1, 0, 0]}
    assert check(replace(good, counted=counted)).faults["lost"] == 1


def replayed(
    good: Evidence, *, first: float = 0.5, hole: bool = False, is_noted: bool = True
) -> Evidence:
    """As if capture had run alone, had been killed at the end of all, and had sent the last part
    again."""
    messages, ends = [], dict[Place, int]()
    for place, ours in by_partition(good.captured):
        again = ours[int(len(ours) * first) :]
        while again and again[0].value is None:
            del again[0]  # a tombstone goes with its delete
        if hole:
            del again[len(again) // 2]
        ends[place] = len(ours)
        messages += [
            one._replace(offset=offset) for offset, one in enumerate([*ours, *again])
        ]  # fmt: skip
    restarts: list[Mapping[Place, int]] = [ends] if is_noted else []
    return replace(good, messages=messages, restarts=restarts, is_translated=False)


def test_a_replay_after_a_restart_is_what_at_least_once_may_do(good: Evidence) -> None:
    report = check(replayed(good), delivery="at_least_once")
    assert report.is_right, report
    assert report.replayed > 100


@pytest.mark.parametrize("damage_", ["exactly_once", "hole", "no_restart"])
def test_any_other_copy_is_found(good: Evidence, damage_: str) -> None:
    evidence = replayed(good, hole=damage_ == "hole", is_noted=damage_ != "no_restart")
    delivery = "exactly_once" if damage_ == "exactly_once" else "at_least_once"
    assert check(evidence, delivery=delivery).faults["doubled"] > 0  # type: ignore[arg-type]


def test_a_copy_that_differs_is_found(good: Evidence) -> None:
    evidence = replayed(good)
    (ends,) = evidence.restarts
    one = next(
        one
        for one in evidence.messages
        if one.value and one.headers and one.offset >= ends[one.topic, one.partition]
    )
    headers = (*one.headers, ("more", b""))
    messages = [other._replace(headers=headers) if other is one else other
                for other in evidence.messages]  # fmt: skip
    report = check(replace(evidence, messages=messages), delivery="at_least_once")
    assert report.faults == {"lost": 0, "doubled": 0, "out_of_order": 0, "wrong_content": 1}
