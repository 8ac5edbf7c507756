"""The commands do what their help says, and never show a secret."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cdc
from cdc import cli
from tests import shop
from tests.binlogs import GOLDEN, Binlog, whole_events
from tests.connectors import COMMAND, Project, Section, kafka_log, source_section
from tests.services_plugin import FreshDatabase, NewUser
from tests.shop import Shop, new_shop
from tests.unit import test_golden

RECORDING = test_golden.RECORDINGS[0]
MAGIC = b"\xfebin"
FORMAT, PREVIOUS_GTIDS, GTID, ROTATE = 15, 35, 33, 4


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def binlog(tmp_path: Path) -> Path:
    """Golden's binlog under the name that it had on its server."""
    path = tmp_path / RECORDING.file
    path.write_bytes((GOLDEN / "gstream2.binlog").read_bytes())
    return path


def decoded(project: Project, *arguments: object) -> list[dict[str, Any]]:
    """The lines of `cdc decode`."""
    return [json.loads(line) for line in project.run("decode", *arguments).stdout.splitlines()]


GOLDENS_OPTIONS = (
    *("--connector", "gstream2", "--tables", GOLDEN / "gstream2.tables.json"),
    *("--set", "provide.transaction.metadata=true", "--set", "skipped.operations=t"),
)


def test_decode_gives_the_bytes_that_debezium_wrote(project: Project, binlog: Path) -> None:
    schemas_file = project.folder / "schemas.json"
    options = ("--format", "wire", "--schemas", schemas_file, *GOLDENS_OPTIONS)
    lines = decoded(project, binlog, *options)
    schemas = json.loads(schemas_file.read_text())

    mine: dict[test_golden.Key, list[tuple[Any, ...]]] = {}
    for one in lines:
        assert set(one) == {"topic", "key", "value", "key_schema", "value_schema"}
        if one["topic"].split(".")[1:2] == ["golden"] or one["topic"] == "gstream2.transaction":
            key, value = (
                None if one[part] is None else bytes.fromhex(one[part]) for part in ("key", "value")
            )
            schema = schemas[str(one["value_schema"])] if value is not None else None
            key_schema = schemas[str(one["key_schema"])] if key is not None else None
            wire = (key_schema, schema, test_golden.timeless(schema, value))
            mine.setdefault((one["topic"], key), []).append(wire)
    theirs = {
        key: [(wire.key_schema, wire.value_schema, wire.value) for wire in wires]
        for key, wires in test_golden.recorded(RECORDING).items()
    }
    differing = {
        (topic, key.hex() if key is not None else None)
        for topic, key in theirs.keys() | mine.keys()
        if theirs.get((topic, key)) != mine.get((topic, key))
    }
    assert differing == set(RECORDING.deviations)


def test_decode_reads_several_files_as_one_stream(project: Project, binlog: Path) -> None:
    events = whole_events(binlog.read_bytes()[4:])
    begins = [at for at, event in enumerate(events) if event[4] == GTID]
    cut = begins[len(begins) // 2]
    heads = [event for event in events if event[4] in (FORMAT, PREVIOUS_GTIDS)]
    first, second = project.folder / "b.000001", project.folder / "b.000002"
    first.write_bytes(MAGIC + b"".join(events[:cut]))
    second.write_bytes(MAGIC + b"".join([*heads, *events[cut:]]))

    def told(*files: Path) -> list[tuple[Any, ...]]:
        return [(one["topic"], one["key"]) for one in decoded(project, *files)]

    whole = told(binlog)
    assert told(first, second) == whole
    ended = project.run("decode", first, second, "--format", "none")
    assert ended.stdout == f"{len(whole)} records\n"


def test_decode_goes_on_where_it_is_told_to(project: Project, tmp_path: Path) -> None:
    log = Binlog().begin(1).query("INSERT INTO t VALUES (1)").commit()
    file = tmp_path / "binlog.000001"
    file.write_bytes(b"\xfebin" + b"".join(log.events[1:]))
    refused = project.run("decode", file, code=1)
    assert "as a statement, not as rows, at binlog.000001:" in refused.stderr
    assert "source.accept: [statement_rows]" in refused.stderr
    project.run("decode", file, "--accept", "statement_rows")
    wrong = project.run("decode", file, "--accept", "statements", code=2)
    assert "one of row_image_not_full" in wrong.stderr


def test_decode_takes_its_settings_from_a_connector_file(project: Project, binlog: Path) -> None:
    tables = GOLDEN / "gstream2.tables.json"
    file = project.write(
        {
            "connector": "named",
            "source": {
                "files": [str(binlog)],
                "tables_file": str(tables),
                "tables": ["golden.numbers"],
            },
            "change_events": {"tombstones.on.delete": False},
        }
    )
    lines = decoded(project, binlog, "--config", file)
    assert {one["topic"] for one in lines} == {"named", "named.golden.numbers"}
    lines = [one for one in lines if one["topic"] != "named"]  # without schema changes
    options = ("--connector", "named", "--tables", tables, "--set", "tombstones.on.delete=false")
    again = [
        one for one in decoded(project, binlog, *options) if one["topic"] == "named.golden.numbers"
    ]

    def timeless(lines: list[dict[str, Any]]) -> list[Any]:
        return [(one["key"], one["value"] and one["value"]["after"]) for one in lines]

    assert timeless(again) == timeless(lines)


def test_what_describe_writes_gives_the_schemas_that_golden_has(
    project: Project, binlog: Path, mysql_database: FreshDatabase
) -> None:
    statements = (GOLDEN / "schema.sql").read_text().split("use golden;", 1)[1].split(";\n")
    mysql_database.execute(*(one for one in statements if one.strip()))
    name = mysql_database.name
    source = source_section(mysql_database.server.address, f"{name}.*")
    file = project.write({"connector": "shop", "source": source})
    described = project.run("describe", "-c", file).stdout
    tables = project.folder / "tables.json"
    tables.write_text(described.replace(name, "golden"))

    def schemas(tables_file: Path) -> Any:
        out = project.folder / "schemas.json"
        project.run("decode", binlog, "--format", "none", "--tables", tables_file, "--schemas", out)
        return json.loads(out.read_text())

    found = schemas(tables)
    assert found == schemas(GOLDEN / "gstream2.tables.json")
    assert '"default": ' in json.dumps(found)


@pytest.fixture
def kafka_shop(
    tmp_path: Path, mysql_database: FreshDatabase, kafka_address: str, registry_url: str
) -> Shop:
    """A connector over Kafka."""
    sections: dict[str, Section] = {
        "log": kafka_log(kafka_address),
        "registry": {"url": registry_url},
    }
    return new_shop(tmp_path, mysql_database, **sections)


@pytest.fixture
def written(kafka_shop: Shop) -> Shop:
    """The connector, with what was written in its topics."""
    with kafka_shop.project.started("run", kafka_shop.file) as child:
        shop.write(kafka_shop.database)
        kafka_shop.wait_equal(child)
        assert child.stop() == 0, child.said
    return kafka_shop


def test_tail_shows_any_topic_and_names_the_nearest(written: Shop) -> None:
    run, file, name = written.project.run, written.file, written.name
    table = written.database.name

    def tail(topic: str, *options: object) -> list[str]:
        return run("tail", topic, "-c", file, "--no-follow", *options).stdout.splitlines()

    lines = tail(f"{name}.v1")
    assert lines[0] == f'{name}.v1[0]@0 shop.{name}.OrderPlaced.v1 {{"order_id":1}}'
    assert json.loads(lines[1]) == {
        "order_id": 1,
        "customer": "Ünal",
        "total": "59.90",
        "discount": None,
        "placed_at": "2026-05-04T10:15:00.000001+00:00",
        "shipped_on": None,
        "is_gift": 0,
        "note": "[/b]",
    }
    assert len(tail(f"{name}.v1", "--last", 1)) == 2

    changes = f"{name}.{table}.orders"
    assert any(line.endswith('tombstone {"id":7}') for line in tail(changes))
    events = [json.loads(line) for line in tail(changes, "--json")]
    assert events[0]["headers"]["cdc_revision"] == "1.1.0"
    assert events[0]["headers"]["cdc_id"].endswith("/1")
    assert events[0]["value"]["after"]["customer"] == "Ünal"

    assert '"gtid_set"' in tail(f"{name}.checkpoint", "--last", 2)[-1]

    ended = run("tail", f"{name}.v2", "-c", file, code=1)
    assert f"there is no topic {name}.v2\n  → did you mean" in ended.stderr


def test_tail_follows_until_ctrl_c(written: Shop) -> None:
    with (
        written.project.started("run", written.file) as running,
        written.project.started("tail", f"{written.name}.v1", "-c", written.file) as tailing,
    ):
        tailing.wait_printed("OrderPlaced")
        written.database.execute("update orders set note = 'while looking' where id = 1")
        tailing.wait_printed("while looking")
        assert tailing.stop(signal.SIGINT) == 0, tailing.said
        assert tailing.said == ""
        assert running.stop() == 0


def test_status_tells_of_a_running_connector(tmp_path: Path, mysql_database: FreshDatabase) -> None:
    made = new_shop(tmp_path, mysql_database)
    run = made.project.run
    with made.project.started("run", made.file) as child:
        shop.write(mysql_database)
        made.wait_equal(child)
        lines = run("status", made.file).stdout.splitlines()
        assert [line.split()[1] for line in lines] == ["capture", "translate", "views/orders_now"]
        assert all(line.split()[0] == made.name and "state=running" in line for line in lines)
        (process,) = json.loads(run("status", made.file, "--json").stdout)["processes"]
        assert process["pid"] == child.process.pid
        assert [stage["errors_total"] for stage in process["stages"]] == [0, 0, 0]
        assert process["stages"][0]["records_total"] > 0
        assert child.stop() == 0, child.said
    ended = run("status", made.file, code=1)
    assert f"no process of connector {made.name} answers on this machine" in ended.stderr
    assert f"→ start it with `cdc run {made.file}`" in ended.stderr


def test_no_command_shows_a_secret(
    tmp_path: Path, mysql_database: FreshDatabase, mysql_user: NewUser, kafka_address: str
) -> None:
    address = mysql_user("SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.*")
    secrets = {
        "DB_PASSWORD": address.password,
        "REGISTRY_PASSWORD": "of-the-registry-3141",
        "SASL_PASSWORD": "of-the-broker-2718",
    }
    made = new_shop(
        tmp_path,
        mysql_database,
        source={"user": address.user, "password": "${DB_PASSWORD}"},
    )
    project = made.project
    project.variables = secrets
    config = json.loads(made.file.read_text())
    kafka = kafka_log(kafka_address, wait_seconds=0)
    kafka["options"] |= {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "cdc",
        "sasl.password": "${SASL_PASSWORD}",
    }
    login = {"user": "cdc", "password": "${REGISTRY_PASSWORD}"}
    over_kafka = project.write(
        {
            **config,
            "log": kafka,
            "registry": {"url": f"http://{kafka_address}", "auth": login, "wait_seconds": 0},
        },
        "kafka",
    )
    in_url = project.write(
        {**config, "log": kafka, "registry": {"url": "http://cdc:${REGISTRY_PASSWORD}@host:8081"}},
        "url",
    )
    wrong = project.write({**config, "source": {**config["source"], "pasword": "x"}}, "wrong")

    printed = []
    for arguments, code in (
        (("--log-level", "debug", "tail", "x", "-c", over_kafka), 1),
        (("check", in_url), 2),
        (("check", wrong), 2),
        (("describe", "-c", made.file), 0),
        (("check", made.file), 0),
    ):
        ended = project.run(*arguments, code=code)
        printed += [ended.stdout, ended.stderr]
    with project.started("--log-level", "debug", "run", made.file) as child:
        shop.write(mysql_database)
        made.wait_equal(child)
        printed.append(project.run("status", made.file, "--json").stdout)
        # A password that no longer fits.
        mysql_database.execute(f"alter user {address.user}@'%' identified by 'another'")
        ((thread,),) = mysql_database.execute(
            f"select id from information_schema.processlist where user = '{address.user}'"
            " and command like 'Binlog Dump%'"
        )
        mysql_database.execute(f"kill {thread}")
        assert child.wait() == 1
        assert "access denied" in child.said
        printed += [child.said, child.printed]
    for secret in secrets.values():
        assert not [text for text in printed if secret in text]


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Calls the entry point in this process: exit code, stdout, stderr."""

    def entry(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cdc", *arguments])
        try:
            cli.main()
            code: Any = 0
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        return code, out, err

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield entry
    root.handlers[:], root.level = handlers, level


def test_the_version_says_which_form_of_the_hot_path_runs(call: Call) -> None:
    code, out, _ = call("--version")
    assert code == 0
    assert out.startswith(f"cdc {cdc.__version__} (hot path: ")


def test_the_help_begins_with_an_example(call: Call) -> None:
    assert "Example: cdc run connectors/shop.yaml" in call("--help")[1]


@pytest.mark.parametrize("command", sorted(cli.cli.commands))
def test_every_commands_help_has_an_example(call: Call, command: str) -> None:
    code, out, _ = call(command, "--help")
    assert code == 0
    assert f"Example: cdc {command}" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("runn",), "No such command"),
        (("run",), "Missing argument"),
        (("run", "--sage", "capture", "x.yaml"), "--stage"),
        (("run", "x.yaml", "--stage", "captur"), "allowed are capture, translate, views"),
        (("decode", "x", "--set", "tombstones"), "OPTION=VALUE"),
        (("decode", "x", "--set", "tombstones.on.delet=true"), "tombstones.on.delete"),
        (("check", "no-such.yaml"), "no-such.yaml"),
        (("tail", "orders.v1"), "--config"),
    ],
)
def test_wrong_usage_is_exit_code_2(call: Call, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = call(*arguments)
    assert code == 2
    assert said in err
    assert out == ""


def test_a_binlog_that_is_not_there_is_an_error_with_its_name(project: Project) -> None:
    ended = project.run("decode", "no.000001", code=1)
    assert "no.000001" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_output_that_nobody_reads_ends_quietly(binlog: Path) -> None:
    reader = subprocess.Popen(
        [*COMMAND, "decode", str(binlog)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert reader.stdout is not None and reader.stderr is not None
    with reader:
        reader.stdout.close()
        assert reader.stderr.read() == b""
