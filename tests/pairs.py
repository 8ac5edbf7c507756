"""Pairs of real servers: a source, and a replica that may be promoted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdc.services import MariaDBServer, MySQLServer, mariadb, mysql
from tests.reading import SECONDS_MAX
from tests.services_plugin import held

Server = MySQLServer | MariaDBServer


def execute(server: Server, *statements: str) -> list[tuple[Any, ...]]:
    """Runs the statements in one connection; the rows of the last one."""
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


def executed(server: Server) -> str:
    name = "gtid_executed" if server.flavor == "mysql" else "gtid_binlog_pos"
    ((text,),) = execute(server, f"select @@global.{name}")
    return str(text).replace("\n", "")


@dataclass(frozen=True)
class Pair:
    """A source, and a replica that follows it by GTID and writes a binlog of its own."""

    source: Server
    replica: Server

    def wait_replicated(self) -> None:
        """Until the replica has all that the source has."""
        is_mysql = self.source.flavor == "mysql"
        function = "wait_for_executed_gtid_set" if is_mysql else "master_gtid_wait"
        query = f"select {function}('{executed(self.source)}', {SECONDS_MAX})"
        assert execute(self.replica, query) == [(0,)], execute(self.replica, "show replica status")

    def write_at_replica(self, *statements: str) -> None:
        """Transactions of its own, as a promoted one makes them."""
        # MariaDB's would have the numbers of its source's next ones.
        own = [] if self.source.flavor == "mysql" else ["set session gtid_domain_id = 9"]
        execute(self.replica, *own, *statements)


REPLICATE = {
    "mysql": "change replication source to source_host = '127.0.0.1', source_port = {port},"
    " source_user = 'root', source_auto_position = 1, get_source_public_key = 1,"
    " source_connect_retry = 1",
    "mariadb": "change master to master_host = '127.0.0.1', master_port = {port},"
    " master_user = 'root', master_use_gtid = slave_pos, master_connect_retry = 1",
}
MYSQL_REPLICA = (
    "--server-id=7",
    # It cuts the rows of a transaction into other events than its source does.
    "--binlog-row-event-max-size=1024",
    "--replica-parallel-workers=4",
)
OWN_ORDER = "--replica-preserve-commit-order=OFF"
"""It may commit in another order than its source, and have gaps."""
MARIADB_REPLICA = ("--server-id=7", "--log-slave-updates=ON")


@contextmanager
def paired_mysql(folder: Path, *flags: str) -> Iterator[Pair]:
    """For as long as the block runs; with more flags for the replica."""
    with (
        held(folder / "source" / "mysql", mysql.start) as source,
        held(
            folder / "replica" / "mysql", lambda at: mysql.start(at, flags=(*MYSQL_REPLICA, *flags))
        ) as replica,
    ):
        yield _paired(source, replica)


@contextmanager
def paired_mariadb(folder: Path) -> Iterator[Pair]:
    """For as long as the block runs."""
    with (
        held(folder / "source" / "mariadb", mariadb.start) as source,
        held(
            folder / "replica" / "mariadb", lambda at: mariadb.start(at, flags=MARIADB_REPLICA)
        ) as replica,
    ):
        yield _paired(source, replica)


def _paired(source: Server, replica: Server) -> Pair:
    execute(replica, REPLICATE[source.flavor].format(port=source.address.port), "start replica")
    return Pair(source, replica)
