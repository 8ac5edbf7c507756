"""What is told of a statement's text, whatever the text is."""

from __future__ import annotations

import pytest

from cdc.capture.checkpoint import Flavor
from cdc.capture.ddl import read_statement
from cdc.capture.statement_context import context_of
from cdc.capture.statements import (
    databases_in,
    kind_of,
    tables_changed_in_bulk,
    truncated_table,
)

FLAVORS: tuple[Flavor, Flavor] = ("mysql", "mariadb")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("BEGIN", "begin"),
        ("COMMIT", "commit"),
        ("/* x */ commit", "commit"),
        ("SAVEPOINT `s`", "savepoint"),
        ("release savepoint s", "savepoint"),
        ("XA START X'61',X'',1", "xa"),
        ("ROLLBACK", "rollback"),
        ("rollback work", "rollback"),
        ("ROLLBACK TO `s`", "rollback to"),
        ("rollback /* x */ work -- y\n to savepoint s", "rollback to"),
        ("insert into t values (1)", "rows"),
        ("# c\n-- d\n(select `d`.`f`(1))", "rows"),
        ("/*!50000 insert into t values (1) */", "rows"),
        ("/*!insert*/ into t values (1)", "rows"),
        ("with a as (select 1) delete from t", "rows"),
        ("drop table t", "other"),
        ("analyze table t", "other"),
        ("analyze no_write_to_binlog table t", "other"),
        ("truncate t", "truncate"),
        ("/*!40000 truncate table t */", "truncate"),
        ("committed", "other"),
        ("", "other"),
        ("/*", "other"),
        ("'", "other"),
    ],
)
@pytest.mark.parametrize("flavor", FLAVORS)
def test_a_statement_is_told_by_its_first_word(text: str, kind: str, flavor: Flavor) -> None:
    assert kind_of(text, flavor) == kind


@pytest.mark.parametrize(
    "text",
    [
        "create table x as select * from t",
        "create table x select * from t",
        "create /* c */ table x as table t",
        "create table x table t",
        "create table d.`table` (a int) engine=innodb as values row(7)",
        "create table x values row(7)",
        "create table if not exists x as (select 1)",
        "create table x (a int) replace ((select 1))",
        "create table x (table t)",
        "create table x (with a as (select 1) select * from a)",
        "create table x with a as (select 1) select * from a",
        "create or replace table x partition by hash (a) select * from t",
        "/*!50000 create table x */ /*!50000 select 1 */",
        "create table x (a int default '\\') , (') select 1",
    ],
)
@pytest.mark.parametrize("flavor", FLAVORS)
def test_a_table_that_is_created_with_the_rows_of_a_query_has_rows(
    text: str, flavor: Flavor
) -> None:
    assert kind_of(text, flavor) == "rows"


@pytest.mark.parametrize(
    "text",
    [
        "create table x (a int comment 'as select', `select` int, b int as (a + 1))",
        "CREATE TABLE `x` (\n  `a` int\n) START TRANSACTION",
        "create table x like shop.table",
        "create table x (like shop.select)",
        "create table shop.values (a int)",
        "create table x (a int) partition by range (a) (partition p values less than (5))",
        "create table x (a int) with system versioning",
        "create table x (a int) /* select */ -- select\n # select",
        "create temporary table x select 1",
        "create view x as select 1",
        "create trigger x after insert on t for each row insert into u select 1",
    ],
)
@pytest.mark.parametrize("flavor", FLAVORS)
def test_one_that_is_created_without_has_none(text: str, flavor: Flavor) -> None:
    assert kind_of(text, flavor) == "other"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("/*M! insert into t values (1) */", "rows"),
        ("/*M!100100 insert into t values (1) */", "rows"),
        ("/*M!100100 truncate */ table t", "truncate"),
        ("analyze update t set a = 1", "rows"),
        ("analyze format=json delete from t", "rows"),
        ("set statement max_statement_time=1 for insert into t values (1)", "rows"),
        ("set statement a=(select 1 for update), b='for' for drop table t", "other"),
        ("set statement a=1", "other"),
    ],
)
def test_mariadb_has_comments_and_forms_of_its_own(text: str, kind: str) -> None:
    assert kind_of(text, "mariadb") == kind


def test_mysql_takes_mariadbs_executable_comments_for_comments() -> None:
    assert kind_of("/*M!100100 insert */ drop table t", "mysql") == "other"
    assert kind_of("/*!50000 /*M! it's */ insert */ into t values (1)", "mysql") == "rows"
    assert list(databases_in("select /*M! a.b */ 1", "mysql")) == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("insert into shop.t values (1)", ["shop"]),
        ('insert into "shop"."t" values (1)', ["shop"]),
        ('insert into "sh""op" . t values (1)', ['sh"op']),
        ("insert into `a``b`/* c */./*!50000 t */ values ('x.y', \"x\")", ["a`b"]),
        ("update a.t, b.u set a.t.c = .5, d.u.e = 1.5", ["a", "b", "a", "t", "d", "u"]),
        ("delete from shop.1t", ["shop"]),
        ("delete from shop.1", ["shop"]),
        ("insert into t values (2*/* it's */shop.f())", ["shop"]),
        ("insert into t values ('\\'', shop.f(), '')", ["shop"]),
        ("select 1 -- a.b\n, 2 # c.d", []),
    ],
)
@pytest.mark.parametrize("flavor", FLAVORS)
def test_names_before_dots_may_be_databases(text: str, names: list[str], flavor: Flavor) -> None:
    assert list(databases_in(text, flavor)) == names


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("truncate t", ("d", "t")),
        ("TRUNCATE TABLE t WAIT 5", ("d", "t")),
        ("truncate /* nightly */ table t", ("d", "t")),
        ("truncate table/**/t", ("d", "t")),
        ("truncate -- c\n table # d\n t", ("d", "t")),
        ("/*!40000 truncate table t */", ("d", "t")),
        ("truncate table /*!40000 shop . */ t", ("shop", "t")),
        ('truncate table "sh""op"."t"', ('sh"op', "t")),
        ("truncate `table`", ("d", "table")),
        ("truncate shop.table", ("shop", "table")),
        ("truncate table shop.`a``b`", ("shop", "a`b")),
        ("truncate table .t", ("d", "t")),
        ("truncate table shop.1t", ("shop", "1t")),
        ("truncate table 'shop'.t", None),
        ("truncate table shop.", None),
        ("truncate table shop.1", None),
        ("truncate table", None),
        ("truncate table `", None),
    ],
)
@pytest.mark.parametrize("flavor", FLAVORS)
def test_a_truncated_table_is_told_or_it_is_not(
    text: str, table: tuple[str, str] | None, flavor: Flavor
) -> None:
    assert truncated_table(text, "d", flavor) == table


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("alter table t drop partition p", ["d.t"]),
        ("alter /* c */ table t drop /* x */ partition p", ["d.t"]),
        ("ALTER ONLINE IGNORE TABLE IF EXISTS shop.t NOWAIT DROP PARTITION p", ["shop.t"]),
        ('alter table "t" truncate partition all', ["d.t"]),
        ("alter table t /*!50100 drop partition p0 */", ["d.t"]),
        ("/*!50100 alter table t truncate partition p0 */", ["d.t"]),
        ("alter table t algorithm=inplace, drop partition p", ["d.t"]),
        ("alter table t exchange partition p with table shop.u", ["d.t", "shop.u"]),
        ("alter table t exchange partition p with table t", ["d.t"]),
        ("alter table t convert partition p to table u", ["d.t", "d.u"]),
        ("alter table t convert table u to partition p values less than (3)", ["d.t", "d.u"]),
        ("alter table t import tablespace", ["d.t"]),
        ("alter table t discard tablespace", ["d.t"]),
        ("alter table t import partition p tablespace", ["d.t"]),
        ("alter table t discard partition all tablespace", ["d.t"]),
        ("alter table t convert to character set utf8mb4", []),
        ("alter table t comment 'drop partition'", []),
        ("alter table t /* drop partition p */ add a int", []),
        ("alter table t add a int default (f('drop', drop partition))", []),
        ("alter table t drop `partition`", []),
        ("alter table t reorganize partition p into (partition q values less than (9))", []),
        ("alter table t remove partitioning", []),
        ("alter tablespace t drop datafile 'x'", []),
        ("create table t (a int)", []),
    ],
)
@pytest.mark.parametrize("flavor", FLAVORS)
def test_ddl_that_changes_rows_without_events_names_its_tables(
    text: str, tables: list[str], flavor: Flavor
) -> None:
    assert [".".join(table) for table in tables_changed_in_bulk(text, "d", flavor)] == tables


@pytest.mark.parametrize(
    "text",
    [
        "insert into t values (x'" + "a" * 4_000_000 + "')",
        "insert `a" + "``a" * 1_000_000,
        "insert `" + "`" * 1_000_001,
        "/*" + "*/ /*" * 300_000,
        "insert a" + " " * 4_000_000,
        "create '" + "\\'" * 500_000 + "\\",
        "create `a" + "``a" * 300_000,
        "create " + "/*" * 500_000,
        "create table t '" + "\\'" * 400_000,
        "alter table t " + "import partition " * 60_000,
        "alter table t " + "exchange partition " * 60_000,
        "alter " + "online ignore " * 80_000,
        "create table t " + "(" * 300_000,
        "set statement a=1 for " * 20_000,
        "select /*'" + "''" * 500_000,
        "/*" + "'a" * 500_000,
        "/**/'" + "\\'" * 500_000,
        "/*" * 500_000,
        "/*" + "a='b'," * 150_000 + "*/",
        "/*" + " " * 1_000_000 + "a*/",
        "insert a" + "*/" * 500_000,
        "/*!" * 300_000,
        "/*M!" * 300_000,
        "/*M!*/" * 200_000,
    ],
    ids=[
        "long literal", "name without end", "backticks", "comments", "blanks",
        "string without end", "quoted without end", "comment without end",
        "table with a string without end", "partitions", "exchanges", "words", "parentheses",
        "settings", "comment without end, with quotes", "comment without end, with strings",
        "comment, and a string without end",
        "comments without end", "pairs", "blanks in a comment", "ends of comments",
        "executable comments", "MariaDB's", "MariaDB's, with ends",
    ],
)  # fmt: skip
def test_megabytes_of_text_are_read_once(text: str) -> None:
    """With a regex that tries each place anew it would take hours: pytest's limit ends it."""
    flavor: Flavor = "mysql"
    kind_of(text, flavor)
    list(databases_in(text, flavor))
    truncated_table(text, "d", flavor)
    tables_changed_in_bulk(text, "d", flavor)
    context_of(text, {"a"})
    read_statement(text, "d", flavor, lambda database: "")
