"""Every column type on real servers: what we decode is what the server's own SELECT says."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from cdc.capture.charsets import charset_of
from cdc.errors import DecodeError
from cdc.services import MariaDBServer, MySQLServer
from tests.forms_plugin import Capture, compiled, plain
from tests.services_plugin import FreshDatabase, fresh_database
from tests.written import Rows, Written, inserts, select, write

MYSQL, MARIADB, MARIADB_11 = "mysql", "mariadb", "mariadb11"
SERVERS = (MYSQL, MARIADB, MARIADB_11)
MARIADBS = (MARIADB, MARIADB_11)


@dataclass(frozen=True)
class Case:
    """A column, values written as SQL, how the server shows them, and how we do."""

    ddl: str
    values: Sequence[str]
    shown: str
    """SQL over the column `{}`: what to compare with."""
    ours: Callable[[Any], Any]
    """The decoded value in the same form."""
    servers: tuple[str, ...] = SERVERS


def quoted(*texts: str) -> list[str]:
    return [f"'{text}'" for text in texts]


TEXT = "hex(convert({} using utf8mb4))"
BYTES = "hex({})"
PLAIN = "cast({} as char)"
NUMBER = "cast({} as unsigned)"


def of_text(value: str) -> str:
    return value.encode().hex().upper()


def of_bytes(value: bytes) -> str:
    return value.hex().upper()


def of_label(value: str) -> str:
    """Commas in labels come escaped, as Debezium escapes them."""
    return of_text(value.replace("\\,", ","))


def of_bits(value: Any) -> int:
    return int.from_bytes(value, "little") if isinstance(value, bytes) else int(value)


def of_date(days: int) -> str:
    return (date(1970, 1, 1) + timedelta(days)).isoformat()


def of_time(digits: int) -> Callable[[int], str]:
    def show(micros: int) -> str:
        seconds, fraction = divmod(abs(micros), 1_000_000)
        text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        sign = "-" if micros < 0 else ""
        return sign + text + (f".{fraction:06d}"[: digits + 1] if digits else "")

    return show


def of_datetime(digits: int) -> Callable[[int], str]:
    unit = timedelta(milliseconds=1) if digits <= 3 else timedelta(microseconds=1)

    def show(count: int) -> str:
        when = datetime(1970, 1, 1) + count * unit
        text = when.isoformat(sep=" ", timespec="microseconds")
        return text[: 19 + (digits + 1 if digits else 0)]

    return show


def of_timestamp(text: str) -> str:
    assert text.endswith("Z")
    return text[:-1].replace("T", " ")


def of_json(text: str) -> Any:
    """A value whose date and time strings are without trailing zeros."""
    return json.loads(re.sub(r'(:\d\d)\.(\d*?)0*"', shortened, text))


def shortened(found: re.Match[str]) -> str:
    return found[1] + (f".{found[2]}" if found[2] else "") + '"'


def of_geometry(value: dict[str, Any]) -> str:
    return f"{of_bytes(value['wkb'])}/{value['srid'] or 0}"


def of_point(value: dict[str, Any]) -> str:
    return of_geometry(value) + f"/{value['x']!r}/{value['y']!r}"


def of_vector(value: list[float]) -> str:
    return of_bytes(struct.pack(f"<{len(value)}f", *value))


TIMES = quoted(
    "00:00:00", "-00:00:00.1", "-00:00:00.000001", "-00:00:01", "838:59:59", "-838:59:59",
    "12:34:56.789012", "-12:34:56.789012", "23:59:59.999999",
)  # fmt: skip
DATETIMES = quoted(
    "1000-01-01", "1969-12-31 23:59:59.999999", "1970-01-01", "2024-02-29 12:34:56.789012",
    "9999-12-31 23:59:59", "2000-02-29 00:00:00.1", "1900-03-01",
)  # fmt: skip
TIMESTAMPS = quoted(
    "1970-01-01 00:00:01", "2001-09-09 01:46:40.123456", "2038-01-19 03:14:07",
    "2024-02-29 23:59:59.9",
)  # fmt: skip
TEXTS = quoted("", "a", "žluťoučký kůň", "🐎🐎", "x" * 40, "tab\\tnul\\0end", " lead and trail  ")
LATIN1 = "character set latin1"
LATIN = quoted("", "Ää€ÿ", "plain")
BINARIES = ["''", "x'00'", "x'00ff00'", "x'01020304050607080900'", "x'ffffffffffffffffffff'"]
GEOMETRIES = [
    "st_geomfromtext('POINT(1.5 -2)')", "st_geomfromtext('LINESTRING(0 0,1 1,2 0.5)')",
    "st_geomfromtext('POLYGON((0 0,0 9,9 9,0 0),(1 2,1 3,2 3,1 2))')",
    "st_geomfromtext('MULTIPOINT(1 1,2 2)')", "st_geomfromtext('GEOMETRYCOLLECTION(POINT(1 1))')",
]  # fmt: skip
JSONS = quoted(
    "null", "true", "false", "0", "-1", "65536", "-2147483649", "18446744073709551615", "1.5",
    "1e30", "5e-324", '""', '"ž🐎 \\\\"q\\\\" \\\\\\\\ \\\\u0001"', "[]", "{}",
    '{"b": [1, -2, 3.5, true, null], "a": {"deep": {"er": 70000}}, "": ""}',
    json.dumps(list(range(3000))), json.dumps({f"key{i}": "v" * 40 for i in range(2000)}),
)  # fmt: skip
OPAQUE_JSONS = [
    "cast('2020-01-02' as date)", "cast('2020-01-02 03:04:05.5' as datetime(6))",
    "cast('-10:11:12.000001' as time(6))", "cast(1.250 as decimal(6,3))",
    "cast('12345678901234567890.123' as decimal(40,3))", "cast(-0.001 as decimal(4,3))",
]  # fmt: skip


UUIDS = quoted(
    "00112233-4455-1677-8899-aabbccddeeff", "123e4567-e89b-42d3-a456-426614174000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000",
    "01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b30209000000",
)  # fmt: skip
INET6S = quoted(
    "::", "::1", "2001:db8::ff00:42:8329", "::ffff:192.168.0.1", "::192.168.0.1", "::ffff",
    "::1:0", "1:0:0:2:0:0:0:3", "1:0:2:3:4:5:6:7", "::ffff:0:0", "::0.1.0.0", "fe80::",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "64:ff9b::1.2.3.4", "0:0:1::",
)  # fmt: skip


def integers(bits: int) -> list[Case]:
    name = {8: "tinyint", 16: "smallint", 24: "mediumint", 32: "int", 64: "bigint"}[bits]
    signed = [str(n) for n in (-(1 << bits - 1), -1, 0, 1, (1 << bits - 1) - 1)]
    unsigned = [str(n) for n in (0, 1, (1 << bits - 1) - 1, 1 << bits - 1, (1 << bits) - 1)]
    return [
        Case(name, signed, PLAIN, str),
        Case(f"{name} unsigned", unsigned, PLAIN, lambda n: str(n % (1 << bits))),
        Case(f"{name} zerofill", ["0", "1"], NUMBER, int),
    ]


def decimals(precision: int, scale: int) -> Case:
    nines = "9" * precision
    whole, fraction = nines[: precision - scale] or "0", nines[precision - scale :]
    largest = f"{whole}.{fraction}" if scale else whole
    smallest = "0." + "1".zfill(scale) if scale else "1"
    values = ["0", largest, f"-{largest}", smallest, f"-{smallest}"]
    return Case(f"decimal({precision},{scale})", values, PLAIN, lambda d: format(d, "f"))


CASES = [
    *(case for bits in (8, 16, 24, 32, 64) for case in integers(bits)),
    # YEAR counts among the columns with a sign bit: what follows it must keep its own.
    Case("year", ["1901", "2155", "2024", "0"], PLAIN, lambda year: f"{year:04d}"),
    Case("int", ["-7"], PLAIN, str),
    Case("bool", ["0", "1", "-128"], PLAIN, str),
    Case("float", ["0", "-0e0", "1.1", "16777217", "-3.4e38", "1.4e-45"], "{} + 0e0", float),
    Case("double", ["0", "0.1", "1.7976931348623157e308", "-5e-324"], "{} + 0e0", float),
    Case("double unsigned", ["0.1"], "{} + 0e0", float),
    Case("real", ["-2.5"], "{} + 0e0", float),
    *(
        decimals(*digits)
        for digits in (
            (1, 0), (1, 1), (5, 2), (9, 0), (9, 9), (10, 3), (17, 8), (18, 0), (18, 9), (18, 18),
            (19, 0), (19, 19), (20, 10), (38, 10), (65, 0), (65, 30),
        )
    ),
    *(
        Case(f"bit({n})", ["0", "1", f"b'1{'0' * (n - 1)}'", f"b'{'1' * n}'"], "{} + 0", of_bits)
        for n in (1, 2, 7, 8, 9, 33, 63, 64)
    ),
    Case("date", [*quoted("1000-01-01", "1969-12-31", "2024-02-29", "9999-12-31")], PLAIN, of_date),
    *(Case(f"time({d})", TIMES, PLAIN, of_time(d)) for d in range(7)),
    *(Case(f"datetime({d})", DATETIMES, PLAIN, of_datetime(d)) for d in range(7)),
    *(Case(f"timestamp({d})", TIMESTAMPS, PLAIN, of_timestamp) for d in range(7)),
    Case("char(60)", TEXTS, TEXT, of_text),
    Case("char(64) character set latin1", LATIN, TEXT, of_text),
    Case("varchar(63)", TEXTS, TEXT, of_text),
    Case("geometry", GEOMETRIES, "concat(hex(st_aswkb({0})), '/', st_srid({0}))", of_geometry),
    Case("varchar(64)", TEXTS, TEXT, of_text),
    Case("varchar(255) character set ascii", quoted("", "plain", "~"), TEXT, of_text),
    Case("varchar(256) character set latin1", LATIN, TEXT, of_text),
    Case("vector(5)", ["string_to_vector('[1,2.5,-3]')"], BYTES, of_vector, (MYSQL,)),
    Case("varchar(20) character set ucs2", quoted("", "Ж日本"), TEXT, of_text),
    Case("varchar(20) character set utf16", quoted("", "Ж🐎"), TEXT, of_text),
    Case("varchar(20) character set utf16le", quoted("", "Ж🐎"), TEXT, of_text),
    Case("varchar(20) character set utf32", quoted("", "Ж🐎"), TEXT, of_text),
    Case("varchar(20) character set utf8mb3", quoted("", "Ж€"), TEXT, of_text),
    Case("tinytext", TEXTS, TEXT, of_text),
    Case("text character set cp1251", quoted("", "Жук"), TEXT, of_text),
    Case("mediumtext", TEXTS, TEXT, of_text),
    Case("longtext character set sjis", quoted("", "日本語ｱ"), TEXT, of_text),
    Case("binary(10)", BINARIES, BYTES, of_bytes),
    Case("varbinary(20)", BINARIES, BYTES, of_bytes),
    Case("varbinary(300)", [*BINARIES, "repeat(x'00ff', 150)"], BYTES, of_bytes),
    Case("tinyblob", BINARIES, BYTES, of_bytes),
    Case("blob", [*BINARIES, "repeat('L', 70000 - 10000)"], BYTES, of_bytes),
    Case("mediumblob", [*BINARIES, "repeat('L', 70000)"], BYTES, of_bytes),
    Case("longblob", BINARIES, BYTES, of_bytes),
    Case("enum('a','b,c','Ü','x''y')", ["1", "2", "3", "4", "0"], TEXT, of_label),
    Case("enum('ä','€') character set latin1", ["1", "2"], TEXT, of_label),
    Case("enum('Ж') character set ucs2", ["1"], TEXT, of_label),
    Case(
        "enum(" + ",".join(quoted(*(f"l{i}" for i in range(300)))) + ")",
        ["1", "255", "256", "300"],
        TEXT,
        of_label,
    ),
    Case("set('one','two','Ü')", ["0", "1", "7", "5"], TEXT, of_label),
    Case(
        "set(" + ",".join(quoted(*(f"l{i}" for i in range(64)))) + ") character set latin1",
        ["0", "1", "9223372036854775808", "18446744073709551615"],
        TEXT,
        of_label,
    ),
    *(
        Case(f"set({','.join(quoted(*(f'm{i}' for i in range(n))))})", ["1", str(1 << n - 1)], TEXT,
             of_label)
        for n in (8, 9, 16, 17, 24, 25, 32, 33)
    ),
    Case(
        "point",
        ["st_geomfromtext('POINT(1.5 -2)')", "st_geomfromtext('POINT(0 1e300)')"],
        "concat(hex(st_aswkb({0})), '/', st_srid({0}), '/1.5/-2.0')",
        lambda value: of_geometry(value) + "/1.5/-2.0",
    ),
    Case(
        "linestring srid 4326",
        ["st_geomfromtext('LINESTRING(10 20,30 40)', 4326)"],
        "concat(hex(st_aswkb({0}, 'axis-order=long-lat')), '/', st_srid({0}))",
        of_geometry,
        (MYSQL,),
    ),
    Case("json", JSONS, PLAIN, of_json),
    Case("json", OPAQUE_JSONS and [f"json_array({o})" for o in OPAQUE_JSONS], PLAIN, of_json,
         (MYSQL,)),
    *(
        Case(ddl, [*values, many], shown, ours, MARIADBS)
        for ddl, values, many, shown, ours in [
            ("varchar(200) compressed", TEXTS, "repeat('ab', 90)", TEXT, of_text),
            ("varchar(255) compressed", TEXTS, "repeat('ab', 90)", TEXT, of_text),
            (f"varchar(250) compressed {LATIN1}", LATIN, "repeat(\'Ä\', 200)", TEXT, of_text),
            (f"varchar(254) compressed {LATIN1}", LATIN, "repeat(\'Ä\', 254)", TEXT, of_text),
            (f"varchar(255) compressed {LATIN1}", LATIN, "repeat(\'Ä\', 255)", TEXT, of_text),
            (f"varchar(256) compressed {LATIN1}", LATIN, "repeat(\'Ä\', 256)", TEXT, of_text),
            ("varbinary(500) compressed", BINARIES, "repeat(x'00ff', 240)", BYTES, of_bytes),
            ("tinytext compressed", TEXTS, "repeat('ab', 120)", TEXT, of_text),
            ("text compressed", TEXTS, "repeat('🐎', 9000)", TEXT, of_text),
            (f"mediumtext compressed {LATIN1}", LATIN, "repeat(\'Ä\', 70000)", TEXT, of_text),
            ("longblob compressed", BINARIES, "repeat(x'00ff', 70000)", BYTES, of_bytes),
        ]
    ),
    # TABLE_MAP has BINARY and VARBINARY for these; CREATE TABLE in the binlog says what they are.
    Case("uuid", UUIDS, PLAIN, str, MARIADBS),
    Case("inet6", INET6S, PLAIN, str, MARIADBS),
    Case("inet4", quoted("0.0.0.0", "192.168.0.1", "255.255.255.255"), PLAIN, str, MARIADBS),
    Case("vector(5)", ["vec_fromtext('[1,2.5,-3,0,1e-30]')"], BYTES, of_vector, (MARIADB_11,)),
    *(
        Case(f"timestamp({d})", quoted("2038-01-19 03:14:08", "2106-02-07 06:28:14.999999"), PLAIN,
             of_timestamp, (MARIADB_11,))
        for d in range(7)
    ),
]  # fmt: skip


def cases_of(kind: str) -> list[Case]:
    return [case for case in CASES if kind in case.servers]


def create(kind: str) -> str:
    columns = (f"c{i} {case.ddl} null" for i, case in enumerate(cases_of(kind)))
    return f"create table v (id int primary key, {', '.join(columns)}) character set utf8mb4"


def filled(kind: str) -> list[str]:
    """Rows that go through each column's values; the last one is all null."""
    cases = cases_of(kind)
    count = max(len(case.values) for case in cases)
    rows = []
    for number in range(count):
        values = (case.values[number % len(case.values)] for case in cases)
        rows.append(f"({number}, {', '.join(values)})")
    return [*rows, f"({count}, {', '.join(['null'] * len(cases))})"]


@dataclass(frozen=True)
class Filled:
    """A table with all values in it: the binlog's and the server's view."""

    kind: str
    written: Written
    shown: Rows


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> MySQLServer | MariaDBServer:
    """Each of the shared servers."""
    found: MySQLServer | MariaDBServer = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture(scope="module")
def database(server: MySQLServer | MariaDBServer) -> Iterator[FreshDatabase]:
    with fresh_database(server) as made:
        yield made


@pytest.fixture(scope="module")
def table(database: FreshDatabase) -> Filled:
    kind = database.server.kind
    # One row a statement: a row image of each may be large.
    rows = [f"insert into v values {row}" for row in filled(kind)]
    written = write(database, create(kind), *rows)
    columns = (case.shown.format(f"c{i}") for i, case in enumerate(cases_of(kind)))
    return Filled(
        kind, written, select(database, f"select {', '.join(columns)} from v order by id")
    )


def test_every_value_is_what_the_server_selects(capture: Capture, table: Filled) -> None:
    cases = cases_of(table.kind)
    rows = table.written.changes(capture, "v")
    assert len(rows) == len(table.shown)
    wrong = []
    for number, (row, shown) in enumerate(zip(rows, table.shown, strict=True)):
        assert row["id"] == number
        for i, case in enumerate(cases):
            value = row[f"c{i}"]
            ours = None if value is None else case.ours(value)
            theirs = shown[i]
            if theirs is not None and case.ours is of_json:
                theirs = of_json(theirs)
            if ours != theirs:
                wrong.append((case.ddl, number, str(ours)[:300], str(theirs)[:300]))
    assert wrong == []
    assert set(rows[-1].values()) == {len(rows) - 1, None}


ZERO_DATES = """
create table zero (
    id int primary key,
    d date, dn date not null, dt datetime(3), dtn datetime(6) not null,
    ts timestamp(3) null, tsn timestamp not null default current_timestamp, y year
)
"""


def test_dates_that_are_none_are_null_or_the_epoch(
    capture: Capture, database: FreshDatabase
) -> None:
    """Given what sql_mode allows, when written, then substituted as documented."""
    table = f"zero_{capture.form}"
    written = write(
        database,
        ZERO_DATES.replace("zero", table),
        f"insert into {table} values (1, '0000-00-00', '0000-00-00', '0000-00-00', '0000-00-00',"
        " '0000-00-00', '0000-00-00', 0)",
        "set sql_mode = 'allow_invalid_dates'",
        f"insert into {table} values (2, '2024-02-31', '2024-02-31', '2024-02-31', '2024-02-31',"
        " null, '1970-01-01 00:00:01', 0)",
    )
    zero, invalid = written.changes(capture, table)
    assert list(zero.values()) == [1, None, 0, None, 0, None, "1970-01-01T00:00:00Z", 0]
    assert list(invalid.values()) == [2, None, 0, None, 0, None, "1970-01-01T00:00:01Z", 0]


def test_a_surrogate_that_mariadb_takes_as_utf8_is_refused(
    capture: Capture, mariadb_server: MariaDBServer
) -> None:
    with fresh_database(mariadb_server) as database:
        written = write(
            database,
            "create table s (id int primary key, v varchar(9) character set utf8mb4)",
            "insert into s values (1, x'eda080')",
        )
        assert select(database, "select hex(v) from s") == (("EDA080",),)
        with pytest.raises(DecodeError, match=r"column v of t_\w+\.s holds bytes"):
            written.changes(capture, "s")


# Character sets


EVERY_NTH = 11
CHARACTERS = [
    chr(point)
    for point in (*range(1, 0x10000, EVERY_NTH), *range(0x10000, 0x110000, 997))
    if not 0xD800 <= point < 0xE000
]
CHARACTERS_PER_ROW = 64
VALUES_PER_SELECT = 2000


def character_sets(database: FreshDatabase) -> dict[str, int]:
    """All of the server's, with the longest character's bytes."""
    return dict(
        select(database, "select character_set_name, maxlen from information_schema.character_sets")
    )


def test_every_collation_of_the_server_is_known_by_its_character_set(
    database: FreshDatabase,
) -> None:
    is_mysql = database.server.flavor == MYSQL
    source = "collations" if is_mysql else "collation_character_set_applicability"
    rows = select(database, f"select character_set_name, id from information_schema.{source}")
    known = {number: charset_of(number) for _, number in rows if number}
    assert known == {number: name for name, number in rows if number}
    assert len(known) > 200


UNKNOWN = ("?", "\ufffd", "")
"""What a server shows for bytes or characters that a character set of its own doesn't know."""


def test_every_byte_of_single_byte_character_sets_is_what_the_server_says(
    database: FreshDatabase,
) -> None:
    for name, longest in character_sets(database).items():
        if longest > 1 or name == "binary":
            continue
        values = [f"_{name} x'{byte:02x}'" for byte in range(0x80 if name == "ascii" else 0x100)]
        assert compared(database, f"single_{name}", name, known(database, values)) == []


def test_two_byte_codes_are_what_the_server_says(database: FreshDatabase) -> None:
    """From the bytes' side: what a client of that character set could have written."""
    for name, longest in character_sets(database).items():
        if longest == 1 or name.startswith(("utf", "ucs")):
            continue
        codes = [
            f"convert(x'{lead:02x}{trail:02x}' using {name})"
            for lead in (*range(0x81, 0xFF, 11), 0xA1, 0xAD, 0xF9, 0xFE)
            for trail in range(0x40, 0xFF)
        ]
        assert compared(database, f"codes_{name}", name, known(database, codes)) == []


def test_characters_of_all_planes_are_what_the_server_says(database: FreshDatabase) -> None:
    for name, longest in character_sets(database).items():
        if longest == 1:
            continue
        values = [f"convert(_utf8mb4 x'{c.encode().hex()}' using {name})" for c in CHARACTERS]
        assert compared(database, f"many_{name}", name, known(database, values)) == []


def known(database: FreshDatabase, values: Sequence[str]) -> list[str]:
    """Those of the SQL values that the server itself can read as one character."""
    found = []
    for at in range(0, len(values), VALUES_PER_SELECT):
        some = values[at : at + VALUES_PER_SELECT]
        shown = ", ".join(f"hex(convert({value} using utf8mb4))" for value in some)
        ((*texts,),) = select(database, f"select {shown}")
        for value, text in zip(some, texts, strict=True):
            character = bytes.fromhex(text or "").decode()
            is_mark = character == "?" and value.endswith(("x'3f'", "x'003f'"))
            if is_mark or (len(character) == 1 and character not in UNKNOWN):
                found.append(value)
    return found


def compared(
    database: FreshDatabase, table: str, charset: str, values: Sequence[str]
) -> list[tuple[str, str, str]]:
    """(character set, ours, the server's) of the values that differ."""
    capture = compiled() or plain()  # the decoders of character sets have one form
    create = f"create table {table} (id int primary key, v varchar(80) character set {charset})"
    rows = [
        f"({at}, concat({', '.join(values[at : at + CHARACTERS_PER_ROW])}))"
        for at in range(0, len(values), CHARACTERS_PER_ROW)
    ]
    written = write(database, create, *inserts(table, rows))
    shown = select(database, f"select hex(convert(v using utf8mb4)) from {table} order by id")
    changes = written.changes(capture, table)
    assert len(changes) == len(shown) == len(rows) > 0
    wrong = []
    for row, (text,) in zip(changes, shown, strict=True):
        theirs = bytes.fromhex(text).decode()
        if row["v"] != theirs:
            pairs = zip(row["v"], theirs, strict=False)
            wrong += [(charset, ascii(a), ascii(b)) for a, b in pairs if a != b]
    return wrong
