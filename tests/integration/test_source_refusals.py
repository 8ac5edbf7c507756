"""A source that can't be followed says why, and what to do; never the password."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from cdc.capture.connection import Session
from cdc.capture.facts import read_facts
from cdc.capture.preflight import inspect_source
from cdc.capture.source_settings import ServerSettings, Tls
from cdc.errors import CdcError, SourceError, Unreachable
from cdc.findings import Finding
from cdc.patterns import TablePatterns
from cdc.services import MariaDBServer, MySQLServer
from tests.reading import Reading, read, settings_for
from tests.services_plugin import FreshDatabase, NewUser, fresh_database

Server = MySQLServer | MariaDBServer


@pytest.fixture(params=["mysql", "mariadb"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(kind: str, request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(f"{kind}_server")  # type: ignore[no-any-return]


@pytest.fixture
def new_user(kind: str, request: pytest.FixtureRequest) -> NewUser:
    return request.getfixturevalue(f"{kind}_user")  # type: ignore[no-any-return]


@pytest.fixture
def database(server: Server) -> Iterator[FreshDatabase]:
    with fresh_database(server) as database:
        database.execute("create table orders (id int primary key)")
        yield database


def refusal(settings: ServerSettings) -> CdcError:
    """The error that reading ends with before its first batch."""
    with pytest.raises(CdcError) as refused:
        read(settings, lambda r: True)
    assert refused.value.hint
    return refused.value


def findings(settings: ServerSettings) -> list[Finding]:
    with Session(settings) as session:
        return inspect_source(session, read_facts(session), settings)


@pytest.mark.parametrize("mode", ["preferred", "disabled"])
def test_a_wrong_password(new_user: NewUser, mode: Any) -> None:
    address = new_user("SELECT ON *.*")
    wrong = settings_for(address, password="a-wrong-secret", tls=Tls(mode))
    error = refusal(wrong)
    assert isinstance(error, SourceError)
    assert "access denied" in str(error)
    assert f"{address.user}@{address.host}:{address.port}" in str(error)
    assert "a-wrong-secret" not in str(error) + repr(wrong)


def test_a_password_is_taken_as_it_is(server: Server, new_user: NewUser) -> None:
    address = new_user("SELECT ON *.*")
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"alter user {address.user}@'%' identified by 'pässwörd→'")
    settings_right = settings_for(address, password="pässwörd→")
    with Session(settings_right) as session:
        assert session.rows("asking", "SELECT 1 AS one") == [{"one": 1}]


def test_a_port_where_nothing_listens(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = refusal(settings_for(server.address, port=port))
    assert isinstance(error, Unreachable)
    assert f":{port}" in str(error)
    assert "nothing listens" in str(error)


def test_a_host_name_that_is_not_known(mysql_server: MySQLServer) -> None:
    error = refusal(settings_for(mysql_server.address, host="no-such-host.invalid"))
    assert isinstance(error, Unreachable)
    assert "'no-such-host.invalid' is not known" in str(error)


def test_a_listener_that_never_answers(mysql_server: MySQLServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        settings = settings_for(mysql_server.address, port=port, connect_timeout_seconds=0.5)
        error = refusal(settings)
    assert isinstance(error, Unreachable)
    assert "no answer within 0.5 s" in str(error)


def test_a_host_that_the_server_refuses(mysql_server: MySQLServer) -> None:
    with mysql_server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("create user elsewhere@'192.0.2.1' identified by 'x'")
        try:
            error = refusal(settings_for(mysql_server.address_of("elsewhere", "x")))
        finally:
            cursor.execute("drop user elsewhere@'192.0.2.1'")
    assert isinstance(error, SourceError)


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        ((), ("REPLICATION SLAVE",)),
        (("REPLICATION SLAVE ON *.*",), ("REPLICATION CLIENT", "BINLOG MONITOR")),
        (("REPLICATION CLIENT ON *.*",), ("REPLICATION SLAVE",)),
    ],
)
def test_missing_rights_come_with_their_grant(
    database: FreshDatabase, new_user: NewUser, granted: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    address = new_user(f"SELECT ON {database.name}.*", *granted)
    error = refusal(settings_for(address, f"{database.name}.orders"))
    assert isinstance(error, SourceError)
    assert any(f"GRANT {name}" in str(error) for name in missing)
    assert address.user in error.hint


def test_enough_rights_are_enough(database: FreshDatabase, new_user: NewUser, kind: str) -> None:
    monitor = "REPLICATION CLIENT" if kind == "mysql" else "BINLOG MONITOR"
    address = new_user(f"SELECT ON {database.name}.*", f"REPLICATION SLAVE, {monitor} ON *.*")
    settings = settings_for(address, f"{database.name}.orders")
    assert [one for one in findings(settings) if one.severity == "error"] == []
    assert read(settings, lambda r: True).start is not None


def test_a_role_gives_rights(mysql_server: MySQLServer, mysql_user: NewUser) -> None:
    address = mysql_user("USAGE ON *.*")
    role = f"{address.user}_role"
    with mysql_server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"create role {role}")
        try:
            cursor.execute(f"grant replication slave, replication client, select on *.* to {role}")
            cursor.execute(f"grant {role} to {address.user}")
            cursor.execute(f"set default role {role} to {address.user}")
            assert read(settings_for(address), lambda r: True).start is not None
        finally:
            cursor.execute(f"drop role {role}")


def test_a_table_that_may_not_be_read(database: FreshDatabase, new_user: NewUser) -> None:
    address = new_user("REPLICATION SLAVE, REPLICATION CLIENT ON *.*")
    (finding,) = findings(settings_for(address, f"{database.name}.orders"))
    assert finding.severity == "error"
    assert f"GRANT SELECT ON `{database.name}`.`orders` TO '{address.user}'@'%';" == finding.hint


def test_a_table_that_is_not_there(database: FreshDatabase) -> None:
    name = database.name
    settings = settings_for(database.server.address, f"{name}.orders", f"{name}.oders")
    (finding,) = findings(settings)
    assert (finding.severity, finding.path) == ("error", "source.tables[1]")
    assert f"{name}.orders" in finding.hint


def test_tables_that_will_hurt_are_warned_of(database: FreshDatabase, kind: str) -> None:
    database.execute(
        "create table parts (order_id int, foreign key (order_id) references orders (id)"
        " on delete cascade)"
    )
    found = findings(settings_for(database.server.address, f"{database.name}.*"))
    messages = " ".join(finding.message for finding in found)
    assert {finding.severity for finding in found} == {"warning"}
    assert f"{database.name}.parts has no primary key" in messages
    is_exposed = f"{database.name}.parts is changed by foreign keys" in messages
    assert is_exposed == (kind == "mariadb")  # MySQL 9.6 and later write these rows


def test_server_settings_that_are_in_the_way(kind: str, request: pytest.FixtureRequest) -> None:
    start: Callable[..., Server] = request.getfixturevalue(f"start_{kind}")
    server = start(
        "--binlog-format=MIXED", "--binlog-row-image=MINIMAL", "--binlog-row-metadata=MINIMAL"
    )
    settings = settings_for(server.address)
    error = refusal(settings)
    assert isinstance(error, SourceError)
    for name in ("binlog_format is MIXED", "binlog_row_image is MINIMAL", "binlog_row_metadata"):
        assert name in error.message
    for name in ("binlog_format = ROW", "binlog_row_image = FULL", "binlog_row_metadata = FULL"):
        assert name in error.hint
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("set global binlog_format = ROW")
    accepting = frozenset({"row_image_not_full", "row_metadata_not_full"})
    assert read(replace(settings, accept=accepting), lambda r: True).start is not None


def test_a_server_without_binlog(kind: str, request: pytest.FixtureRequest) -> None:
    start: Callable[..., Server] = request.getfixturevalue(f"start_{kind}")
    flags = ["--skip-log-bin"]
    if kind == "mysql":
        flags += ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"]
    error = refusal(settings_for(start(*flags).address))
    assert isinstance(error, SourceError)
    assert "log_bin is OFF" in error.message
    assert "my.cnf" in error.hint


def test_a_server_without_gtids_is_followed_by_file(
    start_mysql: Callable[..., MySQLServer],
) -> None:
    server = start_mysql("--gtid-mode=OFF", "--enforce-gtid-consistency=OFF")
    with fresh_database(server) as database:
        database.execute("create table t (id int primary key, v varchar(40))")
        settings = settings_for(server.address)

        def write() -> None:
            database.execute("insert into t values (1, 'row-1;')")

        def is_there(reading: Reading) -> bool:
            return reading.is_committed() and reading.holds(b"row-1;")

        reading = read(settings, is_there, begun=write)
        assert reading.start is not None
        assert reading.start.gtid_set == ""
        again = read(settings, is_there, reading.start)
        assert again.events == reading.events
        assert [one.severity for one in findings(settings)] == ["warning"]
        with pytest.raises(SourceError, match="gtid_mode off"):
            read(replace(settings, coordinates="gtid"), lambda r: True)


@pytest.mark.parametrize("mode", ["preferred", "required"])
def test_the_binlog_comes_through_tls(
    mysql_server: MySQLServer, mysql_user: NewUser, mode: Any
) -> None:
    address = mysql_user("REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.*")
    settings = settings_for(address, tls=Tls(mode))
    with Session(settings) as session:
        (row,) = session.rows("asking", "SHOW STATUS LIKE 'Ssl_cipher'")
        assert row["Value"]
    with fresh_database(mysql_server) as database:
        database.execute("create table t (id int primary key, v longtext)")

        def write() -> None:
            database.execute("insert into t values (1, repeat('z', 3000000)), (2, 'row-2;')")

        reading = read(settings, lambda r: r.holds(b"row-2;"), begun=write)
        assert sum(reading.batch_sizes) > 3_000_000


def test_no_tls_is_used_when_it_is_disabled(mysql_server: MySQLServer, mysql_user: NewUser) -> None:
    address = mysql_user("REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.*")
    settings = settings_for(address, tls=Tls("disabled"))
    with Session(settings) as session:
        (row,) = session.rows("asking", "SHOW STATUS LIKE 'Ssl_cipher'")
        assert row["Value"] == ""
    assert read(settings, lambda r: True).start is not None


@pytest.mark.parametrize("mode", ["verify_ca", "verify_identity"])
def test_a_certificate_of_an_unknown_authority(mysql_server: MySQLServer, mode: Any) -> None:
    error = refusal(settings_for(mysql_server.address, tls=Tls(mode)))
    assert isinstance(error, SourceError)
    assert "TLS failed" in str(error)
    assert "source.tls.ca" in error.hint


def test_tls_that_the_server_does_not_have(start_mariadb: Callable[..., MariaDBServer]) -> None:
    server = start_mariadb("--skip-ssl")
    error = refusal(settings_for(server.address, tls=Tls("required")))
    assert isinstance(error, SourceError)
    assert "TLS failed" in str(error)
    assert read(settings_for(server.address, tls=Tls("preferred")), lambda r: True).start


def test_a_ca_file_that_is_not_there(mysql_server: MySQLServer) -> None:
    error = refusal(settings_for(mysql_server.address, tls=Tls("verify_ca", ca="/no/such.pem")))
    assert isinstance(error, SourceError)
    assert "/no/such.pem" in str(error)


def test_patterns_of_tables_are_the_settings_own() -> None:
    settings = ServerSettings("shop", "h", "u", 7, TablePatterns(("shop.*",)), password="secret")
    assert settings.origin == "u@h:3306"
    assert "secret" not in repr(settings)
