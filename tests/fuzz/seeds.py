"""Where fuzzing begins: single transactions of the recordings, and small values."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.binlogs import GOLDEN, TABLE_ID, Binlog, Col
from tests.fuzz.mutate import FORMAT_DESCRIPTION, events_of, file_of, packets_of

CORPUS = Path(__file__).parent / "corpus"
_BEGINS = frozenset({33, 34, 42, 162})
_AT_FIRST = frozenset({FORMAT_DESCRIPTION, 35, 161, 163})
_STATEMENTS = frozenset({2, 165})
TABLE_MAP, ROWS_QUERY, WRITE_ROWS = 19, 29, 30


def corpus(folder: Path = CORPUS) -> Iterator[tuple[str, bytes]]:
    """(target, input) of each file; the name's ending is the target."""
    for path in sorted(folder.glob("*.*")):
        yield path.suffix[1:], path.read_bytes()


def seeds(*more: Path) -> Iterator[tuple[str, bytes]]:
    """(target, input) of what the recordings, and more binlogs, hold, in small pieces."""
    files = [events_of(path.read_bytes()) for path in (*sorted(GOLDEN.rglob("*.binlog")), *more)]
    for file in (*files, _request()):
        for events in _transactions(file):
            yield "binlog", file_of(events)
            if any(event[4] in _STATEMENTS for event in events):
                yield "ahead", file_of(events)
            yield "packets", packets_of(events_of(file_of(events)))
            for event in events:
                if event[4] == TABLE_MAP:
                    yield "map", event[27:-4]
    for value in (None, True, 7, -70000, 1 << 40, 0.5, "ž🐎", [1, [2]], {"a": {"b": None}}):
        yield "json", json_binary(value)
    source = bytes(range(16))
    yield "gtids", struct.pack("<Q16sQQQQQ", 1, source, 2, 1, 5, 7, 9)
    yield "gtids", struct.pack("<Q16sB3sQQQ", 1 << 56 | 1 << 8 | 1, source, 6, b"tag", 1, 1, 5)
    for text in (
        "truncate `d`.t", "/* c */ insert into `a``b` . t select x'00ff'", "rollback to s",
        'truncate table/**/"a"', "create table a.b (c int) as values row(1)", "/*M! delete */ t",
        "alter table t /*!50100 exchange partition p with table u */", "/*a='1',b='2'*/ do f()",
        "set statement a=(1) for analyze update t set a=1",
        "# c\n-- d\nupdate d1.t set a=1", "/*!50000 delete */ from t", "xa prepare x'00'",
        "insert into t /*request='a%20b',trace='\\'c'*/ values ('/*trace=\"d\"*/')",
        "alter table `d`.t /* c */ exchange partition p with table u",
        "alter table t import partition p, q tablespace", "create table t /* c */ select 1",
    ):  # fmt: skip
        yield "sql", text.encode()
    for text in (
        "create table t (a int, b varchar(9) default 'x', primary key (a), unique k (b(3)))",
        "alter table t add column (c enum('a','b''c') charset latin1), drop a, rename key b to d",
        "alter table `t` modify a decimal(5,2) unsigned not null default 1.5 comment 'x' after b",
        "create table if not exists d.t like e.t; -- c",
        "rename table t to u, u to `v`.w",
        "create table t /*!50100 (a timestamp(3) default current_timestamp(3)) */ engine=x",
        "drop table if exists t, d.u",
        "create unique index i on t (a desc)",
        "alter database d character set utf8mb4",
        "alter table t convert to character set ucs2",
        "create or replace sequence s start with 1 increment by 2",
        "alter table t add b uuid default uuid(), add column if not exists c text compressed",
        "alter table t add period for system_time (a, b), add system versioning",
        "create table t (a json default '{}' check (json_valid(a)), b vector(3)) page_compressed=1",
    ):
        yield "ddl", text.encode()


def _request() -> list[bytes]:
    """What no recording has: a statement with its request's ids, rows of a partition."""
    columns = [
        Col(3, name="id"),
        Col(245, b"\4", "j", nullable=True),
        Col(15, b"\x24\0", "vc", nullable=True),
    ]
    document = json_binary({"a": ["ž", 7]})
    row = b"\0" + struct.pack("<iI", 1, len(document)) + document + b"\3abc"
    of_partition = TABLE_ID.to_bytes(6, "little") + b"\1\0" + b"\5\0\1\3\0" + b"\3\xff" + row
    log = Binlog().gtid(1).query("create table t (id int primary key, j json, vc varchar(9))")
    log.begin(2).add(ROWS_QUERY, b"\0insert into t /*request='a%20b',trace='c'*/ values (1)")
    log.table(columns).add(WRITE_ROWS, of_partition).commit()
    log.gtid(3).query("alter table t /*!50100 truncate partition p */")
    return log.events[1:]


def _transactions(events: list[bytes]) -> Iterator[list[bytes]]:
    head = [event for event in events[:4] if event[4] in _AT_FIRST]
    found: list[bytes] = []
    for event in events:
        if event[4] in _BEGINS and found:
            yield head + found
            found = []
        if found or event[4] in _BEGINS:
            found.append(event)
    yield head + found


def json_binary(value: Any) -> bytes:
    """A value in MySQL's binary form, small format; for seeds alone."""
    kind, data = _json(value)
    return bytes([kind]) + data


def _json(value: Any) -> tuple[int, bytes]:
    if value is None or isinstance(value, bool):
        return 4, bytes([{None: 0, True: 1, False: 2}[value]])
    if isinstance(value, int):
        is_small = abs(value) < 1 << 15
        return (5, struct.pack("<h", value)) if is_small else (9, struct.pack("<q", value))
    if isinstance(value, float):
        return 11, struct.pack("<d", value)
    if isinstance(value, str):
        return 12, bytes([len(value.encode())]) + value.encode()
    keys = [key.encode() for key in value] if isinstance(value, dict) else []
    members = [_json(one) for one in (value.values() if keys else value)]
    at = 4 + 4 * len(keys) + 3 * len(members)
    head, tail = b"", b"".join(keys)
    for key in keys:
        head += struct.pack("<HH", at, len(key))
        at += len(key)
    for kind, data in members:
        if kind in (4, 5):
            head += bytes([kind]) + data.ljust(2, b"\0")
        else:
            head += bytes([kind]) + struct.pack("<H", at)
            tail += data
            at += len(data)
    size = 4 + len(head) + len(tail)
    return (0 if keys else 2), struct.pack("<HH", len(members), size) + head + tail
