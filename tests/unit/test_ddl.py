"""DDL as what it makes of a table's description; text that isn't known is never an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.capture.ddl import Statement, read_statement
from cdc.capture.defaults import literal_of
from cdc.capture.description import Description, parse_descriptions
from tests.binlogs import GOLDEN

T = ("shop", "t")
CREATE = (
    "create table t (id int not null auto_increment, a int default 1 comment 'x', b varchar(9),"
    " primary key (id), unique k (a), key (b)) default charset=latin1 comment='all'"
)


def known_after(*statements: str, flavor: Any = "mysql", database: str = "shop") -> dict[Any, Any]:
    """Descriptions by table when these statements ran one after the other."""
    known: dict[Any, Description | None] = {}
    for text in statements:
        statement = read_statement(text, database, flavor, lambda _: "utf8mb4")
        made = [(effect, effect.make(known.get)) for effect in statement.effects]
        for effect, description in made:
            if effect.moved_from:
                known.pop(effect.moved_from, None)
            known[effect.table] = description
    return known


def columns(description: Description | None) -> list[str]:
    """Each column as one line."""
    assert description is not None, "not understood"
    return [
        " ".join(
            filter(
                None,
                (
                    one.name,
                    one.column_type,
                    "null" if one.nullable else "",
                    f"={literal_of(one)}" if literal_of(one) is not None else "",
                    one.extra,
                    one.comment,
                ),
            )
        )
        for one in description.columns
    ]


BASE = ["id int auto_increment", "a int null =1 x", "b varchar(9) null"]

ALTERS: dict[str, list[str]] = {
    "add c datetime(3) not null default current_timestamp(3) on update current_timestamp(3)": [
        *BASE,
        "c datetime(3) =CURRENT_TIMESTAMP(3) on update CURRENT_TIMESTAMP(3)",
    ],
    "add column (c integer, d bool not null default true)": [
        *BASE,
        "c int null",
        "d tinyint(1) =1",
    ],
    "add c enum('x','y''z') first, add d numeric after id": [
        "c enum('x','y''z') null",
        BASE[0],
        "d decimal(10,0) null",
        *BASE[1:],
    ],
    "modify b varchar(20) not null default 'it''s' after id": [
        BASE[0],
        "b varchar(20) =it's",
        BASE[1],
    ],
    "change a `a 2` bigint unsigned comment 'new', algorithm=inplace, lock=none": [
        BASE[0],
        "a 2 bigint unsigned null new",
        BASE[2],
    ],
    "rename column b to c": [*BASE[:2], "c varchar(9) null"],
    "alter a set default 7, alter column b set default (uuid())": [
        BASE[0],
        "a int null =7 x",
        "b varchar(9) null =(uuid()) DEFAULT_GENERATED",
    ],
    "alter a drop default": [BASE[0], "a int null x", BASE[2]],
    "drop b, drop key k": BASE[:2],
    "add g int generated always as (a + 1) stored, add check (a > (0)), add index i (b(3) desc)": [
        *BASE,
        "g int null STORED GENERATED",
    ],
    "add constraint fk foreign key (a) references o.u (x) on delete set null, engine=innodb": BASE,
    "add j json, add p point not null srid 4326, add v vector(3), add y year(4)": [
        *BASE,
        "j json null",
        "p point",
        "v vector(3) null",
        "y year null",
    ],
    "/*!50100 add c int, */ comment='-- no comment'": [*BASE, "c int null"],
    "add partition (partition p1 values less than (5))": BASE,
    "add t1 float(7,3), add t2 double precision, add t3 real, add t4 float(30), add t5 dec(5)": [
        *BASE,
        "t1 float(7,3) null",
        "t2 double null",
        "t3 double null",
        "t4 double null",
        "t5 decimal(5,0) null",
    ],
    "add x1 national char(3), add x2 text(300), add x3 long varchar, add x4 serial": [
        *BASE,
        "x1 char(3) null",
        "x2 text null",
        "x3 mediumtext null",
        "x4 bigint unsigned auto_increment",
    ],
}


@pytest.mark.parametrize("actions", ALTERS)
def test_alter_table_changes_the_description(actions: str) -> None:
    assert columns(known_after(CREATE, f"alter table `t` {actions}")[T]) == ALTERS[actions]


def test_keys_follow_their_columns() -> None:
    def keys(*actions: str) -> tuple[tuple[str, ...], ...]:
        alters = (f"ALTER TABLE shop.t {one}" for one in actions)
        found = known_after(CREATE, *alters)[T]
        assert found is not None
        return tuple(found.unique_keys)

    assert keys() == (("id",),)
    assert keys("modify a int not null") == (("id",), ("a",))
    assert keys("modify a int not null", "modify id int, drop primary key") == (("a",),)
    assert keys("change id no int") == (("no",),)
    assert keys("add unique (b, id)", "modify b int not null") == (("id",), ("b", "id"))
    assert keys("modify a int not null", "rename key k to k2", "drop index k2") == (("id",),)
    assert keys("add c int not null unique") == (("id",), ("c",))


CHANGED_TABLES = {
    "rename table t to u, shop.x to t": {("shop", "t"), ("shop", "u"), ("shop", "x")},
    "alter table t rename to other.u": {("shop", "t"), ("other", "u")},
    "drop table if exists a, `b c`.d": {("shop", "a"), ("b c", "d")},
    "create unique index i on t (a)": {T},
    "drop index i on other.t": {("other", "t")},
    "drop database other": {("other", "t"), ("other", "u")},
    "ALTER TABLE T ADD c int": {T},
    "alter table t add period for system_time (a, b)": {T},
    "frobnicate table t": {T, ("other", "t")},
    "insert into t values (1)": set(),
    "create view t as select 1": set(),
    "create or replace definer=`r`@`h` trigger t before insert on t for each row set @a=1": set(),
    "create temporary table t (a int)": set(),
    "grant select on t to u": set(),
    "truncate table t": set(),
    "create index i on t (a)": set(),
    "alter user t identified by 'x'": set(),
}


@pytest.mark.parametrize("text", CHANGED_TABLES)
def test_which_tables_a_statement_may_change_is_known(text: str) -> None:
    asked = {one for tables in CHANGED_TABLES.values() for one in tables}
    statement = read_statement(text, "shop", "mysql", lambda _: "")
    assert {one for one in asked if statement.may_change(one)} == CHANGED_TABLES[text]


@pytest.mark.parametrize(
    "text",
    [
        "alter table t add c frobnicated",
        "alter table t frobnicate",
        "alter table t add a int",
        "alter table t drop zzz",
        "alter table t convert to character set binary",
        "alter table t add system versioning",
        "create table t (a int) select 1 as b",
    ],
)
def test_of_what_is_not_understood_nothing_is_known(text: str) -> None:
    assert known_after(CREATE, text)[T] is None


@pytest.mark.parametrize(
    ("text", "keeps"),
    [
        ("alter table t add c int", True),
        ("alter table t frobnicate c", True),
        ("alter table t convert to character set latin1", True),
        ("create unique index i on t (c)", True),
        ("alter table t modify a int", False),
        ("alter table t change c `A` int", False),
        ('alter table t drop "a"', False),
        ("alter table t /*!50100 drop a */", False),
        ("alter table t rename to u", False),
        ("rename table t to u", False),
        ("create or replace table t (c int)", False),
        ("create table t like u", False),
        ("drop table t", False),
        ("drop database shop", False),
        ("frobnicate table t", False),
        ("alter table t add \ufffd int", False),
    ],
)
def test_a_column_keeps_its_type_where_a_table_is_altered_without_its_name(
    text: str, keeps: bool
) -> None:
    assert read_statement(text, "shop", "mariadb", lambda _: "").keeps_type("A") is keeps


def test_a_rename_takes_the_description_along() -> None:
    after = known_after(
        CREATE,
        "create table _t_new like t",
        "alter table _t_new add c int",
        "rename table t to _t_old, _t_new to t",
    )
    assert columns(after[T]) == [*BASE, "c int null"]
    assert columns(after["shop", "_t_old"]) == BASE
    assert ("shop", "_t_new") not in after


@pytest.mark.parametrize("name", ["gstream2", "mariadb/gmaria5"])
def test_create_table_gives_what_the_catalogue_shows(name: str) -> None:
    folder = (GOLDEN / name).parent
    text = (folder / "schema.sql").read_text().split("use golden;", 1)[1]
    flavor = "mariadb" if "mariadb" in name else "mysql"
    made = known_after(*text.split(";\n"), flavor=flavor, database="golden")
    tables = parse_descriptions(json.loads((GOLDEN / f"{name}.tables.json").read_text()))
    assert len(tables) == 7
    for table, shown in tables.items():
        assert made[table].keys == shown.keys
        # The catalogue marks an expression where DDL has CURRENT_TIMESTAMP.
        extras = [one.removesuffix(" DEFAULT_GENERATED").lower() for one in columns(shown)]
        written = [
            one.replace("CURRENT_TIMESTAMP", "current_timestamp") for one in columns(made[table])
        ]
        assert [one.lower() for one in written] == [one.replace("()", "") for one in extras]


TEXT = """create alter drop rename table t to add modify change column ( ) , ; 'a' `b` " ' --
/* */ /*! int varchar default null primary key unique like select after first on
. = 5 .5 x'00' @ \\"""
WORDS = st.sampled_from(TEXT.split())


@given(st.lists(WORDS, max_size=25).map(" ".join) | st.text(max_size=60))
def test_any_text_at_all_is_read_without_an_error(text: str) -> None:
    before = known_after(CREATE)
    for flavor in ("mysql", "mariadb"):
        statement = read_statement(text, "shop", flavor, lambda _: "")  # type: ignore[arg-type]
        for effect in statement.effects:
            effect.make(before.get)
        statement.may_change(T)


def test_settings_for_one_statement_stand_in_front_of_it() -> None:
    def read(text: str) -> Statement:
        return read_statement(f"set statement {text}", "shop", "mariadb", lambda _: "")

    altered = read("a=1, b=(select 1 for update) for alter table t drop a")
    assert altered.may_change(T)
    assert not altered.may_change(("shop", "u"))
    assert read("a=1 for insert into t values (1)").is_empty
    assert read("a=1").may_change(("shop", "a"))


def test_a_text_of_another_charset_changes_its_tables_and_tells_nothing_of_them() -> None:
    text = "alter table t alter a set default 'ä'".encode("latin-1").decode("utf-8", "replace")
    statement = read_statement(text, "shop", "mysql", lambda _: "")
    assert statement.may_change(T)
    assert not statement.may_change(("shop", "u"))
    assert known_after(CREATE, text)[T] is None
    renamed = "rename table ä to t".encode("latin-1").decode("utf-8", "replace")
    assert read_statement(renamed, "shop", "mysql", lambda _: "").may_change(("shop", "ö"))
