"""How a statement's text is to be read: by which server it was said, in what kind of session.

The session's part stands in front of each QUERY event's text, as status variables; their form:
MySQL's `statement_events.h`, MariaDB's `log_event.h`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cdc.capture.checkpoint import Flavor

_REAL_AS_FLOAT: Final = 1
_ANSI_QUOTES: Final = 1 << 2
_NO_BACKSLASH_ESCAPES: Final = 1 << 20

_SQL_MODE: Final = 1
_OLD_CATALOG: Final = 2
_TIME_ZONE: Final = 5
_CATALOG: Final = 6
_SIZES: Final = {
    0: 4, _SQL_MODE: 8, 3: 4, 4: 6, 7: 2, 8: 2, 9: 8, 10: 4, 13: 3, 16: 1, 17: 8, 18: 2, 19: 1,
    20: 1, 128: 3, 129: 8,
}  # fmt: skip
"""Bytes of each variable of fixed size. Both servers write those that are read here before any
whose size isn't told here."""

_COMMENT: Final = re.compile(r"/\*(M?)!(\d{5,6})?")
_VERSION: Final = re.compile(rb"(\d{1,3})\.(\d{1,2})\.(\d{1,2})")
_MYSQLS_OWN: Final = range(50700, 100000)
"""Versions in executable comments that MariaDB takes for MySQL's, and never runs."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One session's way to read SQL."""

    flavor: Flavor
    version: int = 0
    """The server's, in the form of executable comments: 80406, 101119; 0: not known."""
    sql_mode: int = 0
    time_zone: str = ""
    """As the session has it set; empty where the statement doesn't say."""

    @property
    def has_escapes(self) -> bool:
        """Whether a backslash in a string stands for more than itself."""
        return not self.sql_mode & _NO_BACKSLASH_ESCAPES

    @property
    def has_quoted_names(self) -> bool:
        """Whether double quotes hold names, not strings."""
        return bool(self.sql_mode & _ANSI_QUOTES)

    @property
    def has_short_reals(self) -> bool:
        """Whether REAL is FLOAT."""
        return bool(self.sql_mode & _REAL_AS_FLOAT)

    def runs(self, opening: str) -> bool:
        """Whether the server takes what stands in a comment that begins so for its own text."""
        found = _COMMENT.match(opening)
        if found is None:
            return False
        if found[1] and self.flavor != "mariadb":
            return False
        if found[2] is None or not self.version:
            return True
        wanted = int(found[2])
        is_others = self.flavor == "mariadb" and not found[1] and wanted in _MYSQLS_OWN
        return wanted <= self.version and not is_others


def dialect_of(flavor: Flavor, version: int, variables: bytes) -> Dialect:
    """The dialect of a QUERY event with these status variables; what can't be read ends them."""
    sql_mode, time_zone, at = 0, "", 0
    while at < len(variables):
        code = variables[at]
        at += 1
        size = _SIZES.get(code)
        if code in (_TIME_ZONE, _CATALOG, _OLD_CATALOG) and at < len(variables):
            size = variables[at] + (code == _OLD_CATALOG)
            at += 1
        if size is None or at + size > len(variables):
            break
        if code == _SQL_MODE:
            sql_mode = int.from_bytes(variables[at : at + size], "little")
        elif code == _TIME_ZONE:
            time_zone = variables[at : at + size].decode("utf-8", "replace")
        at += size
    return Dialect(flavor, version, sql_mode, time_zone)


def version_of(description: bytes) -> int:
    """The server's version that a FORMAT_DESCRIPTION event holds; 0 if it can't be read."""
    text = description[2:52].removeprefix(b"5.5.5-")  # as old MariaDB called itself to replicas
    found = _VERSION.match(text)
    return int(found[1]) * 10000 + int(found[2]) * 100 + int(found[3]) if found else 0
