"""A user's rights, as SHOW GRANTS tells them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdc.capture.connection import Session

_NAME = r"(?:`((?:[^`]|``)*)`|(\*|[\w$]+))"
_LINE = re.compile(
    rf"(GRANT|REVOKE) (.+) ON (?:TABLE )?{_NAME}\.{_NAME} (?:TO|FROM) ", re.IGNORECASE
)
_COLUMNS = re.compile(r"\s*\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Grant:
    """Some privileges on a level: `*` stands for all databases, or all tables of one."""

    privileges: frozenset[str]
    database: str
    table: str
    is_revoked: bool = False

    def covers(self, database: str, table: str) -> bool:
        return self.table in ("*", table) and (
            self.database == "*" or _database_matches(self.database, database, self.table)
        )


@dataclass(frozen=True, slots=True)
class Grants:
    """All that a user may do."""

    grants: tuple[Grant, ...]

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Grants:
        """Rights of the lines of SHOW GRANTS; roles and procedures are passed by."""
        grants = []
        for line in lines:
            if match := _LINE.match(line):
                verb, privileges, *names = match.groups()
                database, table = (
                    (a or "").replace("``", "`") or b or "" for a, b in (names[:2], names[2:])
                )
                words = (_COLUMNS.sub("", word).strip() for word in privileges.upper().split(","))
                is_revoked = verb.upper() == "REVOKE"
                grants.append(Grant(frozenset(words), database, table, is_revoked))
        return cls(tuple(grants))

    def allows(self, *privileges: str) -> bool:
        """Whether one of the privileges is granted on everything."""
        wanted = {*privileges, "ALL PRIVILEGES", "ALL"}
        return any(
            grant.database == grant.table == "*" and grant.privileges & wanted
            for grant in self.grants
            if not grant.is_revoked
        )

    def allows_select(self, database: str, table: str) -> bool:
        """Whether the table may be read; `*` for all tables, or all databases."""
        wanted = {"SELECT", "ALL PRIVILEGES", "ALL"}
        covering = [grant for grant in self.grants if grant.covers(database, table)]
        granted = [grant for grant in covering if grant.privileges & wanted]
        revoked = any(grant.is_revoked for grant in granted)
        # A partial revoke takes away what is granted on everything, not what is granted below.
        return any(
            not (grant.is_revoked or (revoked and grant.database == "*")) for grant in granted
        )


def _database_matches(granted: str, database: str, table: str) -> bool:
    if granted == database or table != "*":
        return granted == database
    # On the level of databases `%` and `_` are wildcards, a backslash takes that away.
    pattern = "".join(
        re.escape(part[1]) if part[0] == "\\" else {"%": ".*", "_": "."}.get(part, re.escape(part))
        for part in re.findall(r"\\.|.", granted, re.DOTALL)
    )
    return re.fullmatch(pattern, database, re.DOTALL) is not None


def quoted_user(user: str, host: str) -> str:
    """`user`@`host` for a statement to be copied."""
    return "@".join("'" + part.replace("'", "''") + "'" for part in (user, host))


def read_grants(session: Session) -> Grants:
    """The rights of the session's user; both servers show those of its active roles too."""
    rows = session.rows("reading the user's grants", "SHOW GRANTS")
    return Grants.parse(str(value) for row in rows for value in row.values())
