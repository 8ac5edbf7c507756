"""From a table to a view that is equal to it, on real servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cdc.running import running
from tests import shop
from tests.connectors import Child, Section, kafka_log, revisions, wait_until
from tests.services_plugin import FreshDatabase
from tests.shop import Shop, new_shop

STAGES = ("capture", "translate", "views")


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
