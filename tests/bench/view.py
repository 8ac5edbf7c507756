"""The rules and the view that lead from a row to a table of a reader: the whole pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.connectors import Project

VIEW = "order_overview"
FIELDS = {"order_id": "long", "customer_id": "long", "status": "string", "items": "int"}


def sections(table: str) -> Mapping[str, Any]:
    """`streams:` and `views:` of a connector file."""
    fields = {"customer_id": "customer_id", "status": "status", "items": "item_count"}
    placed = {"event": "OrderPlaced", "from": table, "on": "insert", "fields": fields}
    return {
        "streams": [
            {"stream": "orders", "major": 1, "key": {"order_id": "id"}, "events": [placed]}
        ],
        "views": [
            {
                "view": VIEW,
                "store": {"kind": "sqlite", "path": "../view.db"},
                "topic": "orders.v1",
                "key": "order_id",
                "events": {"OrderPlaced": {"upsert": list(fields)}},
            }
        ],
    }


def write_schema(project: Project) -> None:
    """The event's schema, where the connector file's project has it."""
    project.write_schema("orders", "OrderPlaced", FIELDS)


def view_file(project: Project) -> Path:
    return project.folder / "view.db"
