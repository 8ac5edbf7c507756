"""The layering that keeps the parts apart: who may import whom."""

import ast
from pathlib import Path

import pytest

import cdc

ROOT = Path(cdc.__file__).parent

IMPURE = {"socket", "ssl", "time", "os", "subprocess", "threading", "random", "urllib", "sqlite3",
          "pymysql", "confluent_kafka", "sqlalchemy", "httpx2"}  # fmt: skip

PURE = [
    "model", "loop", "ports", "errors", "findings", "patterns", "rendering",
    "capture.binlog", "capture.charsets", "capture.decimals", "capture.defaults",
    "capture.description", "capture.envelope", "capture.executed", "capture.expected",
    "capture.gtid", "capture.json_binary", "capture.lineage", "capture.names", "capture.plan",
    "capture.preflight", "capture.rows", "capture.settings", "capture.shapes",
    "capture.statements", "capture.types", "capture.binder", "capture.column_rules",
    "capture.columns", "capture.deviations", "capture.left_out", "capture.masks",
    "capture.moments", "capture.planned_column", "capture.settings_check", "capture.source_types",
    "capture.values", "capture.addresses", "capture.alter", "capture.ddl", "capture.ddl_columns",
    "capture.decisions", "capture.knowledge", "capture.online_change", "capture.schema_changes",
    "capture.sql_tokens", "capture.table_options", "capture.query_event",
    "capture.block_writer", "capture.boundaries", "capture.change_events",
    "capture.context_headers", "capture.rows_events", "capture.source_field",
    "capture.statement_events", "capture.transaction_metadata", "section_parts", "codec.keys",
    "codec.avro", "codec.official", "codec.partition", "codec.types", "codec.wire",
    "reference.changes", "reference.comparison", "reference.events", "reference.gate",
    "reference.reads", "reference.tables", "reference.told", "reference.values",
    "reference.weaknesses",
    "translate.check", "translate.conditions", "translate.conversions", "translate.plan",
    "translate.rule", "translate.settings", "translate.table", "translate.translator",
    "views.materializer", "views.projection", "views.settings",
]  # fmt: skip

ADAPTERS = {
    "kafka": "log.kafka",
    "embedded": "log.embedded",
    "confluent": "codec.registry_confluent",
    "registry_embedded": "codec.registry_embedded",
    "server": "capture.server",
    "reference": "reference.source",
    "files": "capture.files",
    "sqlite": "views.sqlite",
}
COMPOSERS = {
    "wiring",
    "cli",
    "running",
    "decoding",
    "check",
    "comparing",
    "tailing",
    "supervisor",
    "metering",
}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports at run time, in full."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{name.name}" for name in node.names)
    return found


def modules() -> dict[str, set[str]]:
    """Module, from below `cdc`, → what it imports."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"):
            imports_of(path)
        for path in ROOT.rglob("*.py")
    }  # fmt: skip


MODULES = modules()


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_no_socket_clock_or_environment(module):
    tops = {name.split(".")[0] for name in MODULES[module]}
    assert not tops & IMPURE


@pytest.mark.parametrize(
    ("stage", "others"),
    [
        ("capture", ("translate", "views", "log")),
        ("translate", ("capture", "views", "log")),
        ("views", ("capture", "translate", "log")),
        ("log", ("capture", "translate", "views")),
        ("codec", ("capture", "translate", "views", "log", "reference")),
        ("reference", ("translate", "views", "log")),
        ("capture", ("reference",)),
    ],
)
def test_stages_never_import_one_another(stage, others):
    for module, imported in MODULES.items():
        if module.split(".")[0] == stage:
            for other in others:
                assert not any(name.startswith(f"cdc.{other}") for name in imported), module


@pytest.mark.parametrize("name", ADAPTERS)
def test_only_wiring_and_commands_know_an_adapter(name):
    adapter = f"cdc.{ADAPTERS[name]}"
    package = ADAPTERS[name].split(".")[0]
    for module, imported in MODULES.items():
        if module.split(".")[0] in COMPOSERS or module.startswith(("demo", f"{package}.")):
            continue
        assert adapter not in imported, f"{module} imports {adapter}"


def test_adapters_never_import_another_adapter():
    for name, adapter in ADAPTERS.items():
        others = {f"cdc.{other}" for key, other in ADAPTERS.items() if key != name}
        assert not MODULES[adapter] & others, adapter


def test_the_check_sees_an_import_that_breaks_the_rule(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from cdc.log.kafka import KafkaLog\n    import socket\n")
    assert {"socket", "cdc.log.kafka", "cdc.log.kafka.KafkaLog"} <= imports_of(bad)
