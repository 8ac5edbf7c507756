"""Descriptions of a live server's tables: right at every place, the same at every reading."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import fastavro
import pytest

from cdc.capture import live_catalogue
from cdc.capture.binder import Binder
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.connection import Session
from cdc.capture.decisions import Decision
from cdc.capture.decoder import Decoder
from cdc.capture.facts import read_facts
from cdc.capture.knowledge import Place
from cdc.capture.live_catalogue import AHEAD_BYTES_MAX, LiveCatalogue
from cdc.capture.places import first_checkpoint
from cdc.capture.server import ServerSource
from cdc.capture.settings import ChangeEventSettings, parse_settings
from cdc.capture.source_settings import StartAt
from cdc.codec.keys import key_schema_id
from cdc.errors import DecodeError
from cdc.model import Record
from cdc.services import DatabaseServer
from cdc.testing import MemoryRegistry
from tests.reading import SECONDS_MAX, settings_for
from tests.services_plugin import FreshDatabase, fresh_database

KEPT = "shop.descriptions"
NOTHING = "nothing is known"


@pytest.fixture(params=["mysql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    with fresh_database(request.getfixturevalue(f"{request.param}_server")) as found:
        yield found


@dataclass
class Change:
    """A change event: the row after it, and what its schema says of it."""

    row: Any
    schema: Any
    key_schema: Any
    table: str

    def default(self, column: str) -> Any:
        """The default in the schema; None without one."""
        (value,) = (t for t in self.schema["fields"][0]["type"] if isinstance(t, dict))
        (found,) = (f for f in value["fields"] if f["name"] == column)
        return found.get("default")


@dataclass
class Capturing:
    """Captures a database's changes, as `cdc run` does but for the log."""

    database: FreshDatabase
    connector: str = "shop"
    events: ChangeEventSettings = field(
        default_factory=lambda: ChangeEventSettings(include_schema_changes=False)
    )
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    records: list[Record] = field(default_factory=list)
    ahead_bytes_max: int = AHEAD_BYTES_MAX
    has_catalogue: bool = True
    dropped: dict[Any, int] = field(default_factory=dict)

    @property
    def settings(self) -> Any:
        return settings_for(self.database.server.address, f"{self.database.name}.*")

    def here(self) -> Checkpoint:
        """The binlog's present end."""
        with Session(self.settings) as session:
            return first_checkpoint(session, read_facts(session), StartAt("latest"))

    def run(
        self,
        start: Checkpoint,
        *waves: Sequence[str],
        count: int,
        stored: Sequence[Record] = (),
    ) -> Checkpoint:
        """Read from the start until `count` rows came; a wave of statements is executed when a
        row came for each wave before. The checkpoint at the end."""
        waiting = list(waves)
        before = len(self.changes())

        def has_come(_: Sequence[Record]) -> bool:
            done = len(self.changes()) - before
            while waiting and done >= len(waves) - len(waiting):
                self.database.execute(*waiting.pop(0))
            return done >= count and not waiting

        return self._run(start, has_come, stored, SECONDS_MAX)

    def run_until(
        self,
        start: Checkpoint,
        is_last: Callable[[Record], bool],
        stored: Sequence[Record] = (),
    ) -> Checkpoint:
        """Read from the start until the record came; longer than other tests need."""
        return self._run(start, lambda records: any(map(is_last, records)), stored, 3 * SECONDS_MAX)

    def _run(
        self,
        start: Checkpoint,
        is_done: Callable[[Sequence[Record]], bool],
        stored: Sequence[Record],
        seconds_max: float,
    ) -> Checkpoint:
        stop = threading.Event()
        timer = threading.Timer(seconds_max, stop.set)
        timer.start()
        has_ended = False
        catalogue = LiveCatalogue(self.settings, ahead_bytes_max=self.ahead_bytes_max)
        binder = Binder(
            self.connector,
            self.settings.tables,
            self.events,
            self._announce,
            catalogue=catalogue if self.has_catalogue else None,
            stored=[Decision.from_record(one.key, one.value) for one in stored],
            topic=KEPT,
        )
        decoder = Decoder(binder, self.events)
        source = ServerSource(self.settings, stop=stop)
        with closing(catalogue), closing(source):
            for batch in source.read(start):
                output = decoder(batch)
                self.records += output.records
                if not has_ended and is_done(output.records):
                    has_ended = True
                    stop.set()
        timer.cancel()
        self.dropped = dict(decoder.dropped)
        assert has_ended, "not all rows came"
        return output.checkpoint

    def _announce(self, topic: str, key: Any, value: Any) -> tuple[int, int]:
        key_id = key_schema_id(self.registry, f"{topic}-key", key) if key else 0
        return key_id, self.registry.register(f"{topic}-value", value)

    @property
    def kept(self) -> list[Record]:
        return [record for record in self.records if record.topic == KEPT]

    def decisions(self, table: str) -> list[str]:
        """Why each description of the table is what it is."""
        found = (Decision.from_record(one.key, one.value) for one in self.kept)
        return [one.why for one in found if one.table == (self.database.name, table)]

    def changes(self) -> list[Change]:
        found = []
        for record in self.records:
            if record.value is None or record.topic in (KEPT, self.connector):
                continue
            schema = self._schema(record.value)
            event = fastavro.schemaless_reader(
                io.BytesIO(record.value[5:]),
                fastavro.parse_schema(json.loads(json.dumps(schema))),
                None,
            )
            key_schema = self._schema(record.key) if record.key else None
            table = record.topic.split(".")[-1]
            found.append(Change(event["after"], schema, key_schema, table))
        return found

    def _schema(self, framed: bytes) -> Any:
        return self.registry.schema(int.from_bytes(framed[1:5], "big"))


def test_a_default_is_known_at_once_and_right_after_set_default(database: FreshDatabase) -> None:
    database.execute("create table t (id int primary key, a int not null default 5)")
    capturing = Capturing(database)
    capturing.run(
        capturing.here(),
        ["insert into t (id) values (1)"],
        ["alter table t alter column a set default 6", "insert into t (id) values (2)"],
        count=2,
    )
    assert [(one.row["a"], one.default("a")) for one in capturing.changes()] == [(5, 5), (6, 6)]
    assert set(capturing.decisions("t")) == {"catalogue"}


def test_todays_default_is_never_said_of_yesterdays_rows(database: FreshDatabase) -> None:
    database.execute("create table t (id int primary key, a int not null default 5)")
    capturing = Capturing(database)
    start = capturing.here()
    database.execute(
        "insert into t (id) values (1)",
        "alter table t alter column a set default 6",
        "insert into t (id) values (2)",
    )
    capturing.run(start, count=2)
    assert [(one.row["a"], one.default("a")) for one in capturing.changes()] == [(5, None), (6, 6)]
    assert capturing.decisions("t") == ["unknown", "catalogue"]


def test_ddl_in_the_stream_tells_what_the_catalogue_of_today_cannot(
    database: FreshDatabase,
) -> None:
    capturing = Capturing(database)
    start = capturing.here()
    database.execute(
        "create table t (id int primary key, a int not null default 5)",
        "insert into t (id) values (1)",
        "alter table t alter column a set default 6",
        "insert into t (id) values (2)",
        "alter table t rename column a to b, add c varchar(9) default 'x' after id",
        "insert into t (id) values (3)",
        "rename table t to u",
        "insert into u (id) values (4)",
        "drop table u",
    )
    capturing.run(start, count=4)
    one, two, three, four = capturing.changes()
    assert (one.default("a"), two.default("a")) == (5, 6)
    assert (three.default("b"), three.default("c"), three.row["c"]) == (6, "x", "x")
    assert (four.table, four.default("b"), four.default("c")) == ("u", 6, "x")
    assert set(capturing.decisions("t")) == {"ddl", "dropped"}


def test_a_restart_and_a_replay_give_the_same_schemas(database: FreshDatabase) -> None:
    database.execute("create table t (id int primary key, a int not null default 5)")
    capturing = Capturing(database)
    start = capturing.here()
    middle = capturing.run(
        start,
        ["insert into t (id) values (1)"],
        ["alter table t alter column a set default 6", "insert into t (id) values (2)"],
        count=2,
    )
    first = list(capturing.records)
    # By now the catalogue says something else, and can't be carried back.
    database.execute("insert into t (id) values (3)", "alter table t alter column a set default 7")
    again = Capturing(database, registry=capturing.registry)
    again.run(middle, count=1, stored=first_kept(first))
    assert [one.default("a") for one in again.changes()] == [6]
    replay = Capturing(database, registry=capturing.registry)
    replay.run(start, count=3, stored=first_kept(first))
    assert [one.default("a") for one in replay.changes()] == [5, 6, 6]
    assert [timeless(one) for one in replay.records][:2] == [
        timeless(one) for one in first if one.topic != KEPT
    ]
    assert all(record not in replay.kept for record in first_kept(first))


def first_kept(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.topic == KEPT]


def timeless(record: Record) -> Any:
    """A record less the times when it was made: three optional longs of 8 to 10 bytes."""
    return record.topic, record.key, (record.value or b"")[:-27], list(record.headers)


def test_far_behind_a_table_is_plain_until_the_stream_comes_near(database: FreshDatabase) -> None:
    database.execute("create table t (id int primary key, a int not null default 5)")
    capturing = Capturing(database, ahead_bytes_max=1000)
    start = capturing.here()
    database.execute(*(f"insert into t (id) values ({n})" for n in range(30)))
    when_all_came = [["select 1"]] * 30 + [["insert into t (id) values (99)"]]
    capturing.run(start, *when_all_came, count=31)
    defaults = [one.default("a") for one in capturing.changes()]
    assert (defaults[0], defaults[-1]) == (None, 5)
    # Restarted where it was still far, it goes on asking.
    kept = capturing.kept[:1]
    assert capturing.decisions("t")[0] == "unknown"
    later = Capturing(database, registry=capturing.registry)
    middle = later.run(start, count=1, stored=kept)
    assert later.changes()[0].default("a") is None
    later.run(middle, ["insert into t (id) values (100)"], count=1, stored=kept)
    assert later.changes()[-1].default("a") == 5


def test_ddl_that_was_not_logged_is_seen_by_the_shape(database: FreshDatabase) -> None:
    database.execute("create table t (id int primary key, a int not null default 5)")
    capturing = Capturing(database)
    capturing.run(
        capturing.here(),
        ["insert into t (id) values (1)"],
        [
            "set sql_log_bin = 0",
            "alter table t add b int not null default 8",
            "set sql_log_bin = 1",
            "insert into t (id) values (2)",
        ],
        count=2,
    )
    one, two = capturing.changes()
    assert (one.default("a"), two.default("a"), two.default("b")) == (5, 5, 8)


KEYS = {
    "primary": ("id int primary key, a int not null unique", ["id"]),
    "first_unique": ("a int not null, b int not null, unique k2 (b), unique k1 (a)", ["b"]),
    "nullable_unique": ("a int, b int not null, unique k1 (a), unique k2 (b)", ["b"]),
    "two_columns": ("a int not null, b int not null, unique k (b, a)", ["b", "a"]),
    "no_usable": ("a int, unique k (a)", None),
    "none": ("a int not null, key k (a)", None),
    "prefix": ("a varchar(20) not null, unique k (a(3))", None),
}


def test_a_key_is_what_the_binlog_says_whether_or_not_the_table_is_described(
    database: FreshDatabase,
) -> None:
    capturing = Capturing(database)
    start = capturing.here()
    for name, (columns, _) in KEYS.items():
        database.execute(f"create table `{name}` ({columns})")
        some = "id, a" if name == "primary" else "a"
        row = "1, 1" if name == "primary" else "1"
        if " b int" in columns:
            some, row = "a, b", "1, 2"
        database.execute(f"insert into `{name}` ({some}) values ({row})")
    plain = Capturing(database, has_catalogue=False)
    for one in (capturing, plain):
        one.run(start, count=len(KEYS))
        keys = {change.table: change.key_schema for change in one.changes()}
        fields = {
            name: schema and [f["name"] for f in schema["fields"]] for name, schema in keys.items()
        }
        assert fields == {name: key for name, (_, key) in KEYS.items()}


def test_a_keys_bytes_stay_the_same_when_a_default_of_it_becomes_known(
    database: FreshDatabase,
) -> None:
    database.execute("create table t (id int not null default 1 primary key, a int default 2)")
    plain = Capturing(database, has_catalogue=False)
    start = plain.here()
    database.execute("insert into t (id) values (1)")
    plain.run(start, count=1)
    described = Capturing(database, registry=plain.registry)
    described.run(start, count=1)
    assert plain.changes()[0].default("id") is None
    assert described.changes()[0].default("id") == 1
    (first,) = (one for one in plain.records if one.topic != KEPT)
    (second,) = (one for one in described.records if one.topic != KEPT)
    assert first.key == second.key
    assert first.value != second.value


UUIDS = (
    "6ccd780c-baba-1026-9564-5b8c656024db",
    "123e4567-e89b-42d3-a456-426655440000",
    "018f4567-e89b-72d3-a456-426655440000",
    "00000000-0000-0000-0000-000000000000",
)
ADDRESSES = (
    "::", "::1", "::ffff:10.0.0.1", "::10.0.0.1", "2001:db8::ff00:42:8329", "1:0:2:3:4:5:6:7",
    "1:0:0:2:0:0:0:3", "::102", "::1:2", "1::", "0:0:1::", "1:0:2:0:3:4:5:6", "1:2:3:4:5:6:7:0",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
)  # fmt: skip


def test_mariadbs_uuid_and_addresses_are_text_and_binary_is_bytes(
    mariadb_database: FreshDatabase,
) -> None:
    mariadb_database.execute(
        "create table t (u uuid primary key, six inet6, four inet4, b binary(16), c binary(4))"
    )
    capturing = Capturing(mariadb_database)
    start = capturing.here()
    for n, address in enumerate(ADDRESSES):
        mariadb_database.execute(
            f"insert into t values ('{UUIDS[n % 4][:-2]}{n:02}', '{address}', '10.0.{n}.255',"
            " unhex('00112233445566778899aabbccddee00'), 'ab')"
        )
    plain = Capturing(mariadb_database, has_catalogue=False)
    capturing.run(start, count=len(ADDRESSES))
    shown = mariadb_database.execute("select u, six, four, b, c from t")
    assert sorted(tuple(one.row.values()) for one in capturing.changes()) == sorted(shown)
    schema = capturing.changes()[0].key_schema
    assert schema["fields"][0]["type"]["connect.name"] == "io.debezium.data.Uuid"
    plain.run(start, count=len(ADDRESSES))
    assert plain.changes()[0].row["four"] == bytes([10, 0, 0, 255])


def test_a_uuid_in_a_key_is_text_also_where_nothing_else_is_known(
    mariadb_database: FreshDatabase,
) -> None:
    mariadb_database.execute("create table t (u uuid primary key, a int default 5, b binary(16))")
    capturing = Capturing(mariadb_database)
    start = capturing.here()
    mariadb_database.execute(
        f"insert into t (u) values ('{UUIDS[0]}')",
        "alter table t alter a set default 6",
        f"insert into t (u) values ('{UUIDS[1]}')",
    )
    capturing.run(start, count=2)
    one, two = capturing.changes()
    assert (one.default("a"), two.default("a")) == (None, 6)
    assert [one.row["u"], two.row["u"]] == list(UUIDS[:2])
    assert one.key_schema == two.key_schema
    again = Capturing(mariadb_database, registry=capturing.registry, has_catalogue=False)
    again.run(start, count=2, stored=capturing.kept)
    assert [change.row["u"] for change in again.changes()] == list(UUIDS[:2])


def test_a_column_that_ddl_names_is_of_todays_type_only_behind_it(
    mariadb_database: FreshDatabase,
) -> None:
    """Rows of yesterday's BINARY are its bytes, and the other way round."""
    mariadb_database.execute(
        "create table t (id int primary key, b binary(16), c inet4, `Four` inet4, a int default 5)"
    )
    capturing = Capturing(mariadb_database)
    start = capturing.here()
    mariadb_database.execute(
        "insert into t values (1, 'plain text bytes', '1.2.3.4', '1.2.3.4', 5)",
        "delete from t",
        "alter table t modify b uuid, modify c binary(4)",
        f"insert into t values (2, '{UUIDS[0]}', 'abcd', '1.2.3.4', 5)",
        "alter table t alter a set default 6",
        f"insert into t values (3, '{UUIDS[0]}', 'abcd', '1.2.3.4', 5)",
    )
    capturing.run(start, count=4)
    rows = [tuple(one.row.values())[:4] for one in capturing.changes() if one.row is not None]
    assert rows == [
        (1, b"plain text bytes", b"\1\2\3\4", "1.2.3.4"),
        (2, UUIDS[0], b"abcd", "1.2.3.4"),
        (3, UUIDS[0], b"abcd", "1.2.3.4"),
    ]
    assert capturing.decisions("t") == ["unknown", "unknown", "catalogue"]


@pytest.mark.parametrize(
    "ddl",
    [
        ["rename table t to o, p to t"],
        ["drop table t", "create table t (u uuid primary key)"],
        ["create or replace table t (u uuid primary key)"],
        ["alter table t change u w binary(16)", "alter table t add u uuid"],
    ],
    ids=lambda ddl: ddl[0].split(" t ")[0],
)
def test_a_column_of_another_table_or_name_says_nothing(
    mariadb_database: FreshDatabase, ddl: list[str]
) -> None:
    mariadb_database.execute(
        "create table t (u binary(16) primary key)", "create table p (u uuid primary key)"
    )
    capturing = Capturing(mariadb_database)
    start = capturing.here()
    mariadb_database.execute("insert into t values ('plain text bytes')", *ddl)
    capturing.run(start, count=1)
    assert capturing.changes()[0].row == {"u": b"plain text bytes"}


def test_a_uuid_in_a_key_is_text_also_far_behind(mariadb_database: FreshDatabase) -> None:
    mariadb_database.execute("create table t (u uuid primary key)")
    capturing = Capturing(mariadb_database, ahead_bytes_max=100)
    start = capturing.here()
    mariadb_database.execute(*(f"insert into t values ('{one}')" for one in UUIDS))
    capturing.run(start, count=len(UUIDS))
    assert [one.row["u"] for one in capturing.changes()] == list(UUIDS)
    assert len({str(one.key_schema) for one in capturing.changes()}) == 1


def test_a_key_that_is_configured_stops_where_a_column_of_it_is_gone(
    database: FreshDatabase,
) -> None:
    options, _ = parse_settings({"message.key.columns": r".*\.t:a,b"})
    database.execute("create table t (id int primary key, a int not null, b int not null)")
    capturing = Capturing(database, events=options)
    start = capturing.here()
    names = "message.key.columns names b for the key of .*t, which has no such column .*at "
    database.execute("insert into t values (1, 1, 1)")
    middle = capturing.run(start, count=1)
    database.execute("alter table t rename column b to bb", "insert into t values (2, 1, 2)")
    with pytest.raises(DecodeError, match=names) as refused:
        capturing.run(middle, count=1)
    assert "did you mean 'bb'?" in refused.value.hint
    options, _ = parse_settings({"message.key.columns": r".*\.t:a,(b|bb)"})
    renamed = Capturing(database, events=options)
    renamed.run(start, count=2)
    keys = [[field["name"] for field in one.key_schema["fields"]] for one in renamed.changes()]
    assert keys == [["a", "b"], ["a", "bb"]]


def test_while_ddl_holds_a_table_its_rows_are_plain_and_later_ones_are_not(
    database: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_catalogue, "LOCK_SECONDS_MAX", 1)
    database.execute("create table t (id int primary key, a int not null default 5)")
    capturing = Capturing(database)
    start = capturing.here()
    database.execute("insert into t (id) values (1)")
    with database.connect() as holder, holder.cursor() as cursor:
        cursor.execute("lock tables t write")
        middle = capturing.run(start, count=1)
        cursor.execute("unlock tables")
    capturing.run(middle, ["insert into t (id) values (2)"], count=1, stored=capturing.kept)
    assert [one.default("a") for one in capturing.changes()] == [None, 5]
    assert capturing.decisions("t") == ["unknown", "catalogue"]


def test_without_gtids_places_are_files_and_positions(
    start_mysql: Callable[..., DatabaseServer],
) -> None:
    server = start_mysql("--gtid-mode=OFF", "--enforce-gtid-consistency=OFF")
    with fresh_database(server) as database:
        test_a_restart_and_a_replay_give_the_same_schemas(database)
        database.execute("drop table t")
        test_todays_default_is_never_said_of_yesterdays_rows(database)


def test_another_servers_catalogue_says_nothing_of_this_ones_places(
    mysql_database: FreshDatabase,
) -> None:
    mysql_database.execute("create table t (id int primary key, a int default 5)")
    capturing = Capturing(mysql_database)
    here = capturing.here()
    with closing(LiveCatalogue(capturing.settings)) as catalogue:
        for server, holds in ((here.server, True), ("", True), ("another", False)):
            place = Place("", here.file, here.pos, server)
            assert catalogue.find((mysql_database.name, "t"), place).holds is holds
