"""Settings of change events against real servers, whose own functions say what is right."""

from __future__ import annotations

import pytest

from tests.forms_plugin import Capture
from tests.services_plugin import FreshDatabase
from tests.written import select, write

TABLE = (
    "create table t (id int primary key, d decimal(12,3), b bigint unsigned, raw varbinary(40),"
    " secret varchar(64), note varchar(60) character set utf8mb4, day date, at datetime(6),"
    " clock time(3), gone blob)"
)
ROWS = (
    "(1, -1.5, 18446744073709551615, x'00ff7e', 'žluť 🐎', 'abcdefgh', '2024-02-29',"
    " '2024-02-29 12:34:56.789010', '23:59:59.5', 'x')",
    "(2, 0, 0, '', '', '', '0001-01-01', '9999-12-31 23:59:59', '00:00:00', null)",
    "(3, 123456789.001, 9223372036854775808, x'fb', 'ABC', 'ß🐎🐎x', '1969-12-31',"
    " '1969-12-31 23:59:59.000001', '12:00:00.001', 'y')",
)
OPTIONS = {
    "decimal.handling.mode": "string",
    "bigint.unsigned.handling.mode": "precise",
    "binary.handling.mode": "hex",
    "time.precision.mode": "isostring",
    "column.mask.hash.v2.SHA-256.with.salt.pepper": r".*\.secret",
    "column.truncate.to.3.chars": r".*\.note",
    "column.exclude.list": r".*\.gone",
}


def iso(text: str) -> str:
    """SQL for a fraction without its trailing zeros, as Java writes ISO 8601, and the zone."""
    return f"concat(trim(trailing '.' from trim(trailing '0' from {text})), 'Z')"


@pytest.mark.parametrize("flavor", ["mysql", "mariadb"])
def test_values_are_what_the_servers_own_functions_make_of_them(
    flavor: str, capture: Capture, request: pytest.FixtureRequest
) -> None:
    database: FreshDatabase = request.getfixturevalue(f"{flavor}_database")
    written = write(database, TABLE, "insert into t values " + ", ".join(ROWS))
    reading, output = written.decoded(capture, "t", options=OPTIONS)

    at, clock = iso("date_format(at, '%Y-%m-%dT%T.%f')"), iso("time_format(clock, '%T.%f')")
    answer = select(
        database,
        "select id, cast(d as char), b, lower(hex(raw)), sha2(concat('pepper', secret), 256),"
        f" left(note, 3), concat(day, 'Z'), {at}, {clock} from t order by id",
    )
    names = ("id", "d", "b", "raw", "secret", "note", "day", "at", "clock")
    events = [reading.decoded(record.value)["after"] for record in output.records]
    for event, row in zip(events, answer, strict=True):
        expected = dict(zip(names, row, strict=True))
        if row[0] == 3:
            expected["note"] = "ß🐎"  # two UTF-16 units a horse, as Java counts
        assert event == expected


@pytest.mark.parametrize(
    ("flavor", "variable"),
    [("mysql", "binlog_rows_query_log_events"), ("mariadb", "binlog_annotate_row_events")],
)
def test_statements_texts_and_context_come_from_the_server(
    flavor: str, variable: str, capture: Capture, request: pytest.FixtureRequest
) -> None:
    database: FreshDatabase = request.getfixturevalue(f"{flavor}_database")
    first = "insert into s values (1, 'ž') /*user_id='J%C3%B6rg',x='1'*/"
    written = write(
        database,
        "create table s (id int primary key, v varchar(9))",
        f"set session {variable} = on",
        "begin",
        first,
        "update s set v = 'b'",
        "commit",
        f"set session {variable} = off",
        "delete from s",
    )
    options = {"include.query": True, "context_keys": "user_id"}
    reading, output = written.decoded(capture, "s", options=options)
    seen = [
        (reading.decoded(r.value)["source"]["query"], dict(r.headers).get("user_id"))
        for r in output.records
        if r.value is not None
    ]
    assert seen == [(first, "Jörg".encode()), ("update s set v = 'b'", None), (None, None)]
