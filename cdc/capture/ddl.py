"""What a statement does to which tables' descriptions. Never fatal (invariant 6).

Of a statement that isn't known every table counts as changed whose name it holds: rather once too
often without a description than once with a wrong one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from cdc.capture.alter import altered, created, with_index, without_index
from cdc.capture.checkpoint import Flavor
from cdc.capture.description import Description
from cdc.capture.dialect import Dialect
from cdc.capture.sql_tokens import QUOTED, STRING, NotUnderstood, Token, Tokens, tokens_of

TableName = tuple[str, str]
"""Database and table."""

TEXT_MAX: Final = 1 << 20
"""Characters of a statement that is still read; of a longer one every table counts as changed."""

Kind = Literal["CREATE", "ALTER", "DROP"]


@dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of one table."""

    kind: Kind
    table: TableName
    make: Callable[[Callable[[TableName], Description | None]], Description | None]
    """From what was known of tables just before, what is known of this one now; None: nothing."""
    keeps_existing: bool = False
    """Nothing happens if the table is there (IF NOT EXISTS)."""
    moved_from: TableName | None = None
    """The name that it had before; nothing is left there."""


@dataclass(frozen=True, slots=True)
class Statement:
    """All that a statement does to descriptions."""

    effects: tuple[Effect, ...] = ()
    dropped_database: str | None = None
    charset_of_database: tuple[str, str] | None = None
    """Database and its new default charset."""
    database: str | None = None
    """The database that the statement itself is about."""
    unknown_names: frozenset[str] | None = None
    """Of a statement that isn't known: every name in it, in lower case. Any table of one of
    these names may have changed. Empty: any table at all."""
    altering: frozenset[str] | None = None
    """Of one that leaves its tables' names and other columns be: every name in it, in lower case.
    None: no column may be taken to be what it was."""

    @property
    def is_empty(self) -> bool:
        return (
            not self.effects
            and self.dropped_database is None
            and self.database is None
            and self.unknown_names is None
        )

    def keeps_type(self, column: str) -> bool:
        """True if a column of the tables that it changes has the same type afterwards."""
        return self.altering is not None and column.casefold() not in self.altering

    def may_change(self, table: TableName) -> bool:
        """True if the table isn't afterwards what it was before."""
        wanted = folded(table)
        if self.dropped_database is not None and wanted[0] == self.dropped_database.casefold():
            return True
        if self.unknown_names is not None:
            return not self.unknown_names or wanted[1] in self.unknown_names
        return any(
            wanted in (folded(effect.table), folded(effect.moved_from or effect.table))
            for effect in self.effects
        )


_NOTHING: Final = Statement()
_LOST: Final = "\ufffd"
"""What stands for bytes that aren't UTF-8: the session had another charset."""
# Statements of these first words never change a table's definition.
_HARMLESS: Final = frozenset(
    {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "XA", "INSERT", "UPDATE", "DELETE",
     "REPLACE", "LOAD", "TRUNCATE", "GRANT", "REVOKE", "SET", "FLUSH", "ANALYZE", "OPTIMIZE",
     "REPAIR", "CHECK", "CALL", "DO", "USE", "WITH", "SELECT", "KILL", "RESET", "INSTALL",
     "UNINSTALL", "CHANGE", "START", "STOP", "LOCK", "UNLOCK", "IMPORT", "CLONE", "SIGNAL", "CACHE"}
)  # fmt: skip
_OTHER_OBJECTS: Final = frozenset(
    {"VIEW", "PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "USER", "ROLE", "SERVER", "TABLESPACE",
     "LOGFILE", "UNDO", "RESOURCE", "SPATIAL", "AGGREGATE", "PACKAGE", "SEQUENCE", "INSTANCE",
     "LIBRARY", "PUBLIC", "MASKING"}
)  # fmt: skip


def read_statement(
    text: str, database: str, dialect: Dialect | Flavor, charsets: Charsets
) -> Statement:
    """What the statement does; `database` is the session's, `charsets` the databases' own.

    A flavor alone is a session with the usual settings."""
    if len(text) > TEXT_MAX:
        return Statement(unknown_names=frozenset())
    dialect = Dialect(dialect) if isinstance(dialect, str) else dialect
    stream = tokens_of(text, dialect)
    tokens = Tokens(stream)
    while tokens.skip(";") or tokens.skip("("):
        pass
    if tokens.skip("SET", "STATEMENT"):
        _skip_settings(tokens)
    word = tokens.next.upper
    if not stream or word in _HARMLESS:
        return _NOTHING
    reader = _READERS.get(word)
    try:
        if reader is None:
            raise NotUnderstood(word)
        tokens.take()
        found = reader(tokens, database, dialect, charsets)
    except NotUnderstood:
        return Statement(unknown_names=frozenset() if _LOST in text else _names_in(stream))
    if _LOST in text:
        return _without_lost(found)
    if all(effect.kind == "ALTER" and not effect.moved_from for effect in found.effects):
        return replace(found, altering=_names_in(stream)) if found.effects else found
    return found


def _skip_settings(tokens: Tokens) -> None:
    """MariaDB's SET STATEMENT … FOR, which stands in front of the statement that it is for."""
    depth = 0
    while not tokens.is_end:
        text = tokens.next.text
        depth += (text == "(") - (text == ")")
        if tokens.take().upper == "FOR" and not depth:
            return


def _without_lost(statement: Statement) -> Statement:
    """Of a text in a charset that isn't UTF-8: which tables it changes, but not to what."""
    names = ("".join((*one.table, *(one.moved_from or ()))) for one in statement.effects)
    if any(_LOST in name for name in names):
        return Statement(unknown_names=frozenset())
    effects = tuple(replace(effect, make=_unknown) for effect in statement.effects)
    return replace(statement, effects=effects)


Charsets = Callable[[str], str]
"""A database's default charset; empty where it isn't known."""


def folded(table: TableName) -> TableName:
    """For comparing: whether servers tell capitals apart depends on their file system."""
    return table[0].casefold(), table[1].casefold()


def _create(tokens: Tokens, database: str, dialect: Dialect, charsets: Charsets) -> Statement:
    is_replaced = tokens.skip("OR", "REPLACE")
    if tokens.skip("TEMPORARY"):
        return _NOTHING
    if tokens.skip_any("DATABASE", "SCHEMA"):
        tokens.skip("IF", "NOT", "EXISTS")
        return _database(tokens, tokens.name())
    if tokens.skip("TABLE"):
        return _create_table(tokens, database, dialect, charsets, is_replaced)
    is_unique = tokens.skip("UNIQUE")
    if is_unique or tokens.next.upper in ("INDEX", "FULLTEXT", "VECTOR") or _is_spatial(tokens):
        tokens.skip_any("FULLTEXT", "SPATIAL", "VECTOR")
        return _create_index(tokens, database, is_unique)
    return _other(tokens)


def _is_spatial(tokens: Tokens) -> bool:
    at = tokens.at
    is_index = tokens.skip("SPATIAL", "INDEX")
    tokens.at = at
    return is_index


def _create_table(
    tokens: Tokens, database: str, dialect: Dialect, charsets: Charsets, is_replaced: bool
) -> Statement:
    keeps_existing = tokens.skip("IF", "NOT", "EXISTS")
    table = _table(tokens, database)
    rest = tokens.at
    is_group = tokens.next.text == "("
    if tokens.skip("LIKE") or tokens.skip("(", "LIKE"):
        source = _table(tokens, database)
        return _one("CREATE", table, lambda known: known(source), keeps_existing)
    if not is_group:
        return _one("CREATE", table, _unknown, keeps_existing)
    tokens.at = rest

    def make(known: Callable[[TableName], Description | None]) -> Description | None:
        tokens.at = rest
        return created(tokens, dialect, charsets(table[0]))

    return _one("CREATE", table, make, keeps_existing and not is_replaced)


def _create_index(tokens: Tokens, database: str, is_unique: bool) -> Statement:
    tokens.skip("INDEX")
    tokens.skip("IF", "NOT", "EXISTS")
    name = tokens.name()
    if tokens.skip("USING") or tokens.skip("TYPE"):
        tokens.take()
    if not tokens.skip("ON"):
        raise NotUnderstood("ON is missing")
    table = _table(tokens, database)
    columns = tokens.group()
    if not is_unique:
        return _NOTHING
    return _one("ALTER", table, _changing(table, lambda before: with_index(before, name, columns)))


def _alter(tokens: Tokens, database: str, dialect: Dialect, charsets: Charsets) -> Statement:
    tokens.skip_any("ONLINE", "OFFLINE")
    tokens.skip("IGNORE")
    if tokens.skip_any("DATABASE", "SCHEMA"):
        is_named = tokens.next.upper not in ("DEFAULT", "CHARACTER", "CHARSET", "COLLATE")
        return _database(tokens, tokens.name() if is_named else database)
    if not tokens.skip("TABLE"):
        return _other(tokens)
    tokens.skip("IF", "EXISTS")
    table = _table(tokens, database)
    if tokens.skip("NOWAIT") or tokens.skip("WAIT"):
        tokens.skip_any()
    rest = tokens.at
    new_name = _new_name(tokens, database)

    def change(before: Description) -> Description:
        tokens.at = rest
        return altered(before, tokens, dialect)

    make = _changing(table, change)
    if new_name is None:
        return _one("ALTER", table, make)
    return Statement((Effect("ALTER", new_name, make, moved_from=table),))


def _new_name(tokens: Tokens, database: str) -> TableName | None:
    """The table's new name, if one of the actions renames it."""
    found = None
    while not tokens.is_end:
        if tokens.skip("RENAME") and tokens.next.upper not in ("COLUMN", "INDEX", "KEY"):
            tokens.skip_any("TO", "AS")
            tokens.skip("=")
            found = _table(tokens, database)
        tokens.up_to_comma()
        tokens.skip(",")
    return found


def _rename(tokens: Tokens, database: str, _: Dialect, __: Charsets) -> Statement:
    if not tokens.skip_any("TABLE", "TABLES"):
        return _other(tokens)
    tokens.skip("IF", "EXISTS")
    effects: list[Effect] = []
    names: dict[TableName, TableName] = {}
    while True:
        old = _table(tokens, database)
        if tokens.skip_any("NOWAIT", "WAIT") == "WAIT":
            tokens.take()
        if not tokens.skip("TO"):
            raise NotUnderstood("TO is missing")
        new = _table(tokens, database)
        # Renames are done one after the other: what was at a name may have just come there.
        origin = names.pop(old, old)
        names[new] = origin
        effects.append(Effect("ALTER", new, _moving(origin), moved_from=old))
        if not tokens.skip(","):
            return Statement(tuple(effects))


def _drop(tokens: Tokens, database: str, _: Dialect, __: Charsets) -> Statement:
    if tokens.skip("TEMPORARY"):
        return _NOTHING
    if tokens.skip_any("DATABASE", "SCHEMA"):
        tokens.skip("IF", "EXISTS")
        name = tokens.name()
        return Statement(dropped_database=name, database=name)
    if tokens.skip("INDEX"):
        tokens.skip("IF", "EXISTS")
        name = tokens.name()
        if not tokens.skip("ON"):
            raise NotUnderstood("ON is missing")
        table = _table(tokens, database)
        return _one("ALTER", table, _changing(table, lambda before: without_index(before, name)))
    if not tokens.skip_any("TABLE", "TABLES"):
        return _other(tokens)
    tokens.skip("IF", "EXISTS")
    tables = [_table(tokens, database)]
    while tokens.skip(","):
        tables.append(_table(tokens, database))
    return Statement(tuple(Effect("DROP", table, _unknown) for table in tables))


def _database(tokens: Tokens, name: str) -> Statement:
    """CREATE or ALTER DATABASE: only the charset of tables to come matters."""
    charset = ""
    while not tokens.is_end:
        if tokens.skip("CHARSET") or tokens.skip("CHARACTER", "SET"):
            tokens.skip("=")
            charset = tokens.take().value.lower()
        elif tokens.skip("COLLATE"):
            tokens.skip("=")
            charset = charset or tokens.take().value.lower().split("_")[0]
        else:
            tokens.take()
    charset = {"utf8": "utf8mb3"}.get(charset, charset)
    return Statement(charset_of_database=(name, charset) if charset else None, database=name)


def _other(tokens: Tokens) -> Statement:
    """Something that isn't a table, behind CREATE, ALTER, DROP or RENAME."""
    while not tokens.is_end:
        word = tokens.take().upper
        if word in _OTHER_OBJECTS:
            return _NOTHING
        if word == "TABLE":
            break
    raise NotUnderstood("the object isn't known")


_READERS: Final = {"CREATE": _create, "ALTER": _alter, "RENAME": _rename, "DROP": _drop}


def _one(
    kind: Kind,
    table: TableName,
    make: Callable[[Callable[[TableName], Description | None]], Description | None],
    keeps_existing: bool = False,
) -> Statement:
    return Statement((Effect(kind, table, _safely(make), keeps_existing),))


def _changing(
    table: TableName, change: Callable[[Description], Description]
) -> Callable[[Callable[[TableName], Description | None]], Description | None]:
    def make(known: Callable[[TableName], Description | None]) -> Description | None:
        before = known(table)
        return None if before is None else change(before)

    return _safely(make)


def _moving(
    origin: TableName,
) -> Callable[[Callable[[TableName], Description | None]], Description | None]:
    return lambda known: known(origin)


def _safely(
    make: Callable[[Callable[[TableName], Description | None]], Description | None],
) -> Callable[[Callable[[TableName], Description | None]], Description | None]:
    def made(known: Callable[[TableName], Description | None]) -> Description | None:
        try:
            return make(known)
        except (NotUnderstood, ValueError, IndexError):
            return None

    return made


def _unknown(_: Callable[[TableName], Description | None]) -> None:
    """Nothing is known of the table."""


def _table(tokens: Tokens, database: str) -> TableName:
    name = tokens.name()
    if tokens.skip("."):
        return name, tokens.name()
    return database, name


def _names_in(stream: Sequence[Token]) -> frozenset[str]:
    names: set[str] = set()
    for token in stream:
        if token.kind == QUOTED or token.upper:
            names.add(token.name.casefold())
        elif token.kind == STRING:  # a statement in a string, or a name by ANSI_QUOTES
            names.update(one.name.casefold() for one in tokens_of(token.value))
    return frozenset(names)
