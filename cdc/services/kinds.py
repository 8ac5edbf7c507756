"""The kinds of servers, and the one function that finds any of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from cdc.services import kafka, mariadb, mysql, registry
from cdc.services.server import Server

Kind = Literal["mysql", "mariadb", "mariadb11", "kafka", "registry"]
KINDS: tuple[Kind, ...] = get_args(Kind)

LABELS: dict[Kind, str] = {
    "mysql": mysql.MySQLServer.label,
    "mariadb": mariadb.MariaDBServer.label,
    "mariadb11": mariadb.MariaDB11Server.label,
    "kafka": kafka.KafkaServer.label,
    "registry": registry.RegistryServer.label,
}
VARIABLES: dict[Kind, str] = {
    "mysql": mysql.VARIABLE,
    "mariadb": mariadb.VARIABLE,
    "mariadb11": mariadb.VARIABLE_11,
    "kafka": kafka.VARIABLE,
    "registry": registry.VARIABLE,
}
_FIND: dict[Kind, Callable[[Path], Server]] = {
    "mysql": mysql.find,
    "mariadb": mariadb.find,
    "mariadb11": mariadb.find_11,
    "kafka": kafka.find,
    "registry": registry.find,
}
_FETCH: dict[Kind, Callable[[], None]] = {
    "mysql": mysql.fetch,
    "mariadb": mariadb.fetch,
    "mariadb11": mariadb.fetch_11,
    "kafka": kafka.fetch,
    "registry": registry.fetch,
}


def fetch(kind: Kind) -> None:
    """Downloads what a server of ours needs and isn't here; nothing if the environment names one.

    ServiceUnavailable with the reason for each way if it can't be had.
    """
    if not os.environ.get(VARIABLES[kind]):
        _FETCH[kind]()


def find(kind: Kind, folder: Path) -> Server:
    """A server that answers: of the environment, else our own with its data in `folder`.

    ServiceUnavailable with the reason for each way if there is none, ServiceFailed if one is
    there and doesn't answer.
    """
    return _FIND[kind](folder)
