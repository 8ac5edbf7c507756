"""`python -m cdc.demo.recording`: records the shop anew, on a MySQL of our own."""

from __future__ import annotations

import random
import sys
import tempfile
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

from cdc.demo.comparison import queried_rows
from cdc.demo.record import BINLOG, FACTS, Record
from cdc.demo.shop import DATABASE, Shop, keep_shop, statements_of
from cdc.demo.story import Story
from cdc.services import MySQLServer, mysql
from cdc.services.command import run
from cdc.services.progress import show_on_stderr, tell

SEED = 11
TRANSACTIONS = 240
READ_SECONDS_MAX = 60.0
FOLDER = Path(__file__).parent / "recorded"


def main() -> int:
    """Write the binlog and what the query gives over the tables beside this module."""
    show_on_stderr()
    with tempfile.TemporaryDirectory() as temporary:
        server = mysql.start(Path(temporary) / "mysql")
        try:
            recorded, name = _write(server)
            FOLDER.mkdir(exist_ok=True)
            _fetch(server, name, Path(temporary))
            (FOLDER / BINLOG).write_bytes((Path(temporary) / name).read_bytes())
            (FOLDER / FACTS).write_bytes(recorded.to_json() + b"\n")
        finally:
            server.stop()
    tell(f"recorded {(FOLDER / BINLOG).stat().st_size:,} bytes, {len(recorded.result)} orders")
    return 0


def _write(server: MySQLServer) -> tuple[Record, str]:
    """Let the shop write into a binlog file of its own; what came of it, and the file's name."""
    story = Story()
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("FLUSH BINARY LOGS")
        cursor.execute("SHOW BINARY LOG STATUS")
        ((name, *_),) = cursor.fetchall()
        cursor.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        cursor.execute(f"USE {DATABASE}")
        for statement in statements_of("shop.sql"):
            cursor.execute(statement)
        shop = Shop(connection, random.Random(SEED), story.written)  # noqa: S311  # no secret
        last_order = keep_shop(shop, threading.Event(), _without_pause(TRANSACTIONS))
        expected = queried_rows(connection)
        # Closes the file: nothing is written to it any more.
        cursor.execute("FLUSH BINARY LOGS")
    recorded = Record(
        server=f"MySQL {server.version.split('-')[0]}",
        rows=dict(story.rows),
        transaction_count=story.transaction_count,
        rolled_back_count=story.rolled_back_count,
        last_order=last_order,
        columns=expected.columns,
        result=expected.rows,
    )
    return recorded, str(name)


def _without_pause(transactions: int) -> Callable[[], float | None]:
    numbers = count()
    return lambda: 0.0 if next(numbers) < transactions else None


def _fetch(server: MySQLServer, name: str, folder: Path) -> None:
    # Through the server, since its own file may be inside a container.
    address = server.address
    run(
        [
            *mysql.client_command("mysqlbinlog"),
            f"--host={address.host}",
            f"--port={address.port}",
            f"--user={address.user}",
            "--protocol=TCP",
            "--read-from-remote-server",
            "--raw",
            f"--result-file={folder}/",
            name,
        ],
        doing="reading the binlog from the server",
        seconds_max=READ_SECONDS_MAX,
    )


if __name__ == "__main__":
    sys.exit(main())
