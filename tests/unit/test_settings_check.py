"""`cdc check` says beforehand which settings can't hold and which do nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from cdc.capture.expected import expected_plans
from cdc.capture.settings import parse_settings
from cdc.capture.settings_check import check_settings
from cdc.errors import DecodeError
from cdc.findings import Finding
from tests.binlogs import GOLDEN
from tests.unit.test_preflight import MYSQL

TABLES = json.loads((GOLDEN / "gstream2.tables.json").read_text())


def findings(options: dict[str, Any], *, logs_statements: bool = True) -> list[Finding]:
    settings, faults = parse_settings(options)
    assert not faults
    refused: list[DecodeError] = []
    expected_plans(TABLES, settings, connector="c", flavor="mysql", refused=refused)
    facts = replace(MYSQL, logs_statements=logs_statements)
    return list(check_settings(settings, facts, TABLES, refused))


def test_every_table_that_a_mask_cant_hide_is_an_error_of_its_own() -> None:
    found = findings({"column.mask.with.3.chars": r"golden\.(numbers\.d52|times\.d)"})
    assert [(one.severity, one.path) for one in found] == 2 * [("error", "change_events")]
    assert "column d52 of golden.numbers is to be masked, but it is DECIMAL" in found[0].message


def test_an_expression_that_matches_no_column_is_a_warning_without_its_salt() -> None:
    found = findings(
        {
            "column.exclude.list": r"golden\.texts\.vc,golden\.texts\.vcc",
            "column.mask.hash.MD5.with.salt.hush": "texts.vl",
            "column.truncate.to.3.chars": r".*\.tx",
            "message.key.columns": r"golden\.texts:id,idd",
        }
    )
    assert [(one.severity, one.path, one.message.split()[0]) for one in found] == [
        ("error", "change_events", "message.key.columns"),
        ("warning", "change_events.column.exclude.list", r"golden\.texts\.vcc"),
        ("warning", "change_events.message.key.columns", r"golden\.texts.idd"),
        ("warning", "change_events.column.mask.hash.md5.with.salt.…", "texts.vl"),
    ]
    assert "hush" not in str(found)


def test_texts_that_the_server_doesnt_log_are_a_warning() -> None:
    for options in ({"include.query": True}, {"context_keys": "user_id"}):
        assert findings(options) == []
        (found,) = findings(options, logs_statements=False)
        assert "binlog_rows_query_log_events is OFF" in found.message
    assert findings({}, logs_statements=False) == []
