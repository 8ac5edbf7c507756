"""Transactions that number their changes, so that what is lost or comes twice is seen."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.connectors import revisions
from tests.services_plugin import FreshDatabase
from tests.shop import Shop


@dataclass
class Load:
    """Transactions that number their row changes; what is rolled back has no number.

    A change's number is in `is_gift`, so that each change event tells which change it is."""

    database: FreshDatabase
    seed: int
    pause_seconds: float = 0.002
    number: int = 0
    deleted: list[int] = field(default_factory=list)
    """The numbers that were in the rows that a transaction deleted."""
    _ids: list[int] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _failure: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Load:
        self.database.execute("alter table orders modify is_gift int not null")
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Write no more; all that counts is committed then."""
        self._stop.set()
        self._thread.join()
        assert not self._failure, self._failure

    def _run(self) -> None:
        dice = random.Random(self.seed)
        try:
            with self.database.connect(autocommit=False) as connection:
                while not self._stop.wait(self.pause_seconds):
                    self._transaction(connection, dice)
        except BaseException as failure:  # noqa: BLE001  # it is raised where the load is joined
            self._failure.append(failure)

    def _transaction(self, connection: Any, dice: random.Random) -> None:
        number, ids, deleted = self.number, list(self._ids), []
        is_kept = dice.random() < 0.85
        with connection.cursor() as cursor:
            for _ in range(dice.choice((1, 1, 1, 2, 5, 40))):
                act = dice.random()
                if act < 0.5 or len(ids) < 5:
                    number += 1
                    ids.append(number)
                    cursor.execute(
                        "insert into orders (id, total, placed_at, is_gift)"
                        " values (%s, %s, now(6), %s)",
                        (number, number / 100, number if is_kept else -1),
                    )
                elif act < 0.9:
                    number += 1
                    cursor.execute(
                        "update orders set is_gift = %s, note = %s where id = %s",
                        (number if is_kept else -1, "n" * dice.randrange(40), dice.choice(ids)),
                    )
                else:
                    gone = ids.pop(dice.randrange(len(ids)))
                    cursor.execute("select is_gift from orders where id = %s", (gone,))
                    deleted.append(cursor.fetchone()[0])
                    cursor.execute("delete from orders where id = %s", (gone,))
        if not is_kept:
            connection.rollback()
            return
        connection.commit()
        self.number, self._ids = number, ids
        self.deleted += deleted


def assert_nothing_lost_nothing_twice(made: Shop, load: Load) -> None:
    """Every change once, in commit order per key and by revision; events likewise."""
    rows = assert_every_change_once(made, load)
    events = made.events()
    assert [one["headers"]["ce_revision"] for one in _by_revision(events)] == sorted(
        {one["headers"]["ce_revision"] for one in events}
    )
    assert sorted(one["headers"]["ce_id"].rpartition("/")[0] for one in events) == sorted(
        one["headers"]["cdc_id"] for one in rows
    )
    for of_key in _by_key(events):
        assert of_key == _by_revision(of_key)


def assert_every_change_once(made: Shop, load: Load) -> list[dict[str, Any]]:
    """The change events by revision, without tombstones; in commit order per key."""
    changes = made.changes()
    rows = [one for one in changes if one["value"] is not None]
    for of_key in _by_key(rows):
        assert revisions(of_key) == sorted(revisions(of_key))
    rows.sort(key=lambda one: revisions([one]))
    written = [one["value"]["after"]["is_gift"] for one in rows if one["value"]["after"]]
    assert written == list(range(1, load.number + 1))
    deleted = [one["value"]["before"]["is_gift"] for one in rows if not one["value"]["after"]]
    assert deleted == load.deleted
    assert len(changes) == len(rows) + len(deleted)  # a tombstone each
    assert len({one["headers"]["cdc_id"] for one in rows}) == len(rows)
    assert [sequence for _, sequence, _ in revisions(rows)] == list(range(1, len(rows) + 1))
    return rows


def _by_key(events: list[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in events:
        found[str(one["key"])].append(one)
    return found.values()


def _by_revision(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(events, key=lambda one: one["headers"]["ce_revision"])
