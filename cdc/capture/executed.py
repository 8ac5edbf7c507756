"""The executed set as the stream moves: cheap per transaction, exact at each checkpoint."""

from __future__ import annotations

import uuid

from cdc.capture.checkpoint import Flavor
from cdc.capture.gtid import MariadbGtidList, MysqlGtidSet


class Executed:
    """What is wholly processed. A run of transactions of one source is added as one interval."""

    def __init__(self, flavor: Flavor, gtid_set: str) -> None:
        is_mysql = flavor == "mysql"
        self._mysql = MysqlGtidSet.parse(gtid_set) if is_mysql else None
        self._mariadb = None if is_mysql else MariadbGtidList.parse(gtid_set)
        self._names: dict[bytes, str] = {}
        self._run: tuple[str, int, int] | None = None
        self._open: tuple[str, int] | None = None
        self._open_mariadb: tuple[int, int, int] | None = None

    def begin(self, source: bytes, number: int) -> str:
        """A MySQL transaction opens; its GTID as text."""
        name = self._names.get(source)
        if name is None:
            name = self._names[source] = str(uuid.UUID(bytes=source))
        self._open = (name, number)
        return f"{name}:{number}"

    def begin_mariadb(self, domain: int, server_id: int, number: int) -> str:
        """A MariaDB transaction opens; its GTID as text."""
        self._open_mariadb = (domain, server_id, number)
        return f"{domain}-{server_id}-{number}"

    def commit(self) -> None:
        """The open transaction, if it has a GTID, is processed."""
        if self._open is not None:
            name, number = self._open
            run = self._run
            if run is not None and run[0] == name and run[2] + 1 == number:
                self._run = (name, run[1], number)
            else:
                self._flush()
                self._run = (name, number, number)
            self._open = None
        elif self._open_mariadb is not None:
            assert self._mariadb is not None
            self._mariadb.advance(*self._open_mariadb)
            self._open_mariadb = None

    def _flush(self) -> None:
        if self._run is not None:
            assert self._mysql is not None
            self._mysql.add(*self._run)
            self._run = None

    def __str__(self) -> str:
        self._flush()
        return str(self._mysql if self._mysql is not None else self._mariadb)
