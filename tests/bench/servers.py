"""The servers that the benchmarks run on, for them alone, and what must be known of them."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cdc.services import DatabaseAddress, DatabaseServer, Server, kafka, mysql, registry

S = TypeVar("S", bound=Server)
MYSQL_FLAGS = (
    "--sync-binlog=0",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-buffer-pool-size=256M",
    # MySQL's own default: the text of each statement is not in the binlog.
    "--binlog-rows-query-log-events=OFF",
)
SETTINGS = (
    "sync_binlog",
    "innodb_flush_log_at_trx_commit",
    "binlog_row_image",
    "binlog_rows_query_log_events",
    "binlog_transaction_compression",
)


@dataclass(frozen=True)
class Servers:
    """A MySQL, a Kafka and a registry that answer."""

    mysql: DatabaseServer
    kafka_address: str
    registry_url: str

    @property
    def mysql_settings(self) -> dict[str, str]:
        """What decides how durable a commit is and what the binlog holds."""
        with self.mysql.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL VARIABLES WHERE variable_name IN %s", (SETTINGS,))
            return {str(name): str(value) for name, value in cursor.fetchall()}


@contextmanager
def own_servers(folder: Path) -> Iterator[Servers]:
    """Servers in folders of their own, ended with all that they keep."""
    shutil.rmtree(folder, ignore_errors=True)
    with ExitStack() as held:
        database = held.enter_context(
            ended(mysql.start(folder / "mysql", flags=MYSQL_FLAGS), folder / "mysql")
        )
        log = held.enter_context(ended(kafka.start(folder / "kafka"), folder / "kafka"))
        schemas = held.enter_context(
            ended(registry.start(folder / "registry"), folder / "registry")
        )
        yield Servers(database, log.url, schemas.url)


@contextmanager
def ended(server: S, folder: Path) -> Iterator[S]:
    """The server for as long as the block runs; of its folder only the logs stay."""
    try:
        yield server
    finally:
        server.kill()  # an orderly end takes seconds, for data that nobody needs
        server.stop()
        shutil.rmtree(folder / "data", ignore_errors=True)


@contextmanager
def fresh_shop(server: DatabaseServer) -> Iterator[tuple[str, DatabaseAddress]]:
    """A database with a name of its own, and a user that may follow it; both removed at the end."""
    name, password = f"bench_{secrets.token_hex(4)}", secrets.token_hex(8)

    def execute(*statements: str) -> None:
        with server.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    execute(
        f"CREATE DATABASE {name} CHARACTER SET utf8mb4",
        f"CREATE USER {name}@'%' IDENTIFIED BY '{password}'",
        f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {name}@'%'",
        f"GRANT SELECT ON {name}.* TO {name}@'%'",
    )
    try:
        yield name, server.address_of(name, password)
    finally:
        execute(f"DROP DATABASE {name}", f"DROP USER {name}@'%'")
