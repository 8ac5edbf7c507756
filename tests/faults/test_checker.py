"""The checker finds a good run good, and everything that isn't."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from cdc.services import MySQLServer
from tests.faults.checker import check
from tests.faults.decoding import LEDGER, TRANSACTION, Change, Decoder
from tests.faults.evidence import Evidence, Place, by_partition
from tests.faults.mutations import MUTATIONS, Mutator
from tests.faults.report import Report
from tests.faults.self_test import COMPRESSED_SHARE, damage, good_run
from tests.faults.transactions import Transactions
from tests.services_plugin import fresh_database

PLACES = 8


@pytest.fixture(scope="module")
def good(mysql_server: MySQLServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    """A small real run."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    with fresh_database(mysql_server) as database:
        yield good_run(tmp_path_factory.mktemp("good"), database, seed)


@pytest.fixture(scope="module")
def compressed(
    mysql_server: MySQLServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Evidence]:
    """Another one, most of whose transactions are compressed in the binlog."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    with fresh_database(mysql_server) as database:
        folder = tmp_path_factory.mktemp("compressed")
        yield good_run(folder, database, seed, COMPRESSED_SHARE)


@pytest.mark.parametrize("run", ["good", "compressed"])
def test_each_damage_is_found_at_every_place(run: str, request: pytest.FixtureRequest) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    result = damage(request.getfixturevalue(run), seed, PLACES)
    assert result.missed == {name: [] for name in MUTATIONS}


def test_rows_stand_at_one_place_only_where_the_source_has_compressed_them(
    compressed: Evidence,
) -> None:
    assert check(replace(compressed, payloads=set())).faults["out_of_order"] > 0


def test_rows_of_a_compressed_transaction_go_on_one_by_one(compressed: Evidence) -> None:
    changes = [one for one in changes_of(compressed) if one.coordinates[:2] in compressed.payloads]
    first, middle, last = next(
        three
        for three in zip(changes, changes[1:], changes[2:], strict=False)
        if three[0].gtid == three[2].gtid
        and 0 < three[0].coordinates[2] == three[2].coordinates[2] - 2
    )
    assert misplaced(compressed, first, middle, last) == 0
    assert misplaced(compressed, first, last) == 1
    assert misplaced(compressed, middle, first, last) == 2


def misplaced(evidence: Evidence, *changes: Change) -> int:
    """How many of them can't be behind the one before."""
    report = Report()
    Transactions(evidence, report, changes, []).check()
    return sum("comes after" in text for text in report.told)


def test_entries_of_a_transaction_come_in_the_ledger_s_order(compressed: Evidence) -> None:
    entries = [one for one in changes_of(compressed) if one.table == LEDGER]
    first, second = next(two for two in pairwise(entries) if two[0].gtid == two[1].gtid)
    assert misplaced(compressed, first, second) == 0
    crossed = first._replace(after=second.after), second._replace(after=first.after)
    assert misplaced(compressed, *crossed) == 1


@pytest.mark.parametrize(
    ("id_", "strangers", "told"),
    [
        ("executed", 1, []),
        ("executed", 0, ["check 5: wrong_content: ['{}'] have no row"]),
        ("invented", 1, ["check 6: wrong_content: the source never executed {}"]),
    ],
)
def test_a_transaction_without_rows_is_right_only_where_others_made_one(
    good: Evidence, id_: str, strangers: int, told: list[str]
) -> None:
    run = Mutator(good)
    if id_ == "executed":
        id_ = next(iter(set(good.gtids) - {one.gtid for one in changes_of(good)}))
    bounds = [one for one in run.messages if one.topic.endswith(f".{TRANSACTION}")]
    messages = [*good.messages]
    for status, count in (("BEGIN", None), ("END", 0)):
        like = next(one for one in bounds if status in str(run.decoded(one.value or b"")))
        assert like.key is not None and like.value is not None
        value = {**run.decoded(like.value), "id": id_, "event_count": count}
        if count is not None:
            value["data_collections"] = []
        messages.append(
            like._replace(
                partition=0,
                offset=len(good.messages) + len(messages),
                key=run.encoded(like.key, {"id": id_}),
                value=run.encoded(like.value, value),
            )
        )
    report = check(replace(good, messages=messages, strangers=strangers))
    assert report.told == [text.format(id_) for text in told]


def changes_of(evidence: Evidence) -> list[Change]:
    """All, in their order."""
    records = map(Decoder(evidence), evidence.captured)
    return sorted((one for one in records if isinstance(one, Change)), key=lambda one: one.revision)


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
