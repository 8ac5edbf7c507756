"""CREATE TABLE and ALTER TABLE as what they make of a table's description.

All or nothing: a clause that isn't known raises NotUnderstood, and then nothing is known of the
table until the catalogue says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from cdc.capture.ddl_columns import ColumnDefinition, pass_references, read_column, read_default
from cdc.capture.ddl_defaults import settled_default
from cdc.capture.description import PRIMARY, ColumnDescription, Description, UniqueKey
from cdc.capture.dialect import Dialect
from cdc.capture.sql_tokens import NotUnderstood, Token, Tokens, split
from cdc.capture.table_options import PARTITIONS, WITHOUT_EFFECT, pass_option

_TEXT_TYPES: Final = ("tinytext", "text", "mediumtext")
_KEY_WORDS: Final = (
    "PRIMARY", "UNIQUE", "KEY", "INDEX", "FULLTEXT", "SPATIAL", "VECTOR", "CONSTRAINT", "FOREIGN",
    "CHECK", "PERIOD",
)  # fmt: skip


def created(tokens: Tokens, dialect: Dialect, charset: str) -> Description:
    """The table behind CREATE TABLE's name; `charset` is the database's, empty if not known."""
    body = tokens.group()
    table = _Table(Description((), charset=charset), dialect)
    table.read_options(tokens)
    for part in split(body):
        inside = Tokens(part)
        if not table.reads_key(inside):
            table.add(read_column(inside, dialect, table.charset))
        if not inside.is_end:
            raise NotUnderstood(f"{inside.next.text!r} isn't known here")
    return table.described()


def altered(before: Description, actions: Tokens, dialect: Dialect) -> Description:
    """The table after ALTER TABLE, from behind its name on."""
    table = _Table(before, dialect)
    while not actions.is_end:
        if actions.next.upper in PARTITIONS:
            break  # partitions come last, and no description holds them
        table.act(actions)
        actions.skip(",")
    return table.described()


def with_index(before: Description, name: str, columns: Sequence[Token]) -> Description:
    """The table after CREATE UNIQUE INDEX."""
    key = UniqueKey(name, _key_columns(columns))
    return replace(before, keys=(*before.keys, key))


def without_index(before: Description, name: str) -> Description:
    """The table after DROP INDEX; of a name that isn't a unique key's nothing changes."""
    return replace(before, keys=tuple(key for key in before.keys if not _same(key.name, name)))


class _Table:
    """A description that is being changed."""

    def __init__(self, before: Description, dialect: Dialect) -> None:
        self._dialect = dialect
        self._columns = list(before.columns)
        self._keys = list(before.keys)
        self._old_keys = before.keys
        """What DROP takes: it comes before all ADDs, wherever it stands."""
        self.charset, self._comment = before.charset, before.comment

    def described(self) -> Description:
        """What came out; the columns of a primary key are NOT NULL."""
        primary = {
            (name or "").casefold()
            for key in self._keys
            if key.name == PRIMARY
            for name in key.columns
        }
        columns = (
            replace(column, nullable=column.nullable and column.name.casefold() not in primary)
            for column in self._columns
        )
        names = {column.name.casefold(): column.name for column in self._columns}
        keys = (
            replace(key, columns=tuple(names.get((name or "").casefold()) for name in key.columns))
            for key in self._keys
        )
        return Description(tuple(columns), tuple(keys), self.charset, self._comment)

    def act(self, tokens: Tokens) -> None:
        """One action of ALTER TABLE."""
        word = tokens.next.upper
        action = _ACTIONS.get(word)
        if action:
            tokens.take()
            action(self, tokens)
        elif not self._reads_option(tokens):
            raise NotUnderstood(f"{tokens.next.text!r} isn't known in ALTER TABLE")

    def add(self, definition: ColumnDefinition) -> None:
        """A new column, with the keys that its definition makes."""
        column = definition.column
        if self._find(column.name) is not None:
            raise NotUnderstood(f"there is a column {column.name} already")
        self._place(column, definition.after)
        self._add_own_keys(definition)

    def _add_own_keys(self, definition: ColumnDefinition) -> None:
        name = definition.column.name
        if definition.is_primary:
            self._keys.append(UniqueKey(PRIMARY, (name,)))
        if definition.is_unique:
            self._keys.append(UniqueKey(self._free_name(name), (name,)))

    def _place(self, column: ColumnDescription, after: str | None) -> None:
        if after is None:
            self._columns.append(column)
        else:
            self._columns.insert(self._index(after) + 1 if after else 0, column)

    def _find(self, name: str) -> int | None:
        found = (i for i, column in enumerate(self._columns) if _same(column.name, name))
        return next(found, None)

    def _index(self, name: str) -> int:
        found = self._find(name)
        if found is None:
            raise NotUnderstood(f"there is no column {name}")
        return found

    def _free_name(self, name: str) -> str:
        """The name that the server gives a key without one."""
        taken = {key.name.casefold() for key in self._keys}
        number, free = 2, name
        while free.casefold() in taken or free.upper() == PRIMARY:
            free, number = f"{name}_{number}", number + 1
        return free

    def reads_key(self, tokens: Tokens) -> bool:
        """Read a key or constraint, if one stands here."""
        if tokens.next.upper not in _KEY_WORDS:
            return False
        name = ""
        if tokens.skip("CONSTRAINT") and tokens.next.upper not in _KEY_WORDS:
            name = tokens.name()
        word = tokens.take().upper
        if word == "PRIMARY":
            tokens.skip("KEY")
            _pass_using(tokens)
            if tokens.next.text != "(":
                tokens.name()
            self._keys.append(UniqueKey(PRIMARY, _key_columns(tokens.group())))
        elif word == "UNIQUE":
            tokens.skip_any("KEY", "INDEX")
            self._if_not_exists(tokens)
            _pass_using(tokens)
            if tokens.next.text != "(":
                name = tokens.name()
                _pass_using(tokens)
            columns = _key_columns(tokens.group())
            self._keys.append(UniqueKey(name or self._free_name(columns[0] or "key"), columns))
        elif word == "CHECK":
            tokens.group()
        elif word == "FOREIGN":
            tokens.skip("KEY")
            self._if_not_exists(tokens)
            if tokens.next.text != "(":
                tokens.name()
            tokens.group()
            if tokens.skip("REFERENCES"):
                pass_references(tokens)
        elif word == "PERIOD":
            raise NotUnderstood("periods aren't known")
        tokens.up_to_comma()  # an index that isn't unique, and options of any
        return True

    def read_options(self, tokens: Tokens) -> None:
        """The options behind CREATE TABLE's columns."""
        while not tokens.is_end:
            if tokens.next.upper in (*PARTITIONS, "SELECT", "AS", "IGNORE", "REPLACE"):
                if tokens.next.upper not in PARTITIONS:
                    raise NotUnderstood("columns may come of a SELECT")
                break
            tokens.skip(",")
            if not self._reads_option(tokens):
                raise NotUnderstood(f"the table option {tokens.next.text!r} isn't known")

    def _reads_option(self, tokens: Tokens) -> bool:
        at = tokens.at
        tokens.skip("DEFAULT")
        if tokens.skip("CHARSET") or tokens.skip("CHARACTER", "SET"):
            tokens.skip("=")
            charset = tokens.take().value.lower()
            self.charset = {"utf8": "utf8mb3"}.get(charset, charset)
        elif tokens.skip("COLLATE"):
            tokens.skip("=")
            self.charset = tokens.take().value.lower().split("_")[0]
        elif tokens.skip("COMMENT"):
            tokens.skip("=")
            self._comment = tokens.take().value
        elif tokens.next.upper in WITHOUT_EFFECT:
            word = tokens.take().upper
            if word == "WITH" and tokens.next.upper == "SYSTEM":
                raise NotUnderstood("system versioning isn't known")
            pass_option(word, tokens)
        else:
            tokens.at = at
            return False
        return True

    def _if_exists(self, tokens: Tokens) -> None:
        tokens.skip("IF", "EXISTS")

    def _if_not_exists(self, tokens: Tokens) -> bool:
        return tokens.skip("IF", "NOT", "EXISTS")

    def add_action(self, tokens: Tokens) -> None:
        if self.reads_key(tokens):
            return
        if tokens.next.upper in ("PARTITION", "SYSTEM"):
            if tokens.next.upper == "SYSTEM":
                raise NotUnderstood("system versioning isn't known")
            tokens.at = 1 << 30
            return
        tokens.skip("COLUMN")
        may_exist = self._if_not_exists(tokens)
        if tokens.next.text != "(":
            definition = read_column(tokens, self._dialect, self.charset)
            if not (may_exist and self._find(definition.column.name) is not None):
                self.add(definition)
            return
        for part in split(tokens.group()):
            inside = Tokens(part)
            if not self.reads_key(inside):
                self.add(read_column(inside, self._dialect, self.charset))

    def modify(self, tokens: Tokens) -> None:
        tokens.skip("COLUMN")
        self._if_exists(tokens)
        self._redefine(None, tokens)

    def change(self, tokens: Tokens) -> None:
        tokens.skip("COLUMN")
        self._if_exists(tokens)
        self._redefine(tokens.name(), tokens)

    def _redefine(self, old: str | None, tokens: Tokens) -> None:
        definition = read_column(tokens, self._dialect, self.charset)
        column = definition.column
        at = self._index(old or column.name)
        old = self._columns[at].name
        if old != column.name:
            self._rename_in_keys(old, column.name)
        if definition.after is None:
            self._columns[at] = column
        else:
            del self._columns[at]
            self._place(column, definition.after)
        self._add_own_keys(definition)

    def _rename_in_keys(self, old: str, new: str) -> None:
        self._keys = [
            replace(
                key,
                columns=tuple(new if name and _same(name, old) else name for name in key.columns),
            )
            for key in self._keys
        ]

    def rename(self, tokens: Tokens) -> None:
        if tokens.skip("COLUMN"):
            old = tokens.name()
            _expect(tokens, "TO")
            at, new = self._index(old), tokens.name()
            self._columns[at] = replace(self._columns[at], name=new)
            self._rename_in_keys(old, new)
        elif tokens.skip_any("INDEX", "KEY"):
            old = tokens.name()
            _expect(tokens, "TO")
            new = tokens.name()
            self._keys = [replace(k, name=new) if _same(k.name, old) else k for k in self._keys]
        else:  # the table itself: `ddl.py` has seen to it
            tokens.skip_any("TO", "AS")
            tokens.skip("=")
            tokens.name()
            if tokens.skip("."):
                tokens.name()

    def drop(self, tokens: Tokens) -> None:
        if tokens.skip("PRIMARY", "KEY"):
            self._drop_key(PRIMARY)
        elif tokens.skip_any("INDEX", "KEY", "CONSTRAINT"):
            self._if_exists(tokens)
            self._drop_key(tokens.name())
        elif tokens.skip("FOREIGN", "KEY") or tokens.skip_any("CHECK"):
            self._if_exists(tokens)
            tokens.name()
        elif tokens.next.upper == "PARTITION":
            tokens.at = 1 << 30
        elif tokens.next.upper in ("SYSTEM", "PERIOD"):
            raise NotUnderstood("system versioning isn't known")
        else:
            tokens.skip("COLUMN")
            may_miss = tokens.skip("IF", "EXISTS")
            self._drop_column(tokens.name(), may_miss)
            tokens.skip_any("RESTRICT", "CASCADE")

    def _drop_key(self, name: str) -> None:
        count = sum(_same(key.name, name) for key in self._old_keys)
        for key in [key for key in self._keys if _same(key.name, name)][:count]:
            self._keys.remove(key)

    def _drop_column(self, name: str, may_miss: bool) -> None:
        if may_miss and self._find(name) is None:
            return
        del self._columns[self._index(name)]
        kept = []
        for key in self._keys:
            left = tuple(one for one in key.columns if not (one and _same(one, name)))
            if left:  # the server leaves a dropped column out of its keys
                kept.append(replace(key, columns=left))
        self._keys = kept

    def alter(self, tokens: Tokens) -> None:
        if tokens.skip_any("INDEX", "CHECK", "CONSTRAINT", "KEY"):
            tokens.up_to_comma()
            return
        tokens.skip("COLUMN")
        self._if_exists(tokens)
        at = self._index(tokens.name())
        column = self._columns[at]
        if tokens.skip("DROP", "DEFAULT"):
            extra = column.extra.replace("DEFAULT_GENERATED", "").strip()
            self._columns[at] = replace(column, default=None, extra=extra)
        elif tokens.skip("SET", "DEFAULT"):
            default = settled_default(
                read_default(tokens), column.data_type, column.column_type, self._dialect
            )
            extra = column.extra.replace("DEFAULT_GENERATED", "").strip()
            if default is not None and default.startswith("("):
                extra = f"DEFAULT_GENERATED {extra}".strip()
            self._columns[at] = replace(column, default=default, extra=extra)
        elif not (tokens.skip("SET", "VISIBLE") or tokens.skip("SET", "INVISIBLE")):
            raise NotUnderstood(f"{tokens.next.text!r} isn't known in ALTER COLUMN")

    def convert(self, tokens: Tokens) -> None:
        """CONVERT TO CHARACTER SET: a text may grow into the next larger type, so none is known."""
        _expect(tokens, "TO")
        if not (tokens.skip("CHARACTER", "SET") or tokens.skip("CHARSET")):
            raise NotUnderstood("CHARACTER SET is missing")
        charset = tokens.take().value.lower()
        if tokens.skip("COLLATE"):
            tokens.take()
        if charset in ("binary", "default") or any(
            c.data_type in _TEXT_TYPES for c in self._columns
        ):
            raise NotUnderstood("the types may change as well")
        self.charset = {"utf8": "utf8mb3"}.get(charset, charset)
        self._columns = [
            replace(column, charset=self.charset) if column.charset else column
            for column in self._columns
        ]


_ACTIONS: Final[dict[str, Callable[[_Table, Tokens], None]]] = {
    "ADD": _Table.add_action, "MODIFY": _Table.modify, "CHANGE": _Table.change,
    "RENAME": _Table.rename, "DROP": _Table.drop, "ALTER": _Table.alter, "CONVERT": _Table.convert,
}  # fmt: skip


def _key_columns(tokens: Sequence[Token]) -> tuple[str | None, ...]:
    """The columns of a key; None for an expression. Prefix lengths and orders are left out."""
    columns: list[str | None] = []
    for part in split(tokens):
        inside = Tokens(part)
        columns.append(None if inside.next.text == "(" else inside.name())
    return tuple(columns)


def _pass_using(tokens: Tokens) -> None:
    if tokens.skip("USING") or tokens.skip("TYPE"):
        tokens.take()


def _expect(tokens: Tokens, word: str) -> None:
    if not tokens.skip(word):
        raise NotUnderstood(f"{word} is missing before {tokens.next.text!r}")


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
