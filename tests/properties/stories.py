"""Tables and what happens to their rows, made up by hypothesis, as SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from cdc.capture.names import avro_name
from tests.properties.kinds import Kind, kinds

COLUMNS_MAX, TABLES_MAX, STEPS_MAX = 5, 2, 8
ODD_NAMES = st.one_of(
    st.sampled_from(["select", "a b", "1st", "x`y", "ž", "Key", "a.b", "e-mail", "日本"]),
    st.text("abcXYZ_09", min_size=1, max_size=12).filter(lambda text: not text.isdigit()),
)
KEYS = ("none", "id", "other first", "prefix", "unique only")


def named(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


@dataclass(frozen=True)
class Column:
    """A column of a made-up table."""

    name: str
    kind: Kind
    is_nullable: bool
    extra: str = ""
    """`invisible`, or the expression of a generated column."""

    @property
    def field(self) -> str:
        """What it is called in Avro."""
        return avro_name(self.name)

    @property
    def is_generated(self) -> bool:
        return "generated" in self.extra

    @property
    def ddl(self) -> str:
        null = "" if self.is_generated else " null" if self.is_nullable else " not null"
        return f"{named(self.name)} {self.kind.ddl} {self.extra}{null}"


@dataclass(frozen=True)
class Table:
    """A table; `id` is in every row, and tells it from others, key or not."""

    name: str
    columns: Sequence[Column]
    """Without `id`."""
    key: str
    id_at: int
    """Where `id` stands among the columns."""

    @property
    def create(self) -> str:
        parts = [column.ddl for column in self.columns]
        parts.insert(self.id_at, "id int not null")
        keyed = next((one for one in self.columns if one.kind.can_be_key and not one.is_nullable
                      and not one.extra), None)  # fmt: skip
        other = named(keyed.name) if keyed else ""
        if self.key == "id":
            parts.append("primary key (id)")
        elif self.key == "other first" and keyed:
            parts.append(f"primary key ({other}, id)")
        elif self.key == "prefix" and keyed and keyed.kind.ddl.startswith("var"):
            parts.append(f"primary key (id, {other}(3))")
        elif self.key == "unique only":
            parts.append("unique (id)")
        return f"create table {named(self.name)} ({', '.join(parts)}) character set utf8mb4"

    @property
    def is_printable(self) -> bool:
        """Whether mysqlbinlog prints its rows to the end."""
        return not any(column.kind.stops_mysqlbinlog for column in self.columns)

    @property
    def written(self) -> Sequence[Column]:
        return [column for column in self.columns if not column.is_generated]

    def insert(self, number: int, values: Sequence[str]) -> str:
        names = ", ".join(["id", *(named(column.name) for column in self.written)])
        return (
            f"insert into {named(self.name)} ({names}) values ({', '.join([str(number), *values])})"
        )

    def update(self, number: int, column: Column, value: str) -> str:
        return f"update {named(self.name)} set {named(column.name)} = {value} where id = {number}"

    def renumber(self, number: int, other: int) -> str:
        return f"update {named(self.name)} set id = {other} where id = {number}"

    def delete(self, number: int) -> str:
        return f"delete from {named(self.name)} where id = {number}"

    @property
    def shown(self) -> str:
        columns = [one.kind.shown.format(named(one.name)) for one in self.columns]
        return f"select {', '.join(['id', *columns])} from {named(self.name)}"


@dataclass
class Story:
    """Tables, and statements in transactions."""

    tables: Sequence[Table]
    statements: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        """As it can be run."""
        return ";\n".join(["", *(table.create for table in self.tables), *self.statements, ""])


@st.composite
def columns(draw: st.DrawFn, server: str, name: str) -> Column:
    kind = draw(kinds(server).filter(lambda one: server in one.servers))
    extra = draw(st.sampled_from(["", "", "", "", "invisible"]))
    is_nullable = not kind.can_be_not_null or draw(st.booleans())
    if extra == "invisible" and server == "mariadb" and not is_nullable:
        extra = ""  # it wants a default for these
    return Column(name, kind, is_nullable, extra)


GENERATED = Kind("int", st.nothing(), "{}", int)


@st.composite
def tables(draw: st.DrawFn, server: str, name: str) -> Table:
    names = draw(
        st.lists(ODD_NAMES, min_size=1, max_size=COLUMNS_MAX,
                 unique_by=lambda text: avro_name(text).lower()).filter(
            lambda found: "id" not in (avro_name(text).lower() for text in found))
    )  # fmt: skip
    made = [draw(columns(server, one)) for one in names]
    generated = draw(st.sampled_from(["", "", "stored", "virtual"]))
    key = draw(st.sampled_from(KEYS))
    if generated and "more" not in names:
        # A generated column of the key's own value would follow it at each renumbering.
        made.append(
            Column("gen_more", GENERATED, True, f"generated always as (id * 2) {generated}")
        )
    at = draw(st.integers(0, len(made)))
    return Table(name, made, key, at)


@st.composite
def stories(draw: st.DrawFn, server: str, prefix: str) -> Story:
    """Some tables, and inserts, updates and deletes in some transactions."""
    count = draw(st.integers(1, TABLES_MAX))
    odd = draw(st.sampled_from(["", "-ž", " x", "$"]))
    story = Story([draw(tables(server, f"{prefix}{n}{odd}")) for n in range(count)])
    alive: list[tuple[Table, int]] = []
    number = 0
    in_transaction = False
    for _ in range(draw(st.integers(1, STEPS_MAX))):
        step = draw(st.sampled_from(["insert", "insert", "update", "delete", "renumber", "cut"]))
        if step == "cut":
            story.statements.append("commit" if in_transaction else "begin")
            in_transaction = not in_transaction
            continue
        if step == "insert" or not alive:
            number += 1
            table = draw(st.sampled_from(story.tables))
            values = [draw(value_of(column)) for column in table.written]
            story.statements.append(table.insert(number, values))
            alive.append((table, number))
            continue
        at = draw(st.integers(0, len(alive) - 1))
        table, of = alive[at]
        if step == "delete":
            del alive[at]
            story.statements.append(table.delete(of))
        elif step == "renumber" or not table.written:
            number += 1
            alive[at] = (table, number)
            story.statements.append(table.renumber(of, number))
        else:
            column = draw(st.sampled_from(table.written))
            story.statements.append(table.update(of, column, draw(value_of(column))))
    if in_transaction:
        story.statements.append(draw(st.sampled_from(["commit", "commit", "rollback"])))
    return story


def value_of(column: Column) -> st.SearchStrategy[str]:
    if column.is_nullable:
        return st.one_of(st.just("null"), column.kind.values, column.kind.values)
    return column.kind.values
