"""What of a session decides how its statements are read: status variables, quotes, comments."""

from __future__ import annotations

import pytest

from cdc.capture.dialect import Dialect, dialect_of, version_of
from cdc.capture.sql_tokens import tokens_of
from tests.binlogs import Binlog, Reading
from tests.forms_plugin import Capture

ANSI_QUOTES, NO_BACKSLASH_ESCAPES = 1 << 2, 1 << 20


def variables(sql_mode: int = 0, zone: str = "") -> bytes:
    """Status variables as a server orders them."""
    found = b"\0" + bytes(4) + b"\1" + sql_mode.to_bytes(8, "little") + b"\6\3std"
    found += b"\3" + bytes(4) + b"\4" + bytes(6)
    return found + (b"\5" + bytes([len(zone)]) + zone.encode() if zone else b"")


def test_sql_mode_and_time_zone_are_found_among_the_variables() -> None:
    read = dialect_of("mysql", 80406, variables(ANSI_QUOTES, "+05:00"))
    assert read == Dialect("mysql", 80406, ANSI_QUOTES, "+05:00")
    assert read.has_quoted_names
    assert read.has_escapes


def test_a_variable_of_unknown_size_ends_the_reading() -> None:
    assert dialect_of("mysql", 0, variables(4) + b"\x0b\1\5\3UTC") == Dialect("mysql", 0, 4)


def test_variables_that_are_cut_off_anywhere_are_read_as_far_as_they_go() -> None:
    whole = variables(ANSI_QUOTES, "Europe/Berlin")
    found = {dialect_of("mysql", 0, whole[:end]) for end in range(len(whole) + 1)}
    assert found == {
        Dialect("mysql"),
        Dialect("mysql", 0, ANSI_QUOTES),
        Dialect("mysql", 0, ANSI_QUOTES, "Europe/Berlin"),
    }


@pytest.mark.parametrize(
    ("text", "version"),
    [(b"9.7.4", 90704), (b"10.11.19-MariaDB-log", 101119), (b"5.5.5-10.1.2-MariaDB", 100102),
     (b"8.0.36-28", 80036), (b"mysql", 0), (b"", 0)],
)  # fmt: skip
def test_the_servers_version_is_read_as_comments_have_it(text: bytes, version: int) -> None:
    assert version_of(b"\4\0" + text + bytes(50 - len(text)) + bytes(40)) == version


MYSQL, MARIADB = Dialect("mysql", 80406), Dialect("mariadb", 101119)


@pytest.mark.parametrize(
    ("comment", "runs_on"),
    [
        ("/*! a */", [MYSQL, MARIADB]),
        ("/*!50100 a */", [MYSQL, MARIADB]),
        ("/*!80406 a */", [MYSQL]),  # MariaDB takes versions from 5.7 to 9.99 for MySQL's
        ("/*!80407 a */", []),
        ("/*!999999 a */", []),
        ("/*!101119 a */", [MARIADB]),
        ("/*M! a */", [MARIADB]),
        ("/*M!101119 a */", [MARIADB]),
        ("/*M!101120 a */", []),
        ("/*M!50700 a */", [MARIADB]),
    ],
)
def test_a_comment_counts_where_the_server_runs_it(comment: str, runs_on: list[Dialect]) -> None:
    text = f"x {comment} y"
    assert [one for one in (MYSQL, MARIADB) if len(tokens_of(text, one)) == 3] == runs_on
    assert len(tokens_of(text, Dialect("mariadb"))) == 3  # of no known version


def test_a_comment_that_is_not_run_ends_behind_the_comments_in_it() -> None:
    assert [one.text for one in tokens_of("x /*!999999 a /* b */ c */ y", MYSQL)] == ["x", "y"]
    assert [one.text for one in tokens_of("x /*!999999 a", MYSQL)] == ["x"]


def test_backslashes_and_double_quotes_are_what_the_session_says() -> None:
    plain = Dialect("mysql", sql_mode=NO_BACKSLASH_ESCAPES)
    assert [one.value for one in tokens_of(r"'C:\new\' , 'z'", plain)] == ["C:\\new\\", ",", "z"]
    assert [one.value for one in tokens_of(r"'a\nb'", MYSQL)] == ["a\nb"]
    quoted = Dialect("mysql", sql_mode=ANSI_QUOTES)
    (name,) = tokens_of('"a`""\\"', quoted)
    assert (name.kind, name.name) == ("quoted", 'a`"\\')
    assert [one.kind for one in tokens_of('"a"', MYSQL)] == ["string"]


@pytest.mark.parametrize(
    "unit",
    ["/*!999999 ", "/*!999999 /*", "'", '"', "'\\", '""', "*/", "/*M!"],
)  # fmt: skip
def test_hostile_text_is_read_once(unit: str) -> None:
    for mode in (0, ANSI_QUOTES, NO_BACKSLASH_ESCAPES, ANSI_QUOTES | NO_BACKSLASH_ESCAPES):
        tokens_of(unit * 200_000, Dialect("mysql", 80406, mode))


def test_the_querys_own_session_decides_how_its_ddl_is_read(capture: Capture) -> None:
    """Seen at the schema change record, which tells the table as it was read."""
    reading = Reading(capture, options={"include.schema.changes": True})
    log = Binlog()
    ddl = r"""create table "t" (id int primary key, a varchar(9) default 'x\' /*M! junk */,
              b timestamp null default '2020-01-02 03:04:05')"""
    said = variables(ANSI_QUOTES | NO_BACKSLASH_ESCAPES, "+05:00")
    log.gtid(1).query(ddl, variables=said)
    (record,) = [one for one in reading.first(log).records if one.topic == "c"]
    (change,) = reading.decoded(record.value)["tableChanges"]
    assert change["id"] == '"shop"."t"'
    found = {one["name"]: one["defaultValueExpression"] for one in change["table"]["columns"]}
    assert found == {"id": None, "a": "x\\", "b": "2020-01-01 22:04:05"}
