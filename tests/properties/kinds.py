"""Column types of both servers: how they are declared, values at the edges, and how to compare."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st

from tests.integration.test_values import (
    BYTES,
    MARIADB,
    MYSQL,
    PLAIN,
    TEXT,
    of_bits,
    of_bytes,
    of_date,
    of_datetime,
    of_geometry,
    of_json,
    of_label,
    of_text,
    of_time,
    of_timestamp,
    of_vector,
)

Show = Callable[[Any], Any]
BOTH = (MYSQL, MARIADB)
LABELS = "abc xyžÜ_-.é"
CHARSETS_NARROW = ("latin1", "ascii", "latin2", "cp1251", "greek", "cp850", "koi8r", "utf8mb3")
CHARSETS_WIDE = ("utf8mb4", "ucs2", "utf16", "utf16le", "utf32", "sjis", "gbk", "big5", "euckr")


@dataclass(frozen=True)
class Kind:
    """One declared type with the values that go into it."""

    ddl: str
    values: st.SearchStrategy[str]
    """As SQL."""
    shown: str
    """SQL over the column `{}` that the server answers with."""
    ours: Show
    """Our value in the form of that answer."""
    binlog: Show | None = None
    """Our value as mysqlbinlog prints it; None: it doesn't print it faithfully."""
    is_date: bool = False
    """It has values that are no date."""
    can_be_not_null: bool = True
    can_be_key: bool = False
    stops_mysqlbinlog: bool = False
    """MySQL's prints nothing of a row from such a column on."""
    servers: tuple[str, ...] = BOTH

    def __repr__(self) -> str:
        return self.ddl


def literal(text: str) -> str:
    return f"convert(x'{text.encode().hex()}' using utf8mb4)" if text else "''"


def raw(data: bytes) -> str:
    return f"x'{data.hex()}'" if data else "''"


_ESCAPES = {0x0A: "\\n", 0x09: "\\t", 0x0D: "\\r", 0x08: "\\b", 0x27: "\\'", 0x5C: "\\\\"}


def printed(data: bytes) -> set[str]:
    """Bytes as MySQL's mysqlbinlog prints them, and as MariaDB's does."""
    controls = "".join(chr(o) if o > 0x1F else f"\\x{o:02x}" for o in data)
    escapes = "".join(_ESCAPES.get(o) or (chr(o) if o > 0x1F else f"\\x{o:02x}") for o in data)
    few = "".join(
        _ESCAPES[o] if o in b"\n'\\" else chr(o) if o > 0x1F else f"\\x{o:02x}" for o in data
    )
    return {controls, escapes, few}


def edges(low: int, high: int) -> st.SearchStrategy[int]:
    near = [n for n in (low, low + 1, -1, 0, 1, high - 1, high) if low <= n <= high]
    return st.one_of(st.sampled_from(near), st.integers(low, high))


@st.composite
def integers(draw: st.DrawFn) -> Kind:
    name, bits = draw(
        st.sampled_from(
            [("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32), ("bigint", 64)]
        )
    )
    size = 1 << bits
    if draw(st.booleans()):
        zerofill = draw(st.sampled_from(["", " zerofill"]))
        return Kind(
            f"{name} unsigned{zerofill}", edges(0, size - 1).map(str), "{} + 0",
            lambda n: n % size, lambda n: {str(n), f"{n - size} ({n % size})"} if n >= size // 2
            else {str(n), f"{n} ({n % size})"}, can_be_key=True,
        )  # fmt: skip
    return Kind(
        name, edges(-size // 2, size // 2 - 1).map(str), "{}", int,
        lambda n: {str(n), f"{n} ({n % size})"}, can_be_key=True,
    )  # fmt: skip


@st.composite
def decimals(draw: st.DrawFn) -> Kind:
    precision = draw(st.integers(1, 65))
    scale = draw(st.integers(0, min(30, precision)))

    def text(number: int) -> str:
        digits = str(abs(number)).zfill(scale + 1)
        whole, fraction = digits[: len(digits) - scale], digits[len(digits) - scale :]
        return ("-" if number < 0 else "") + whole + (f".{fraction}" if scale else "")

    largest = 10**precision - 1
    values = edges(-largest, largest).map(text)
    return Kind(f"decimal({precision},{scale})", values, PLAIN, lambda d: format(d, "f"),
                lambda d: {format(d, "f")}, can_be_key=True)  # fmt: skip


def floats() -> st.SearchStrategy[Kind]:
    small = st.floats(allow_nan=False, allow_infinity=False, width=32)
    large = st.floats(allow_nan=False, allow_infinity=False)
    return st.sampled_from(
        [
            Kind("float", small.map(repr), "{} + 0e0", float),
            Kind("double", large.map(repr), "{} + 0e0", float,
                 lambda d: {f"{d:.20g}", f"{d:.15g}"}),
        ]
    )  # fmt: skip


@st.composite
def bits(draw: st.DrawFn) -> Kind:
    n = draw(st.one_of(st.sampled_from([1, 2, 8, 9, 63, 64]), st.integers(1, 64)))
    return Kind(
        f"bit({n})", edges(0, (1 << n) - 1).map(str), "{} + 0", of_bits,
        lambda value: {f"b'{of_bits(value):0{n}b}'"},
    )  # fmt: skip


NO_DATES = st.sampled_from(["'0000-00-00'", "'2024-00-15'", "'2024-02-00'"])


def dates() -> st.SearchStrategy[Kind]:
    values = st.one_of(
        NO_DATES,
        st.sampled_from(["'1000-01-01'", "'9999-12-31'", "'1969-12-31'", "'2024-02-29'"]),
        st.dates(min_value=date(1000, 1, 1)).map(lambda day: f"'{day.isoformat()}'"),
    )
    return st.just(
        Kind("date", values, PLAIN, of_date, lambda n: {f"'{of_date(n).replace('-', ':')}'"},
             is_date=True, can_be_key=True)
    )  # fmt: skip


@st.composite
def datetimes(draw: st.DrawFn) -> Kind:
    digits = draw(st.integers(0, 6))
    show = of_datetime(digits)
    values = st.one_of(
        NO_DATES,
        st.sampled_from(["'1969-12-31 23:59:59.999999'", "'9999-12-31 23:59:59'"]),
        st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9999, 12, 31)).map(
            lambda when: f"'{when.isoformat(sep=' ')}'"
        ),
    )
    return Kind(f"datetime({digits})", values, PLAIN, show, lambda n: {f"'{show(n)}'"},
                is_date=True)  # fmt: skip


@st.composite
def timestamps(draw: st.DrawFn) -> Kind:
    digits = draw(st.integers(0, 6))
    seconds = edges(1, (1 << 31) - 1)
    values = st.one_of(
        st.just("'0000-00-00'"),
        st.tuples(seconds, st.integers(0, 999_999)).map(
            lambda pair: (
                f"from_unixtime({pair[0]}.{pair[1]:06d})"
                if pair[0] < (1 << 31) - 1
                else "'2038-01-19 03:14:07'"
            )
        ),
    )

    def in_binlog(text: str) -> set[str]:
        moment = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
        return {f"{int(moment.timestamp())}{text[19:-1]}"}

    return Kind(f"timestamp({digits})", values, PLAIN, of_timestamp, in_binlog, is_date=True)


@st.composite
def times(draw: st.DrawFn) -> Kind:
    digits = draw(st.integers(0, 6))
    show = of_time(digits)
    limit = 838 * 3600 + 59 * 60 + 59
    values = st.tuples(
        st.sampled_from(["", "-"]), edges(0, limit - 1), st.integers(0, 999_999)
    ).map(lambda t: f"'{t[0]}{t[1] // 3600}:{t[1] // 60 % 60}:{t[1] % 60}.{t[2]:06d}'")
    return Kind(f"time({digits})", values, PLAIN, show, lambda n: {f"'{show(n)}'"})


def years() -> st.SearchStrategy[Kind]:
    values = st.one_of(st.just("0"), edges(1901, 2155).map(str))
    return st.just(Kind("year", values, "{} + 0", int, lambda n: {str(n), str(n or 1900)}))


TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", "  lead", "trail  ", "a'b\\c\"", "\0", "\n\r\t", "🐎", "ſß", "\u0301"]
    ),
    st.text(max_size=30),
).filter(lambda text: not any(0xD800 <= ord(c) <= 0xDFFF for c in text))


@st.composite
def texts(draw: st.DrawFn) -> Kind:
    form, charsets = draw(
        st.sampled_from(
            [
                ("char(40)", CHARSETS_NARROW + CHARSETS_WIDE),
                ("char(255)", (*CHARSETS_NARROW, "utf8mb4")),
                ("varchar(40)", CHARSETS_NARROW + CHARSETS_WIDE),
                ("varchar(255)", (*CHARSETS_NARROW, "utf8mb4")),
                ("varchar(700)", CHARSETS_NARROW),
                ("tinytext", CHARSETS_NARROW),
                ("text", CHARSETS_NARROW + CHARSETS_WIDE),
                ("mediumtext", CHARSETS_NARROW + CHARSETS_WIDE),
                ("longtext", CHARSETS_NARROW + CHARSETS_WIDE),
            ]
        )
    )
    charset = draw(st.sampled_from(charsets))
    is_utf8 = charset in ("utf8mb4", "utf8mb3", "ascii")
    return Kind(
        f"{form} character set {charset}",
        TEXTS.map(literal),
        TEXT,
        of_text,
        (lambda text: printed(text.encode())) if is_utf8 else None,
        can_be_key=form == "varchar(40)" and charset == "utf8mb4",
    )


def printed_whole(form: str) -> Show | None:
    """BINARY is printed without its trailing zeros."""
    return None if form.startswith("binary") else printed


@st.composite
def octets(draw: st.DrawFn) -> Kind:
    form = draw(
        st.sampled_from(
            ["binary(20)", "binary(255)", "varbinary(40)", "varbinary(700)", "tinyblob", "blob",
             "mediumblob", "longblob"]
        )
    )  # fmt: skip
    values = st.one_of(st.sampled_from([b"", b"\0", b"\0\xff\0", b"\xff" * 20]),
                       st.binary(max_size=20)).map(raw)  # fmt: skip
    return Kind(
        form, values, BYTES, of_bytes, printed_whole(form), can_be_key=form == "varbinary(40)"
    )


def label_lists(most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(
        st.text(LABELS, min_size=1, max_size=6).map(str.strip).filter(bool),
        min_size=1, max_size=most, unique_by=lambda text: text.casefold().replace("é", "e")
        .replace("ž", "z").replace("ü", "u"),
    )  # fmt: skip


@st.composite
def labels(draw: st.DrawFn) -> Kind:
    charset = draw(st.sampled_from(["utf8mb4", "latin2", "ucs2", "utf8mb3"]))
    # The labels have to be in the character set, or the server takes others for them.
    names = list(draw(label_lists(12)))
    if draw(st.booleans()):
        many = [f"m{i}" for i in range(draw(st.sampled_from([0, 250, 300])))]
        names = [name for name in names if name not in many] + many
        kind, top, shift = "enum", len(names), False
    else:
        many = [f"m{i}" for i in range(draw(st.sampled_from([0, 8, 20, 50])))]
        names = ([name for name in names if name not in many] + many)[:64]
        kind, top, shift = "set", (1 << len(names)) - 1, True
    listed = ",".join("'" + name.replace("'", "''") + "'" for name in names)
    escaped = [name.replace(",", "\\,") for name in names]

    def in_binlog(value: str) -> set[str]:
        if not shift:
            return {str(escaped.index(value) + 1 if value else 0)}
        chosen = value.split(",") if value else []
        number = sum(1 << escaped.index(label) for label in chosen)
        size = next(size for size in (1, 2, 3, 4, 8) if len(names) <= 8 * size)
        low_first = number.to_bytes(size, "little")
        return {"b'" + "".join(f"{octet:08b}" for octet in low_first) + "'"}

    return Kind(f"{kind}({listed}) character set {charset}", edges(0, top).map(str), TEXT,
                of_label, in_binlog)  # fmt: skip


JSON_TEXT = st.text(max_size=8).filter(lambda t: not any(0xD800 <= ord(c) <= 0xDFFF for c in t))
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), JSON_TEXT,
        st.floats(allow_nan=False, allow_infinity=False, width=32),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(JSON_TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)  # fmt: skip


def jsons() -> st.SearchStrategy[Kind]:
    texts = JSON.map(lambda value: json.dumps(value, ensure_ascii=False))
    return st.just(Kind("json", texts.map(literal), PLAIN, of_json, can_be_not_null=False))


def geometries() -> st.SearchStrategy[Kind]:
    number = st.floats(-1e10, 1e10).map(lambda f: f"{f:.6f}")
    pair = st.tuples(number, number).map(" ".join)
    points = pair.map(lambda p: f"st_geomfromtext('POINT({p})')")
    lines = st.lists(pair, min_size=2, max_size=4, unique=True).map(
        lambda ps: f"st_geomfromtext('LINESTRING({','.join(ps)})')"
    )
    shown = "concat(hex(st_aswkb({0})), '/', st_srid({0}))"
    return st.sampled_from(
        [
            Kind(
                "point", points, shown, of_geometry, can_be_not_null=False, stops_mysqlbinlog=True
            ),
            Kind(
                "linestring",
                lines,
                shown,
                of_geometry,
                can_be_not_null=False,
                stops_mysqlbinlog=True,
            ),
            Kind(
                "geometry",
                st.one_of(points, lines),
                shown,
                of_geometry,
                can_be_not_null=False,
                stops_mysqlbinlog=True,
            ),
        ]
    )


def vectors() -> st.SearchStrategy[Kind]:
    values = st.lists(
        st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=5
    ).map(lambda items: raw(struct.pack(f"<{len(items)}f", *items)))
    return st.just(
        Kind(
            "vector(5)",
            values,
            BYTES,
            of_vector,
            can_be_not_null=False,
            stops_mysqlbinlog=True,
            servers=(MYSQL,),
        )
    )


def compressed() -> st.SearchStrategy[Kind]:
    long_text = st.tuples(TEXTS, st.integers(1, 40)).map(lambda pair: literal(pair[0] * pair[1]))
    long_raw = st.tuples(st.binary(max_size=20), st.integers(1, 40)).map(
        lambda pair: raw(pair[0] * pair[1])
    )
    return st.sampled_from(
        [
            Kind("text compressed character set utf8mb4", long_text, TEXT, of_text,
                 servers=(MARIADB,)),
            Kind("varchar(1500) compressed character set latin1", long_text, TEXT, of_text,
                 servers=(MARIADB,)),
            Kind("varbinary(900) compressed", long_raw, BYTES, of_bytes, servers=(MARIADB,)),
            Kind("mediumblob compressed", long_raw, BYTES, of_bytes, servers=(MARIADB,)),
        ]
    )  # fmt: skip


def addresses() -> st.SearchStrategy[Kind]:
    def kind(name: str, size: int, values: st.SearchStrategy[str]) -> Kind:
        shown = f"hex(cast({{}} as binary({size})))"
        return Kind(name, values, shown, of_bytes, servers=(MARIADB,), can_be_not_null=False)

    return st.sampled_from(
        [
            kind("uuid", 16, st.uuids().map(lambda u: f"'{u}'")),
            kind("inet6", 16, st.ip_addresses(v=6).map(lambda a: f"'{a.exploded}'")),
            kind("inet4", 4, st.ip_addresses(v=4).map(lambda a: f"'{a}'")),
        ]
    )


def kinds(server: str) -> st.SearchStrategy[Kind]:
    """Any column type of the server."""
    common: Sequence[st.SearchStrategy[Kind]] = [
        integers(), decimals(), floats(), bits(), dates(), datetimes(), timestamps(), times(),
        years(), texts(), octets(), labels(), jsons(), geometries(),
    ]  # fmt: skip
    own = [vectors()] if server == MYSQL else [compressed(), addresses()]
    return st.one_of(*common, *own)
