"""What MySQL and MariaDB have in common as servers of ours: address, connection, data folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, unquote, urlsplit

from cdc.services.process import Launch
from cdc.services.server import Carrier, Server
from cdc.services.ways import ServiceFailed, WayClosed

if TYPE_CHECKING:
    from pymysql.connections import Connection

DEFAULT_PORT = 3306
Flavor = Literal["mysql", "mariadb"]
CONNECT_SECONDS_MAX = 5


@dataclass(frozen=True)
class DatabaseAddress:
    """Where a database server is, and as whom to go in."""

    host: str
    port: int
    user: str
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str, *, variable: str) -> DatabaseAddress:
        """Reads `mysql://user:password@host:port`."""
        # The message doesn't repeat the text: it may hold a password (invariant 9).
        wrong = ServiceFailed(
            f"read the address in {variable}, which isn't one",
            hint=f"write it as {variable}=mysql://user:password@host:port",
        )
        try:
            parts = urlsplit(url)
            port = parts.port or DEFAULT_PORT
        except ValueError:
            raise wrong from None
        if not parts.scheme or not parts.hostname or not parts.username:
            raise wrong
        return cls(parts.hostname, port, unquote(parts.username), unquote(parts.password or ""))

    def url(self, scheme: str) -> str:
        """The same in one text, as the environment names it."""
        password = f":{quote(self.password, safe='')}" if self.password else ""
        return f"{scheme}://{quote(self.user, safe='')}{password}@{self.host}:{self.port}"

    def connect(self, **options: Any) -> Connection[Any]:
        """A PyMySQL connection that commits by itself, with more of its options on top."""
        import pymysql

        return pymysql.connect(
            **{
                "host": self.host,
                "port": self.port,
                "user": self.user,
                "password": self.password,
                "autocommit": True,
                "connect_timeout": CONNECT_SECONDS_MAX,
                **options,
            }
        )


class DatabaseServer(Server):
    """A MySQL or MariaDB server."""

    flavor: Flavor = "mysql"

    def __init__(
        self, address: DatabaseAddress, carrier: Carrier | None, folder: Path | None
    ) -> None:
        super().__init__(address.url("mysql"), carrier, folder)
        self.address = address

    def refusal(self) -> str | None:
        """Why no connection can be made now; None if one can."""
        import pymysql

        try:
            self.connect().close()
        except (pymysql.MySQLError, OSError) as refused:
            return str(refused)
        return None

    def connect(self, **options: Any) -> Connection[Any]:
        """A connection as the server's own user (root, if it is a server of ours)."""
        return self.address.connect(**options)

    def address_of(self, user: str, password: str) -> DatabaseAddress:
        """The same server's address for another user."""
        return replace(self.address, user=user, password=password)

    @property
    def version(self) -> str:
        """The version as the server tells it."""
        # Asked, not taken from the greeting, where MariaDB says 5.5.5 in front of its own.
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("select version()")
            ((version,),) = cursor.fetchall()
        return str(version)


def address_in_environment(variable: str) -> DatabaseAddress:
    """The address that the variable holds; WayClosed if it holds none."""
    url = os.environ.get(variable)
    if not url:
        raise WayClosed(f"{variable} isn't set")
    return DatabaseAddress.parse(url, variable=variable)


def initialised(data: Path, initialise: Callable[[Path], None]) -> Path:
    """The data folder, made by `initialise` the first time, whole or not at all."""
    if not data.exists():
        partial = data.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o750)
        initialise(partial)
        partial.rename(data)
    return data


def launch(
    program: Sequence[str], data: Path, folder: Path, port: int, flags: Sequence[str]
) -> Launch:
    """How to start a server over its data folder."""
    return Launch(
        argv=(
            *program,
            f"--datadir={data}",
            "--bind-address=127.0.0.1",
            f"--port={port}",
            # Below the data folder, by a short name: the path of a socket has 107 characters.
            "--socket=mysqld.sock",
            f"--pid-file={folder}/mysqld.pid",
            *flags,
        ),
        folder=folder,
        log=folder / "log",
    )


def as_root() -> list[str]:
    """The flag without which the servers refuse to run as root."""
    return ["--user=root"] if os.geteuid() == 0 else []
