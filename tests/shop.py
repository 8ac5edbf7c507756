"""An orders table with values of many kinds, what is written to it, and what must come of it."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.connectors import Child, Project, Section, events_of, source_section, wait_until
from tests.services_plugin import FreshDatabase

TABLE = """create table orders (
  id int primary key, customer varchar(40), total decimal(10,2) not null,
  discount decimal(8,5), placed_at datetime(6) not null, shipped_on date,
  is_gift tinyint not null, note mediumtext) default charset utf8mb4"""

COLUMNS = ("customer", "total", "discount", "placed_at", "shipped_on", "is_gift", "note")

# What the view must hold, as text that both sides write alike.
QUERY = """select id, customer, cast(total as char), cast(discount as char),
  date_format(placed_at, '%Y-%m-%d %H:%i:%s.%f'), cast(shipped_on as char), is_gift, note
  from orders order by id"""
VIEW_QUERY = f"select order_id, {', '.join(COLUMNS)} from orders_now order by order_id"

_DECIMAL = {"type": "bytes", "logicalType": "decimal"}
FIELDS: Mapping[str, Any] = {
    "order_id": "long",
    "customer": ["null", "string"],
    "total": {**_DECIMAL, "precision": 10, "scale": 2},
    "discount": ["null", {**_DECIMAL, "precision": 8, "scale": 5}],
    "placed_at": {"type": "long", "logicalType": "timestamp-micros"},
    "shipped_on": ["null", {"type": "int", "logicalType": "date"}],
    "is_gift": "int",
    "note": ["null", "string"],
}

WRITES = (
    "insert into orders values"
    " (1, 'Ünal', 59.90, null, '2026-05-04 10:15:00.000001', null, 0, '[/b]')",
    "insert into orders values (2, null, -0.01, 0.12500, '1999-12-31 23:59:59.999999',"
    " '2024-02-29', 1, null), (3, '', 99999999.99, 999.99999, '2026-01-01', '1970-01-01', 0, '→')",
    "update orders set total = 60.00, note = null where id = 1",
    "update orders set id = 30, customer = 'moved' where id = 3",
    "begin; insert into orders values (4, 'never', 1, 1, '2026-01-01', null, 0, 'never'); rollback",
    "begin; insert into orders values (5, 'kept', 5.55, null, '2026-01-05', null, 1, 'kept');"
    " savepoint s; insert into orders values (6, 'never', 1, 1, '2026-01-01', null, 0, 'never');"
    " update orders set note = 'never' where id = 1; rollback to savepoint s; commit",
    "insert into orders values (7, 'gone', 7, null, '2026-01-07', null, 0, repeat('y', 70000))",
    "delete from orders where id = 7",
    "update orders set shipped_on = '2026-05-05', discount = null where id in (1, 2, 30)",
)


def write(database: FreshDatabase) -> None:
    """Every statement; those of one text in one transaction."""
    for text in WRITES:
        database.execute(*(part.strip() for part in text.split(";")))


def streams(project: Project, table: str, stream: str) -> list[dict[str, Any]]:
    """Rules that tell everything about a table, and their schemas."""
    fields = {name: name for name in COLUMNS}
    for event in ("OrderPlaced", "OrderChanged", "OrderMoved"):
        project.write_schema(stream, event, FIELDS)
    project.write_schema(stream, "OrderRemoved", {"order_id": "long"})
    events: list[dict[str, Any]] = [
        {"event": "OrderPlaced", "on": "insert", "fields": fields},
        {"event": "OrderChanged", "on": "update", "fields": fields},
        {"event": "OrderRemoved", "on": "key_change", "key": {"order_id": {"before": "id"}}},
        {"event": "OrderMoved", "on": "key_change", "fields": fields},
        {"event": "OrderRemoved", "on": "delete"},
    ]
    rules = [{"from": table, **event} for event in events]
    return [{"stream": stream, "major": 1, "key": {"order_id": "id"}, "events": rules}]


def views(stream: str, path: str = "../views.db") -> list[dict[str, Any]]:
    """A view that is equal to the table."""
    upsert = {"upsert": list(COLUMNS)}
    return [
        {
            "view": "orders_now",
            "store": {"kind": "sqlite", "path": path},
            "topic": f"{stream}.v1",
            "key": ["order_id"],
            "events": {
                **dict.fromkeys(("OrderPlaced", "OrderChanged", "OrderMoved"), upsert),
                "OrderRemoved": "delete",
            },
        }
    ]


def view_rows(path: Path, query: str = VIEW_QUERY) -> list[tuple[Any, ...]]:
    """What the view holds now; nothing while there is no view."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []


@dataclass
class Shop:
    """A connector over a fresh database with one orders table."""

    project: Project
    database: FreshDatabase
    name: str
    file: Path

    @property
    def view_file(self) -> Path:
        return self.project.folder / "views.db"

    def wait_equal(self, child: Child | None = None) -> None:
        """Until the view holds what the query gives."""
        wanted = [tuple(row) for row in self.database.execute(QUERY)]

        def differing() -> str:
            said = child.said if child else ""
            return f"view {view_rows(self.view_file)}, table {wanted}; {said}"

        def is_equal() -> bool:
            if view_rows(self.view_file) == wanted:
                return True
            assert child is None or child.process.poll() is None, child.said
            return False

        wait_until(is_equal, differing)

    def events(self) -> list[dict[str, Any]]:
        return events_of(self.project.load(self.file), f"{self.name}.v1")

    def changes(self) -> list[dict[str, Any]]:
        topic = f"{self.name}.{self.database.name}.orders"
        return events_of(self.project.load(self.file), topic)


def new_shop(
    tmp_path: Path, database: FreshDatabase, *, source: Section | None = None, **sections: Any
) -> Shop:
    """The table, the schemas and the connector file."""
    database.execute(TABLE)
    project, name = Project(tmp_path), f"shop_{secrets.token_hex(4)}"
    table = f"{database.name}.orders"
    sections = {"http": {"port": 0}, "log": {"kind": "embedded"}, **sections}
    if sections["log"]["kind"] == "embedded":
        sections.setdefault("registry", {"kind": "embedded"})
    config = {
        "connector": name,
        "source": source_section(
            database.server.address, table, **{**here(database), **(source or {})}
        ),
        "streams": streams(project, table, name),
        "views": views(name),
        **sections,
    }
    return Shop(project, database, name, project.write(config))


def here(database: FreshDatabase) -> Section:
    """`source.start` at the binlog's present end."""
    if database.execute("select @@version like '%MariaDB%'") == ((1,),):
        ((gtid,),) = database.execute("select @@gtid_binlog_pos")
        return {"start": gtid}
    ((gtids,),) = database.execute("select @@global.gtid_executed")
    return {"start": gtids.replace("\n", "")}
