"""From a table to a view that is equal to it, on real servers, whatever stops on the way."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cdc.running import running
from tests import shop
from tests.connectors import Child, Section, kafka_log, revisions, wait_until
from tests.load import Load, assert_nothing_lost_nothing_twice
from tests.services_plugin import FreshDatabase
from tests.shop import Shop, new_shop

STAGES = ("capture", "translate", "views")
# Not where keys change: the event that removes the old key comes from the new key's partition.
SPREAD: Section = {"changes": {"partitions": 3}, "events": {"partitions": 3}}


@pytest.fixture
def kafka_sections(kafka_address: str, registry_url: str) -> Section:
    """Kafka with the real registry."""
    return {
        "log": kafka_log(kafka_address),
        "registry": {"url": registry_url},
        "topics": {"events": {"partitions": 3}},
    }


@contextmanager
def each_alone(made: Shop) -> Iterator[list[Child]]:
    """Each stage in a process of its own."""
    with ExitStack() as children:
        yield [
            children.enter_context(made.project.started("run", made.file, "--stage", stage))
            for stage in STAGES
        ]


def test_embedded_in_one_process_the_view_is_equal_to_the_query(
    tmp_path: Path, mysql_database: FreshDatabase
) -> None:
    made = new_shop(tmp_path, mysql_database)
    config = made.project.load(made.file)
    with running(config, config.stages, made.project.environment) as run:
        shop.write(mysql_database)
        made.wait_equal()
        run.raise_failure()
    assert len(shop.view_rows(made.view_file)) == 4
    assert "never" not in str([*made.changes(), *made.events()])


def test_a_truncate_right_after_a_restart_is_published(
    tmp_path: Path, mysql_database: FreshDatabase
) -> None:
    """Nothing was seen of the table since: its topic's last schema is enough."""
    made = new_shop(tmp_path, mysql_database)
    config = made.project.load(made.file)

    def operations() -> list[str]:
        return [one["value"]["op"] for one in made.changes() if one["value"] is not None]

    with running(config, config.stages, made.project.environment):
        shop.write(mysql_database)
        made.wait_equal()
    before = operations()
    mysql_database.execute("truncate table orders")
    with running(config, ("capture",), made.project.environment):
        wait_until(lambda: operations()[len(before) :] == ["t"], lambda: str(operations()))


def test_over_kafka_in_one_process_events_are_what_happened(
    tmp_path: Path, mysql_database: FreshDatabase, kafka_sections: Section
) -> None:
    made = new_shop(tmp_path, mysql_database, **kafka_sections)
    with made.project.started("run", made.file) as child:
        shop.write(mysql_database)
        made.wait_equal(child)
        assert child.stop() == 0, child.said
    assert "Traceback" not in child.said
    changes, events = made.changes(), made.events()
    assert "never" not in str([*changes, *events])

    def names_of(order: int) -> list[str]:
        of_order = [one for one in events if one["key"] == {"order_id": order}]
        return [one["headers"]["ce_type"].split(".")[-2] for one in of_order]

    assert names_of(3) == ["OrderPlaced", "OrderRemoved"]
    assert names_of(30) == ["OrderMoved", "OrderChanged"]
    assert names_of(5) == ["OrderPlaced"]
    assert names_of(7) == ["OrderPlaced", "OrderRemoved"]
    assert len({one["headers"]["ce_id"] for one in events}) == len(events)
    rows = [one for one in changes if one["value"] is not None]
    assert [sequence for _, sequence, _ in revisions(rows)] == list(range(1, len(rows) + 1))


def test_over_kafka_with_each_stage_alone_the_view_is_equal_to_the_query(
    tmp_path: Path, mysql_database: FreshDatabase, kafka_sections: Section
) -> None:
    made = new_shop(tmp_path, mysql_database, **kafka_sections)
    with each_alone(made) as children:
        shop.write(mysql_database)
        made.wait_equal(children[2])
        assert [child.stop() for child in children] == [0, 0, 0]


@pytest.mark.parametrize("coordinates", ["gtid", "file"])
def test_mariadb_is_followed_by_gtid_and_by_file_position(
    tmp_path: Path, mariadb_database: FreshDatabase, coordinates: str
) -> None:
    source: Section = {"coordinates": coordinates}
    if coordinates == "file":
        ((file, position, *_),) = mariadb_database.execute("show master status")
        source["start"] = f"{file}:{position}"
    made = new_shop(tmp_path, mariadb_database, source=source)
    with made.project.started("run", made.file) as child:
        shop.write(mariadb_database)
        made.wait_equal(child)
        assert child.stop() == 0, child.said
    assert "never" not in str([*made.changes(), *made.events()])
    mariadb_database.execute("update orders set note = 'after the restart' where id = 2")
    with made.project.started("run", made.file) as child:
        made.wait_equal(child)
    rows = [one for one in made.changes() if one["value"] is not None]
    assert rows[-1]["value"]["after"]["note"] == "after the restart"
    assert [sequence for _, sequence, _ in revisions(rows)] == list(range(1, len(rows) + 1))


@pytest.mark.parametrize("kind", ["embedded", "kafka"])
def test_stopped_in_mid_load_it_goes_on_where_it_was(
    tmp_path: Path, mysql_database: FreshDatabase, request: pytest.FixtureRequest, kind: str
) -> None:
    sections = request.getfixturevalue("kafka_sections") if kind == "kafka" else {}
    made = new_shop(tmp_path, mysql_database, **{**sections, "topics": SPREAD})
    with Load(mysql_database, seed=1) as load:
        for _ in range(2):
            with made.project.started("run", made.file) as child:
                child.wait_running(3)
                wait_until(lambda until=load.number + 300: load.number > until, "a load")
                assert child.stop() == 0, child.said
                assert "Traceback" not in child.said
    with made.project.started("run", made.file) as child:
        made.wait_equal(child)
        assert child.stop() == 0, child.said
    assert_nothing_lost_nothing_twice(made, load)


def test_killed_at_random_moments_nothing_is_lost_and_nothing_comes_twice(
    tmp_path: Path, mysql_database: FreshDatabase, kafka_sections: Section
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    made = new_shop(tmp_path, mysql_database, **{**kafka_sections, "topics": SPREAD})

    def killing(stage: str) -> Callable[[], None]:
        moments = [dice.uniform(0.0, 3.0) for _ in range(3)]

        def kill_and_start() -> None:
            for moment in moments:
                with made.project.started("run", made.file, "--stage", stage) as child:
                    child.wait_running()
                    threading.Event().wait(moment)

        return kill_and_start

    with Load(mysql_database, seed, pause_seconds=0.01) as load:
        threads = [threading.Thread(target=killing(stage)) for stage in STAGES]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with each_alone(made) as children:
        made.wait_equal(children[2])
        assert [child.stop() for child in children] == [0, 0, 0]
    assert_nothing_lost_nothing_twice(made, load)
