"""What is known of tables lives in the log: killed and started again, `cdc run` knows it still."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cdc.capture.decisions import Decision
from cdc.config import ConnectorConfig
from cdc.wiring.ends import open_log, open_registry
from tests.connectors import Project, Section, events_of, kafka_log, source_section, wait_until
from tests.services_plugin import FreshDatabase
from tests.shop import here


@pytest.fixture(params=["embedded", "kafka"])
def sections(request: pytest.FixtureRequest) -> Section:
    if request.param == "embedded":
        return {"log": {"kind": "embedded"}, "registry": {"kind": "embedded"}}
    return {
        "log": kafka_log(request.getfixturevalue("kafka_address")),
        "registry": {"url": request.getfixturevalue("registry_url")},
    }


def test_a_killed_connector_goes_on_with_the_descriptions_it_had(
    tmp_path: Path, mysql_database: FreshDatabase, sections: Section
) -> None:
    project, name = Project(tmp_path), mysql_database.name
    mysql_database.execute(
        "create table t (id int, size enum('s') default 's', a int not null default 5,"
        " primary key (id, size))"
    )
    source = source_section(mysql_database.server.address, f"{name}.*", **here(mysql_database))
    file = project.write(
        {"connector": name, "source": source, "http": {"port": 0}, **sections}, name
    )
    config, topic = project.load(file), f"{name}.{name}.t"

    def wait_for(count: int) -> None:
        wait_until(lambda: len(events_of(config, topic)) == count, f"{count} events on {topic}")

    with project.started("run", file, "--stage", "capture") as child:
        child.wait_running()
        mysql_database.execute("insert into t (id) values (1)")
        wait_for(1)
        child.kill()
    # Behind this row the catalogue says something else: it can't be carried back.
    mysql_database.execute(
        "insert into t (id) values (2)",
        "alter table t alter a set default 6, modify size enum('s', 'm') default 's'",
    )
    with project.started("run", file, "--stage", "capture") as child:
        wait_for(2)
        mysql_database.execute("insert into t (id) values (3)")
        wait_for(3)
        assert child.stop() == 0, child.said
    assert defaults(config, topic) == [5, 5, 6]
    assert len(key_ids(config, topic)) == 1, "another label changes no key's bytes"
    assert [(one.table[1], one.why) for one in kept(config)] == [
        ("t", "catalogue"),
        ("t", "catalogue"),
    ]


def kept(config: ConnectorConfig) -> list[Decision]:
    with closing(open_log(config)) as log:
        messages = log.follow(f"{config.connector}.descriptions", {}, wait_seconds=0)
        return [Decision.from_record(one.key, one.value) for one in messages]


def key_ids(config: ConnectorConfig, topic: str) -> set[int]:
    """Ids of the keys' schemas: in the records and in the registry."""
    with closing(open_log(config)) as log, closing(open_registry(config)) as registry:
        messages = log.follow(topic, {}, wait_seconds=0)
        framed = {int.from_bytes((one.key or b"")[1:5], "big") for one in messages}
        return framed | set(registry.versions(f"{topic}-key"))


def defaults(config: ConnectorConfig, topic: str) -> list[Any]:
    """The default of `a` in the schema of each event, in commit order."""
    with closing(open_log(config)) as log, closing(open_registry(config)) as registry:
        messages = sorted(
            log.follow(topic, {}, wait_seconds=0), key=lambda one: dict(one.headers)["cdc_revision"]
        )
        found = []
        for message in messages:
            assert message.value is not None
            schema = registry.schema(int.from_bytes(message.value[1:5], "big"))
            (value,) = (t for t in schema["fields"][0]["type"] if isinstance(t, dict))
            found += [f.get("default") for f in value["fields"] if f["name"] == "a"]
        return found
