"""Connections to the source, and what the server says of itself."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from typing import Any, cast

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import DictCursor

from cdc.capture.refusals import connect_refusal, query_refusal
from cdc.capture.source_settings import ServerSettings, Tls
from cdc.errors import SourceError

QUERY_SECONDS_MAX = 60.0
"""How long any statement of ours may take to answer."""
# A key that MySQL generated stands in the rows: the catalogue may not leave it out.
_SETTINGS = (
    "SET time_zone = '+00:00'/*!80030 , show_gipk_in_create_table_and_information_schema = ON */"
)

Row = dict[str, Any]


def connect(settings: ServerSettings) -> Connection[DictCursor]:
    """A session in UTC that commits by itself; SourceError or Unreachable if there is none."""
    try:
        connection: Any = settings.seam(
            pymysql.connect(**connect_options(settings), cursorclass=DictCursor)
        )
    except (pymysql.MySQLError, OSError, ValueError) as error:
        raise connect_refusal(settings, error) from error
    # The greeting must come soon; a look into information_schema may take its time.
    connection._read_timeout = QUERY_SECONDS_MAX
    return cast("Connection[DictCursor]", connection)


def connect_options(settings: ServerSettings) -> dict[str, Any]:
    """What PyMySQL is told of a session in UTC that commits by itself."""
    return {
        "host": settings.host,
        "port": settings.port,
        "user": settings.user,
        "password": settings.password.encode(),  # as it is: PyMySQL itself takes latin1
        "charset": "utf8mb4",
        "autocommit": True,
        "sql_mode": "",
        "init_command": _SETTINGS,
        "connect_timeout": settings.connect_timeout_seconds,
        "read_timeout": settings.connect_timeout_seconds,
        "write_timeout": settings.connect_timeout_seconds,
        "program_name": f"cdc {settings.name}",
        **tls_options(settings.tls),
    }


def tls_options(tls: Tls) -> dict[str, Any]:
    """PyMySQL's own default is `preferred`: none only if the server has none."""
    if tls.mode == "disabled":
        return {"ssl_disabled": True}
    if tls.mode == "preferred" and not (tls.ca or tls.cert):
        return {}
    return {"ssl": _tls_context(tls)}


def _tls_context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.cert:
            context.load_cert_chain(tls.cert, keyfile=tls.key)
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(str(one) for one in (tls.ca, tls.cert, tls.key) if one)
        raise SourceError(
            f"reading the source's TLS files ({named}): {error}",
            hint="source.tls.ca, cert and key are PEM files",
        ) from error
    # Certificates that the servers make for themselves don't pass the strict form.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = tls.mode == "verify_identity"
    is_verified = tls.mode in ("verify_ca", "verify_identity")
    context.verify_mode = ssl.CERT_REQUIRED if is_verified else ssl.CERT_NONE
    return context


class Session:
    """A connection whose statements fail with errors that a user can act on."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.connection = connect(settings)
        # Asked, not taken from the greeting, where MariaDB says 5.5.5 in front of its own.
        (row,) = self.rows("reading the version", "SELECT VERSION() AS v")
        self.version_text = str(row["v"])
        self.is_mariadb = is_mariadb(self.version_text)
        self.version = version_numbers(self.version_text)

    @property
    def flavor(self) -> str:
        return "mariadb" if self.is_mariadb else "mysql"

    def rows(self, doing: str, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a statement whose answer is small."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(statement, tuple(values) or None)
                return list(cursor.fetchall())
        except (pymysql.MySQLError, OSError) as error:
            flavor = self.flavor if hasattr(self, "is_mariadb") else "mysql"
            raise query_refusal(self.settings, flavor, doing, error) from error

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close without a word: the server may be gone, or in the middle of a dump."""
        self.connection._force_close()  # type: ignore[attr-defined]


def is_mariadb(version_text: str) -> bool:
    """Whether a server with this version is MariaDB."""
    return "mariadb" in version_text.casefold()


def version_numbers(version_text: str) -> tuple[int, ...]:
    """`10.11.19-MariaDB-log`, `5.5.5-10.6.4-MariaDB`, `8.0.mysql_aurora.3.05.2` as numbers."""
    text = version_text.casefold()
    if "mariadb" in text:
        text = text.removeprefix("5.5.5-")
    numbers = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()
