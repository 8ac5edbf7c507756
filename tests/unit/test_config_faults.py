"""Each kind of fault in a connector file, with the exact text that a user reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from cdc.config import ConfigFaults, Stage, load, load_file
from cdc.config.document import FILE_BYTES_MAX, NODES_MAX
from cdc.config.faults import FAULTS_SHOWN_MAX
from cdc.errors import ConfigError

GOOD = """\
connector: shop
source:
  user: cdc
  password: ${PASSWORD:}
  tables: [shop.orders]
"""


def faults(
    folder: Path,
    text: str,
    environment: Mapping[str, str] | None = None,
    *,
    stages: Collection[Stage] = (),
    validators: Mapping[str, Any] | None = None,
) -> list[str]:
    """The faults of a file with this text, each as `line: path: text`."""
    path = folder / "shop.yaml"
    path.write_text(dedent(text))
    with pytest.raises(ConfigFaults) as caught:
        load(path, environment or {}, stages=stages, validators=validators)
    return [str(fault).removeprefix(f"{path}:").strip() for fault in caught.value.faults]


# What a user adds to a good file (which has 5 lines), and what is said about it.
CASES = {
    "an unknown key names the nearest right one": (
        "lmits: {}",
        "6: lmits: unknown key; allowed: connector, source, log, registry, spool, topics, "
        "change_events, dead_letters, streams, views, schemas, http, delivery, limits;"
        ' did you mean "limits"?',
    ),
    "an unknown key that is near to nothing lists what is allowed": (
        "http: {qqq: 1}",
        "6: http.qqq: unknown key; allowed: host, port, ready_within_seconds",
    ),
    "a word that is not among the allowed ones": (
        "delivery: exactly_onse",
        '6: delivery: found "exactly_onse"; allowed: exactly_once, at_least_once;'
        ' did you mean "exactly_once"?',
    ),
    "a number that is too large": (
        "http: {port: 70000}",
        "6: http.port: found 70000; allowed: at most 65535",
    ),
    "a number that is too small": (
        "limits: {batch_rows_max: 0}",
        "6: limits.batch_rows_max: found 0; allowed: at least 1",
    ),
    "a number that must be more than its bound": (
        "limits: {retry_wait_seconds_max: 0}",
        "6: limits.retry_wait_seconds_max: found 0; allowed: more than 0",
    ),
    "text where a whole number belongs": (
        "http: {port: none}",
        '6: http.port: found "none"; allowed: a whole number',
    ),
    "a fraction where a whole number belongs": (
        "http: {port: 1.5}",
        "6: http.port: found 1.5; allowed: a whole number",
    ),
    "a number where text belongs": (
        "schemas: 5",
        "6: schemas: found 5; allowed: text (put it in quotes)",
    ),
    "nothing where a mapping belongs": (
        "topics:",
        "6: topics: found nothing; allowed: a mapping",
    ),
    "a list where a mapping belongs": (
        "topics: [a]",
        "6: topics: found a list; allowed: a mapping",
    ),
    "a mapping where a list belongs": (
        "streams: {a: 1}",
        "6: streams: found a mapping; allowed: a list",
    ),
    "all branches of a union in one fault": (
        "log: {kind: kafka, bootstrap_servers: k, options: {linger: [1]}}\nregistry: {url: http://r}",
        "6: log.options.linger: found a list; allowed: text (put it in quotes) or a whole number "
        "or a number or true or false",
    ),
    "an unknown kind": (
        "log: {kind: kafak}",
        '6: log.kind: found "kafak"; allowed: kafka, embedded; did you mean "kafka"?',
    ),
    "no kind": (
        "log: {bootstrap_servers: a}",
        "6: log.kind: missing; allowed: embedded, kafka",
    ),
    "a missing key of a kind": (
        "log: {kind: kafka}\nregistry: {url: http://r}",
        "6: log.bootstrap_servers: missing; it has no default",
    ),
    "an unknown kind of registry": (
        "registry: {kind: confluense}",
        '6: registry.kind: found "confluense"; allowed: confluent, embedded; '
        'did you mean "confluent"?',
    ),
    "a retention that is no time": (
        "topics: {changes: {retention: 7 days}}",
        '6: topics.changes.retention: found "7 days"; allowed: a number with s, m, h or d, '
        "such as 7d; or forever",
    ),
    "a registry with half an authentication": (
        "registry: {url: http://r, auth: {user: u}}",
        "6: registry.auth: allowed: user with password, or token alone",
    ),
    "a registry's password in its address is not shown": (
        "registry: {url: http://me:hunter2@r}",
        '6: registry.url: found "http://***@r"; allowed: http://host:port, https too; user and '
        "password go to auth",
    ),
    "a Kafka log without a registry": (
        "log: {kind: kafka, bootstrap_servers: a}",
        "1: registry: missing; a Kafka log needs registry: {url: …} or {kind: embedded, …}",
    ),
    "an embedded registry that has no file": (
        "log: {kind: kafka, bootstrap_servers: a}\nregistry: {kind: embedded}",
        "7: registry.path: missing; beside a Kafka log an embedded registry needs a file of "
        "its own",
    ),
    "a rule for a table that is not captured": (
        "streams:\n- stream: orders\n  major: 1\n  key: {id: id}\n  events:\n"
        "  - {event: A, from: shop.customers, on: insert}",
        "11: streams[0].events[0].from: this table is not captured: source.tables has no "
        "pattern that matches it",
    ),
    "a rule's operation": (
        "streams:\n- stream: orders\n  major: 1\n  key: {id: id}\n  events:\n"
        "  - {event: A, from: shop.orders, on: inserted}",
        '11: streams[0].events[0].on: found "inserted"; allowed: insert, update, delete, '
        'key_change, snapshot; did you mean "insert"?',
    ),
    "a stream's major that is declared twice": (
        "streams:\n" + 2 * "- {stream: o, major: 1, key: {a: a}, events: "
        "[{event: A, from: shop.orders, on: insert}]}\n",
        "8: streams[1].stream: declared already at streams[0]",
    ),
    "a view of an event that its stream does not have": (
        "streams:\n- {stream: o, major: 1, key: {a: a}, events: "
        "[{event: Placed, from: shop.orders, on: insert}]}\n"
        "views:\n- view: v\n  store: {kind: sqlite, path: v.db}\n  topic: o.v1\n  key: a\n"
        "  events: {Palced: delete}",
        "13: views[0].events.Palced: o.v1 has no such event; allowed: Placed; "
        'did you mean "Placed"?',
    ),
    "a key that is there twice": (
        "http: {}\nhttp: {}",
        "7: http: this key is in line 6 already",
    ),
    "a variable that is not set": (
        "schemas: ${SCHEMAS}",
        "6: schemas: the environment variable SCHEMAS is not set; set it, or give a default: "
        "${SCHEMAS:default}",
    ),
    "a default as the shell writes it": (
        "schemas: ${SCHEMAS:-here}",
        '6: schemas: the default of ${SCHEMAS:…} begins with "-"; write ${SCHEMAS:default}',
    ),
    "a placeholder that does not end": (
        'schemas: "a${SCHEMAS"',
        '6: schemas: "${" without its "}"; write "$${" for the two characters themselves',
    ),
    "a placeholder that is none": (
        "schemas: ${1}",
        "6: schemas: a placeholder that is none of ${VAR}, ${VAR:default}, ${file:PATH}",
    ),
    "a tag": (
        "schemas: !!python/name:os.system x",
        "6: schemas: a YAML tag; leave it out",
    ),
    "a key that is not text": (
        "http: {[a]: 1}",
        "6: http: a key that is not text",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_says_where_what_was_found_and_what_is_allowed(name: str, tmp_path: Path) -> None:
    text, expected = CASES[name]
    assert faults(tmp_path, GOOD + text) == [expected]


SOURCES = {
    "a table without a database": (
        "{user: u, tables: [orders]}",
        '2: source.tables[0]: found "orders"; allowed: database.table, where * and ? stand for '
        "characters",
    ),
    "no table": ("{user: u, tables: []}", "2: source.tables: found a list; allowed: at least 1"),
    "no user": ("{tables: [a.b]}", "2: source.user: missing; it has no default"),
    "a start that is no place": (
        "{user: u, tables: [a.b], start: yesterday}",
        '2: source.start: found "yesterday"; allowed: earliest, latest, a GTID set, or '
        "file:position",
    ),
    "a start that the coordinates can't express": (
        "{user: u, tables: [a.b], coordinates: file, start: 0-1-2}",
        "2: source.start: a GTID set does not go with coordinates: file; write file:position",
    ),
    "a server and files": (
        "{files: [a.1], host: h, port: 1, tables: [a.b]}",
        "2: source: either a server or files; leave out files, or leave out host, port",
    ),
    "a password that YAML takes for a number": (
        "{user: u, tables: [a.b], password: 1234}",
        "2: source.password: found ***; allowed: text (put it in quotes)",
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_fault_of_the_source(name: str, tmp_path: Path) -> None:
    text, expected = SOURCES[name]
    found = faults(tmp_path, f"connector: shop\nsource: {text}\n")
    assert len(found) == 1
    assert found[0].removesuffix(" entries") == expected


def test_all_faults_of_a_file_come_at_once_in_the_order_of_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(
        dedent("""\
        connector: Shop!
        source:
          user: cdc
          pasword: ${PASSWORD}
          tables: [shop.orders]
        http: {port: 99999}
        change_events: {colour: red}
        """)
    )
    with pytest.raises(ConfigError) as caught:
        load(
            path,
            {},
            stages=["views"],
            validators={"change_events": lambda m: [(key, "no such option") for key in m]},
        )
    assert caught.value.exit_code == 2
    assert str(caught.value) == dedent(f"""\
        can't use the connector file {path}: 6 faults
          {path}:1: connector: found "Shop!"; allowed: up to 63 of a-z, 0-9, _ and -; a letter or \
digit first
          {path}:1: views: missing; the stage views needs it
          {path}:4: source.pasword: the environment variable PASSWORD is not set; set it, or \
give a default: ${{PASSWORD:default}}
          {path}:4: source.pasword: unknown key; allowed: tables, accept, host, port, user, \
password, tls, standby, reader, server_id, coordinates, start, heartbeat_seconds, \
connect_timeout_seconds, wait_seconds, lineage_wait_seconds; did you mean "password"?
          {path}:6: http.port: found 99999; allowed: at most 65535
          {path}:7: change_events.colour: no such option""")


@pytest.mark.parametrize(
    ("stage", "section"),
    [("capture", "source"), ("translate", "streams"), ("views", "views")],
)
def test_a_stage_needs_its_section(stage: Stage, section: str, tmp_path: Path) -> None:
    found = faults(tmp_path, "connector: shop\n", stages=[stage])
    assert found == [f"1: {section}: missing; the stage {stage} needs it"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigFaults) as caught:
        load(path, {})
    assert str(caught.value) == (
        f"can't use the connector file {path}: 1 fault\n  {path}: there is no such file"
    )


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigFaults, match="can't read the file: Is a directory"):
        load(tmp_path, {})


def test_an_empty_file(tmp_path: Path) -> None:
    assert faults(tmp_path, "") == ["the file is empty"]


def test_a_file_that_holds_no_mapping(tmp_path: Path) -> None:
    assert faults(tmp_path, "[a]") == ["1: found a list; allowed: a mapping"]


def test_a_syntax_error_has_line_and_column_and_quotes_nothing_of_the_file(tmp_path: Path) -> None:
    assert faults(tmp_path, "connector: shop\nsource: {password: *hunter2}\n") == [
        "2: not YAML: found undefined alias '…' (column 20)"
    ]


def test_a_placeholder_in_braces_gets_the_hint_to_quote_it(tmp_path: Path) -> None:
    assert faults(tmp_path, "http: {port: ${PORT}}\n") == [
        "1: not YAML: expected ',' or '}', but got '{' (column 15); inside { } and [ ] a "
        'placeholder needs quotes: "${VAR}"'
    ]


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_bytes(b"connector: \xff\n")
    with pytest.raises(ConfigFaults, match="the file is not UTF-8 text"):
        load(path, {})


def test_a_file_that_is_too_large_is_not_parsed(tmp_path: Path) -> None:
    text = "# " + "x" * FILE_BYTES_MAX
    assert faults(tmp_path, text) == [f"the file is larger than {FILE_BYTES_MAX} bytes"]


def test_aliases_can_not_multiply(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdef", "bcdefg", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    found = faults(tmp_path, "\n".join(lines))
    assert [text.partition(": ")[2] for text in found] == [
        f"more than {NODES_MAX} values, aliases followed"
    ]


def test_a_list_that_holds_itself_is_refused(tmp_path: Path) -> None:
    assert faults(tmp_path, "a: &a [*a]") == ["1: more than 40 levels, aliases followed"]


def test_brackets_without_end_are_refused(tmp_path: Path) -> None:
    assert faults(tmp_path, "a: " + "[" * 5000) == ["nested deeper than 40 levels"]


def test_a_flood_of_faults_is_counted_not_printed(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(GOOD + "".join(f"k{number}: 1\n" for number in range(FAULTS_SHOWN_MAX + 7)))
    with pytest.raises(ConfigFaults) as caught:
        load(path, {})
    assert str(caught.value).endswith("\n  and 7 more")
    assert len(caught.value.faults) == FAULTS_SHOWN_MAX + 7


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("${file:none}", "can't read the file {folder}/none: No such file or directory"),
        ("${file:large}", "the file {folder}/large is larger than 65536 bytes"),
        ("${file:binary}", "the file {folder}/binary is not UTF-8 text"),
    ],
)
def test_a_secret_file_that_can_not_be_read_is_named(raw: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 65537)
    (tmp_path / "binary").write_bytes(b"\xff")
    found = faults(tmp_path, GOOD.replace("${PASSWORD:}", raw))
    assert found == [f"4: source.password: {reason.format(folder=tmp_path)}"]


def test_a_fault_found_later_names_the_line_too(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(GOOD)
    file = load_file(path, {})
    fault = file.fault("source.tables[0].total", "no such column")
    assert str(fault) == f"{path}:5: source.tables[0].total: no such column"
    assert str(file.fault(("source", "user"), "x")) == f"{path}:3: source.user: x"
