"""The executed set as the stream moves: what is wholly processed."""

from __future__ import annotations

from cdc.capture.checkpoint import Flavor
from cdc.capture.gtid import MariadbGtidList, MysqlGtidSet


class Executed:
    """The executed set of either server; grows by runs of transactions."""

    def __init__(self, flavor: Flavor, gtid_set: str) -> None:
        is_mysql = flavor == "mysql"
        self._mysql = MysqlGtidSet.parse(gtid_set) if is_mysql else None
        self._mariadb = None if is_mysql else MariadbGtidList.parse(gtid_set)

    def add(self, source: str, first: int, last: int) -> None:
        """MySQL's transactions `first` to `last` of a source (`uuid` or `uuid:tag`)."""
        assert self._mysql is not None
        self._mysql.add(source, first, last)

    def advance(self, domain: int, server_id: int, number: int) -> None:
        """A domain of MariaDB has come to this transaction."""
        assert self._mariadb is not None
        self._mariadb.advance(domain, server_id, number)

    def __str__(self) -> str:
        return str(self._mysql if self._mysql is not None else self._mariadb)
