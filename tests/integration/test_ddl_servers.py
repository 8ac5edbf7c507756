"""DDL makes of a description what the server's own catalogue shows after it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from cdc.capture.catalogue import read_tables
from cdc.capture.connection import Session
from cdc.capture.defaults import literal_of
from cdc.capture.description import Description, parse_descriptions
from tests.reading import settings_for
from tests.services_plugin import FreshDatabase, fresh_database
from tests.unit.test_ddl import ALTERS, CREATE, known_after

MORE = [
    "add c1 int unsigned zerofill, add c2 smallint zerofill, add c3 bigint(7), "
    "add c4 tinyint(1) unsigned",
    "add c1 bit, add c2 bit(7) default b'101', add c3 binary, add c4 varbinary(5), "
    "add c5 blob(70000)",
    "add c1 char, add c2 nchar varying(9), add c3 varchar(9) character set binary, add c4 longtext",
    "add c1 datetime default now(), add c2 timestamp(2) null, add c3 time(0), "
    "add c4 date default '2020-1-2'",
    "add c1 set('a','b') character set utf8mb4 collate utf8mb4_bin not null default 'a,b'",
    "add c1 decimal default 1.5, add c2 numeric(7) default -2, add c3 fixed(7,3) unsigned",
    "add c1 float default 1e3, add c2 double(9,2), add c3 float4, add c4 float(3)",
    "add c1 int primary key first, drop primary key, modify id int",
    'add c1 varchar(20) default \'a\\\'b\\\\c\', add c2 varchar(9) default "x""y"',
    "add c1 int not null unique key comment 'one', add unique index (c1, a), drop index k",
    "change id id bigint unsigned not null auto_increment, add c1 int after id, add c2 int first",
    "add c1 int as (a * 2) virtual, add c2 varchar(30) generated always as (concat(b, "
    "'(,)')) stored",
    "modify a int null, modify b varchar(9) character set utf8mb4 not null",
    "drop column a, add a varchar(3) default 'new'",
    "convert to character set utf8mb4",
    "default character set ucs2, add c1 varchar(4)",
    "rename index k to k9, comment 'other', add c1 json, engine=innodb, force",
    "add c1 int null default null check (c1 > 5), add constraint c check (a < 9)",
    "add c1 boolean, add c2 year, add c3 int2, add c4 middleint, add c5 real default 0.5",
    "add c1 int invisible",
    "add c1 uuid, add c2 inet6, add c3 inet4 not null",
]


@pytest.fixture(params=["mysql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    with fresh_database(request.getfixturevalue(f"{request.param}_server")) as found:
        yield found


def test_what_ddl_makes_is_what_the_catalogue_shows(database: FreshDatabase) -> None:
    flavor = "mariadb" if database.server.kind == "mariadb" else "mysql"
    differing, understood = [], 0
    with Session(settings_for(database.server.address)) as session:
        for actions in (*ALTERS, *MORE):
            statement = f"alter table t {actions}"
            database.execute("drop table if exists t", CREATE)
            try:
                database.execute(statement)
            except pymysql.MySQLError:
                continue  # not every server has every type
            made = known_after(CREATE, statement, flavor=flavor)["shop", "t"]
            if made is None:
                continue
            understood += 1
            tables = parse_descriptions(read_tables(session, [(database.name, "t")]))
            found = shown(tables[database.name, "t"])
            if shown(made) != found:
                differing.append(
                    (actions, [(a, b) for a, b in zip(shown(made), found, strict=False) if a != b])
                )
    assert not differing
    assert understood >= 25


def shown(description: Description) -> list[Any]:
    """What of a description matters to schemas; a default in one notation."""
    return [
        *(
            (
                one.name,
                one.data_type,
                one.column_type,
                one.nullable,
                one.comment,
                one.charset,
                default(one),
                "auto_increment" in one.extra,
            )
            for one in description.columns
        ),
        description.unique_keys,
        sorted(key.name for key in description.keys),
        description.charset,
        description.comment,
    ]


def default(column: Any) -> str | None:
    text = literal_of(column)
    if text is not None and re.match(r"current_timestamp|now", text, re.IGNORECASE):
        return "now"
    if text is None or text.startswith("(") or "DEFAULT_GENERATED" in column.extra:
        return None
    if column.data_type in ("decimal", "float", "double"):
        return str(float(text))
    if column.data_type == "date":
        return text.replace("-0", "-")
    return text
