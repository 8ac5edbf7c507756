"""What the README says to type works, and prints what it shows."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from cdc.services import DatabaseAddress, MySQLServer
from tests.connectors import Project, wait_until
from tests.unit.test_docs import PROJECT, blocks

README = PROJECT / "README.md"
CONFIGURATION = PROJECT / "docs" / "configuration.md"
TOPICS = ("orders.v1", "shop.shop.orders", "shop.checkpoint")
TABLE = """create table shop.orders (
  id int primary key, customer_id int not null, total decimal(10,2) not null,
  status enum('placed', 'shipped') not null, created_at datetime not null, updated_at datetime)"""


@pytest.fixture
def shop_server(mysql_server: MySQLServer) -> Iterator[DatabaseAddress]:
    """The README's database and user."""
    password = secrets.token_hex(8)
    with mysql_server.connect() as connection, connection.cursor() as cursor:
        for statement in (
            "create database shop",
            TABLE,
            f"create user cdc@'%' identified by '{password}'",
            "grant select, replication slave, replication client on *.* to cdc@'%'",
        ):
            cursor.execute(statement)
        try:
            yield mysql_server.address_of("cdc", password)
        finally:
            cursor.execute("drop database shop")
            cursor.execute("drop user cdc@'%'")


@pytest.fixture
def no_topics(kafka_address: str) -> None:
    """The README's names aren't a test's own: what an earlier run left is removed."""
    kafka = AdminClient({"bootstrap.servers": kafka_address})
    there = [name for name in TOPICS if name in kafka.list_topics(timeout=30).topics]
    for deleted in (kafka.delete_topics(there) if there else {}).values():
        deleted.result(30)
    wait_until(
        lambda: not set(TOPICS) & set(kafka.list_topics(timeout=30).topics), "topics are deleted"
    )


def commands() -> list[list[str]]:
    """What follows `cdc` on the README's lines of shell."""
    lines = [line for block in blocks(README, "sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("cdc ")]


@pytest.mark.usefixtures("no_topics")
def test_the_readmes_connector_gives_what_the_readme_shows(
    tmp_path: Path,
    mysql_server: MySQLServer,
    shop_server: DatabaseAddress,
    kafka_address: str,
    registry_url: str,
) -> None:
    project = Project(tmp_path, {"SHOP_DB_PASSWORD": shop_server.password})
    (text,) = blocks(README, "yaml")
    for written, real in (
        ("host: localhost", f"host: {shop_server.host}, port: {shop_server.port}"),
        ("localhost:9092", kafka_address),
        ("http://localhost:8081", registry_url),
    ):
        assert written in text
        text = text.replace(written, real)
    project.write(text)
    (placed,) = [one for one in blocks(CONFIGURATION, "json") if "OrderPlaced" in one]
    folder = tmp_path / "schemas" / "orders" / "v1"
    folder.mkdir(parents=True)
    (folder / "OrderPlaced.avsc").write_text(placed)
    fields = [
        {"name": "order_id", "type": "long"},
        {"name": "shipped_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ]
    shipped = {"type": "record", "name": "OrderShipped", "namespace": "shop", "fields": fields}
    (folder / "OrderShipped.avsc").write_text(json.dumps(shipped))

    check, run, tail = commands()
    assert (check[0], run[0], tail[0]) == ("check", "run", "tail")
    said = project.run(*check).stdout
    assert "error: " not in said

    (sample,) = re.findall(r"^```\n(orders\.v1\[.*?)^```", README.read_text(), re.DOTALL | re.M)
    with ExitStack() as children:
        running = children.enter_context(project.started(*run))
        running.wait_running(2)
        tailing = children.enter_context(project.started(*tail))
        with mysql_server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                "insert into shop.orders values (1, 7, 59.90, 'placed', '2026-05-04 10:15', null)"
            )
        tailing.wait_printed("placed_at")
        assert tailing.printed == sample
        assert running.stop() == 0, running.said


@pytest.mark.parametrize("target", ["demo", "test", "setup", "services", "bench"])
def test_make_knows_what_to_do(target: str) -> None:
    planned = subprocess.run(
        ["make", "--dry-run", target], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )
    assert planned.returncode == 0, planned.stderr
