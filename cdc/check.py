"""`cdc check`: a connector file against server, log, registry, schemas and real columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from cdc.capture.catalogue import captured_tables, read_tables
from cdc.capture.connection import Session
from cdc.capture.expected import expected_plans
from cdc.capture.facts import read_facts
from cdc.capture.lock import inspect_lock
from cdc.capture.preflight import inspect_source
from cdc.capture.settings_check import check_settings
from cdc.codec.official import load_official
from cdc.config import ConnectorConfig, ServerSource
from cdc.errors import CdcError, DecodeError
from cdc.findings import Finding
from cdc.translate.check import check_rules, event_names
from cdc.translate.table import ChangeSchemas
from cdc.views.materializer import event_schemas
from cdc.views.projection import check_views
from cdc.wiring.capture import event_settings, has_standby, server_settings
from cdc.wiring.ends import open_registry, reached_log


def check(config: ConnectorConfig) -> list[Finding]:
    """Everything that can be known before a start; nothing is created or changed."""
    findings: list[Finding] = []
    changes = None
    if isinstance(config.source, ServerSource):
        changes = _tried("source", findings, lambda: _check_source(config, findings))
    _tried("log", findings, lambda: _check_log(config))
    registered = _tried("registry", findings, lambda: _registered_events(config))
    official = load_official(config.schemas, event_names(config.streams))
    findings += check_rules(config.streams, official, changes)
    topics: dict[str, dict[str, Any]] = {topic: dict(e) for topic, e in (registered or {}).items()}
    for name, schema in official.by_event.items():
        topics.setdefault(name.topic, {})[name.event] = schema
    if registered is not None or topics:
        findings += check_views(config.views, topics)
    return findings


def _tried(path: str, findings: list[Finding], act: Callable[[], Any]) -> Any:
    """What an act gives; where it fails, None and the reason among the findings."""
    try:
        return act()
    except CdcError as error:
        findings.append(Finding("error", path, error.message, error.hint))
        return None


def _check_source(config: ConnectorConfig, findings: list[Finding]) -> Mapping[str, ChangeSchemas]:
    """The schemas that change events of the captured tables would have now."""
    settings = server_settings(config)
    assert config.source is not None
    session = Session(settings)
    try:
        facts = read_facts(session)
        findings += inspect_source(session, facts, settings)
        if has_standby(config):
            findings += inspect_lock(session)
        tables = read_tables(session, captured_tables(session, config.source.patterns))
    finally:
        session.close()
    refused: list[DecodeError] = []
    events = event_settings(config)
    plans = expected_plans(
        tables, events, connector=config.connector, flavor=facts.flavor, refused=refused
    )
    findings += check_settings(events, facts, tables, refused)
    return {name: ChangeSchemas(plan.value_schema, plan.key_schema) for name, plan in plans.items()}


def _check_log(config: ConnectorConfig) -> None:
    log = reached_log(config)
    try:
        log.topics()
    finally:
        log.close()


def _registered_events(config: ConnectorConfig) -> dict[str, dict[str, Any]]:
    """The events that the registry knows of each topic a view reads."""
    registry = open_registry(config)
    try:
        registry.subjects()
        found = {view.topic: event_schemas(registry, view.topic) for view in config.views}
    finally:
        registry.close()
    return {topic: events for topic, events in found.items() if events}


def to_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings for scripts."""
    return {"findings": [asdict(finding) for finding in findings]}


def show(findings: Sequence[Finding], console: Console) -> None:
    """The findings as a table, the errors first; plain lines when piped."""
    if not findings:
        console.print("nothing found: it can run", style="green")
        return
    ordered = sorted(findings, key=lambda finding: finding.severity)
    if not console.is_terminal:
        for finding in ordered:
            console.print(str(finding), soft_wrap=True, highlight=False, markup=False)
        return
    table = Table("", "where", "what", "what to do", show_lines=True)
    for finding in ordered:
        style = "red" if finding.severity == "error" else "yellow"
        table.add_row(
            f"[{style}]{finding.severity}[/]", finding.path, finding.message, finding.hint
        )
    console.print(table)
