"""Real servers as fixtures: started at first use, once per session, stopped at its end.

A server that can't be had skips the tests that need it, by name; with CI=true it fails them.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from cdc.services import (
    DatabaseAddress,
    DatabaseServer,
    Kind,
    MariaDBServer,
    MySQLServer,
    Server,
    ServiceUnavailable,
    find,
    mariadb,
    mysql,
)

if TYPE_CHECKING:
    from pymysql.connections import Connection

S = TypeVar("S", bound=Server)
NewUser = Callable[..., DatabaseAddress]


@dataclass(frozen=True)
class FreshDatabase:
    """A database of one test's own."""

    server: DatabaseServer
    name: str

    def connect(self, **options: Any) -> Connection[Any]:
        """A connection that uses this database, as the server's own user."""
        return self.server.connect(database=self.name, **options)

    def execute(self, *statements: str) -> tuple[tuple[Any, ...], ...]:
        """Runs the statements in one connection; the rows of the last one."""
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return tuple(cursor.fetchall())


@pytest.fixture(scope="session")
def services_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this session's servers keep their data and logs."""
    return tmp_path_factory.mktemp("services")


@pytest.fixture(scope="session")
def mysql_server(services_folder: Path) -> Iterator[MySQLServer]:
    """A MySQL that all tests share: one that writes tagged GTIDs takes a server of its own."""
    with held(services_folder / "mysql", mysql.find) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server(services_folder: Path) -> Iterator[MariaDBServer]:
    """A MariaDB that all tests share."""
    with held(services_folder / "mariadb", mariadb.find) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb11_server(services_folder: Path) -> Iterator[MariaDBServer]:
    """A MariaDB 11.8 that all tests share."""
    with held(services_folder / "mariadb11", mariadb.find_11) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_server(services_folder: Path) -> Iterator[Server]:
    """A Kafka that all tests share."""
    with held(services_folder / "kafka", finder("kafka")) as server:
        yield server


@pytest.fixture(scope="session")
def registry_server(services_folder: Path) -> Iterator[Server]:
    """A schema registry that all tests share."""
    with held(services_folder / "registry", finder("registry")) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_address(kafka_server: Server) -> str:
    """host:port of the shared Kafka."""
    return kafka_server.url


@pytest.fixture(scope="session")
def registry_url(registry_server: Server) -> str:
    """The base of Confluent's API at the shared registry."""
    return registry_server.url


@pytest.fixture
def start_mysql(tmp_path: Path) -> Iterator[Callable[..., MySQLServer]]:
    """Starts a MySQL of the test's own: `start_mysql("--skip-log-bin")`; stopped afterwards."""
    with ExitStack() as servers:

        def start(*flags: str) -> MySQLServer:
            folder = tmp_path / f"mysql-{secrets.token_hex(3)}"
            return servers.enter_context(held(folder, lambda at: mysql.start(at, flags=flags)))

        yield start


@pytest.fixture
def start_mariadb(tmp_path: Path) -> Iterator[Callable[..., MariaDBServer]]:
    """Starts a MariaDB of the test's own, with more flags if given; stopped afterwards."""
    with ExitStack() as servers:

        def start(*flags: str) -> MariaDBServer:
            folder = tmp_path / f"mariadb-{secrets.token_hex(3)}"
            return servers.enter_context(held(folder, lambda at: mariadb.start(at, flags=flags)))

        yield start


@pytest.fixture
def mysql_database(mysql_server: MySQLServer) -> Iterator[FreshDatabase]:
    """A fresh database of the shared MySQL, dropped afterwards."""
    with fresh_database(mysql_server) as database:
        yield database


@pytest.fixture
def mariadb_database(mariadb_server: MariaDBServer) -> Iterator[FreshDatabase]:
    """A fresh database of the shared MariaDB, dropped afterwards."""
    with fresh_database(mariadb_server) as database:
        yield database


@pytest.fixture
def mysql_user(mysql_server: MySQLServer) -> Iterator[NewUser]:
    """Makes a user of the shared MySQL: `mysql_user("SELECT ON *.*")` gives its address."""
    with new_users(mysql_server) as new_user:
        yield new_user


@pytest.fixture
def mariadb_user(mariadb_server: MariaDBServer) -> Iterator[NewUser]:
    """Makes a user of the shared MariaDB, as `mysql_user` does."""
    with new_users(mariadb_server) as new_user:
        yield new_user


def finder(kind: Kind) -> Callable[[Path], Server]:
    """The function that finds a server of the kind, given its folder."""
    return lambda folder: find(kind, folder)


@contextmanager
def held(folder: Path, come_by: Callable[[Path], S]) -> Iterator[S]:
    """A server for as long as the block runs; without one its tests skip, or fail in CI."""
    server = had_or_skipped(folder, come_by)
    try:
        yield server
    finally:
        server.stop()
        # Logs stay for a look; data folders would fill the disk over the sessions.
        shutil.rmtree(folder / "data", ignore_errors=True)


def had_or_skipped(folder: Path, come_by: Callable[[Path], S]) -> S:
    """The server; without one the test ends here."""
    try:
        return come_by(folder)
    except ServiceUnavailable as missing:
        reasons = str(missing)
    if os.environ.get("CI") == "true":
        pytest.fail(reasons, pytrace=False)
    pytest.skip(reasons)


@contextmanager
def fresh_database(server: DatabaseServer) -> Iterator[FreshDatabase]:
    """A database with a name that no other test has, dropped at the end of the block."""
    name = f"t_{secrets.token_hex(6)}"
    database = FreshDatabase(server, name)
    _execute(server, f"create database {name}")
    try:
        yield database
    finally:
        _execute(server, f"drop database {name}")


@contextmanager
def new_users(server: DatabaseServer) -> Iterator[NewUser]:
    """A function that makes users with given grants; all are dropped at the end of the block."""
    made: list[str] = []

    def new_user(*grants: str, identified: str = "by") -> DatabaseAddress:
        """A user with each grant (`"SELECT ON shop.*"`); `identified` may name a plugin."""
        user, password = f"u_{secrets.token_hex(6)}", secrets.token_hex(8)
        _execute(server, f"create user {user}@'%' identified {identified} '{password}'")
        made.append(user)
        for grant in grants:
            _execute(server, f"grant {grant} to {user}@'%'")
        return server.address_of(user, password)

    try:
        yield new_user
    finally:
        for user in made:
            _execute(server, f"drop user {user}@'%'")


def _execute(server: DatabaseServer, statement: str) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
