"""`cdc check` says on real servers what is wrong, where, and what to do; it changes nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdc.check import check
from cdc.findings import Finding
from tests import shop
from tests.connectors import Project, Section, kafka_log, source_section
from tests.services_plugin import FreshDatabase, NewUser

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def config(
    project: Project, mysql_database: FreshDatabase, kafka_address: str, registry_url: str
) -> dict[str, Any]:
    """A connector file without a fault."""
    mysql_database.execute(shop.TABLE)
    table = f"{mysql_database.name}.orders"
    return {
        "connector": "shop",
        "source": source_section(mysql_database.server.address, table),
        "log": kafka_log(kafka_address),
        "registry": {"url": registry_url},
        "streams": shop.streams(project, table, "check"),
        "views": shop.views("check"),
    }


def findings(project: Project, config: dict[str, Any]) -> list[Finding]:
    return check(project.load(project.write(config)))


def errors(project: Project, config: dict[str, Any]) -> list[Finding]:
    return [one for one in findings(project, config) if one.severity == "error"]


def test_a_clean_file_has_no_errors_and_leaves_nothing_behind(
    project: Project, config: dict[str, Any]
) -> None:
    file = project.write(config)
    ended = project.run("check", file)
    # The old key's event has a caution of its own.
    assert [line[:8] for line in ended.stdout.splitlines()] == ["warning:", "  → keep"]
    del config["streams"][0]["events"][2]
    project.write(config)
    assert project.run("check", file).stdout == "nothing found: it can run\n"
    assert json.loads(project.run("check", file, "--json").stdout) == {"findings": []}
    assert not (project.folder / "views.db").exists()
    assert not (project.folder / "data").exists()


def placed(config: dict[str, Any]) -> dict[str, Any]:
    return config["streams"][0]["events"][0]  # type: ignore[no-any-return]


def test_an_unknown_column_comes_with_the_nearest_one(
    project: Project, config: dict[str, Any]
) -> None:
    placed(config)["fields"] = {**placed(config)["fields"], "customer": "custmer"}
    (error,) = errors(project, config)
    assert error.path == "streams[0].events[0].fields.customer"
    assert "has no column 'custmer'" in error.message
    assert error.hint == "did you mean 'customer'?"


def test_a_type_that_does_not_fit_says_what_would(project: Project, config: dict[str, Any]) -> None:
    placed(config)["fields"] = {**placed(config)["fields"], "total": "note"}
    (error,) = errors(project, config)
    assert error.path == "streams[0].events[0].fields.total"
    assert "column note is string or null, the field total is decimal(10,2)" in error.message
    assert "such a column can fill enum, string, uuid" in error.hint


def test_a_missing_schema_file_is_named(project: Project, config: dict[str, Any]) -> None:
    path = project.folder / "schemas" / "check" / "v1" / "OrderMoved.avsc"
    path.unlink()
    found = {one.path: one for one in errors(project, config)}
    error = found["streams[0].events[3].event"]
    assert error.message == f"there is no schema {path}"
    assert error.hint.startswith("did you mean")
    assert "OrderMoved" in found["views[0].events.OrderMoved"].message


def test_a_field_that_no_rule_fills_is_named(project: Project, config: dict[str, Any]) -> None:
    project.write_schema("check", "OrderPlaced", {**shop.FIELDS, "channel": "string"})
    (error,) = errors(project, config)
    assert error.path == "streams[0].events[0].fields"
    assert "nothing fills the field 'channel'" in error.message
    assert error.hint == "add `channel: <column>`, or a default in the schema"


def test_a_table_that_does_not_exist_comes_with_the_nearest_one(
    project: Project, config: dict[str, Any], mysql_database: FreshDatabase
) -> None:
    table = f"{mysql_database.name}.orders"
    config["source"]["tables"].append(f"{mysql_database.name}.order")
    (error,) = errors(project, config)
    assert (error.path, error.message) == (
        "source.tables[1]",
        f"there is no table {mysql_database.name}.order",
    )
    assert error.hint == f"did you mean {table!r}?"


def test_missing_rights_come_with_their_grants(
    project: Project, config: dict[str, Any], mysql_user: NewUser
) -> None:
    address = mysql_user("USAGE ON *.*")
    config["source"] |= {"user": address.user, "password": address.password}
    found = [one.hint for one in errors(project, config) if one.path.startswith("source")]
    table = config["source"]["tables"][0].replace(".", "`.`")
    user = f"'{address.user}'@'%'"
    assert f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {user};" in found
    assert f"GRANT SELECT ON `{table}` TO {user};" in found


def test_servers_that_cannot_be_reached_are_all_named_at_once(
    project: Project, config: dict[str, Any]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    away: dict[str, Section] = {
        "source": {"port": port},
        "log": {"bootstrap_servers": f"127.0.0.1:{port}"},
        "registry": {"url": f"http://127.0.0.1:{port}"},
    }
    for name, section in away.items():
        config[name] |= section
    ended = project.run("check", project.write(config), "--json", code=1)
    found = {one["path"]: one for one in json.loads(ended.stdout)["findings"]}
    assert set(away) <= set(found)
    for name in away:
        assert found[name]["severity"] == "error"
        assert f"127.0.0.1:{port}" in found[name]["message"] + found[name]["hint"]
        assert found[name]["hint"]


def test_errors_are_exit_code_1_and_faults_of_the_file_2(
    project: Project, config: dict[str, Any]
) -> None:
    placed(config)["fields"] = {**placed(config)["fields"], "customer": "custmer"}
    ended = project.run("check", project.write(config), code=1)
    assert "error: streams[0].events[0].fields.customer: " in ended.stdout
    assert "  → did you mean 'customer'?" in ended.stdout
    config["sorce"] = config.pop("source")
    ended = project.run("check", project.write(config), code=2)
    assert "sorce" in ended.stderr
    assert "source" in ended.stderr
    assert ended.stdout == ""


def test_the_old_keys_event_is_cautioned_of(project: Project, config: dict[str, Any]) -> None:
    (warning,) = findings(project, config)
    assert (warning.severity, warning.path) == ("warning", "streams[0].events[2].key")
    assert "only while the change topic has one partition" in warning.message
