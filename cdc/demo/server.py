"""The shop's database on a real server: made for the demonstration, removed after it."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pymysql

from cdc.demo.folder import DemoFolder
from cdc.demo.shop import DATABASE, statements_of
from cdc.errors import CdcError
from cdc.services import DatabaseServer, find
from cdc.services.progress import tell

if TYPE_CHECKING:
    from pymysql.connections import Connection

CLOCK_TRIES = 5


@dataclass(frozen=True, slots=True)
class ShopServer:
    """A server with the shop's empty tables, and what a connector needs to follow it."""

    label: str
    """`MySQL 9.7.0`."""
    where: str
    """`127.0.0.1:3306`."""
    is_ours: bool
    environment: Mapping[str, str]
    """What `shop.yaml` takes from the environment."""
    clock_ahead_seconds: float | None
    """The server's clock against this machine's; None if commits aren't timed finely."""
    _server: DatabaseServer

    def connect(self) -> Connection[Any]:
        """A connection to the shop's database."""
        return self._server.connect(database=DATABASE, charset="utf8mb4")


@contextmanager
def shop_server(folder: DemoFolder) -> Iterator[ShopServer]:
    """A server as long as the block runs; ServiceUnavailable if none can be had."""
    tell("looking for a MySQL, making one if need be …")
    server = cast(DatabaseServer, find("mysql", folder.server))
    user = f"cdc_demo_{secrets.token_hex(4)}"
    try:
        with server.connect() as connection:
            _refuse_existing(connection)
            # Our own server has nothing else: there the connector reads from the beginning.
            start = "earliest" if server.is_ours else _place(connection)
            _execute(connection, f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        try:
            yield _prepared(server, user, start)
        finally:
            if not server.is_ours:  # ours ends with all that is in it
                _remove(server, user)
    except pymysql.MySQLError as failure:
        raise CdcError(
            f"the shop on {server.address.host}:{server.address.port}: the server said {failure}",
            hint="use an account that may create a database and a user, and grant replication",
        ) from failure
    finally:
        if server.is_ours:
            server.kill()  # an orderly end takes seconds, for data that nobody needs
        server.stop()
        # Some 200 MB of no use without the server.
        shutil.rmtree(folder.server / "data", ignore_errors=True)


def _prepared(server: DatabaseServer, user: str, start: str) -> ShopServer:
    password = secrets.token_urlsafe(18)
    with server.connect(database=DATABASE) as connection:
        for statement in statements_of("shop.sql"):
            _execute(connection, statement)
        _execute(connection, f"CREATE USER {user}@'%' IDENTIFIED BY '{password}'")
        for grant in ("REPLICATION SLAVE, REPLICATION CLIENT ON *.*", f"SELECT ON {DATABASE}.*"):
            _execute(connection, f"GRANT {grant} TO {user}@'%'")
        version = server.version
        is_mariadb = "mariadb" in version.lower()
        ahead = None if is_mariadb else _clock_ahead(connection)
    environment = {
        "SHOP_DB_HOST": server.address.host,
        "SHOP_DB_PORT": str(server.address.port),
        "SHOP_DB_USER": user,
        "SHOP_DB_PASSWORD": password,
        "SHOP_START": start,
    }
    label = f"{'MariaDB' if is_mariadb else 'MySQL'} {version.split('-')[0]}"
    where = f"{server.address.host}:{server.address.port}"
    return ShopServer(label, where, server.is_ours, environment, ahead, server)


def _remove(server: DatabaseServer, user: str) -> None:
    statements = f"DROP DATABASE {DATABASE}", f"DROP USER IF EXISTS {user}@'%'"
    try:
        with server.connect() as connection:
            for statement in statements:
                _execute(connection, statement)
    except (pymysql.MySQLError, OSError) as failure:
        # Told, not raised: it must not hide what ended the demonstration.
        tell(f"could not remove the shop from the server ({failure}); {'; '.join(statements)};")


def _refuse_existing(connection: Connection[Any]) -> None:
    if _execute(connection, f"SHOW DATABASES LIKE '{DATABASE}'"):
        raise CdcError(
            f"the demonstration makes the database {DATABASE}, and the server has one already",
            hint=f"if it is of an earlier demonstration, remove it: DROP DATABASE {DATABASE};",
        )


def _place(connection: Connection[Any]) -> str:
    """Where the server's binlog ends now, as `source.start` takes it."""
    for statement in ("SHOW BINARY LOG STATUS", "SHOW BINLOG STATUS", "SHOW MASTER STATUS"):
        with suppress(pymysql.ProgrammingError):  # each server knows one or two of them
            rows = _execute(connection, statement)
            if rows:
                return f"{rows[0][0]}:{rows[0][1]}"
    raise CdcError(
        "the server doesn't say where its binlog ends",
        hint="switch its binlog on (log_bin), and use an account that may see it"
        " (REPLICATION CLIENT)",
    )


def _clock_ahead(connection: Connection[Any]) -> float:
    """The server's clock minus ours, by the quickest of a few questions."""
    answers = []
    for _ in range(CLOCK_TRIES):
        before = time.time()
        ((seconds,),) = _execute(connection, "SELECT UNIX_TIMESTAMP(SYSDATE(6))")
        after = time.time()
        answers.append((after - before, float(seconds) - (before + after) / 2))
    return min(answers)[1]


def _execute(connection: Connection[Any], statement: str) -> tuple[tuple[Any, ...], ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return tuple(cursor.fetchall())
