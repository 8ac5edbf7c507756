"""What a QUERY event's text is, as far as a follower of rows must know. Never fatal.

Tokens are read one at a time, none twice: a statement may have megabytes, and what it is mostly
shows in its first word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from cdc.capture.checkpoint import Flavor
from cdc.capture.sql_tokens import END, NUMBER, QUOTED, WORD, Token, tokens_in

BEGIN: Final = "begin"
COMMIT: Final = "commit"
ROLLBACK: Final = "rollback"
ROLLBACK_TO: Final = "rollback to"
SAVEPOINT: Final = "savepoint"
TRUNCATE: Final = "truncate"
ROWS: Final = "rows"
"""DML as text: a session wrote it with binlog_format other than ROW."""
XA: Final = "xa"
OTHER: Final = "other"

LOST: Final = "\ufffd"
"""What stands for bytes that aren't UTF-8: the session had another charset."""

TableName = tuple[str, str]
"""Database and table."""

_FREQUENT: Final = re.compile(r"(?:BEGIN|COMMIT|SAVEPOINT|XA)\b")
"""As servers write them themselves, in front of nothing else."""
_KINDS: Final = {
    "BEGIN": BEGIN, "COMMIT": COMMIT, "SAVEPOINT": SAVEPOINT, "RELEASE": SAVEPOINT, "XA": XA,
    "INSERT": ROWS, "UPDATE": ROWS, "DELETE": ROWS, "REPLACE": ROWS, "LOAD": ROWS, "WITH": ROWS,
    # As servers write the call of a function that changes rows.
    "SELECT": ROWS, "DO": ROWS, "CALL": ROWS, "TRUNCATE": TRUNCATE,
}  # fmt: skip
_FILLED: Final = frozenset({"AS", "SELECT", "TABLE", "VALUES"})
"""Behind the name of a created table, outside parentheses: a query follows."""
_QUERIES: Final = frozenset({"SELECT", "TABLE", "VALUES", "WITH"})
"""What a query in parentheses begins with. All reserved: no column has such a name unquoted."""
_ANALYZES_TABLES: Final = frozenset({"TABLE", "TABLES", "LOCAL", "NO_WRITE_TO_BINLOG"})
_IN_BULK: Final = frozenset(
    {
        ("DROP", "PARTITION"), ("TRUNCATE", "PARTITION"), ("EXCHANGE", "PARTITION"),
        ("IMPORT", "PARTITION"), ("DISCARD", "PARTITION"), ("CONVERT", "PARTITION"),
        ("CONVERT", "TABLE"), ("IMPORT", "TABLESPACE"), ("DISCARD", "TABLESPACE"),
    }
)  # fmt: skip
"""Actions of ALTER TABLE by their first two words."""
_WITH_OTHER_TABLE: Final = frozenset({"EXCHANGE", "CONVERT"})


def kind_of(text: str, flavor: Flavor) -> str:
    """Which of the kinds above a statement is."""
    if frequent := _FREQUENT.match(text):
        return _KINDS[frequent[0]]
    stream = _Stream(text, flavor)
    verb = stream.verb()
    if verb == "ROLLBACK":
        stream.skip("WORK")
        return ROLLBACK_TO if stream.next.upper == "TO" else ROLLBACK
    if verb == "CREATE":
        # In row format the rows come as rows, and the statement without its query.
        return ROWS if _is_filled(stream) else OTHER
    if verb == "ANALYZE":  # MariaDB's does what it analyzes
        return OTHER if stream.next.upper in _ANALYZES_TABLES else ROWS
    return _KINDS.get(verb, OTHER)


def databases_in(text: str, flavor: Flavor) -> Iterator[str]:
    """Every name in a statement that may be a database's: those that a dot follows."""
    before = END
    for token in tokens_in(text, flavor):
        is_dot = token.text == "." or (token.kind == NUMBER and token.text[0] == ".")
        if is_dot and _is_name(before):
            yield before.name
        before = token


def truncated_table(text: str, database: str, flavor: Flavor) -> TableName | None:
    """The table of a TRUNCATE statement; None if it can't be told."""
    stream = _Stream(text, flavor)
    stream.verb()
    stream.skip("TABLE")
    return stream.table(database)


def tables_changed_in_bulk(text: str, database: str, flavor: Flavor) -> list[TableName]:
    """The tables of DDL that changes rows without events: of partitions, or of tablespaces."""
    stream = _Stream(text, flavor)
    if stream.verb() != "ALTER":
        return []
    while stream.skip("ONLINE") or stream.skip("IGNORE"):
        pass
    if not stream.skip("TABLE"):
        return []
    stream.skip("IF", "EXISTS")
    altered = stream.table(database)
    found: list[TableName | None] = []
    before = ""
    for word in stream.outer_words():
        if (before, word) in _IN_BULK:
            found.append(altered)
            if before in _WITH_OTHER_TABLE and (word == "TABLE" or stream.go_behind("TABLE")):
                found.append(stream.table(database))
        before = word
    return [table for table in dict.fromkeys(found) if table is not None]


def _is_filled(stream: _Stream) -> bool:
    """Behind CREATE: whether it is a table with the rows of a query."""
    stream.skip("OR", "REPLACE")
    if not stream.skip("TABLE"):
        return False
    stream.skip("IF", "NOT", "EXISTS")
    stream.table("")
    for word in stream.outer_words():
        if word in _FILLED:
            return True
        if word == "(":
            while stream.skip("("):
                pass
            if stream.next.upper in _QUERIES:
                return True
    return False


def _is_name(token: Token) -> bool:
    # In double quotes by sql_mode ANSI_QUOTES; without it, text can't stand where a name must.
    return token.kind in (WORD, QUOTED) or token.text[:1] == '"'


class _Stream:
    """Reads tokens front to back; behind the last one every look gives END."""

    def __init__(self, text: str, flavor: Flavor) -> None:
        self._tokens = tokens_in(text, flavor)
        self._depth = 0
        self.next = next(self._tokens, END)

    def take(self) -> Token:
        token, self.next = self.next, next(self._tokens, END)
        self._depth += (token.text == "(") - (token.text == ")")
        return token

    def skip(self, *words: str) -> bool:
        """Step over these words as far as they stand here; True if the first does."""
        for i, word in enumerate(words):
            if word not in (self.next.upper, self.next.text):
                return i > 0
            self.take()
        return True

    def go_behind(self, word: str) -> bool:
        """Step over everything up to the word and over it; False if it doesn't come."""
        while self.next is not END:
            if self.take().upper == word:
                return True
        return False

    def verb(self) -> str:
        """Step over the first word of the statement proper: it, or empty."""
        while True:
            token = self.take()
            if token.text in ("(", ";"):
                continue
            if token.upper == "SET" and self.skip("STATEMENT"):  # MariaDB: settings for one
                self._depth = 0
                while self.next is not END and (self._depth or self.next.upper != "FOR"):
                    self.take()
                self.take()
                continue
            self._depth = 0
            return token.upper

    def table(self, database: str) -> TableName | None:
        """Step over a table's name: it, or None if none can be told."""
        if self.skip("."):  # as ODBC writes a table of the session's database
            name = self._name()
            return (database, name) if name else None
        name = self._name()
        if not name or self.next.kind == NUMBER:
            return None
        if not self.skip("."):
            return database, name
        table = self._name()
        return (name, table) if table else None

    def _name(self) -> str:
        return self.take().name if _is_name(self.next) else ""

    def outer_words(self) -> Iterator[str]:
        """What stands outside parentheses, words in capitals; a group is its `(`.

        Without what a dot stands before: that is a name, whatever it looks like."""
        before = ""
        while self.next is not END:
            is_outer = not self._depth
            token = self.take()
            if is_outer and before != ".":
                yield token.upper or token.text
            before = token.text
