"""What a connector file says, and what it need not say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from cdc.capture.source_settings import StartAt
from cdc.config import (
    ConfluentRegistry,
    ConnectorConfig,
    EmbeddedLog,
    EmbeddedRegistry,
    FileSource,
    KafkaLog,
    ServerSource,
    TablePatterns,
    json_schema,
    load,
)
from cdc.config.source import parse_start
from cdc.config.topics import retention_ms
from cdc.model import TopicSpec

MINIMAL = """\
connector: shop
source:
  user: cdc
  tables: [shop.orders]
"""

DESIGN = """\
connector: shop
source:
  host: ${SHOP_DB_HOST:localhost}
  user: cdc
  password: ${SHOP_DB_PASSWORD}
  tables: [shop.orders, shop.order_lines, shop.customers]
log:
  kind: kafka
  bootstrap_servers: localhost:9092
registry:
  url: http://localhost:8081
streams:
  - stream: orders
    major: 1
    key: {order_id: id}
    events:
      - event: OrderPlaced
        from: shop.orders
        on: insert
        fields: {order_id: id, customer_id: customer_id, total: total, placed_at: created_at}
      - event: OrderShipped
        from: shop.orders
        on: update
        when: {status: {to: shipped}}
        fields: {order_id: id, shipped_at: updated_at}
views:
  - view: open_orders
    store: {kind: sqlite, path: views.db}
    topic: orders.v1
    key: order_id
    events: {OrderPlaced: {upsert: [total]}, OrderShipped: delete}
"""


def read(folder: Path, text: str, environment: Mapping[str, str] | None = None) -> ConnectorConfig:
    path = folder / "shop.yaml"
    path.write_text(dedent(text))
    return load(path, environment or {})


def server(config: ConnectorConfig) -> ServerSource:
    assert isinstance(config.source, ServerSource)
    return config.source


def test_a_file_of_four_lines_is_enough(tmp_path: Path) -> None:
    config = read(tmp_path, MINIMAL)
    source = server(config)
    assert (source.host, source.port, source.start) == ("localhost", 3306, "latest")
    assert source.tls.mode == "preferred"
    assert config.log == EmbeddedLog(path=tmp_path / "data" / "shop.db")
    assert config.registry_path == tmp_path / "data" / "shop.db"
    assert config.schemas == tmp_path / "schemas"
    assert (config.http.host, config.http.port) == ("127.0.0.1", 8710)
    assert config.stages == ("capture",)


def test_the_sections_decide_which_stages_there_are(tmp_path: Path) -> None:
    config = read(tmp_path, DESIGN, {"SHOP_DB_PASSWORD": "x"})
    assert config.stages == ("capture", "translate", "views")
    assert isinstance(config.log, KafkaLog)
    assert isinstance(config.registry, ConfluentRegistry)
    assert config.streams[0].events[1].on == ("update",)
    assert config.views[0].store.path == tmp_path / "views.db"


def test_order_is_given_up_only_where_the_file_says_so(tmp_path: Path) -> None:
    """Later records of a key with a dead letter wait, within a bound of their own."""
    policy = read(tmp_path, MINIMAL).dead_letters.policy(())
    assert (policy.is_holding, policy.count_max, policy.held_max) == (True, 100, 1000)
    more = "\ndead_letters: {later_records: pass, held_max: 7}\n"
    policy = read(tmp_path, dedent(MINIMAL) + more).dead_letters.policy(())
    assert (policy.is_holding, policy.held_max) == (False, 7)


def test_a_configuration_can_not_be_changed(tmp_path: Path) -> None:
    config = read(tmp_path, MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.connector = "other"  # type: ignore[misc]


def test_defaults_start_above_the_folder_connectors(tmp_path: Path) -> None:
    folder = tmp_path / "connectors"
    folder.mkdir()
    config = read(folder, MINIMAL)
    assert config.schemas == tmp_path / "schemas"
    assert config.log == EmbeddedLog(path=tmp_path / "data" / "shop.db")


def test_paths_in_the_file_start_at_its_own_folder(tmp_path: Path) -> None:
    folder = tmp_path / "connectors"
    folder.mkdir()
    config = read(
        folder,
        """\
        connector: shop
        source: {files: [a.000001, /b.000002], tables_file: t.json, tables: ["*.*"]}
        log: {kind: embedded, path: ../x.db}
        registry: {kind: embedded, path: r.db}
        schemas: s
        """,
    )
    assert isinstance(config.source, FileSource)
    assert config.source.files == (folder / "a.000001", Path("/b.000002"))
    assert config.source.tables_file == folder / "t.json"
    assert config.source.start == "earliest"
    assert config.log == EmbeddedLog(path=folder / ".." / "x.db")
    assert config.registry_path == folder / "r.db"
    assert config.schemas == folder / "s"


def test_a_variable_wins_over_its_default(tmp_path: Path) -> None:
    text = MINIMAL + "  host: ${HOST:here}\n"
    assert server(read(tmp_path, text)).host == "here"
    assert server(read(tmp_path, text, {"HOST": "there"})).host == "there"


def test_a_placeholder_may_stand_inside_longer_text(tmp_path: Path) -> None:
    text = MINIMAL + "  host: db-${N:1}.${ZONE}.example\n"
    assert server(read(tmp_path, text, {"ZONE": "eu"})).host == "db-1.eu.example"


def test_two_dollars_stand_for_a_brace_that_is_meant(tmp_path: Path) -> None:
    text = MINIMAL + "  password: a$${b}$c\n"
    assert server(read(tmp_path, text)).password.get_secret_value() == "a${b}$c"


def test_what_a_variable_holds_is_not_read_again(tmp_path: Path) -> None:
    text = MINIMAL + "  password: ${P}\n"
    config = read(tmp_path, text, {"P": "${HOME}"})
    assert server(config).password.get_secret_value() == "${HOME}"


def test_a_secret_file_is_read_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"two\nlines\n")
    config = read(tmp_path, MINIMAL + "  password: ${file:password}\n")
    assert server(config).password.get_secret_value() == "two\nlines"


@pytest.mark.parametrize("quotes", ["", '"'])
def test_a_port_may_come_from_a_variable(quotes: str, tmp_path: Path) -> None:
    text = MINIMAL + f"  port: {quotes}${{PORT}}{quotes}\n"
    assert server(read(tmp_path, text, {"PORT": "3307"})).port == 3307


@pytest.mark.parametrize(
    "password", ["1234", "0123", "true", "null", "1e5", "~", "[a]", "", "0x1F"]
)
def test_a_password_from_a_variable_is_text_whatever_it_looks_like(
    password: str, tmp_path: Path
) -> None:
    config = read(tmp_path, MINIMAL + "  password: ${P}\n", {"P": password})
    assert server(config).password.get_secret_value() == password


def test_a_log_option_from_a_variable_keeps_its_digits(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """\
        connector: shop
        log:
          kind: kafka
          bootstrap_servers: k
          options:
            sasl.password: ${P}
            linger.ms: ${L}
            enable.x: true
        registry: {url: "http://r"}
        """,
        {"P": "0123", "L": "5"},
    )
    assert isinstance(config.log, KafkaLog)
    assert config.log.options == {"sasl.password": "0123", "linger.ms": 5, "enable.x": True}


def test_on_and_no_are_words(tmp_path: Path) -> None:
    config = read(tmp_path, MINIMAL + "change_events: {a: no, on: yes, b: 12:30, c: 2026-01-01}\n")
    assert config.change_events == {"a": "no", "on": "yes", "b": "12:30", "c": "2026-01-01"}


def test_scalars_have_the_types_of_yaml(tmp_path: Path) -> None:
    config = read(tmp_path, MINIMAL + "change_events: {a: 1, b: 1.5, c: true, d: null, e: '1'}\n")
    assert config.change_events == {"a": 1, "b": 1.5, "c": True, "d": None, "e": "1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("earliest", StartAt("earliest")),
        ("latest", StartAt("latest")),
        ("mysql-bin.000123:4", StartAt("file", file="mysql-bin.000123", position=4)),
        ("0-1-100", StartAt("gtid", gtid_set="0-1-100")),
        ("0-1-100, 1-2-3", StartAt("gtid", gtid_set="0-1-100,1-2-3")),
        (
            "3E11FA47-71CA-11E1-9E33-C80AA9429562:1-5:7",
            StartAt("gtid", gtid_set="3E11FA47-71CA-11E1-9E33-C80AA9429562:1-5:7"),
        ),
        (
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:blue:1-5",
            StartAt("gtid", gtid_set="3e11fa47-71ca-11e1-9e33-c80aa9429562:blue:1-5"),
        ),
    ],
)
def test_a_start_is_a_word_a_gtid_set_or_a_place_in_a_file(text: str, expected: StartAt) -> None:
    assert parse_start(text) == expected


@pytest.mark.parametrize("text", ["", "now", "bin.000001", "0-1", "3e11fa47:1", "0-1-1,x"])
def test_any_other_start_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: earliest"):
        parse_start(text)


def test_a_pattern_matches_whole_names_and_never_across_the_dot() -> None:
    patterns = TablePatterns(("shop.orders", "tenant_?.order*", "log.*"))
    assert patterns.matches("shop", "orders")
    assert patterns.matches("tenant_1", "order_lines")
    assert patterns.covers("log.a.b")
    for database, table in [
        ("shop", "orders2"), ("tenant_12", "orders"), ("xshop", "orders"), ("shop.orders", ""),
        ("Shop", "orders"),
    ]:  # fmt: skip
        assert not patterns.matches(database, table)


def test_a_pattern_without_wildcards_names_a_table_that_has_to_exist() -> None:
    assert TablePatterns(("shop.orders", "shop.*")).exact() == [("shop", "orders")]


def test_characters_of_regular_expressions_stand_for_themselves() -> None:
    assert not TablePatterns(("shop.a[b]c",)).matches("shop", "abc")
    assert TablePatterns(("shop.a[b]c$",)).matches("shop", "a[b]c$")


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("90s", 90_000),
        ("30m", 1_800_000),
        ("12h", 43_200_000),
        ("7d", 604_800_000),
        ("forever", -1),
    ],
)
def test_a_retention_is_a_number_with_its_unit(text: str, milliseconds: int) -> None:
    assert retention_ms(text) == milliseconds


def test_topics_are_created_as_their_section_says_and_exceptions_by_name(tmp_path: Path) -> None:
    topics = read(
        tmp_path,
        """\
        connector: shop
        topics:
          changes: {partitions: 6, replication: 3, retention: 7d}
          events: {partitions: 2}
          overrides:
            - {topics: "shop.shop.*", compacted: true}
            - {topics: shop.shop.orders, retention: forever, partitions: 12}
        """,
    ).topics
    assert topics.change_topic("shop.crm.x") == TopicSpec("shop.crm.x", 6, 3, 604_800_000, False)
    assert topics.change_topic("shop.shop.x") == TopicSpec("shop.shop.x", 6, 3, 604_800_000, True)
    assert topics.change_topic("shop.shop.orders") == TopicSpec("shop.shop.orders", 12, 3, -1, True)
    assert topics.event_topic("orders.v1") == TopicSpec("orders.v1", 2, 1, -1, False)


def test_the_replica_id_follows_from_the_name_unless_it_is_given(tmp_path: Path) -> None:
    derived = read(tmp_path, MINIMAL).server_id
    assert 2**31 <= derived < 2**32
    assert derived == read(tmp_path, MINIMAL).server_id
    assert derived != read(tmp_path, MINIMAL.replace("shop\n", "crm\n", 1)).server_id
    assert read(tmp_path, MINIMAL + "  server_id: 7\n").server_id == 7


def test_a_given_port_is_fixed_and_the_default_gives_way(tmp_path: Path) -> None:
    assert not read(tmp_path, MINIMAL).http.is_port_fixed
    assert read(tmp_path, MINIMAL + "http: {port: 8710}\n").http.is_port_fixed


def test_a_registry_beside_kafka_may_be_embedded_in_a_file_of_its_own(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """\
        connector: shop
        log: {kind: kafka, bootstrap_servers: k}
        registry: {kind: embedded, path: r.db}
        """,
    )
    assert config.registry == EmbeddedRegistry(kind="embedded", path=tmp_path / "r.db")
    assert config.registry_path == tmp_path / "r.db"


def test_editors_get_a_json_schema() -> None:
    schema = json_schema()
    assert "from" in schema["$defs"]["EventRule"]["properties"]
    assert schema["required"] == ["connector"]
