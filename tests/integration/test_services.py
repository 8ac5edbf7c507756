"""Each server starts, answers, is stopped by its id, and keeps its data and port over a restart."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pymysql
import pytest

from cdc.services import (
    DatabaseAddress,
    MariaDBServer,
    MySQLServer,
    Server,
    ServiceFailed,
    kafka,
    registry,
)
from cdc.services.__main__ import main
from tests.services_plugin import FreshDatabase, NewUser, held


def variables(server: MySQLServer | MariaDBServer, *names: str) -> dict[str, str]:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("show variables where variable_name in %s", (names,))
        return {name: value.upper() for name, value in cursor.fetchall()}


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_mysql_writes_full_row_metadata_with_gtids(mysql_server: MySQLServer) -> None:
    wanted = {
        "log_bin": "ON",
        "gtid_mode": "ON",
        "binlog_format": "ROW",
        "binlog_row_image": "FULL",
        "binlog_row_metadata": "FULL",
        "binlog_rows_query_log_events": "ON",
    }
    assert variables(mysql_server, *wanted) == wanted


def test_mariadb_writes_full_row_metadata_with_annotations(mariadb_server: MariaDBServer) -> None:
    wanted = {
        "log_bin": "ON",
        "gtid_domain_id": "1",
        "binlog_format": "ROW",
        "binlog_row_image": "FULL",
        "binlog_row_metadata": "FULL",
        "binlog_annotate_row_events": "ON",
    }
    assert variables(mariadb_server, *wanted) == wanted


def test_mysql_takes_encrypted_and_plain_connections(mysql_server: MySQLServer) -> None:
    for encrypted in (True, False):
        options = {"ssl": {"check_hostname": False}} if encrypted else {"ssl_disabled": True}
        with mysql_server.connect(**options) as connection, connection.cursor() as cursor:
            cursor.execute("show status like 'Ssl_cipher'")
            ((_, cipher),) = cursor.fetchall()
        assert bool(cipher) is encrypted


def test_mysql_keeps_data_and_port_over_a_restart(start_mysql: Callable[..., MySQLServer]) -> None:
    keeps_data_and_port_over_a_restart(start_mysql())


def test_mariadb_keeps_data_and_port_over_a_restart(
    start_mariadb: Callable[..., MariaDBServer],
) -> None:
    keeps_data_and_port_over_a_restart(start_mariadb())


def keeps_data_and_port_over_a_restart(server: MySQLServer | MariaDBServer) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("create database kept")
    before = server.address, server.pid

    server.restart()

    with server.connect(database="kept") as connection:
        assert connection.open
    assert server.address == before[0]
    assert server.pid != before[1] or server.origin == "docker"

    for end in (server.shut, server.kill):
        end()
        assert not server.is_running()
        server.restart()
    with server.connect(database="kept") as connection:
        assert connection.open

    server.stop()
    assert not server.is_running()
    assert not listens(server.address.port)


def test_a_paused_mysql_is_silent_until_it_is_resumed(
    start_mysql: Callable[..., MySQLServer],
) -> None:
    server = start_mysql()
    server.pause()
    with pytest.raises(pymysql.MySQLError):
        server.connect(connect_timeout=1, read_timeout=1)
    server.resume()
    assert server.refusal() is None
    # Stopping a paused one works too.
    server.pause()
    server.stop()
    assert not server.is_running()


def test_flags_make_a_variant(start_mysql: Callable[..., MySQLServer]) -> None:
    server = start_mysql(
        "--skip-log-bin",
        "--gtid-mode=OFF",
        "--enforce-gtid-consistency=OFF",
        "--binlog-row-metadata=MINIMAL",
    )
    assert variables(server, "log_bin", "gtid_mode", "binlog_row_metadata") == {
        "log_bin": "OFF",
        "gtid_mode": "OFF",
        "binlog_row_metadata": "MINIMAL",
    }


def test_a_server_that_does_not_start_says_why(start_mysql: Callable[..., MySQLServer]) -> None:
    with pytest.raises(ServiceFailed, match="no-such-flag"):
        start_mysql("--no-such-flag=1")


def test_kafka_answers_and_comes_back_on_its_port(tmp_path: Path) -> None:
    with held(tmp_path / "kafka", kafka.start) as server:
        comes_back_on_its_port(server)


def test_the_registry_answers_and_comes_back_on_its_port(tmp_path: Path) -> None:
    with held(tmp_path / "registry", registry.start) as server:
        comes_back_on_its_port(server)


def comes_back_on_its_port(server: Server) -> None:
    url = server.url
    server.restart()
    assert (server.url, server.refusal()) == (url, None)
    server.stop()
    assert not server.is_running()
    assert server.refusal() is not None


def test_the_registry_speaks_confluents_api(registry_url: str) -> None:
    body = json.dumps({"schema": '"string"'}).encode()
    request = urllib.request.Request(
        f"{registry_url}/subjects/services-value/versions",
        data=body,
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["id"] > 0


def test_a_new_user_may_do_what_it_was_granted(
    mysql_database: FreshDatabase, mysql_user: NewUser
) -> None:
    mysql_database.execute("create table t (id int primary key)", "insert into t values (1)")
    may: DatabaseAddress = mysql_user(f"SELECT ON {mysql_database.name}.*")
    may_not = mysql_user()
    with may.connect(database=mysql_database.name) as connection, connection.cursor() as cursor:
        assert cursor.execute("select * from t") == 1
    with pytest.raises(pymysql.OperationalError, match="denied"):
        may_not.connect(database=mysql_database.name)


def test_fresh_databases_have_names_of_their_own(
    mariadb_database: FreshDatabase, mysql_database: FreshDatabase
) -> None:
    assert mariadb_database.name != mysql_database.name
    assert mariadb_database.execute("select database()") == ((mariadb_database.name,),)


def test_the_command_starts_once_and_stops_exactly_that(
    tmp_path: Path, mariadb_server: MariaDBServer, capsys: pytest.CaptureFixture[str]
) -> None:
    if not mariadb_server.is_ours:
        pytest.skip("the environment names the MariaDB, so the command starts none")
    folder = ["--folder", str(tmp_path)]

    def rows(command: str) -> list[dict[str, str]]:
        assert main([command, "mariadb", "--json", *folder]) == 0
        listed: list[dict[str, str]] = json.loads(capsys.readouterr().out)
        return listed

    (first,) = rows("start")
    try:
        (again,) = rows("start")
        assert again == first
        assert rows("status") == [first]
    finally:
        (stopped,) = rows("stop")
    assert stopped["state"] == "stopped"
    assert not listens(DatabaseAddress.parse(first["url"], variable="url").port)
    assert rows("status") == []
    assert mariadb_server.refusal() is None
