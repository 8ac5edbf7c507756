"""Every scenario file holds: its changes become its events, and its view's rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql
from pydantic import TypeAdapter

from cdc.config.document import read_document
from cdc.errors import RuleError
from cdc.findings import errors_of
from cdc.model import Record
from cdc.testing import MemoryRegistry
from cdc.translate.check import check_rules
from cdc.translate.settings import StreamSettings
from cdc.translate.translator import Translator
from cdc.views.materializer import Materializer, event_schemas
from cdc.views.projection import project
from cdc.views.settings import ViewSettings
from cdc.views.sqlite import SqliteViewStore
from cdc.views.store import ViewSink
from tests.changes import CONNECTOR, Batch, History, Table
from tests.events import messages, official, plain, readable

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*/*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_scenario(file: Path, tmp_path: Path) -> None:
    document = read_document(file, {}, file.parent)
    assert not document.faults
    scenario = document.data
    tables = {name: Table(name, **one) for name, one in scenario["tables"].items()}
    schemas = official(scenario["schemas"])
    streams = TypeAdapter(list[StreamSettings]).validate_python(scenario["streams"])
    changes = {name: table.schemas for name, table in tables.items()}
    assert errors_of(check_rules(streams, schemas, changes)) == []

    registry = MemoryRegistry()
    translator = Translator(
        connector=CONNECTOR, streams=streams, official=schemas, registry=registry
    )
    history = _history(registry, tables, scenario["changes"])
    if "error" in scenario:
        with pytest.raises(RuleError) as raised:
            translator(history.batch())
        assert scenario["error"] in str(raised.value)
        return

    output = translator(history.batch())
    _assert_events(scenario["events"], readable(output.records, registry))
    reasons: Counter[str] = Counter()
    for (_, _, reason), count in translator.dropped.items():
        reasons[reason] += count
    assert dict(reasons) == scenario.get("dropped", {})
    if "view" in scenario:
        rows = _rows(scenario["view"], output.records, registry, tmp_path)
        assert rows == scenario["rows"]


def _history(registry: MemoryRegistry, tables: dict[str, Table], changes: list[Any]) -> History:
    history = History(registry)
    for change in changes:
        for operation in ("insert", "snapshot", "delete"):
            if operation in change:
                getattr(history, operation)(tables[change[operation]], change["row"])
        for operation in ("update", "key_change"):
            if operation in change:
                table = tables[change[operation]]
                getattr(history, operation)(table, change["before"], change["row"])
    return history


def _assert_events(expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    assert [_like(one, given) for one, given in zip(found, expected, strict=False)] == expected
    assert len(found) == len(expected), found[len(expected) :]


def _like(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """What the scenario speaks of, and of headers only those that it names."""
    headers = {name: found["headers"].get(name) for name in expected.get("headers", ())}
    return {name: headers if name == "headers" else found[name] for name in expected}


def _rows(
    view: dict[str, Any], records: Any, registry: MemoryRegistry, folder: Path
) -> list[dict[str, Any]]:
    settings = ViewSettings.model_validate(
        {**view, "store": {"kind": "sqlite", "path": "views.db"}}, context={"folder": folder}
    )
    projection, findings = project("views[0]", settings, event_schemas(registry, settings.topic))
    assert findings == []
    assert projection is not None
    store = SqliteViewStore(projection.table, settings.store.path)
    sink = ViewSink(store)
    topic: list[Record] = [one for one in records if one.topic == settings.topic]
    sink.write(Materializer(projection, registry)(Batch(messages(topic), {})))
    with store.engine.connect() as connection:
        query = sql.select(store.table).order_by(*(store.table.c[name] for name in settings.key))
        rows = [plain(dict(row._mapping)) for row in connection.execute(query)]
    sink.close()
    return rows
